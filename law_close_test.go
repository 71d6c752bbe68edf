package leasehold_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw18CloseRevokesEveryTokenOfOurs (S1): the current one and the one that was handed
// over and is still alive, and with them the leases. Closing again does nothing.
// Mutation: Session.adopt remembers the newest token only.
func TestLaw18CloseRevokesEveryTokenOfOurs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 8 * time.Second, TokenMaxTTL: 12 * time.Second})
		c := w.start()
		w.open(c)
		for w.logins() < 2 {
			time.Sleep(100 * time.Millisecond)
		}
		require.Len(t, w.Tokens(), 2)
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
		asked := len(w.Requests())
		require.NoError(t, c.Close(t.Context()))
		time.Sleep(time.Minute)
		require.Len(t, w.Requests(), asked, "nothing is asked after Close")
		require.ErrorIs(t, c.Ready(), leasehold.ErrClosed)
	})
}

// TestLaw18AGivenTokenIsNeverRevokedButItsLeasesAre (S2). Mutation: logIn takes every token for ours.
func TestLaw18AGivenTokenIsNeverRevokedButItsLeasesAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Auth = token.New(given) })
		w.open(c)
		w.open(c)
		require.NoError(t, c.Close(t.Context()))
		require.Len(t, w.Tokens(), 1)
		require.Empty(t, w.Leases())
		require.Zero(t, w.Count("", revokeSelf))
	})
}

// TestLaw18WhatCannotBeRevokedIsSaidOnce: under a batch token each lease is given back by
// itself; where policy forbids it there is one error with the lines to grant.
// Mutation: Session.revoke gives no leases back.
func TestLaw18WhatCannotBeRevokedIsSaidOnce(t *testing.T) {
	for name, allowed := range map[string]bool{"allowed": true, "forbidden": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, TokenType: "batch"})
				if !allowed {
					w.Policy("app", appPolicy[:2]...)
				}
				c := w.start()
				w.open(c)
				w.open(c)
				err := c.Close(t.Context())
				require.Zero(t, w.Count("", revokeSelf))
				if allowed {
					require.NoError(t, err)
					require.Empty(t, w.Leases())
					return
				}
				require.ErrorContains(t, err, "2 leases were not revoked")
				require.ErrorContains(t, err, `path "sys/leases/revoke" { capabilities = ["update"] }`)
			})
		})
	}
}

// TestLaw18KeepOnCloseLeavesEverything. Mutation: Session.Close does not look at KeepOnClose.
func TestLaw18KeepOnCloseLeavesEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.KeepOnClose = true })
		w.open(c)
		require.NoError(t, c.Close(t.Context()))
		require.Len(t, w.Tokens(), 1)
		require.Len(t, w.Leases(), 1)
	})
}

// TestLaw18CloseIsBounded (D3, F9): the server hangs, with renewals and reads under way.
// Mutation: Client.Close has no limit of its own.
func TestLaw18CloseIsBounded(t *testing.T) {
	for name, tc := range map[string]struct{ given, want time.Duration }{
		"by its context": {500 * time.Millisecond, time.Second},
		"by itself":      {0, 6 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 10 * time.Second})
				c := w.start()
				w.open(c)
				w.Fail(vaulttest.Fault{Hang: true})
				read := make(chan error, 1)
				go func() { _, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config"); read <- err }()
				time.Sleep(5500 * time.Millisecond)
				require.Positive(t, w.Count("", renewToken))
				ctx := context.Background()
				if tc.given > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.given)
					defer cancel()
				}
				began := time.Now()
				err := c.Close(ctx)
				require.Error(t, err)
				require.ErrorContains(t, err, "revoke the token")
				require.LessOrEqual(t, time.Since(began), tc.want)
				require.ErrorIs(t, <-read, leasehold.ErrClosed)
			})
		})
	}
}

