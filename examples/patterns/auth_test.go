package patterns_test

import (
	"context"
	"os"
	"testing"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/hashicorp/vault/api/auth/ldap"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/auth/aws"
	"github.com/seed-f5e1ac40/leasehold/auth/cert"
	"github.com/seed-f5e1ac40/leasehold/auth/jwt"
	"github.com/seed-f5e1ac40/leasehold/auth/kubernetes"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/auth/userpass"
)

// logins is what docs/auth.md configures.
func logins(ctx context.Context, roleID string) []leasehold.Config {
	cfg, err := config.LoadDefaultConfig(ctx) // github.com/aws/aws-sdk-go-v2/config
	check(err)
	return []leasehold.Config{
		{Auth: approle.New(roleID, approle.SecretIDFile("/run/secrets/secret-id"))},
		{Auth: approle.New(roleID, approle.Wrapped(auth.File("/run/secrets/wrapping-token")))},
		{Auth: kubernetes.New("app")},
		{Auth: aws.New("app", cfg.Credentials, cfg.Region, aws.ServerID("vault.internal"))},
		{Auth: jwt.New("app", auth.File("/run/secrets/jwt"))},
		{
			Auth: cert.New("app"),
			TLS:  leasehold.TLSConfig{CACert: "/run/tls/vault-ca.pem", ClientCert: "/run/tls/cert.pem", ClientKey: "/run/tls/key.pem"},
		},
		{Auth: userpass.New("app", auth.File("/run/secrets/password"))},
		{
			Auth: token.New(os.Getenv("VAULT_TOKEN")), // or token.Env("VAULT_TOKEN")
		},
		{Auth: token.File("/run/vault/token")},
		{Auth: auth.None()},
		{Auth: auth.Fresh(func(context.Context) (auth.Method, error) {
			return ldap.NewLDAPAuth("app", &ldap.Password{FromFile: "/run/secrets/ldap"}) // github.com/hashicorp/vault/api/auth/ldap
		})},
	}
}

// TestWhatTheDocumentationLogsInWithIsAMethod each, before anything is asked.
func TestWhatTheDocumentationLogsInWithIsAMethod(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "a-token")
	for _, cfg := range logins(t.Context(), "role") {
		if cfg.Auth == nil {
			t.Error("no method")
		}
	}
}
