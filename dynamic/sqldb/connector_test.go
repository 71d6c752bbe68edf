package sqldb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
	"github.com/seed-f5e1ac40/leasehold/internal/bubble"
)

// MySQLError is as in github.com/go-sql-driver/mysql.
type MySQLError struct {
	Number   uint16
	SQLState [5]byte
	Message  string
}

func (e *MySQLError) Error() string { return fmt.Sprintf("Error %d: %s", e.Number, e.Message) }

func TestIsAuthFailureKnowsTheDriversErrorsByTheirShape(t *testing.T) {
	for _, c := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{errors.New("28P01"), false},
		{pgError("28P01"), true},
		{pgError("28000"), true},
		{pgError("42501"), false},
		{fmt.Errorf("dial: %w", pgError("28P01")), true},
		{errors.Join(errors.New("first host"), pgError("28P01")), true},
		{&MySQLError{Number: 1045}, true},
		{&MySQLError{Number: 1044}, false},
		{fmt.Errorf("dial: %w", &MySQLError{Number: 1045}), true},
		{errors.Join(errors.New("x"), fmt.Errorf("y: %w", &MySQLError{Number: 1045})), true},
		{(*MySQLError)(nil), false},
		{context.Canceled, false},
	} {
		assert.Equal(t, c.want, sqldb.IsAuthFailure(c.err), "%T %[1]v", c.err)
	}
}

func TestAuthFailureReplacesTheJudge(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		w.base.dialing = func(context.Context, string) error { return errors.New("login denied") }
		_, err := w.user()
		require.ErrorContains(t, err, "login denied")
		assert.Len(t, w.base.dialled(), 2)
	}, sqldb.AuthFailure(func(error) bool { return true }))
}

// Law 20. Mutation: in withoutPassword, `errors.New(clean)` becomes `err`.
func TestLaw20NoErrorHasThePassword(t *testing.T) {
	source := newFake("one")
	password := source.Snapshot().Value.Password.Reveal()
	for _, form := range []string{password, url.QueryEscape(password), url.PathEscape(password)} {
		d := sqldb.Connector(source, func(dynamic.UserPass) (driver.Connector, error) {
			return nil, fmt.Errorf("parse %q: wrong", "postgres://one:"+form+"@host")
		})
		_, err := d.Connect(t.Context())
		require.ErrorContains(t, err, "postgres://one:[password]@host")
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, errors.Unwrap(err)), "canary")
		require.NoError(t, d.Close())
		assert.NotContains(t, fmt.Sprintf("%+v", d.Stats()), "canary")
	}
}

func TestCloseNeedsNoConnectAndIsIdempotent(t *testing.T) {
	d := sqldb.Connector(newFake("one"), over(func() driver.Conn { return bareConn{} }))
	require.NoError(t, d.Close())
	require.NoError(t, d.Close())
	_, err := d.Connect(t.Context())
	require.ErrorContains(t, err, "closed")
}

func TestTheGoroutineEndsWithTheCredential(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		w.mustUser()
		_ = w.creds.Close(t.Context()) // may not revoke
		synctest.Wait()
		assert.Empty(t, bubble.Running("sqldb.(*Dialer).run"))
		_, err := w.dialer.Connect(t.Context())
		require.ErrorIs(t, err, dynamic.ErrClosed)
	})
}

// A connector may hold on to something, such as a tunnel, as long as connections need it.
type closingConnector struct {
	only
	closed func()
}

func (c closingConnector) Close() error { c.closed(); return nil }

func TestTheDriversConnectorIsClosedAfterItsLastConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFake("one")
		var closed []string
		d := sqldb.Connector(source, func(up dynamic.UserPass) (driver.Connector, error) {
			return closingConnector{only{func() driver.Conn { return bareConn{} }}, func() { closed = append(closed, up.Username) }}, nil
		})
		one, err := d.Connect(t.Context())
		require.NoError(t, err)
		source.rotate("two")
		two, err := d.Connect(t.Context())
		require.NoError(t, err)
		assert.Equal(t, sqldb.Stats{Current: 1, Older: 1}, d.Stats())
		assert.Empty(t, closed)
		require.NoError(t, one.Close())
		require.NoError(t, one.Close(), "idempotent")
		assert.Equal(t, []string{"one"}, closed)
		require.NoError(t, d.Close())
		assert.Equal(t, []string{"one"}, closed, "the other is in use")
		require.NoError(t, two.Close())
		assert.Equal(t, []string{"one", "two"}, closed)
	})
}

