package leasehold_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// program is what vaulttest needs where there is no test.
type program struct{}

func (program) Helper()                   {}
func (program) Cleanup(func())            {}
func (program) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// paymentsVault is a Vault in memory, so that the examples run.
func paymentsVault() (server *vaulttest.Server, roleID, secretID string) {
	server = vaulttest.New(program{})
	server.Policy("payments", vaulttest.Rule{Path: "secret/data/payments/*", Capabilities: []string{"read"}})
	server.PutKV("secret", "payments/stripe", map[string]any{"api_key": "sk_live_x", "retries": 3})
	roleID, secretID = server.AppRole("payments", vaulttest.AppRoleSpec{Policies: []string{"payments"}, TokenTTL: time.Hour})
	return server, roleID, secretID
}

// A program makes one client, and closes it after everything that uses it.
func ExampleNew() {
	server, roleID, secretID := paymentsVault()
	ctx := context.Background()

	client, err := leasehold.New(ctx, leasehold.Config{
		Address:    "https://vault.internal:8200",
		Auth:       approle.New(roleID, approle.SecretIDString(secretID)), // in production approle.SecretIDFile
		HTTPClient: server.Client(),                                       // in production leave it out
		OnEvent:    func(e leasehold.Event) { fmt.Println(e.Name, e.Kind) },
	})
	if err != nil {
		panic(err)
	}
	fmt.Println("ready:", client.Ready() == nil)
	fmt.Println("close:", client.Close(ctx))
	fmt.Println("tokens left:", len(server.Tokens()))
	// Unordered output:
	// token obtained
	// ready: true
	// close: <nil>
	// tokens left: 0
}

// Load fills a struct at start-up, all secrets at once.
func ExampleClient_Load() {
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
		Stripe struct {
			APIKey  secret.String `json:"api_key"`
			Retries int           `json:"retries"`
		} `vault:"secret:payments/stripe"`
		Banner string `vault:"secret:payments/ui#banner,optional"`
	}
	cfg.Banner = "none"
	fmt.Println(client.Load(ctx, &cfg), cfg.Stripe, cfg.Banner)

	var wrong struct {
		Retries string `vault:"secret:payments/stripe#retries"`
		Key     string `vault:"secret:payments/paypal#key"`
	}
	fmt.Println(client.Load(ctx, &wrong))
	// Output:
	// <nil> {[redacted] 3} none
	// field Retries: leasehold: decode secret/payments/stripe#retries: want string, the secret holds a JSON number
	// field Key: leasehold: read secret/payments/paypal: no secret at this path (a path is given without the mount and without "data/")
}
