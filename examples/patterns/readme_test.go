package patterns_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// use is the first of the README's code.
//
//nolint:errcheck,unused,ineffassign,wastedassign,staticcheck // errors are left out there
func use(ctx context.Context, roleID string) bool {
	// Errors are left out here: check each before the next line. Give ctx a deadline, and Config a
	// Logger: New waits for a Vault that does not answer, and says so there.
	client, err := leasehold.New(ctx, leasehold.Config{
		Address: "https://vault.internal:8200",
		Auth:    approle.New(roleID, approle.SecretIDFile("/run/secrets/secret-id")),
	})
	defer client.Close(context.Background()) // revokes what this client obtained

	var cfg struct {
		Stripe struct {
			APIKey secret.String `json:"api_key"`
		} `vault:"secret:payments/stripe"`
		Banner string `vault:"secret:payments/ui#banner,optional"`
	}
	err = client.Load(ctx, &cfg) // pull at start-up: one error names every bad path

	creds, err := dynamic.Database(ctx, client, "payments-rw") // a lease, kept alive or replaced
	db := sql.OpenDB(sqldb.Connector(creds, openPostgres))     // every new connection dials with the credential of the moment
	defer db.Close()                                           // pools close before the client

	type Flags struct {
		NewCheckout bool `json:"new_checkout"`
	}
	flags, err := kv.Watch[Flags](ctx, client.KV("secret"), "payments/flags")
	enabled := flags.Get().NewCheckout // an atomic load, no I/O

	return enabled && err == nil
}

//nolint:unused // for the documentation
func openPostgres(up dynamic.UserPass) (driver.Connector, error) {
	cfg, err := pgx.ParseConfig("postgres://db.internal/payments")
	if err != nil {
		return nil, err
	}
	cfg.User, cfg.Password = up.Username, up.Password.Reveal()
	return stdlib.GetConnector(*cfg), nil
}

// TestTheREADMEsKV reads and writes as the README does.
//
//nolint:ineffassign,wastedassign // it shows two ways to read the same
func TestTheREADMEsKV(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	client, end := start(ctx)
	defer end()
	type Stripe struct {
		APIKey  secret.String `json:"api_key"`
		Retries int           `json:"retries"`
	}
	const next = "sk_live_next"

	store := client.KV("secret") // version 1 or 2: found out once

	stripe, err := kv.Get[Stripe](ctx, store, "payments/stripe") // asks Vault; concurrent reads share a request
	check(err)
	stripe, err = kv.Get[Stripe](ctx, store, "payments/stripe", kv.MaxAge(time.Minute)) // or from memory
	check(err)

	stripe.Value.APIKey = secret.NewString(next)
	_, err = store.Put(ctx, "payments/stripe", stripe.Value, kv.CAS(stripe.Metadata.Version)) // the real values are written
	if errors.Is(err, kv.ErrCASMismatch) {                                                    //nolint:revive,staticcheck // for the documentation
		// somebody else has written: read it again
	}
	check(err)
	if _, err = store.Put(ctx, "payments/stripe", stripe.Value, kv.CAS(stripe.Metadata.Version)); !errors.Is(err, kv.ErrCASMismatch) {
		t.Errorf("it was written over: %v", err)
	}
	stripe, err = kv.Get[Stripe](ctx, store, "payments/stripe")
	check(err)
	if stripe.Value.APIKey.Reveal() != next || stripe.Value.Retries != 3 {
		t.Error("something else was written")
	}
}

//nolint:errcheck // as in the README
func TestTheServiceOutlivesItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := vaulttest.New(t)
		vault.Policy("app", vaulttest.Rule{Path: "database/creds/payments-rw", Capabilities: []string{"read"}})
		vault.DynamicRole("database", "payments-rw", vaulttest.RoleSpec{DefaultTTL: time.Hour})
		roleID, secretID := vault.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"app"}, TokenTTL: time.Hour, TokenMaxTTL: 32 * 24 * time.Hour})
		client, err := leasehold.New(t.Context(), leasehold.Config{
			Address:    "http://vault.test", // any host: HTTPClient is what leads to vaulttest
			Auth:       approle.New(roleID, approle.SecretIDString(secretID)),
			HTTPClient: vault.Client(),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close(context.Background()) // a bubble must be left empty
		creds, err := dynamic.Database(t.Context(), client, "payments-rw")
		if err != nil {
			t.Fatal(err)
		}
		for range 33 {
			time.Sleep(24 * time.Hour) // of the bubble's time
			if user, err := creds.Get(); err != nil || !vault.Alive(user.Username) {
				t.Fatalf("a dead user, or none: %v", err)
			}
		}
	})
}
