package vaulttest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// Shop is the program under test. It logs in to Vault when it starts, and then never again.
type Shop struct{ vault *api.Client }

// OpenShop starts the program. What it is told of Vault, it takes from its configuration.
func OpenShop(ctx context.Context, conf *api.Config, roleID, secretID string) (*Shop, error) {
	vault, err := api.NewClient(conf)
	if err != nil {
		return nil, err
	}
	login, err := vault.Logical().WriteWithContext(ctx, "auth/approle/login", map[string]any{"role_id": roleID, "secret_id": secretID})
	if err != nil {
		return nil, err
	}
	vault.SetToken(login.Auth.ClientToken)
	return &Shop{vault}, nil
}

// Greeting reads it from Vault each time.
func (s *Shop) Greeting(ctx context.Context) (string, error) {
	secret, err := s.vault.KVv2("secret").Get(ctx, "shop")
	if err != nil {
		return "", err
	}
	text, _ := secret.Data["greeting"].(string)
	return text, nil
}

// A token dies after 32 days, if nobody says otherwise. What the program does then is known in
// milliseconds: here, that nobody has thought of it.
func ExampleServer_Advance() {
	vault := vaulttest.New(&program{}) // in a test: vaulttest.New(t)
	vault.PutKV("secret", "shop", map[string]any{"greeting": "hello"})
	vault.Policy("shop", vaulttest.Rule{Path: "secret/data/shop", Capabilities: []string{"read"}})
	roleID, secretID := vault.AppRole("shop", vaulttest.AppRoleSpec{Policies: []string{"shop"}})

	ctx := context.Background()
	shop, err := OpenShop(ctx, &api.Config{Address: "http://vault", HttpClient: vault.Client()}, roleID, secretID)
	if err != nil {
		panic(err)
	}
	greet := func(day int) {
		text, err := shop.Greeting(ctx)
		if refused := new(api.ResponseError); errors.As(err, &refused) {
			text = fmt.Sprint("status ", refused.StatusCode)
		}
		fmt.Printf("day %d: %s\n", day, text)
	}

	greet(0)
	vault.Advance(31 * 24 * time.Hour)
	greet(31)
	vault.Advance(24 * time.Hour)
	greet(32)
	// Output:
	// day 0: hello
	// day 31: hello
	// day 32: status 403
}
