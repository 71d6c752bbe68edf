package leasehold_test

import (
	"fmt"
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

// usesOf counts the requests of each token, and asserts that none came when it was used up.
func (w *world) usesOf() map[string]int {
	w.t.Helper()
	uses := map[string]int{}
	for _, r := range w.Requests() {
		if r.Path == loginPath {
			continue
		}
		require.NotEmpty(w.t, r.Accessor, "%s with a token that was used up", r.Path)
		uses[r.Accessor]++
	}
	return uses
}

// TestA10ManyAtOnceNeverOverspendAToken (law 8): thirty at once on tokens of ten uses. Each is handed
// over with two left; no lookup and no renewal spends any.
// Mutation: token.spend takes the reserved ones as well.
func TestA10ManyAtOnceNeverOverspendAToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const users, each = 30, 10
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, TokenNumUses: 10})
		for i := range users {
			w.PutKV("secret", fmt.Sprint("p", i), map[string]any{"n": i})
		}
		w.Fail(vaulttest.Fault{Path: loginPath, Delay: 20 * time.Millisecond})
		w.Fail(vaulttest.Fault{Path: "secret/", Delay: 5 * time.Millisecond})
		c := w.start(func(c *leasehold.Config) { c.Budget.Requests = users })
		var wg sync.WaitGroup
		for i := range users {
			wg.Go(func() {
				for range each {
					_, err := kv.Get[map[string]any](t.Context(), c.KV("secret"), fmt.Sprint("p", i))
					assert.NoError(t, err)
				}
			})
		}
		wg.Wait()
		for accessor, n := range w.usesOf() {
			require.LessOrEqual(t, n, 8, accessor)
		}
		require.Zero(t, w.Count("", lookupSelf))
		require.Zero(t, w.Count("", renewToken))
		require.Equal(t, users*each, w.Count("", "secret/"))
		require.LessOrEqual(t, w.logins(), users*each/8+1)
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}

// TestA10GivingALeaseBackIsAUse (law 8): credentials are opened and closed, and one stays. A use that
// is not counted would be the last one some day, and Vault would revoke with it what stays.
// Mutation: Session.Revoke counts none.
func TestA10GivingALeaseBackIsAUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour, TokenNumUses: 12})
		c := w.start()
		stays := w.open(c)
		for range 30 {
			require.NoError(t, w.open(c).Close(t.Context()))
			synctest.Wait()
			up, err := stays.Get()
			require.NoError(t, err)
			require.True(t, w.Alive(up.Username))
		}
		for accessor, n := range w.usesOf() {
			require.LessOrEqual(t, n, 10, accessor)
		}
		require.Len(t, w.Leases(), 1)
		require.NoError(t, c.Close(t.Context()))
		w.nothingLeft()
	})
}

// TestA10ATokenWhoseUsesAreSpentIsNotUnlimited: Vault counts below zero for one that dies with
// this request. Mutation: newToken takes less than none for without limit.
func TestA10ATokenWhoseUsesAreSpentIsNotUnlimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: time.Hour, NumUses: 1})
		_, err := leasehold.New(t.Context(), w.config(withToken(given)))
		require.ErrorContains(t, err, "only 0 uses")
	})
}

// TestA10CloseLeavesAGivenTokenItsLastUse (laws 8, 18): with it Vault would revoke the token, which is not
// ours. What leases there is no use for are told. Nor is it looked at whether there is another.
// Mutations: Session.Revoke takes the last one; tokenKeeper.Replace looks.
func TestA10CloseLeavesAGivenTokenItsLastUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		given := w.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, TTL: time.Hour, NumUses: 6})
		c := w.start(withToken(given)) // one use
		for range 3 {
			w.open(c)
		}
		time.Sleep(10 * time.Minute)
		require.Len(t, w.Tokens(), 1)
		require.Equal(t, 2, w.Tokens()[0].NumUses)
		told := w.events.of(lease.ReplaceFailed, "token")
		require.NotEmpty(t, told)
		require.ErrorContains(t, told[0].Err, "supply a new one")
		require.ErrorContains(t, c.Close(t.Context()), "2 leases were not revoked")
		require.Len(t, w.Leases(), 2)
		require.Len(t, w.Tokens(), 1)
		require.Equal(t, 1, w.Tokens()[0].NumUses)
	})
}
