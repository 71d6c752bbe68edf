package kubernetes_test

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/kubernetes"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// program is what vaulttest needs where there is no test.
type program struct{}

func (program) Helper()                   {}
func (program) Cleanup(func())            {}
func (program) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func ExampleNew() {
	server := vaulttest.New(program{}) // in production a real Vault
	server.KubernetesRole("app", vaulttest.KubernetesRoleSpec{
		BoundServiceAccountNames: []string{"app"}, BoundServiceAccountNamespaces: []string{"prod"},
	})
	jwt := server.ServiceAccountToken("prod", "app", time.Hour)
	ctx := context.Background()

	client, err := leasehold.New(ctx, leasehold.Config{
		Address:    "https://vault.internal:8200",
		Auth:       kubernetes.New("app", kubernetes.TokenFrom(auth.String(jwt))), // in a pod kubernetes.New("app")
		HTTPClient: server.Client(),                                               // in production leave it out
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = client.Close(ctx) }()
	fmt.Println("ready:", client.Ready() == nil)
	// Output: ready: true
}
