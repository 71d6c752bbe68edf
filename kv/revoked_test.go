package kv_test

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

// TestD6WhatADeadTokenHasReadIsReadAgain: from when the client knows of the revocation on,
// and once. A handover, whose old token dies in its own time, takes nothing away.
// Mutation: Store.read does not ask if the token of a kept answer has ended.
func TestD6WhatADeadTokenHasReadIsReadAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.PutKV("secret", "app/flags", map[string]any{"banner": "one"})
		server.Policy("reader", vaulttest.Rule{Path: "secret/data/*", Capabilities: []string{"read"}})
		roleID, secretID := server.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"reader"}, TokenTTL: time.Hour, TokenMaxTTL: 2 * time.Hour})
		c, err := leasehold.New(t.Context(), leasehold.Config{
			Address: "http://vault.test", Auth: approle.New(roleID, approle.SecretIDString(secretID)), HTTPClient: server.Client(),
		})
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close(context.Background())) }()
		banner := func() string {
			s, err := kv.Get[flags](t.Context(), c.KV("secret"), "app/flags", kv.MaxAge(24*time.Hour))
			require.NoError(t, err)
			return s.Value.Banner
		}
		require.Equal(t, "one", banner())
		first := c.Status().Token.Accessor
		time.Sleep(3 * time.Hour)
		require.NotEqual(t, first, c.Status().Token.Accessor)
		require.Equal(t, "one", banner())
		require.Equal(t, 1, server.Count("GET", path), "reads after a handover")

		_, err = kv.Get[flags](t.Context(), c.KV("secret"), "app/flags")
		require.NoError(t, err)
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		require.True(t, server.RevokeToken(c.Status().Token.Accessor))
		_, err = kv.Get[flags](t.Context(), c.KV("secret"), "app/other")
		require.ErrorIs(t, err, kv.ErrNotFound) // asked with a new token
		require.Equal(t, "two", banner())
		require.Equal(t, "two", banner())
		require.Equal(t, 3, server.Count("GET", path), "once more, for the new token")
	})
}
