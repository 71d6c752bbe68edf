// Package cert logs in with the client's TLS certificate.
//
//	vault auth enable cert
//	vault write auth/cert/certs/app certificate=@ca.pem allowed_common_names=app.internal \
//	    token_policies=app token_ttl=1h
//
// and in Go
//
//	leasehold.Config{
//		Auth: cert.New("app"),
//		TLS:  leasehold.TLSConfig{ClientCert: "/run/tls/cert.pem", ClientKey: "/run/tls/key.pem"},
//	}
//
// The certificate is that of the connection, so Config.TLS (or Config.HTTPClient) must have one,
// and what stands between must pass TLS through, or hand the certificate on in the header
// that Vault's listener trusts (x_forwarded_for_client_cert_header). The files are read again when
// they change. Unless the method is configured with disable_binding, Vault renews a token only for a
// certificate with the key, or from the authority, of that which it was made for: with one
// from another authority the client logs in anew before its token ends.
package cert

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// Method is Vault's TLS certificate method, as an [auth.Method]. It is safe for concurrent use.
type Method struct{ name, mount string }

var _ auth.Method = (*Method)(nil)

// Option adjusts a Method.
type Option func(*Method)

// Mount sets the path that the method is mounted at. Default "cert".
func Mount(path string) Option {
	return func(m *Method) { m.mount = strings.Trim(path, "/") }
}

// New returns the method for the role with this name, below auth/cert/certs; with an empty name
// Vault takes any that the certificate fits.
func New(name string, opts ...Option) *Method {
	m := &Method{name: name, mount: "cert"}
	for _, opt := range opts {
		opt(m)
	}
	return m
}

// Login implements [auth.Method].
func (m *Method) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	if err := auth.CheckMount(m.mount); err != nil {
		return nil, fmt.Errorf("cert: %w", err)
	}
	body := map[string]any{}
	if m.name != "" {
		body["name"] = m.name
	}
	return client.Logical().WriteWithContext(ctx, "auth/"+m.mount+"/login", body)
}
