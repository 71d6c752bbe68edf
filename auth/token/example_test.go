package token_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// program is what vaulttest needs where there is no test.
type program struct{}

func (program) Helper()                   {}
func (program) Cleanup(func())            {}
func (program) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// A Vault Agent keeps a token in a file.
func ExampleFile() {
	server := vaulttest.New(program{}) // in production a real Vault
	file := filepath.Join(os.TempDir(), "leasehold-example-token")
	defer func() { _ = os.Remove(file) }()
	if err := os.WriteFile(file, []byte(server.CreateToken(vaulttest.TokenSpec{TTL: time.Hour})), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()

	client, err := leasehold.New(ctx, leasehold.Config{
		Address:    "https://vault.internal:8200",
		Auth:       token.File(file),
		HTTPClient: server.Client(), // in production leave it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("ready:", client.Ready() == nil)
	fmt.Println("close:", client.Close(ctx))
	fmt.Println("tokens left:", len(server.Tokens())) // it is the Agent's to revoke
	// Output:
	// ready: true
	// close: <nil>
	// tokens left: 1
}
