package sqldb_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
)

// Law 15. Mutation: in conn.refused, `left <= c.dialer.margin(c.generation) ||`
// becomes `left <= 0 ||`.
func TestLaw15NoConnectionIsHandedOutWithinTheMarginOfItsEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		first := w.mustUser()
		old := w.replaced()
		require.Equal(t, old.Value.Username, first)
		require.Greater(t, old.Left(), life/10, "it is alive, and far from the default margin")

		assert.NotEqual(t, first, w.mustUser())
		assert.Len(t, w.base.users(), 1, "the refused one was closed")
		assert.EqualValues(t, 1, w.dialer.Stats().Retired)
	}, sqldb.Margin(life))
}

// Law 15. Without a newer credential the margin would only fail statements that work.
// Mutation: in conn.refused, `return false // no other would last longer` becomes
// `return left <= c.dialer.margin(c.generation)`.
func TestLaw15WithoutANewerCredentialItServesUntilTheTrueEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		first := w.mustUser()
		w.vault.Seal()
		for w.creds.Snapshot().Left() > time.Second {
			require.Equal(t, first, w.mustUser(), "with %v left", w.creds.Snapshot().Left())
			pass(time.Second)
		}
		assert.Len(t, w.base.dialled(), 1)
		w.vault.Unseal()
	})
}

// Law 15. Mutation: in conn.refused, `if left <= 0 {` becomes `if left <= -time.Hour {`.
func TestLaw15NoConnectionIsHandedOutPastItsEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		w.mustUser()
		w.vault.Seal()
		pass(life)
		require.LessOrEqual(t, w.creds.Snapshot().Left(), time.Duration(0))

		_, err := w.user()
		require.ErrorIs(t, err, dynamic.ErrExpired)
		_, refused := w.base.outcome()
		assert.Zero(t, refused, "statements sent with a dead credential")

		w.vault.Unseal()
		pass(time.Minute)
		w.mustUser()
	})
}

// Law 15. Mutation: in generation.outdate, `max(overlap, 0) / 2` becomes
// `max(overlap, 0)`.
func TestLaw15IdleConnectionsAreRetiredByHalfOfTheOverlap(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		const n = 40
		w.fill(n)
		old := w.replaced()
		overlap := old.Left()
		require.Len(t, w.base.users(), n, "all at once")

		pass(overlap / 4)
		some := len(w.base.users())
		assert.Positive(t, some)
		assert.Less(t, some, n)
		stats := w.dialer.Stats()
		assert.Equal(t, some, stats.Older)
		assert.EqualValues(t, n-some, stats.Retired)

		pass(overlap / 4)
		assert.Empty(t, w.base.users(), "by half of the overlap, without anybody using the pool")
		assert.Equal(t, sqldb.Stats{Retired: n}, w.dialer.Stats())
	})
}

// Law 15. Mutation: in conn.claim, `c.state == idle &&` becomes `c.state != closed &&`.
func TestLaw15AConnectionInUseIsNotTouchedAndGoesWhenItIsReturned(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		tx, err := w.db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		held, unused := w.hold(), w.hold()
		old := w.replaced()

		pass(old.Left() - time.Second)
		_, err = tx.ExecContext(t.Context(), "UPDATE")
		require.NoError(t, err, "it is alive, and its user's")
		require.NoError(t, tx.Commit())
		_, err = held.ExecContext(t.Context(), "SELECT 1")
		require.NoError(t, err)
		require.NoError(t, held.Close())
		assert.Equal(t, []string{old.Value.Username}, w.base.users(), "the returned ones went")
		assert.Zero(t, w.dialer.Stats().Overdue)

		pass(2 * time.Second)
		assert.Equal(t, sqldb.Stats{Older: 1, Overdue: 1, Retired: 2}, w.dialer.Stats())
		assert.Equal(t, 1, w.client.Status().Overdue)
		require.NoError(t, unused.Close())
		assert.Empty(t, w.base.users())
	})
}

// Law 15. A connection that was dialled for the pool is never reset before its first
// use. Mutation: in conn.enter, `return c.take()` becomes `return c.keep()`.
func TestLaw15AConnectionThatWasNeverUsedIsCheckedAtItsFirstStatement(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		c, err := w.dialer.Connect(t.Context()) // as the pool's opener does
		require.NoError(t, err)
		old := w.replaced()
		pass(old.Left() - time.Second)
		assert.Equal(t, []string{old.Value.Username}, w.base.users(), "it may be in somebody's hands")

		_, err = c.Prepare("SELECT 1")
		require.ErrorContains(t, err, "bad connection")
		ran, refused := w.base.outcome()
		assert.Zero(t, ran+refused, "nothing was sent")
		require.NoError(t, c.Close())
	})
}

// Law 15: the generation is the one dialled with, and open runs once for each.
// Mutation: in Dialer.connector, `if inner != nil {` becomes `if inner != nil && false {`.
func TestLaw15OpenIsCalledOnceForEachCredential(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		opened := 0
		w.base.opened = func() { opened++ }
		w.fill(5)
		assert.Equal(t, 1, opened)
		w.replaced()
		pass(life / 3)
		w.fill(3)
		assert.Equal(t, 2, opened)
	})
}

// Law 15. A dial may take longer than a credential has.
// Mutation: in Dialer.Connect, `first == nil && c.unfit()` becomes `false`.
func TestLaw15ADialThatOutlastsItsCredentialIsMadeAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		old := w.creds.Snapshot()
		w.base.dialing = func(_ context.Context, user string) error {
			if user == old.Value.Username {
				pass(old.Left() - time.Second)
			}
			return nil
		}
		c, err := w.db.Conn(t.Context())
		require.NoError(t, err)
		closing(t, c)
		_, err = c.ExecContext(t.Context(), "SELECT 1")
		require.NoError(t, err, "a sql.Conn's statement is not repeated by the pool")
		assert.Len(t, w.base.dialled(), 2)
	})
}
