package leasehold_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw17NewDoesNotWaitForAnOnEventThatHangs: its ctx has ended.
// Mutation: it waits for its last events without end.
func TestLaw17NewDoesNotWaitForAnOnEventThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.Seal()
		release := make(chan struct{})
		defer time.AfterFunc(time.Hour, func() { close(release) }).Stop()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, err := leasehold.New(ctx, w.config(func(c *leasehold.Config) { c.OnEvent = func(leasehold.Event) { <-release } }))
		require.Error(t, err)
		took := time.Since(began)
		if took < time.Hour {
			close(release)
		}
		require.LessOrEqual(t, took, 10*time.Second)
	})
}

// TestLaw11ACredentialThatIsOpenedDuringCloseIsClosed: it must not live on without upkeep.
// Mutation: what is registered after Close is not told of it.
func TestLaw11ACredentialThatIsOpenedDuringCloseIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		creds, err := dynamic.Database(t.Context(), c, "app", dynamic.Verify(func(context.Context, dynamic.UserPass) error {
			return c.Close(context.Background())
		}))
		if err != nil {
			return
		}
		_, err = creds.Get()
		require.ErrorIs(t, err, leasehold.ErrClosed)
	})
}

// TestLaw11AValueThatIsWatchedDuringCloseIsClosed: so that nobody waits for ever.
func TestLaw11AValueThatIsWatchedDuringCloseIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		v, err := kv.Watch[settings](t.Context(), c.KV("secret"), "app/config", kv.Verify(func(context.Context, settings) error {
			return c.Close(context.Background())
		}))
		if err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err = v.Wait(ctx, 1)
		require.NoError(t, ctx.Err(), "Wait did not end: %v", err)
	})
}

// TestLaw18ACallbackThatHangsDoesNotKeepLeases: those under a given token.
// Mutation: leases are released only after all work has ended.
func TestLaw18ACallbackThatHangsDoesNotKeepLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		w.database(vaulttest.RoleSpec{DefaultTTL: time.Hour, MaxTTL: time.Hour, NotRenewable: true})
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: 24 * time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Auth = token.New(given) })
		hang := make(chan struct{})
		var n atomic.Int64
		w.open(c, dynamic.Verify(func(context.Context, dynamic.UserPass) error {
			if n.Add(1) > 1 {
				<-hang
			}
			return nil
		}))
		w.database(vaulttest.RoleSpec{DefaultTTL: 12 * time.Hour})
		w.open(c)
		w.open(c)
		time.Sleep(52 * time.Minute) // its successor is being verified
		require.EqualValues(t, 2, n.Load())
		err := c.Close(context.Background())
		left := len(w.Leases())
		close(hang)
		require.ErrorContains(t, err, "work still running at close")
		require.Zero(t, left)
	})
}

// TestLaw18WhatWasNotAcceptedIsGivenBackToo: a credential that the verifier refuses is ours as well.
// Mutation: neither Close knows of it.
func TestLaw18WhatWasNotAcceptedIsGivenBackToo(t *testing.T) {
	for _, how := range []string{"client under a given token", "credential"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 24 * time.Hour})
				w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Minute})
				given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: 24 * time.Hour})
				c := w.start(func(c *leasehold.Config) {
					if how != "credential" {
						c.Auth = token.New(given)
					}
				})
				w.database(vaulttest.RoleSpec{DefaultTTL: time.Hour, MaxTTL: time.Hour, NotRenewable: true})
				n := 0
				creds := w.open(c, dynamic.Verify(func(context.Context, dynamic.UserPass) error {
					if n++; n > 1 {
						return errors.New("no")
					}
					return nil
				}))
				time.Sleep(52 * time.Minute)
				require.Len(t, w.Leases(), 2)
				if how == "credential" {
					require.NoError(t, creds.Close(t.Context()))
					time.Sleep(time.Second)
				} else {
					require.NoError(t, c.Close(t.Context()))
				}
				require.Empty(t, w.Leases())
			})
		})
	}
}

// TestLaw18ATokenThatCouldNotBeRevokedAtOnceIsNotForgotten: one that was obtained to see its policies.
// Mutation: it is.
func TestLaw18ATokenThatCouldNotBeRevokedAtOnceIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.MountKV2("other")
		time.Sleep(61 * time.Second)
		w.Fail(vaulttest.Fault{Path: revokeSelf, Status: 503, Count: 1})
		_, err := kv.Get[settings](t.Context(), c.KV("other"), "x")
		require.Error(t, err)
		require.Len(t, w.Tokens(), 2)
		require.NoError(t, c.Close(t.Context()))
		require.Empty(t, w.Tokens())
	})
}

// TestLaw18CloseFromAnAuthSourceDoesNotWaitForItself: nor for its own login.
// Mutation: a login is not known as a callback.
func TestLaw18CloseFromAnAuthSourceDoesNotWaitForItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, TokenMaxTTL: time.Hour})
		var client atomic.Pointer[leasehold.Client]
		var logins atomic.Int32
		took := make(chan time.Duration, 1)
		client.Store(w.start(withSecretID(w, func() string {
			if logins.Add(1) == 2 {
				began := time.Now()
				_ = client.Load().Close(context.Background())
				took <- time.Since(began)
			}
			return w.secretID
		})))
		require.Less(t, <-took, time.Second)
	})
}
