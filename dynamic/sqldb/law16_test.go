package sqldb_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
)

// revoke ends the current credential in Vault and in the database, as an administrator
// would. The client is not told.
func (w *world) revoke() {
	w.Helper()
	user := w.creds.Snapshot().Value.Username
	for _, l := range w.vault.Leases() {
		if l.Data["username"] == user {
			require.True(w, w.vault.RevokeLease(l.ID))
			return
		}
	}
	w.Fatal("no lease for", user)
}

func (w *world) creations() int { return w.vault.Count("GET", "database/creds/app") }
func (w *world) lookups() int   { return w.vault.Count("PUT", "sys/leases/lookup") }

// Law 16. Mutation: in Dialer.invalidate, `generation <= d.invalidated` becomes
// `generation < d.invalidated`.
func TestLaw16FailedDialsInvalidateTheCredentialOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		const n = 20
		w.revoke()
		w.base.dialing = func(context.Context, string) error {
			nap(time.Second) // so that all fail together
			return nil
		}
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				_, err := w.user()
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		assert.Equal(t, 2, w.creations(), "the first and its replacement")
		assert.EqualValues(t, 1, w.dialer.Stats().Invalidations)
		assert.Len(t, w.base.dialled(), 2*n)
	})
}

// slowSource takes a second to hear the first that says a credential was refused.
type slowSource struct {
	*fake

	heard atomic.Int32
}

func (s *slowSource) Invalidate(generation uint64) {
	if s.heard.Add(1) == 1 {
		nap(time.Second)
	}
	if s.Snapshot().Generation == generation {
		s.rotate("two")
	}
}

// Law 16. Mutation: in Dialer.invalidate, the source is told after the count, and by the
// first alone.
func TestLaw16WhoIsRefusedSecondDoesNotLeaveItToTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := &slowSource{fake: newFake("one")}
		d := sqldb.Connector(source, func(up dynamic.UserPass) (driver.Connector, error) {
			if up.Username == "one" {
				return nil, errPassword
			}
			return only{func() driver.Conn { return bareConn{} }}, nil
		})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				c, err := d.Connect(t.Context())
				if assert.NoError(t, err) {
					assert.NoError(t, c.Close())
				}
			})
		}
		wg.Wait()
		assert.EqualValues(t, 1, d.Stats().Invalidations)
		require.NoError(t, d.Close())
	})
}

// Law 16. Mutation: in Dialer.Connect, `case first == nil && errors.As` becomes
// `case errors.As`.
func TestLaw16ARefusedDialIsRepeatedOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		w.base.dialing = func(context.Context, string) error {
			if len(w.base.dialled()) > 10 {
				return errors.New("enough")
			}
			return errPassword
		}
		_, err := w.user()
		require.ErrorIs(t, err, errPassword)
		assert.Len(t, w.base.dialled(), 2)
		assert.Equal(t, 2, w.creations())
		assert.EqualValues(t, 1, w.dialer.Stats().Invalidations)
	})
}

// Law 16: what else may go wrong in a dial says nothing about the credential.
// Mutation: in Dialer.Connect, `&& failed.auth` becomes `&& failed != nil`.
func TestLaw16OtherFailuresOfADialAreReturned(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		w.base.dialing = func(context.Context, string) error { return pgError("57P03") } // starting up
		_, err := w.user()
		require.ErrorIs(t, err, pgError("57P03"))
		require.ErrorContains(t, err, "credential generation 1")
		assert.Len(t, w.base.dialled(), 1)
		assert.Equal(t, 1, w.creations())
	})
}

// Law 16. Mutation: in conn.judge, `c.dialer.creds.Suspect(number)` becomes
// `c.dialer.creds.Invalidate(number)`.
func TestLaw16AMissingPermissionIsOnlyAHint(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		for range 10 {
			_, err := w.db.ExecContext(t.Context(), "FORBIDDEN")
			require.Equal(t, errPermission, err, "the driver's own error")
			synctest.Wait()
		}
		_, refused := w.base.outcome()
		assert.Equal(t, 10, refused, "none is repeated")
		assert.Equal(t, 1, w.lookups(), "within a second")
		assert.Equal(t, 1, w.creations(), "the lease is alive")
		assert.Len(t, w.base.dialled(), 1, "and so is the connection")

		pass(time.Second)
		_, err := w.db.ExecContext(t.Context(), "FORBIDDEN")
		require.Equal(t, errPermission, err)
		synctest.Wait()
		assert.Equal(t, 2, w.lookups())
	})
}

// Law 16. Mutation: in conn.judge, `c.dialer.creds.Suspect(number)` becomes
// `_ = number`.
func TestLaw16EveryWayToBeRefusedIsAHint(t *testing.T) {
	var c driver.Conn
	ways := map[string]func(context.Context) error{
		"exec": func(ctx context.Context) error {
			_, err := c.(driver.ExecerContext).ExecContext(ctx, "FORBIDDEN", nil)
			return err
		},
		"query": func(ctx context.Context) error {
			_, err := c.(driver.QueryerContext).QueryContext(ctx, "FORBIDDEN", nil) //nolint:gocritic // there are no rows
			return err
		},
		"begin": func(ctx context.Context) error {
			_, err := c.(driver.ConnBeginTx).BeginTx(ctx, driver.TxOptions{})
			return err
		},
		"prepare": func(ctx context.Context) error {
			_, err := c.(driver.ConnPrepareContext).PrepareContext(ctx, "FORBIDDEN")
			return err
		},
		"ping": func(ctx context.Context) error { return c.(driver.Pinger).Ping(ctx) },
	}
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			source := newFake("one")
			d := sqldb.Connector(source, func(dynamic.UserPass) (driver.Connector, error) {
				return only{func() driver.Conn { return &deniedConn{} }}, nil
			})
			closing(t, d)
			var err error
			c, err = d.Connect(t.Context())
			require.NoError(t, err)
			require.Contains(t, []error{errPermission, errNoRole}, way(t.Context()))
			assert.Equal(t, []uint64{1}, source.suspected())
			require.NoError(t, c.Close())
		})
	}
}

// deniedConn is a session of a user without any right.
type deniedConn struct{ bareConn }

func (*deniedConn) Ping(context.Context) error { return errPermission }
func (*deniedConn) Prepare(string) (driver.Stmt, error) {
	return nil, errPermission
}
func (*deniedConn) Begin() (driver.Tx, error) { return nil, errNoRole }
func (*deniedConn) Exec(string, []driver.Value) (driver.Result, error) {
	return nil, errPermission
}

func (*deniedConn) Query(string, []driver.Value) (driver.Rows, error) {
	return nil, errPermission
}
