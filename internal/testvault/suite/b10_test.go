package suite

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// TestB10NothingIsMintedThatIsNotNeeded takes a client through token after token, each
// of 12 s, and reads all it likes. What has no lease is left alone, a lease is obtained
// anew once with each token, since it would die with the old one (A1), and reading a
// credential is not asking for another. Clients that fetch everything again because
// something has changed fill the database with users.
func TestB10NothingIsMintedThatIsNotNeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.v.Policy("app", `
		path "secret/data/*"      { capabilities = ["read"] }
		path "database/creds/*"   { capabilities = ["read"] }
		path "sys/leases/revoke"  { capabilities = ["update"] } # for the Close of one credential`)
	t.Run("a client with values only", func(t *testing.T) {
		t.Parallel()
		w := w.in(t)
		a := w.start(t, "approle-values", shortToken())
		value, err := kv.Watch[stripe](t.Context(), a.KV("secret"), "payments/stripe", kv.Every(2*time.Second))
		require.NoError(t, err)
		<-time.After(25 * time.Second)
		require.NoError(t, value.Err())
		assert.GreaterOrEqual(t, w.v.Audit().Count("", "auth/approle-values/login"), 3, "logins: there must have been handovers")
		for _, e := range w.v.Audit().Responses() {
			if e.DisplayName == "approle-values" {
				assert.NotContains(t, e.Path, "creds", "a lease that nobody asked for")
			}
		}
		require.NoError(t, a.Close(context.Background()))
	})
	t.Run("a client with a credential", func(t *testing.T) {
		t.Parallel()
		y := w.in(t).player(t, "handover", map[string]any{"default_ttl": "1h", "max_ttl": "2h"}, shortToken())
		_, err := kv.Watch[stripe](t.Context(), y.app.KV("secret"), "payments/stripe", kv.Every(2*time.Second))
		require.NoError(t, err)
		y.play(t, 2)
		<-time.After(25 * time.Second)
		y.rest()
		y.unharmed(t)
		// A login may be so fresh that its credential is still to come.
		assert.Contains(t, []int{y.logins(), y.logins() - 1}, len(y.creations()), "one creation for each token, no more")
		assert.GreaterOrEqual(t, y.logins(), 3)
		y.leave(t)
	})
	t.Run("one role opened twice", func(t *testing.T) {
		t.Parallel()
		w := w.in(t)
		y := w.player(t, "twice", map[string]any{"default_ttl": "1h", "max_ttl": "2h"}, hour())
		first := y.creds
		second, err := dynamic.Database(t.Context(), y.app, "twice")
		require.NoError(t, err)
		for range 1000 {
			_, err := first.Current(t.Context())
			require.NoError(t, err)
			_, err = second.Get()
			require.NoError(t, err)
		}
		assert.Len(t, y.creations(), 2, "two leases, and none for a thousand reads")
		a, b := first.Snapshot().Value.Username, second.Snapshot().Value.Username
		assert.NotEqual(t, a, b)
		roles := w.roles("twice")
		slices.Sort(roles)
		want := []string{a, b}
		slices.Sort(want)
		assert.Equal(t, want, roles, "pg_roles")

		require.NoError(t, second.Close(t.Context()))
		_, err = second.Get()
		require.ErrorIs(t, err, dynamic.ErrClosed)
		assert.Len(t, w.v.Leases("database/creds/twice"), 1, "the other one's lease")
		assert.Equal(t, []string{a}, w.roles("twice"), "the other one's user")
		y.play(t, 2)
		<-time.After(time.Second)
		y.rest()
		y.unharmed(t)
		assert.Equal(t, []string{a}, y.log.seen)
		assert.Len(t, y.creations(), 2)
		y.leave(t)
	})
}

// TestB13AStartHasItsOwnAndNothingElse starts an application three times in a row. What
// the one before had is gone when the next one comes: tokens, leases and users do not
// pile up until their TTLs have passed.
func TestB13AStartHasItsOwnAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	idle := len(w.v.List("auth/token/accessors"))
	for range 3 {
		y := w.player(t, "restart", map[string]any{"default_ttl": "1h", "max_ttl": "2h"}, hour())
		y.play(t, 2)
		<-time.After(500 * time.Millisecond)
		y.rest()
		y.unharmed(t)
		assert.Len(t, w.v.Leases("database/creds/restart"), 1)
		assert.Equal(t, y.log.seen, w.roles("restart"))
		assert.Len(t, w.v.List("auth/token/accessors"), idle+1, "tokens: the one of this start")
		y.leave(t)
		assert.Len(t, w.v.List("auth/token/accessors"), idle, "tokens: none of this start")
	}
	assert.Equal(t, 3, w.v.Audit().Count("", "auth/approle-restart/login"))
	assert.Equal(t, 3, w.v.Audit().Count("read", "database/creds/restart"))
}
