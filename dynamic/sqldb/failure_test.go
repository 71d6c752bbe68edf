package sqldb_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
)

// P1: a pool built with a fixed password.
func TestP1EveryDialUsesTheCredentialOfTheMoment(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		w.db.SetMaxIdleConns(-1) // each statement dials
		users := map[string]bool{}
		for range 3 {
			user := w.mustUser()
			assert.Equal(t, w.creds.Snapshot().Value.Username, user)
			users[user] = true
			w.replaced()
		}
		assert.Len(t, users, 3)
	})
}

// P2: connections outlive their credential, and pings do not tell. Four workers and
// a long transaction run across several rotations.
func TestP2NoStatementFailsAcrossRotations(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		w.fill(8)
		end := time.Now().Add(4 * life)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for time.Now().Before(end) {
					_, err := w.user()
					assert.NoError(t, err) //nolint:testifylint // require is for the test's own goroutine
					nap(time.Second)
				}
			})
		}
		wg.Go(func() {
			for time.Now().Before(end) {
				tx, err := w.db.BeginTx(t.Context(), nil)
				if !assert.NoError(t, err) { //nolint:testifylint // require is for the test's own goroutine
					return
				}
				nap(life / 20)
				_, err = tx.ExecContext(t.Context(), "UPDATE")
				assert.NoError(t, err)
				assert.NoError(t, tx.Commit())
			}
		})
		wg.Wait()
		ran, refused := w.base.outcome()
		assert.Zero(t, refused)
		assert.Greater(t, ran, 9000)
		assert.Greater(t, w.creations(), 4)
		assert.Zero(t, w.dialer.Stats().Overdue)
	})
}

// P2, with a credential that ends early: an idle connection of a user that is gone
// answers pings.
func TestP2ADeadUsersIdleConnectionsAreClosedWithoutATrickle(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		w.fill(5)
		old := w.creds.Snapshot()
		w.revoke()
		require.NoError(t, w.db.PingContext(t.Context()), "as PostgreSQL does")
		w.creds.Invalidate(old.Generation)
		w.replaced()
		assert.Empty(t, w.base.users())
		w.mustUser()
	})
}

// P3: the database refuses a credential that Vault thinks alive.
func TestP3ARefusedDialGetsANewCredentialAndTheCallerDoesNotNotice(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		first := w.creds.Snapshot().Value.Username
		w.revoke()
		assert.NotEqual(t, first, w.mustUser())
		assert.Equal(t, 2, w.creations())
		assert.Len(t, w.base.dialled(), 2)
	})
}

// P3: while Vault is down there is nothing to dial again with, and no loop.
func TestP3WithoutAReplacementTheDialFails(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		w.revoke()
		w.vault.Seal()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := w.db.PingContext(ctx)
		require.ErrorIs(t, err, errPassword)
		require.ErrorContains(t, err, "no credential to dial with")
		assert.Len(t, w.base.dialled(), 1)
		w.vault.Unseal()
	})
}

// P3: a source that has no other credential.
// Mutation: in Dialer.dial, `again && snap.Generation == first.generation` becomes `false`.
func TestP3TheSameCredentialIsNotTriedTwice(t *testing.T) {
	base := newDatabase(func(string) bool { return false })
	d := sqldb.Connector(newFake("one"), base.connector)
	closing(t, d)
	_, err := d.Connect(t.Context())
	require.ErrorIs(t, err, errPassword)
	assert.Len(t, base.dialled(), 1, "a database may lock out after failed logins")
}

// P4: all connections are closed at once, and their successors do not fit beside them.
// Mutation: in generation.draw, `rand.N(span)` becomes `rand.N(span)/100`.
func TestP4APoolIsReplacedGraduallyWithinTightLimits(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		const n = 10
		w.base.maxConns = n + 1
		w.db.SetMaxOpenConns(n)
		w.fill(n)
		old := w.replaced()
		overlap := old.Left()
		start := time.Now()
		end := start.Add(overlap)
		var wg sync.WaitGroup
		for range n { // a steady load on all of them
			wg.Go(func() {
				for time.Now().Before(end) {
					_, err := w.db.ExecContext(t.Context(), "SELECT 1")
					assert.NoError(t, err) //nolint:testifylint // require is for the test's own goroutine
					nap(100 * time.Millisecond)
				}
			})
		}
		wg.Wait()
		_, refused := w.base.outcome()
		assert.Zero(t, refused)
		assert.LessOrEqual(t, w.base.most, n+1)

		w.base.mu.Lock()
		closes := slices.Clone(w.base.closes)
		w.base.mu.Unlock()
		require.GreaterOrEqual(t, len(closes), n)
		assert.Greater(t, closes[n-1].Sub(closes[0]), overlap/16, "spread")
		assert.LessOrEqual(t, closes[n-1].Sub(start), overlap/2+time.Second, "and done by half of the overlap")
		assert.NotContains(t, w.base.users(), old.Value.Username)
	})
}

// B3 (law 16): a lease is revoked from outside. The first statement to fail says so, and all is
// well within two seconds. Mutation: in conn.judge,
// `c.dialer.creds.Suspect(number)` becomes `_ = number`.
func TestB3RevocationIsNoticedAtTheFirstRefusedStatement(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		w.fill(5)
		first := w.mustUser()
		w.revoke()
		_, err := w.user()
		require.ErrorIs(t, err, errPermission)
		start := time.Now()
		for {
			user, err := w.user()
			if err == nil {
				assert.NotEqual(t, first, user)
				break
			}
			pass(50 * time.Millisecond)
		}
		assert.Less(t, time.Since(start), 2*time.Second)
		pass(time.Second)
		assert.NotContains(t, w.base.users(), first, "the idle ones went too")
		assert.Equal(t, 2, w.creations())
		assert.Equal(t, 1, w.lookups())
	})
}

// F4: an older credential that was revoked before its time is asked about nowhere; its
// connections go as they are refused.
func TestF4AnOlderUsersConnectionGoesAtItsFirstRefusal(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		held := w.hold()
		old := w.replaced()
		for _, l := range w.vault.Leases() {
			if l.Data["username"] == old.Value.Username {
				w.vault.RevokeLease(l.ID)
			}
		}
		_, err := held.ExecContext(t.Context(), "SELECT 1")
		require.Equal(t, errPermission, err)
		require.NoError(t, held.Close())
		assert.Empty(t, w.base.users())
		assert.Zero(t, w.lookups())
	}, sqldb.Margin(0))
}
