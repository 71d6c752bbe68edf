package sqldb_test

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// exampleDatabase stands for the driver: with pgx it would set the user and the password in
// a parsed configuration and return stdlib.GetConnector of that.
var exampleDatabase = newDatabase(func(string) bool { return true })

func Example() {
	vault, stop := exampleVault()
	defer stop()
	ctx := context.Background()
	client, err := leasehold.New(ctx, leasehold.Config{
		Address:    "http://vault.test",
		Auth:       token.New(vault.RootToken()),
		HTTPClient: vault.Client(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close(ctx) }()
	creds, err := dynamic.Database(ctx, client, "payments-rw")
	if err != nil {
		fmt.Println(err)
		return
	}
	connector := sqldb.Connector(creds, exampleDatabase.connector)
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }() // before the client

	var user string
	if err := db.QueryRowContext(ctx, "SELECT current_user").Scan(&user); err != nil {
		fmt.Println(err)
		return
	}
	up, _ := creds.Get()
	fmt.Println("runs as the user from Vault:", user == up.Username)

	// Somebody who knows that the credential is bad says so; elsewhere this happens by
	// itself, when the database refuses a login.
	creds.Invalidate(1)
	var next string
	if err := db.QueryRowContext(ctx, "SELECT current_user").Scan(&next); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("runs as another user now:", next != user)
	fmt.Println("connections of earlier credentials:", connector.Stats().Older)
	// Output:
	// runs as the user from Vault: true
	// runs as another user now: true
	// connections of earlier credentials: 0
}

// exampleVault is a Vault for an example, which has no *testing.T.
func exampleVault() (*vaulttest.Server, func()) {
	tb := &exampleTB{}
	vault := vaulttest.New(tb)
	vault.DynamicRole("database", "payments-rw", vaulttest.RoleSpec{})
	return vault, func() {
		for _, f := range tb.cleanups {
			f()
		}
	}
}

type exampleTB struct{ cleanups []func() }

func (*exampleTB) Helper()                           {}
func (tb *exampleTB) Cleanup(f func())               { tb.cleanups = append(tb.cleanups, f) }
func (*exampleTB) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
