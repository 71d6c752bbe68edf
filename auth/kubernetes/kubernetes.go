// Package kubernetes logs in with the service account of a pod.
//
//	vault auth enable kubernetes
//	vault write auth/kubernetes/config kubernetes_host=https://kubernetes.default.svc
//	vault write auth/kubernetes/role/app bound_service_account_names=app \
//	    bound_service_account_namespaces=prod token_policies=app token_ttl=1h
//
// and in Go
//
//	kubernetes.New("app")
//
// A pod's token is replaced by the kubelet long before it ends, so it is read
// afresh for each login, through whatever links lead to it (failure code A7). A file that cannot be
// read is an error of the login: it may be there the next time. Where the role names an audience,
// the pod needs a projected volume with a token for it, and [TokenFile].
package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"
	helper "github.com/hashicorp/vault/api/auth/kubernetes"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// DefaultTokenFile is where Kubernetes puts the token of a pod's service account.
const DefaultTokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token"

// Method is Vault's Kubernetes method, as an [auth.Method]. It is safe for concurrent use.
type Method struct {
	role  string
	token auth.Source
	mount string
}

var (
	_ auth.Method        = (*Method)(nil)
	_ auth.Fingerprinter = (*Method)(nil)
)

// Option adjusts a Method.
type Option func(*Method)

// Mount sets the path that the method is mounted at. Default "kubernetes".
func Mount(path string) Option {
	return func(m *Method) { m.mount = strings.Trim(path, "/") }
}

// TokenFile sets the file with the service account's token. Default [DefaultTokenFile].
func TokenFile(path string) Option { return TokenFrom(auth.File(path)) }

// TokenFrom takes the service account's token from elsewhere.
func TokenFrom(s auth.Source) Option {
	return func(m *Method) { m.token = s }
}

// New returns the method for a role. Nothing is read or checked before the first
// login.
func New(role string, opts ...Option) *Method {
	m := &Method{role: role, token: auth.File(DefaultTokenFile), mount: "kubernetes"}
	for _, opt := range opts {
		opt(m)
	}
	return m
}

// again is how long after a refusal the token is read once more.
const again = time.Second

// Login implements [auth.Method]. After a 403, which is all that Vault says of a token that is no
// good, it reads the token once more after a second: if it has been replaced meanwhile it logs
// in with the new one.
func (m *Method) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	if err := auth.CheckMount(m.mount); err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	jwt, err := m.token.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("kubernetes: the service account's token: %w", err)
	}
	s, err := m.login(ctx, client, jwt)
	var re *api.ResponseError
	if !errors.As(err, &re) || re.StatusCode != http.StatusForbidden {
		return s, err
	}
	pause := time.NewTimer(again)
	defer pause.Stop()
	select {
	case <-pause.C:
	case <-ctx.Done():
		return nil, err
	}
	if next, readErr := m.token.Read(ctx); readErr == nil && next != jwt {
		return m.login(ctx, client, next)
	}
	return nil, err
}

// login uses a helper that is built anew each time, with a token that was read here: it keeps
// the one that it was built with, and the white space around it.
func (m *Method) login(ctx context.Context, client *api.Client, jwt string) (*api.Secret, error) {
	login, err := helper.NewKubernetesAuth(m.role, helper.WithServiceAccountToken(jwt), helper.WithMountPath(m.mount))
	if err != nil {
		return nil, fmt.Errorf("kubernetes: %w", err)
	}
	return login.Login(ctx, client)
}

// Fingerprint implements [auth.Fingerprinter].
func (m *Method) Fingerprint(ctx context.Context) (string, error) {
	f, err := auth.Fingerprint(ctx, m.token)
	if err != nil {
		return "", fmt.Errorf("kubernetes: the service account's token: %w", err)
	}
	return f, nil
}
