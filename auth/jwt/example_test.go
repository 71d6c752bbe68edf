package jwt_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/jwt"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// program is what vaulttest needs where there is no test.
type program struct{}

func (program) Helper()                   {}
func (program) Cleanup(func())            {}
func (program) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func ExampleNew() {
	server := vaulttest.New(program{}) // in production a real Vault, and a real issuer
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		fmt.Println(err)
		return
	}
	server.JWT(vaulttest.JWTSpec{Keys: []crypto.PublicKey{key.Public()}})
	server.JWTRole("app", vaulttest.JWTRoleSpec{BoundAudiences: []string{"vault"}})
	token := server.SignJWT(key, map[string]any{"sub": "app", "aud": "vault", "exp": time.Now().Add(time.Minute).Unix()})
	ctx := context.Background()

	client, err := leasehold.New(ctx, leasehold.Config{
		Address:    "https://vault.internal:8200",
		Auth:       jwt.New("app", auth.String(token)), // in production auth.File("/run/secrets/jwt")
		HTTPClient: server.Client(),                    // in production leave it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close(ctx) }()
	fmt.Println("ready:", client.Ready() == nil)
	// Output: ready: true
}
