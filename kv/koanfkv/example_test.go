package koanfkv_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/knadh/koanf/v2"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/kv/koanfkv"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// program is what vaulttest needs where there is no test.
type program struct{}

func (program) Helper()                   {}
func (program) Cleanup(func())            {}
func (program) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// client returns a client of a Vault in memory that holds one secret. A program has
// leasehold.New with its own Config here.
func client(ctx context.Context) (*leasehold.Client, *vaulttest.Server) {
	server := vaulttest.New(program{})
	server.PutKV("secret", "payments/app", map[string]any{"db.host": "db.internal", "db.password": "hunter2", "retries": 3})
	c, err := leasehold.New(ctx, leasehold.Config{
		Address: "http://vault.internal:8200", Auth: token.New(server.RootToken()), HTTPClient: server.Client(),
	})
	if err != nil {
		panic(err)
	}
	return c, server
}

// A secret is loaded as any other provider, and again whenever it changes.
func Example() {
	ctx := context.Background()
	c, server := client(ctx)
	defer func() { _ = c.Close(ctx) }()

	provider, err := koanfkv.New(ctx, c.KV("secret"), "payments/app", ".", kv.Every(time.Second))
	if err != nil {
		panic(err)
	}
	defer func() { _ = provider.Close() }()

	// A new Koanf takes the old one's place only as a whole, and only if all of it loaded.
	var current atomic.Pointer[koanf.Koanf]
	load := func() error {
		k := koanf.New(".") // and the files, flags and defaults of the program
		if err := k.Load(provider, nil); err != nil {
			return err
		}
		current.Store(k)
		return nil
	}
	if err := load(); err != nil {
		panic(err)
	}

	var db struct {
		Host     string        `koanf:"host"`
		Password secret.String `koanf:"password"`
	}
	if err := current.Load().Unmarshal("db", &db); err != nil {
		panic(err)
	}
	fmt.Println(db, current.Load().Int("retries"))

	changed := make(chan error)
	err = provider.Watch(func(_ any, err error) {
		if err == nil {
			err = load()
		}
		changed <- err
	})
	if err != nil {
		panic(err)
	}
	server.PutKV("secret", "payments/app", map[string]any{"db.host": "db2.internal", "db.password": "swordfish"})
	fmt.Println(<-changed, current.Load().String("db.host"), current.Load().Exists("retries"))
	// Output:
	// {db.internal [redacted]} 3
	// <nil> db2.internal false
}
