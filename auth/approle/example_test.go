package approle_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// program is what vaulttest needs where there is no test.
type program struct{}

func (program) Helper()                   {}
func (program) Cleanup(func())            {}
func (program) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func ExampleNew() {
	server := vaulttest.New(program{}) // in production a real Vault
	roleID, secretID := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	ctx := context.Background()

	client, err := leasehold.New(ctx, leasehold.Config{
		Address:    "https://vault.internal:8200",
		Auth:       approle.New(roleID, approle.SecretIDString(secretID)), // in production approle.SecretIDFile
		HTTPClient: server.Client(),                                       // in production leave it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close(ctx) }()
	fmt.Println("ready:", client.Ready() == nil)
	// Output: ready: true
}

// A secret-id that comes in a wrapping token: if somebody has unwrapped it on its way, the login
// says so.
func ExampleWrapped() {
	server := vaulttest.New(program{}) // in production a real Vault
	roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	wrappingToken := server.WrappedSecretID(roleID, 5*time.Minute)
	ctx := context.Background()

	client, err := leasehold.New(ctx, leasehold.Config{
		Address:    "https://vault.internal:8200",
		Auth:       approle.New(roleID, approle.Wrapped(auth.String(wrappingToken))), // in production auth.File
		HTTPClient: server.Client(),                                                  // in production leave it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close(ctx) }()
	fmt.Println("ready:", client.Ready() == nil)
	fmt.Println("unwrapped:", server.Count("PUT", "sys/wrapping/unwrap"))
	// Output:
	// ready: true
	// unwrapped: 1
}
