// Package jwt logs in with a JWT that somebody else issues: a CI system, a SPIFFE agent, a cloud's
// identity service. It is for the jwt method, and for the oidc method's roles of the type jwt.
//
//	vault auth enable jwt
//	vault write auth/jwt/config oidc_discovery_url=https://issuer.example.com
//	vault write auth/jwt/role/app role_type=jwt user_claim=sub bound_audiences=vault \
//	    token_policies=app token_ttl=1h
//
// and in Go
//
//	jwt.New("app", auth.File("/run/secrets/jwt"))
//
// The JWT is read afresh for each login, since it lives for minutes rather than days
// (failure code A7). A person's login with a browser is no way in for a service, and is not here.
package jwt

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// Method is Vault's JWT method, as an [auth.Method]. It is safe for concurrent use.
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

// Mount sets the path that the method is mounted at, such as "oidc". Default "jwt".
func Mount(path string) Option {
	return func(m *Method) { m.mount = strings.Trim(path, "/") }
}

// New returns the method for a role, with a JWT from token; an empty role is the method's
// default_role. Nothing is read or checked before the first login.
func New(role string, token auth.Source, opts ...Option) *Method {
	m := &Method{role: role, token: token, mount: "jwt"}
	for _, opt := range opts {
		opt(m)
	}
	return m
}

// Login implements [auth.Method].
func (m *Method) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	if err := auth.CheckMount(m.mount); err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	token, err := m.token.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("jwt: %w", err)
	}
	body := map[string]any{"jwt": token}
	if m.role != "" {
		body["role"] = m.role
	}
	return client.Logical().WriteWithContext(ctx, "auth/"+m.mount+"/login", body)
}

// Fingerprint implements [auth.Fingerprinter].
func (m *Method) Fingerprint(ctx context.Context) (string, error) {
	f, err := auth.Fingerprint(ctx, m.token)
	if err != nil {
		return "", fmt.Errorf("jwt: %w", err)
	}
	return f, nil
}
