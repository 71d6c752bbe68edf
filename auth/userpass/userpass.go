// Package userpass logs in with a user name and a password. It is for tests and small
// installations: prefer a method whose credential the platform makes and rotates.
//
//	vault auth enable userpass
//	tr -d '\n' < password.txt | vault write auth/userpass/users/app password=- token_policies=app token_ttl=1h
//
// and in Go
//
//	userpass.New("app", auth.File("/run/secrets/password"))
//
// The password is read afresh for each login. After five failures Vault refuses the user for a
// quarter of an hour (user lockout).
package userpass

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// Method is Vault's userpass method, as an [auth.Method]. It is safe for concurrent use.
type Method struct {
	username string
	password auth.Source
	mount    string
}

var (
	_ auth.Method        = (*Method)(nil)
	_ auth.Fingerprinter = (*Method)(nil)
)

// Option adjusts a Method.
type Option func(*Method)

// Mount sets the path that the method is mounted at. Default "userpass".
func Mount(path string) Option {
	return func(m *Method) { m.mount = strings.Trim(path, "/") }
}

// New returns the method for a user, whose name Vault takes without regard to case. White space
// around the password is no part of it. Nothing is read or checked before the first
// login.
func New(username string, password auth.Source, opts ...Option) *Method {
	m := &Method{username: username, password: password, mount: "userpass"}
	for _, opt := range opts {
		opt(m)
	}
	return m
}

// Login implements [auth.Method].
func (m *Method) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	if err := auth.CheckMount(m.mount); err != nil {
		return nil, fmt.Errorf("userpass: %w", err)
	}
	// The name is a part of the path: it must not lead to another.
	if strings.Contains(m.username, "/") || auth.CheckMount(m.username) != nil {
		return nil, fmt.Errorf("userpass: %q is no user name", m.username)
	}
	password, err := m.password.Read(ctx)
	if err != nil {
		return nil, fmt.Errorf("userpass: password: %w", err)
	}
	return client.Logical().WriteWithContext(ctx, "auth/"+m.mount+"/login/"+m.username, map[string]any{"password": password})
}

// Fingerprint implements [auth.Fingerprinter].
func (m *Method) Fingerprint(ctx context.Context) (string, error) {
	f, err := auth.Fingerprint(ctx, m.password)
	if err != nil {
		return "", fmt.Errorf("userpass: password: %w", err)
	}
	return f, nil
}
