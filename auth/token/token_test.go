package token_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, server *vaulttest.Server, value string) *leasehold.Client {
	t.Helper()
	c, err := leasehold.New(t.Context(), leasehold.Config{Address: "http://vault.test", Auth: token.New(value), HTTPClient: server.Client()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close(context.Background())) })
	return c
}

// TestA4WhatRemainsCountsNotWhatWasGranted: a token of 20 s is used when it is 12 s old.
// Mutation: Login takes creation_ttl for the TTL.
func TestA4WhatRemainsCountsNotWhatWasGranted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		value := server.CreateToken(vaulttest.TokenSpec{TTL: 20 * time.Second, NotRenewable: true})
		end := server.Tokens()[0].Expires
		time.Sleep(12 * time.Second)
		c := start(t, server, value)
		require.WithinDuration(t, end, c.Status().Token.Expires, time.Second)
		require.False(t, c.Status().Token.Expires.After(end), "never later than the server's")
		require.Equal(t, server.Tokens()[0].Accessor, c.Status().Token.Accessor)
		time.Sleep(9 * time.Second)
		require.Error(t, c.Ready())
	})
}

// TestA4ATokenWithoutAnEndIsNeitherRenewedNorReplaced: the root token.
func TestA4ATokenWithoutAnEndIsNeitherRenewedNorReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		c := start(t, server, "\n "+server.RootToken()+" \n")
		require.True(t, c.Status().Token.Expires.IsZero())
		asked := len(server.Requests())
		time.Sleep(1000 * time.Hour)
		require.NoError(t, c.Ready())
		require.Len(t, server.Requests(), asked)
	})
}

// TestAPeriodicTokenIsRenewedForEver, and outlives its client.
func TestAPeriodicTokenIsRenewedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		c := start(t, server, server.CreateToken(vaulttest.TokenSpec{Period: time.Minute}))
		time.Sleep(time.Hour)
		require.NoError(t, c.Ready())
		require.NoError(t, c.Close(t.Context()))
		require.Len(t, server.Tokens(), 1)
	})
}

// TestAnEmptyTokenIsAnError that comes before any request.
func TestAnEmptyTokenIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		_, err := leasehold.New(t.Context(), leasehold.Config{Address: "http://vault.test", Auth: token.New(" \n"), HTTPClient: server.Client()})
		require.ErrorContains(t, err, "token: the source is empty")
		require.Empty(t, server.Requests())
	})
}

// TestA5WhatCannotBeRenewedIsUsedUntilItsEnd: nothing tries to renew or revoke a token of either kind.
// Mutation: what Vault says of renewing is not read.
func TestA5WhatCannotBeRenewedIsUsedUntilItsEnd(t *testing.T) {
	for name, spec := range map[string]vaulttest.TokenSpec{
		"batch":   {TTL: time.Hour, Batch: true},
		"service": {TTL: time.Hour, NotRenewable: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := vaulttest.New(t)
				c := start(t, server, server.CreateToken(spec))
				time.Sleep(58 * time.Minute)
				require.NoError(t, c.Ready())
				time.Sleep(3 * time.Minute)
				require.Error(t, c.Ready())
				require.NoError(t, c.Close(t.Context()))
				require.Zero(t, server.Count("", "auth/token/renew"))
				require.Zero(t, server.Count("", "auth/token/revoke"))
			})
		})
	}
}

// TestA10AGivenTokenOfFewUsesIsSpentOnWhatWasAskedFor: one lookup-self at the start, none behind
// anybody's back, and the last two are left.
// Mutation: the uses that are left are not read.
func TestA10AGivenTokenOfFewUsesIsSpentOnWhatWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.PutKV("secret", "app", map[string]any{"a": "b"})
		server.Policy("app", vaulttest.Rule{Path: "secret/data/app", Capabilities: []string{"read"}})
		c := start(t, server, server.CreateToken(vaulttest.TokenSpec{TTL: 10 * time.Hour, NumUses: 6, Policies: []string{"app"}}))
		time.Sleep(time.Hour)
		require.Equal(t, 5, server.Tokens()[0].NumUses, "left by the lookup-self at the start")
		for range 3 {
			_, err := c.Vault().Logical().ReadWithContext(t.Context(), "secret/data/app")
			require.NoError(t, err)
		}
		asked := len(server.Requests())
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := c.Vault().Logical().ReadWithContext(ctx, "secret/data/app")
		require.Error(t, err)
		require.Len(t, server.Requests(), asked)
	})
}
