package kv_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-f5e1ac40/leasehold/kv"
)

// OnChange tells of the old and the new value; Verify keeps out what would not work.
func ExampleOnChange() {
	ctx := context.Background()
	c, server := client(ctx)
	defer func() { _ = c.Close(ctx) }()

	told := make(chan struct{})
	stripe, err := kv.Watch[Stripe](ctx, c.KV("secret"), "payments/stripe",
		kv.Verify(func(_ context.Context, s Stripe) error {
			if s.Retries < 0 {
				return errors.New("retries are negative")
			}
			return nil
		}),
		kv.OnChange(func(old, current Stripe) {
			fmt.Println("retries:", old.Retries, "to", current.Retries)
			close(told)
		}))
	if err != nil {
		panic(err)
	}
	server.PutKV("secret", "payments/stripe", map[string]any{"api_key": "sk_live_y", "retries": -1})
	fmt.Println(stripe.Refresh(ctx)) // now, rather than within a minute
	fmt.Println(stripe.Get().Retries)

	server.PutKV("secret", "payments/stripe", map[string]any{"api_key": "sk_live_y", "retries": 5})
	if err := stripe.Refresh(ctx); err != nil {
		panic(err)
	}
	<-told
	// Output:
	// leasehold: watch secret/payments/stripe: version 2 was not accepted: retries are negative
	// 3
	// retries: 3 to 5
}