// TestLaw18CloseFromACallbackDoesNotWaitForItself: from OnEvent and from a verifier. What is ours is
// revoked, and a later Close waits for that. Mutation: insideCallback says no.
func TestLaw18CloseFromACallbackDoesNotWaitForItself(t *testing.T) {
	t.Run("OnEvent", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
			var c *leasehold.Client
			ready, closed := make(chan struct{}), make(chan time.Duration, 1)
			c = w.start(func(cfg *leasehold.Config) {
				cfg.OnEvent = func(e leasehold.Event) {
					<-ready
					if e.Name != "token" {
						began := time.Now()
						_ = c.Close(context.Background())
						closed <- time.Since(began)
					}
				}
			})
			w.open(c)
			close(ready)
			require.Zero(t, <-closed)
			require.NoError(t, c.Close(t.Context()))
			w.nothingLeft()
		})
	})
	t.Run("Verify", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
			w.database(vaulttest.RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Minute})
			c := w.start()
			first, closed := true, make(chan time.Duration, 1)
			w.open(c, dynamic.Verify(func(context.Context, dynamic.UserPass) error {
				if first {
					first = false
					return nil
				}
				began := time.Now()
				_ = c.Close(context.Background())
				closed <- time.Since(began)
				return nil
			}))
			require.Zero(t, <-closed)
			require.NoError(t, c.Close(t.Context()))
			w.nothingLeft()
		})
	})
}

// TestLaw18ACallbackThatHangsIsAbandonedWithAnError: everything else is done.
// Mutation: events.close waits whatever its ctx says.
func TestLaw18ACallbackThatHangsIsAbandonedWithAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		release := make(chan struct{})
		c := w.start(func(c *leasehold.Config) { c.OnEvent = func(leasehold.Event) { <-release } })
		w.open(c)
		began := time.Now()
		err := c.Close(t.Context())
		require.ErrorContains(t, err, "OnEvent has not returned")
		require.LessOrEqual(t, time.Since(began), 6*time.Second)
		w.nothingLeft()
		close(release)
	})
}

// TestLaw18AVerifierThatHangsKeepsNoTokenAlive: it is abandoned with an error, and what is ours is
// revoked in the time that is left. Mutation: Session.wait takes all of the time.
func TestLaw18AVerifierThatHangsKeepsNoTokenAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		release := make(chan struct{})
		var hang atomic.Bool
		creds := w.open(c, dynamic.Verify(func(context.Context, dynamic.UserPass) error {
			if hang.Load() {
				<-release
			}
			return nil
		}))
		hang.Store(true)
		creds.Invalidate(1)
		synctest.Wait()
		began := time.Now()
		err := c.Close(t.Context())
		require.ErrorContains(t, err, "a callback or a request has not returned")
		require.LessOrEqual(t, time.Since(began), 5*time.Second)
		w.nothingLeft()
		close(release)
	})
}

// TestLaw18ClosedIsWhatEverythingSaysAfterClose, and nothing is asked.
// Mutation: Ready does not look whether the client is closed.
func TestLaw18ClosedIsWhatEverythingSaysAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		creds := w.open(c)
		require.NoError(t, c.Close(t.Context()))
		_, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
		require.ErrorIs(t, err, leasehold.ErrClosed)
		_, err = kv.Watch[settings](t.Context(), c.KV("secret"), "app/config")
		require.ErrorIs(t, err, leasehold.ErrClosed)
		_, err = dynamic.Database(t.Context(), c, "app")
		require.ErrorIs(t, err, leasehold.ErrClosed)
		var cfg struct {
			Banner string `vault:"secret:app/config#banner"`
		}
		require.ErrorIs(t, c.Load(t.Context(), &cfg), leasehold.ErrClosed)
		_, err = c.Vault().Logical().ReadWithContext(t.Context(), configPath)
		require.ErrorIs(t, err, leasehold.ErrClosed)
		require.ErrorIs(t, c.Ready(), leasehold.ErrClosed)
		_, err = creds.Get()
		require.ErrorIs(t, err, leasehold.ErrClosed)
		require.NoError(t, creds.Close(t.Context()))
		creds.Invalidate(1)
		creds.Suspect(1)
		w.nothingLeft()
	})
}

