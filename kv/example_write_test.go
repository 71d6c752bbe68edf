package kv_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// What was read is changed and put back, its secrets included, unless somebody else was
// faster.
func ExampleStore_Put() {
	ctx := context.Background()
	c, server := client(ctx)
	defer func() { _ = c.Close(ctx) }()
	server.Policy("app", vaulttest.Rule{Path: "secret/data/payments/*", Capabilities: []string{"create", "read", "update"}})
	store := c.KV("secret")

	s, err := kv.Get[Stripe](ctx, store, "payments/stripe")
	if err != nil {
		panic(err)
	}
	s.Value.Retries = 5
	made, err := store.Put(ctx, "payments/stripe", s.Value, kv.CAS(s.Metadata.Version))
	if err != nil {
		panic(err)
	}
	data, _ := server.KV("secret", "payments/stripe")
	fmt.Println("version", made.Version, "holds", data["api_key"], data["retries"])

	_, err = store.Put(ctx, "payments/stripe", s.Value, kv.CAS(s.Metadata.Version))
	fmt.Println(errors.Is(err, kv.ErrCASMismatch))
	fmt.Println(err)
	// Output:
	// version 2 holds sk_live_x 5
	// true
	// leasehold: write secret/payments/stripe: the write is for version 1, the secret is at version 2: read it again
}

// A patch leaves alone what it does not name, and null removes.
func ExampleStore_Patch() {
	ctx := context.Background()
	c, server := client(ctx)
	defer func() { _ = c.Close(ctx) }()
	server.Policy("app", vaulttest.Rule{Path: "secret/data/payments/*", Capabilities: []string{"patch"}})

	_, err := c.KV("secret").Patch(ctx, "payments/stripe", map[string]any{"webhook_key": secret.NewString("whsec_x"), "retries": nil})
	if err != nil {
		panic(err)
	}
	data, version := server.KV("secret", "payments/stripe")
	fmt.Println("version", version, data)
	// Output: version 2 map[api_key:sk_live_x webhook_key:whsec_x]
}

// Walk asks Vault for a folder when the loop gets there.
func ExampleStore_Walk() {
	ctx := context.Background()
	c, server := client(ctx)
	defer func() { _ = c.Close(ctx) }()
	server.Policy("app", vaulttest.Rule{Path: "secret/metadata/payments/*", Capabilities: []string{"list"}}, vaulttest.Rule{Path: "secret/metadata/payments/eu", Capabilities: []string{"deny"}})
	for _, path := range []string{"payments/eu/adyen", "payments/us/braintree", "payments/us/square"} {
		server.PutKV("secret", path, map[string]any{"api_key": "x"})
	}

	for path, err := range c.KV("secret").Walk(ctx, "payments") {
		if err != nil {
			fmt.Println(path, "cannot be listed")
			continue
		}
		fmt.Println(path)
	}
	// Output:
	// payments/eu/ cannot be listed
	// payments/stripe
	// payments/us/braintree
	// payments/us/square
}
