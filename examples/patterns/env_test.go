package patterns_test

import (
	"context"
	"fmt"
	"maps"
	"os"

	"github.com/caarlos0/env/v11"
	"github.com/kelseyhightower/envconfig"

	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// A struct with both kinds of tags: what is no secret comes from the environment.
func Example_envconfig() {
	ctx := context.Background()
	client, stop := start(ctx)
	defer stop()

	type Config struct {
		Listen string `default:"127.0.0.1:8080"`
		Stripe struct {
			APIKey secret.String `json:"api_key"`
		} `ignored:"true" vault:"secret:payments/stripe"`
	}

	var cfg Config
	check(envconfig.Process("payments", &cfg))
	check(client.Load(ctx, &cfg))
	fmt.Println(cfg)
	// Output: {127.0.0.1:8080 {[redacted]}}
}

// A secret whose keys are the names of variables, for a struct that is to stay as it is.
func Example_env() {
	ctx := context.Background()
	client, stop := start(ctx)
	defer stop()

	type Config struct {
		APIKey  secret.String `env:"STRIPE_API_KEY,required"`
		Retries int           `env:"RETRIES"`
	}

	variables, err := kv.Get[map[string]string](ctx, client.KV("secret"), "payments/env")
	check(err)
	all := variables.Value
	maps.Copy(all, env.ToMap(os.Environ())) // what is set for this process counts more

	var cfg Config
	check(env.ParseWithOptions(&cfg, env.Options{Environment: all}))
	fmt.Println(cfg)
	// Output: {[redacted] 3}
}
