package userpass_test

import (
	"context"
	"fmt"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/userpass"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// program is what vaulttest needs where there is no test.
type program struct{}

func (program) Helper()                   {}
func (program) Cleanup(func())            {}
func (program) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func ExampleNew() {
	server := vaulttest.New(program{}) // in production a real Vault
	server.Userpass("app", "correct horse", vaulttest.UserpassSpec{})
	ctx := context.Background()

	client, err := leasehold.New(ctx, leasehold.Config{
		Address:    "https://vault.internal:8200",
		Auth:       userpass.New("app", auth.String("correct horse")), // in production auth.File
		HTTPClient: server.Client(),                                   // in production leave it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close(ctx) }()
	fmt.Println("ready:", client.Ready() == nil)
	// Output: ready: true
}
