package leasehold_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// A configuration may hold everything that a service wants of Vault: secrets, single fields
// of them, and what changes while the service runs.
func ExampleClient_Load_everything() {
	server, roleID, secretID := paymentsVault()
	server.Policy("payments",
		vaulttest.Rule{Path: "secret/data/payments/*", Capabilities: []string{"read"}},
		vaulttest.Rule{Path: "database/creds/payments-rw", Capabilities: []string{"read"}})
	server.DynamicRole("database", "payments-rw", vaulttest.RoleSpec{DefaultTTL: time.Hour})
	// As "vault kv put secret/payments/http port=8080 timeout=30s hosts='["a", "b"]'" writes it: strings.
	server.PutKV("secret", "payments/http", map[string]any{"port": "8080", "timeout": "30s", "hosts": `["a", "b"]`})
	ctx := context.Background()
	client, err := leasehold.New(ctx, leasehold.Config{
		Address:    "https://vault.internal:8200",
		Auth:       approle.New(roleID, approle.SecretIDString(secretID)),
		HTTPClient: server.Client(),
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = client.Close(ctx) }()

	var cfg struct {
		HTTP struct {
			Port    int              `vault:"secret:payments/http#port"`
			Timeout time.Duration    `vault:"secret:payments/http#timeout"`
			Hosts   []string         `vault:"secret:payments/http#hosts,json"`
			Retries int              `vault:"secret:payments/http#retries,default=3"`
			Cert    *tls.Certificate `vault:"secret:payments/tls,optional"`
		}
		Stripe *cache.Value[struct { // follows the secret
			APIKey secret.String `json:"api_key"`
		}] `vault:"secret:payments/stripe"`
		DB *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/payments-rw,dynamic"` // kept alive
	}
	if err := client.Load(ctx, &cfg); err != nil {
		panic(err)
	}
	fmt.Println(cfg.HTTP.Port, cfg.HTTP.Timeout, cfg.HTTP.Hosts, cfg.HTTP.Retries, cfg.HTTP.Cert == nil)
	fmt.Println(len(cfg.Stripe.Get().APIKey.Reveal()))
	user, err := cfg.DB.Get()
	fmt.Println(server.Alive(user.Username), err)
	// Output:
	// 8080 30s [a b] 3 true
	// 9
	// true <nil>
}

// Preflight prints what a policy lacks, to be pasted into it.
func ExampleClient_Preflight() {
	server, roleID, secretID := paymentsVault()
	ctx := context.Background()
	client, err := leasehold.New(ctx, leasehold.Config{
		Address:    "https://vault.internal:8200",
		Auth:       approle.New(roleID, approle.SecretIDString(secretID)),
		HTTPClient: server.Client(),
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = client.Close(ctx) }()

	var cfg struct {
		Key  secret.String    `vault:"secret:payments/stripe#api_key"`
		Mail secret.String    `vault:"secret:mail/smtp#password"`
		DB   dynamic.UserPass `vault:"database:creds/payments-rw,dynamic"`
	}
	fmt.Println(client.Preflight(ctx, &cfg))
	// Output:
	// leasehold: preflight: the token's policies lack:
	// path "secret/data/mail/smtp" { capabilities = ["read"] } # Mail
	// path "database/creds/payments-rw" { capabilities = ["read"] } # DB
	// path "sys/leases/revoke" { capabilities = ["update"] } # or a Load that fails leaves its credentials to end by themselves
}
