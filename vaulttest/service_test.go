package vaulttest_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestMyServiceOutlivesItsToken is a test as a user would write it: to be copied. Its token dies
// after 32 days. In a bubble the service's own timers see those days pass, too, so that it renews
// the token for as long as that helps and then logs in again. Forty days take milliseconds.
func TestMyServiceOutlivesItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vault := vaulttest.New(t)
		vault.PutKV("secret", "shop", map[string]any{"greeting": "hello"})
		vault.Policy("shop", vaulttest.Rule{Path: "secret/data/shop", Capabilities: []string{"read"}})
		roleID, secretID := vault.AppRole("shop", vaulttest.AppRoleSpec{Policies: []string{"shop"}})

		// The service under test: this is where yours begins.
		service, err := leasehold.New(t.Context(), leasehold.Config{
			Address:    "http://vault",
			Auth:       approle.New(roleID, approle.SecretIDString(secretID)),
			HTTPClient: vault.Client(),
		})
		require.NoError(t, err)
		t.Cleanup(func() { _ = service.Close(context.Background()) })

		first := vault.Tokens()[0].Expires
		for range 40 {
			time.Sleep(24 * time.Hour)
			shop, err := kv.Get[map[string]string](t.Context(), service.KV("secret"), "shop")
			require.NoError(t, err)
			require.Equal(t, "hello", shop.Value["greeting"])
		}
		require.True(t, time.Now().After(first.Add(7*24*time.Hour)), "the first token is dead for a week")
		require.Greater(t, vault.Count("POST", "auth/approle/login"), 1)

		require.NoError(t, service.Close(context.Background()))
		require.Empty(t, vault.Leases(), "nothing is left behind")
		require.Empty(t, vault.Tokens())
	})
}
