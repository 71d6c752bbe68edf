package leasehold_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// silent is a Vault that does not tell a dead token from a missing permission.
func silent(w *world) func(*leasehold.Config) {
	return func(c *leasehold.Config) { c.HTTPClient = &http.Client{Transport: noInvalid{w.wire}} }
}

// read reads one of the secrets; "other" is an engine that policy forbids.
func read(ctx context.Context, c *leasehold.Client, mount string) error {
	_, err := kv.Get[map[string]any](ctx, c.KV(mount), "app/config")
	return err
}

// TestLaw06ALookupThatFailedAtTheLoginIsMadeUpFor (law 3): by the next renewal, or the next 403; from
// then on a dead token is told from a missing permission. Before, nothing is proven.
// Mutation: tokenKeeper.Renew does not learn.
func TestLaw06ALookupThatFailedAtTheLoginIsMadeUpFor(t *testing.T) {
	for _, tc := range []struct {
		name   string
		how    func(t *testing.T, c *leasehold.Client)
		logins int
	}{
		{"not at all", func(*testing.T, *leasehold.Client) {}, 1},
		{"by a renewal", func(*testing.T, *leasehold.Client) { time.Sleep(51 * time.Second) }, 2},
		{"by a 403", func(t *testing.T, c *leasehold.Client) {
			t.Helper()
			require.ErrorContains(t, read(t.Context(), c, "other"), "grant it by policy")
			time.Sleep(2 * time.Second)
		}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 100 * time.Second})
				w.Fail(vaulttest.Fault{Path: lookupSelf, Refuse: true, Count: 1})
				c := w.start(silent(w))
				tc.how(t, c)
				synctest.Wait()
				require.True(t, w.RevokeToken(w.token()))
				err := read(t.Context(), c, "secret")
				require.Equal(t, tc.logins == 2, err == nil, err)
				require.Equal(t, tc.logins, w.logins())
			})
		})
	}
}

// TestLaw03ALookupThatHangsHoldsUpNoToken: neither the first one nor at a handover, and it is told.
// Mutations: adopt is as patient as the rest; a lookup that fails is not told.
func TestLaw03ALookupThatHangsHoldsUpNoToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute, TokenMaxTTL: time.Minute})
		w.Fail(vaulttest.Fault{Path: lookupSelf, Hang: true})
		began := time.Now()
		w.start()
		require.LessOrEqual(t, time.Since(began), time.Second)
		time.Sleep(35 * time.Second) // handed over after 20 to 30 s
		replaced := w.events.of(lease.Replaced, "token")
		require.Len(t, replaced, 1)
		require.LessOrEqual(t, replaced[0].Time.Sub(w.named(loginPath)[1].Time), time.Second)
		told := w.events.of(lease.ReadFailed, "token")
		require.NotEmpty(t, told)
		require.ErrorContains(t, told[0].Err, "look up the token")
		w.ClearFaults()
	})
}

// TestLaw06ATokenThatMayNotLookItselfUpIsAskedOnce: its 403s prove nothing and cause no lookups.
// Mutation: a lookup that was refused is not noted.
func TestLaw06ATokenThatMayNotLookItselfUpIsAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute})
		w.Fail(vaulttest.Fault{Path: lookupSelf, Status: 403, Body: deniedByPolicy})
		c := w.start()
		every(50*time.Second, time.Second, func(time.Duration) { require.Error(t, read(t.Context(), c, "other")) })
		require.Positive(t, w.Count("", renewToken))
		require.Equal(t, 1, w.Count("", lookupSelf))
		require.Equal(t, 1, w.logins())
	})
}

// TestLaw06ATokenWhoseRenewalIsRefusedMayBeDead: where nothing but upkeep asks, it is noticed there.
// Mutation: tokenKeeper.Renew does not look into a 403.
func TestLaw06ATokenWhoseRenewalIsRefusedMayBeDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 100 * time.Second})
		w.start(silent(w))
		require.True(t, w.RevokeToken(w.token()))
		time.Sleep(51 * time.Second)
		require.Equal(t, 2, w.logins())
		require.Len(t, w.Tokens(), 1)
		require.Len(t, w.events.of(lease.Lost, "token"), 1)
	})
}

// TestLaw06ALookupThatHangsIsWaitedForOnce: by all who were refused at the same time, and no
// longer than their own contexts. Mutation: the pace of lookups counts from their beginning.
func TestLaw06ALookupThatHangsIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		looked := w.Count("", lookupSelf)
		w.Fail(vaulttest.Fault{Path: lookupSelf, Hang: true})
		w.Fail(vaulttest.Fault{Path: "other/", Delay: time.Second}) // all are refused at once
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				ctx, limit := t.Context(), 7*time.Second
				if i == 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 2*time.Second)
					defer cancel()
					limit = 2 * time.Second
				}
				began := time.Now()
				_, err := kv.Get[map[string]any](ctx, c.KV("other"), fmt.Sprint("p", i))
				assert.LessOrEqual(t, time.Since(began), limit)
				assert.ErrorContains(t, err, "grant it by policy")
			})
		}
		wg.Wait()
		require.Equal(t, looked+1, w.Count("", lookupSelf))
		w.ClearFaults()
	})
}

// TestLaw22AProbesFailedLoginIsTold: nobody else learns of it.
// Mutation: probePolicies keeps it to itself.
func TestLaw22AProbesFailedLoginIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		time.Sleep(61 * time.Second)
		w.Fail(vaulttest.Fault{Path: loginPath, Status: 500, Count: 1})
		require.ErrorContains(t, read(t.Context(), c, "other"), "grant it by policy")
		require.Equal(t, 2, w.logins())
		synctest.Wait()
		told := w.events.of(lease.ReplaceFailed, "token")
		require.Len(t, told, 1)
		require.ErrorContains(t, told[0].Err, "auth/approle/login: 500")
	})
}

// TestLaw22ATokenThatCouldNotBeRevokedIsTold: one that a probe found to be of no use.
// Mutation: giveBack keeps it to itself.
func TestLaw22ATokenThatCouldNotBeRevokedIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		time.Sleep(61 * time.Second)
		w.Fail(vaulttest.Fault{Path: revokeSelf, Status: 503, Count: 1})
		require.Error(t, read(t.Context(), c, "other"))
		synctest.Wait()
		told := w.events.of(lease.ReplaceFailed, "token")
		require.Len(t, told, 1)
		require.ErrorContains(t, told[0].Err, "revoke the token")
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}

// TestA12ACallerWithLittleTimeIsEnough (law 6): a login that takes longer than whoever was refused
// has time brings the new policies all the same. Mutation: the probe ends with its caller.
func TestA12ACallerWithLittleTimeIsEnough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		w.MountKV2("other")
		w.PutKV("other", "app/config", map[string]any{"a": "b"})
		c := w.start()
		w.Policy("more", vaulttest.Rule{Path: "other/data/*", Capabilities: []string{"read"}})
		w.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour, Policies: []string{"app", "more"}})
		w.Fail(vaulttest.Fault{Path: loginPath, Delay: time.Second, After: true})
		time.Sleep(61 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		require.Error(t, read(ctx, c, "other"))
		require.LessOrEqual(t, time.Since(began), 100*time.Millisecond)
		time.Sleep(2 * time.Second)
		require.NoError(t, read(t.Context(), c, "other"))
		require.Equal(t, 2, w.logins())
	})
}
