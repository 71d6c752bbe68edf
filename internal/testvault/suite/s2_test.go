package suite

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestS2CloseGivesBackWhatIsOursAndNothingElse closes clients under tokens that are not
// theirs to revoke, or cannot be revoked. A revoke-self takes along what others have
// obtained with the same token; none leaves database users behind for an hour.
func TestS2CloseGivesBackWhatIsOursAndNothingElse(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.v.Policy("app", `
		path "database/creds/*"  { capabilities = ["read"] }
		path "sys/leases/revoke" { capabilities = ["update"] }`)
	w.v.Policy("bare", `path "database/creds/*" { capabilities = ["read"] }`)
	for _, role := range []string{"s2given", "s2other", "s2bare", "s2batch", "s2drain"} {
		w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
	}
	leases := func(role string) int { return len(w.v.Leases("database/creds/" + role)) }

	t.Run("a given token and its other leases live on", func(t *testing.T) {
		t.Parallel()
		w, p := w.in(t), testvault.NewProxy(t, w.v.Addr())
		given := w.token(map[string]any{"ttl": "1h"})
		w.v.As(given).Read("database/creds/s2other")
		c := w.given(t, given, via(p))
		w.openTwo(t, c, "s2given")
		require.Equal(t, 2, leases("s2given"))
		require.NoError(t, c.Close(context.Background()))
		assert.Equal(t, 2, p.Count("", "sys/leases/revoke"), "revocations: each lease by itself")
		assert.Zero(t, p.Count("", "auth/token/revoke-self"))
		assert.True(t, w.v.Alive(given), "the given token")
		assert.Equal(t, 1, leases("s2other"), "leases that others have obtained with the same token")
		assert.Len(t, w.roles("s2other"), 1)
		w.nothingLeft(t, "s2given")
		w.v.RevokeLeases("database/creds/s2other")
	})

	t.Run("without permission Close says so", func(t *testing.T) {
		t.Parallel()
		w, p := w.in(t), testvault.NewProxy(t, w.v.Addr())
		given := w.token(map[string]any{"ttl": "1h", "policies": []string{"bare"}})
		c := w.given(t, given, via(p))
		w.openTwo(t, c, "s2bare")
		err := c.Close(context.Background())
		require.ErrorContains(t, err, "2 leases")
		require.ErrorContains(t, err, "sys/leases/revoke")
		assert.True(t, w.v.Alive(given), "the given token")
		assert.Equal(t, 2, leases("s2bare"), "leases that end by themselves")
		w.v.RevokeLeases("database/creds/s2bare")
		w.nothingLeft(t, "s2bare")
	})

	t.Run("under a batch token each lease is revoked by itself", func(t *testing.T) {
		t.Parallel()
		w, p := w.in(t), testvault.NewProxy(t, w.v.Addr())
		a := w.start(t, "approle-s2batch", map[string]any{"token_type": "batch", "token_ttl": "1h"}, via(p))
		w.openTwo(t, a.Client, "s2batch")
		require.Equal(t, 2, leases("s2batch"))
		require.NoError(t, a.Close(context.Background()))
		assert.Equal(t, 2, p.Count("", "sys/leases/revoke"), "revocations: each lease by itself")
		assert.Zero(t, p.Count("", "auth/token/revoke-self"), "a batch token cannot be revoked")
		w.nothingLeft(t, "s2batch")
	})
	// Its workers stop, the pool closes, and then the client, which revokes at once what the
	// queries lived on. A client that revokes before fails the last of them.
	t.Run("a pool that is closed first fails no query", func(t *testing.T) {
		t.Parallel()
		const role, mount = "s2drain", "approle-s2drain"
		w := w.in(t)
		total, failed := 0, 0
		var took time.Duration
		for range 5 {
			a := w.start(t, mount, map[string]any{"token_ttl": "1h"})
			creds, err := dynamic.Database(t.Context(), a, role)
			require.NoError(t, err)
			done, bad := hammer(t.Context(), w.open(t, creds), 500*time.Millisecond)
			total, failed = total+done, failed+bad
			began := time.Now()
			require.NoError(t, a.Close(context.Background()))
			took = max(took, time.Since(began))
			assert.Zero(t, w.liveTokens(mount), "tokens left")
			w.nothingLeft(t, role)
		}
		assert.Zero(t, failed, "failed queries")
		assert.Greater(t, total, 20, "too few queries to say anything")
		figure.AtMost(stdout, "s2-drain-failed", float64(failed), "queries", 0, "oracle=query-log", fmt.Sprintf("queries=%d", total), "closes=5")
		figure.AtMost(stdout, "s2-close", took.Seconds(), "s", 1, "oracle=clock", "closes=5")
	})
}

// openTwo opens two credentials of a role, and queries with each.
func (w world) openTwo(t *testing.T, c *leasehold.Client, role string) {
	t.Helper()
	for range 2 {
		creds, err := dynamic.Database(t.Context(), c, role)
		require.NoError(t, err)
		db := w.open(t, creds)
		var n int
		require.NoError(t, db.QueryRowContext(t.Context(), "SELECT count(*) FROM ledger").Scan(&n))
		require.NoError(t, db.Close())
	}
}

// hammer queries without a pause for as long as that, ends, and closes the pool when the
// last query has come to its end.
func hammer(ctx context.Context, db *sql.DB, span time.Duration) (done, failed int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	end := time.Now().Add(span)
	for range 8 {
		wg.Go(func() {
			for time.Now().Before(end) {
				var n int
				err := db.QueryRowContext(ctx, "SELECT count(*) FROM ledger, pg_sleep(0.01)").Scan(&n)
				mu.Lock()
				done++
				if err != nil {
					failed++
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if db.Close() != nil {
		failed++
	}
	return done, failed
}
