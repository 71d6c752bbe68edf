package patterns_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/viper"

	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

const file = "listen: 127.0.0.1:8080\ntimeout: 30s\n"

// What is no secret comes from viper, what is one from Vault, and both into one struct.
func Example_viper() {
	ctx := context.Background()
	client, stop := start(ctx)
	defer stop()

	type Config struct {
		Listen  string        `mapstructure:"listen"`
		Timeout time.Duration `mapstructure:"timeout"`
		Stripe  struct {
			APIKey  secret.String `json:"api_key"`
			Retries int           `json:"retries"`
		} `mapstructure:"-" vault:"secret:payments/stripe"`
	}

	v := viper.New()
	v.SetConfigType("yaml")
	check(v.ReadConfig(strings.NewReader(file)))

	var cfg Config
	check(v.Unmarshal(&cfg))
	check(client.Load(ctx, &cfg))
	fmt.Println(cfg)
	// Output: {127.0.0.1:8080 30s {[redacted] 3}}
}

// Code that asks viper by name goes on to do so.
func Example_viperByName() {
	ctx := context.Background()
	client, stop := start(ctx)
	defer stop()

	v := viper.New()
	stripe, err := kv.Get[map[string]any](ctx, client.KV("secret"), "payments/stripe")
	check(err)
	check(v.MergeConfigMap(map[string]any{"stripe": stripe.Value}))
	fmt.Println(len(v.GetString("stripe.api_key")), v.GetInt("stripe.retries"))
	// Output: 9 3
}
