package dynamic_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// program is what vaulttest needs where there is no test.
type program struct{}

func (program) Helper()                   {}
func (program) Cleanup(func())            {}
func (program) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// Database holds a credential that is renewed and replaced for as long as the client lives.
// For database/sql see the package dynamic/sqldb.
func ExampleDatabase() {
	server := vaulttest.New(program{})
	server.Policy("app", vaulttest.Rule{Path: "database/creds/*", Capabilities: []string{"read"}})
	server.DynamicRole("database", "payments-rw", vaulttest.RoleSpec{DefaultTTL: time.Hour})
	roleID, secretID := server.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"app"}, TokenTTL: time.Hour})

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

	creds, err := dynamic.Database(ctx, client, "payments-rw")
	if err != nil {
		panic(err)
	}
	up, err := creds.Get() // the clock and an atomic load; ask each time, and keep nothing
	fmt.Println(server.Alive(up.Username), up.Password, err)

	creds.Invalidate(creds.Snapshot().Generation) // the database refused it
	next, err := creds.Current(ctx)
	fmt.Println(next.Username != up.Username, server.Alive(next.Username), err)
	// Output:
	// true [redacted] <nil>
	// true true <nil>
}