func TestAFailureOfOpenIsNotKept(t *testing.T) {
	failures := 1
	d := sqldb.Connector(newFake("one"), func(dynamic.UserPass) (driver.Connector, error) {
		if failures--; failures >= 0 {
			return nil, errors.New("no CA file")
		}
		return only{func() driver.Conn { return bareConn{} }}, nil
	})
	closing(t, d)
	_, err := d.Connect(t.Context())
	require.ErrorContains(t, err, "no CA file")
	c, err := d.Connect(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.Close())
}

func TestDriverIsTheDriversOwn(t *testing.T) {
	db := sql.OpenDB(sqldb.Connector(newFake("one"), over(nil)))
	closing(t, db)
	assert.Equal(t, toyDriver{}, db.Driver())

	failing := sqldb.Connector(newFake("one"), func(dynamic.UserPass) (driver.Connector, error) { return nil, errors.New("no") })
	closing(t, failing)
	_, err := failing.Driver().Open("")
	require.Error(t, err)
}

// A credential without an end, such as a static role's, leaves nothing to take half of.
func TestConnectionsOfACredentialWithoutEndAreRetiredWithinMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := newFake("one")
		base := newDatabase(func(string) bool { return true })
		db := sql.OpenDB(sqldb.Connector(source, base.connector))
		closing(t, db)
		w := &world{T: t, base: base, db: db}
		w.fill(10)
		source.rotate("two")
		pass(time.Second)
		assert.NotEmpty(t, base.users())
		pass(5 * time.Minute)
		assert.Empty(t, base.users())
	})
}

// A connection that an earlier credential dialled after the replacement is retired too,
// though the goroutine had nothing to wait for: the dial is slow, and the replacement
// falls into it. Mutation: in Dialer.register, `d.nudge() //` becomes `_ = 0 //`.
func TestALateConnectionIsRetiredToo(t *testing.T) {
	inWorld(t, func(w *world) {
		t := w.T
		old := w.creds.Snapshot()
		w.base.dialing = func(_ context.Context, user string) error {
			if user == old.Value.Username {
				_, err := w.creds.Wait(t.Context(), old.Generation)
				synctest.Wait()
				return err
			}
			return nil
		}
		w.mustUser()
		require.Equal(t, []string{old.Value.Username}, w.base.users())
		pass(old.Left() / 2)
		assert.Empty(t, w.base.users())
	})
}

// The race detector looks on while pool and goroutine close the same connections, with
// statements open on them.
func TestPoolAndGoroutineMayCloseAtTheSameTime(t *testing.T) {
	source := newFake("one")
	base := newDatabase(func(string) bool { return true })
	gone := map[string]bool{}
	var mu sync.Mutex
	base.alive = func(user string) bool {
		mu.Lock()
		defer mu.Unlock()
		return !gone[user]
	}
	synctest.Test(t, func(t *testing.T) {
		source = newFake("user 0")
		db := sql.OpenDB(sqldb.Connector(source, base.connector))
		closing(t, db)
		db.SetMaxIdleConns(8)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 200 {
					stmt, err := db.PrepareContext(t.Context(), "SELECT 1")
					if !assert.NoError(t, err) { //nolint:testifylint // require is for the test's own goroutine
						return
					}
					_, err = stmt.ExecContext(t.Context())
					assert.NoError(t, err) //nolint:testifylint // require is for the test's own goroutine
					nap(7 * time.Second)
					assert.NoError(t, stmt.Close()) //nolint:sqlclosecheck // in the midst of it
				}
			})
		}
		for i := range 10 {
			pass(2 * time.Minute)
			source.rotate(fmt.Sprint("user ", i+1))
		}
		wg.Wait()
	})
	_, refused := base.outcome()
	assert.Zero(t, refused)
}