// TestLaw18CloseInTheMiddleOfEverythingLeavesNothing (S1): whenever it comes, in a login, a creation,
// a handover or a first read, no token and no lease is left a moment later.
// Mutation: Close revokes nothing.
func TestLaw18CloseInTheMiddleOfEverythingLeavesNothing(t *testing.T) {
	for step := range 40 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 8 * time.Second, TokenMaxTTL: 12 * time.Second})
			c := w.start()
			w.open(c)
			w.Fail(vaulttest.Fault{Path: credsPath, Delay: 300 * time.Millisecond, After: true})
			w.Fail(vaulttest.Fault{Path: "sys/", Delay: 300 * time.Millisecond, After: true})
			done := make(chan struct{})
			go func() {
				defer close(done)
				for range 20 {
					creds, err := dynamic.Database(t.Context(), c, "app")
					if err != nil {
						return
					}
					creds.Invalidate(1)
				}
			}()
			time.Sleep(time.Duration(step) * 150 * time.Millisecond)
			require.NoError(t, c.Close(t.Context()))
			<-done
			w.nothingLeft()
		})
	}
}

// TestA14AFailedStartLeavesNoToken (law 18): the login worked, and its token cannot be used.
// Mutation: logIn forgets a token that it does not accept.
func TestA14AFailedStartLeavesNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, TokenNumUses: 2})
		_, err := leasehold.New(t.Context(), w.config())
		require.ErrorContains(t, err, "raise token_num_uses")
		w.nothingLeft()
	})
}

// TestLaw22ATokenThatCannotBeGivenBackIsTold: one that came when the client was closing, and one that was of no use.
// Nobody else knows of either. Mutation: that it was not revoked is not told.
func TestLaw22ATokenThatCannotBeGivenBackIsTold(t *testing.T) {
	broken := vaulttest.Fault{Path: revokeSelf, Status: 500}
	told := func(w *world) {
		synctest.Wait()
		for _, e := range w.events.of(lease.ReplaceFailed, "token") {
			if strings.Contains(e.Err.Error(), "revoke the token auth/token/revoke-self: 500") {
				return
			}
		}
		require.Fail(w.t, "nobody was told")
	}
	t.Run("late", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute, TokenMaxTTL: time.Minute})
			c := w.start()
			w.Fail(vaulttest.Fault{Path: loginPath, Delay: time.Second, After: true})
			for w.logins() < 2 {
				time.Sleep(100 * time.Millisecond)
			}
			w.Fail(broken)
			require.ErrorContains(t, c.Close(t.Context()), "500")
			told(w)
		})
	})
	t.Run("of no use", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, TokenNumUses: 2})
			w.Fail(broken)
			_, err := leasehold.New(t.Context(), w.config())
			require.ErrorContains(t, err, "only 2 uses")
			told(w)
		})
	})
}

// TestA14ALoginThatNobodyWaitsForLeavesNoToken (law 18): New's context, or the client, ends while the
// login is on its way; the token that comes is revoked. Mutation: logIn gives up with its caller.
func TestA14ALoginThatNobodyWaitsForLeavesNoToken(t *testing.T) {
	t.Run("New is cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
			w.Fail(vaulttest.Fault{Path: loginPath, Delay: time.Second, After: true})
			ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
			defer cancel()
			began := time.Now()
			_, err := leasehold.New(ctx, w.config())
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.LessOrEqual(t, time.Since(began), 400*time.Millisecond)
			time.Sleep(2 * time.Second)
			w.nothingLeft()
		})
	})
	t.Run("Close in a login", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute, TokenMaxTTL: time.Minute})
			c := w.start()
			w.Fail(vaulttest.Fault{Path: loginPath, Delay: time.Second, After: true})
			for w.logins() < 2 {
				time.Sleep(100 * time.Millisecond)
			}
			require.NoError(t, c.Close(t.Context()))
			w.nothingLeft()
		})
	})
	t.Run("Close in a login for the sake of policies", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
			c := w.start()
			w.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour, Policies: []string{"app", "more"}})
			time.Sleep(time.Minute)
			w.Fail(vaulttest.Fault{Path: loginPath, Delay: time.Second, After: true})
			read := make(chan error, 1)
			go func() { _, err := kv.Get[settings](t.Context(), c.KV("kv"), "x"); read <- err }()
			time.Sleep(500 * time.Millisecond)
			require.NoError(t, c.Close(t.Context()))
			require.Error(t, <-read)
			w.nothingLeft()
		})
	})
}
