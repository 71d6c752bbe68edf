package leasehold_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw18AFailedOpenIsCleanedUpAlsoAtClose: the ordinary way out of a start that failed.
// Mutation: Close cancels the release.
func TestLaw18AFailedOpenIsCleanedUpAlsoAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Auth = token.New(given) })
		w.Fail(vaulttest.Fault{Path: "sys/leases/revoke", Delay: 500 * time.Millisecond}) // Close comes while it is under way
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := dynamic.Database(ctx, c, "app", dynamic.Verify(func(context.Context, dynamic.UserPass) error { return errors.New("no") }))
		require.Error(t, err)
		_ = c.Close(context.Background())
		require.Empty(t, w.Leases())
	})
}

// TestLaw18WhatIsOpenedDuringCloseIsGivenBack: under a given token nothing else takes it along.
// Mutation: it is not.
func TestLaw18WhatIsOpenedDuringCloseIsGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Auth = token.New(given) })
		go func() { time.Sleep(time.Second); _ = c.Close(context.Background()) }()
		_, err := dynamic.Database(t.Context(), c, "app", dynamic.Verify(func(context.Context, dynamic.UserPass) error {
			time.Sleep(2 * time.Second)
			return nil
		}))
		require.ErrorIs(t, err, leasehold.ErrClosed)
		time.Sleep(time.Minute)
		require.Empty(t, w.Leases())
	})
}

// TestLaw18WhatWasNotAcceptedIsGivenBackAlsoAfterAnExpiry: and what came before it, too.
// Mutation: an entry whose grant has expired is not asked to release.
func TestLaw18WhatWasNotAcceptedIsGivenBackAlsoAfterAnExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: 2 * time.Minute})
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Auth = token.New(given) })
		n := 0
		creds, err := dynamic.Database(t.Context(), c, "app", dynamic.Verify(func(context.Context, dynamic.UserPass) error {
			if n++; n > 1 {
				return context.DeadlineExceeded
			}
			return nil
		}))
		require.NoError(t, err)
		for range 600 {
			time.Sleep(time.Second)
			if _, err := creds.Get(); err != nil {
				break
			}
		}
		time.Sleep(10 * time.Second)
		require.NoError(t, c.Close(context.Background()))
		require.Empty(t, w.Leases())
	})
}

// TestLaw17LoadKeepsWhatASecretDoesNotSay: as encoding/json does.
// Mutation: fields are emptied first.
func TestLaw17LoadKeepsWhatASecretDoesNotSay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		var cfg struct {
			UI struct {
				Banner string `json:"banner"`
				Color  string `json:"color"`
			} `vault:"secret:app/config"`
		}
		cfg.UI.Color = "blue"
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.Equal(t, "blue", cfg.UI.Color)
		require.Equal(t, "hello", cfg.UI.Banner)
	})
}

// TestLaw18WhatHasExpiredIsNotRevoked: Vault has done so already.
// Mutation: the keeper does not look whether it is still valid.
func TestLaw18WhatHasExpiredIsNotRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Minute, NotRenewable: true})
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Auth = token.New(given) })
		creds := w.open(c)
		w.Fail(vaulttest.Fault{Path: credsPath, Status: 503})
		time.Sleep(2 * time.Minute)
		_, err := creds.Get()
		require.ErrorIs(t, err, dynamic.ErrExpired)
		require.NoError(t, c.Close(context.Background()))
		require.Zero(t, w.Count("", "sys/leases/revoke"))
	})
}
