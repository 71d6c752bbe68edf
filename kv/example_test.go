package kv_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// client returns a client of a Vault in memory that holds one secret. A program has
// leasehold.New with its own Config here.
func client(ctx context.Context) (*leasehold.Client, *vaulttest.Server) {
	server := vaulttest.New(program{})
	server.Policy("app", vaulttest.Rule{Path: "secret/data/payments/*", Capabilities: []string{"read"}})
	server.PutKV("secret", "payments/stripe", map[string]any{"api_key": "sk_live_x", "retries": 3})
	roleID, secretID := server.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"app"}, TokenTTL: time.Hour})
	c, err := leasehold.New(ctx, leasehold.Config{
		Address:    "http://vault.internal:8200",
		Auth:       approle.New(roleID, approle.SecretIDString(secretID)),
		HTTPClient: server.Client(),
	})
	if err != nil {
		panic(err)
	}
	return c, server
}

// program is what vaulttest needs where there is no test.
type program struct{}

func (program) Helper()                   {}
func (program) Cleanup(func())            {}
func (program) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// Stripe is a secret as a Go type. What must not be printed is a secret.String.
type Stripe struct {
	APIKey  secret.String `json:"api_key"`
	Retries int           `json:"retries"`
}

// Get asks Vault and decodes the answer.
func ExampleGet() {
	ctx := context.Background()
	c, _ := client(ctx)
	defer func() { _ = c.Close(ctx) }()

	s, err := kv.Get[Stripe](ctx, c.KV("secret"), "payments/stripe")
	if err != nil {
		panic(err)
	}
	fmt.Println(s.Value, "version", s.Metadata.Version)
	fmt.Println(len(s.Value.APIKey.Reveal()), "characters")

	_, err = kv.Get[Stripe](ctx, c.KV("secret"), "payments/paypal")
	fmt.Println(err)
	// Output:
	// {[redacted] 3} version 1
	// 9 characters
	// leasehold: read secret/payments/paypal: no secret at this path (a path is given without the mount and without "data/")
}

// Watch keeps a value current; reading it is an atomic load.
func ExampleWatch() {
	ctx := context.Background()
	c, server := client(ctx)
	defer func() { _ = c.Close(ctx) }()

	stripe, err := kv.Watch[Stripe](ctx, c.KV("secret"), "payments/stripe", kv.Every(time.Second))
	if err != nil {
		panic(err)
	}
	fmt.Println(stripe.Get().Retries)

	server.PutKV("secret", "payments/stripe", map[string]any{"api_key": "sk_live_y", "retries": 5})
	next, err := stripe.Wait(ctx, 1) // a program reads Get whenever it needs the value
	fmt.Println(next.Value.Retries, err)
	// Output:
	// 3
	// 5 <nil>
}

// RequireAll and RefuseUnknown find what was mistyped. All of it is one error, and none of
// its values is in it.
func ExampleRequireAll() {
	ctx := context.Background()
	c, _ := client(ctx)
	defer func() { _ = c.Close(ctx) }()

	type stripe struct {
		APIKey secret.String `json:"api_key"`
		Retry  int           `json:"retry"`
		Region string        `json:"region,omitempty"`
	}
	_, err := kv.Get[stripe](ctx, c.KV("secret"), "payments/stripe", kv.RequireAll(), kv.RefuseUnknown())
	fmt.Println(err)
	// Output:
	// leasehold: decode secret/payments/stripe#retries: want no such field, the secret holds a JSON number
	// leasehold: decode secret/payments/stripe#retry: want int, the secret holds nothing
}

// A secret that was deleted is another error than one that never was there.
func ExampleDeletedError() {
	ctx := context.Background()
	c, server := client(ctx)
	defer func() { _ = c.Close(ctx) }()
	server.DeleteKV("secret", "payments/stripe")

	_, err := kv.Get[Stripe](ctx, c.KV("secret"), "payments/stripe")
	var deleted *kv.DeletedError
	fmt.Println(errors.As(err, &deleted), deleted.Version, errors.Is(err, kv.ErrNotFound))
	// Output: true 1 false
}
