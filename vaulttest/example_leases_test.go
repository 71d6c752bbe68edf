package vaulttest_test

import (
	"context"
	"fmt"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// Report is the program under test: it works for a while with a database user from Vault.
func Report(ctx context.Context, conf leasehold.Config, work func(dynamic.UserPass)) error {
	client, err := leasehold.New(ctx, conf)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close(context.WithoutCancel(ctx)) }() // without it the user would stay
	creds, err := dynamic.Database(ctx, client, "reader")
	if err != nil {
		return err
	}
	user, err := creds.Get()
	if err != nil {
		return err
	}
	work(user)
	return nil
}

// Whether the program leaves nothing behind: neither database users nor tokens.
func ExampleServer_Leases() {
	vault := vaulttest.New(&program{}) // in a test: vaulttest.New(t)
	vault.DynamicRole("database", "reader", vaulttest.RoleSpec{})
	vault.Policy("report", vaulttest.Rule{Path: "database/creds/reader", Capabilities: []string{"read"}})
	roleID, secretID := vault.AppRole("report", vaulttest.AppRoleSpec{Policies: []string{"report"}})

	err := Report(context.Background(), leasehold.Config{
		Address:    "http://vault",
		Auth:       approle.New(roleID, approle.SecretIDString(secretID)),
		HTTPClient: vault.Client(),
	}, func(user dynamic.UserPass) {
		fmt.Println("at work, with a user that lives:", vault.Alive(user.Username))
		fmt.Println("leases:", len(vault.Leases()), "tokens:", len(vault.Tokens()))
	})
	fmt.Println("at the end:", err)
	fmt.Println("leases:", len(vault.Leases()), "tokens:", len(vault.Tokens()))
	// Output:
	// at work, with a user that lives: true
	// leases: 1 tokens: 1
	// at the end: <nil>
	// leases: 0 tokens: 0
}
