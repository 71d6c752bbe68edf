package sqldb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
)

type valuer struct{ v driver.Value }

func (v valuer) Value() (driver.Value, error) { return v.v, nil }

// script does with a pool all that an application can, and returns what it got.
func script(t *testing.T, db *sql.DB) []string {
	t.Helper()
	ctx := t.Context()
	var got []string
	note := func(what string, err error) { got = append(got, fmt.Sprintf("%s: %v", what, err)) }
	dead, cancel := context.WithCancel(ctx)
	cancel()

	note("ping", db.PingContext(ctx))
	arguments := [][]any{
		{}, {1}, {"text"}, {special{"a"}}, {valuer{int64(1)}}, {valuer{complex(1, 2)}}, {true}, {1.5}, {nil},
		{sql.Named("x", 1)}, {1, 2, 3}, {1, true}, {uint64(1 << 63)}, {struct{}{}}, {time.Time{}},
	}
	for _, text := range []string{"ab", "abc", "abcd"} { // 2, 0 and 1 parameters
		stmt, err := db.PrepareContext(ctx, text)
		note("prepare", err)
		for _, args := range arguments {
			what := fmt.Sprintf("%s %#v", text, args)
			_, err := db.ExecContext(ctx, text, args...)
			note("exec "+what, err)
			var s string
			note("query "+what, db.QueryRowContext(ctx, text, args...).Scan(&s))
			_, err = stmt.ExecContext(ctx, args...)
			note("statement exec "+what, err)
			note("statement query "+what+s, stmt.QueryRowContext(ctx, args...).Scan(&s))
		}
		note("close", stmt.Close()) //nolint:sqlclosecheck // closing is part of the script
	}
	_, err := db.PrepareContext(ctx, "FORBIDDEN") //nolint:sqlclosecheck // there is none
	note("forbidden", err)

	for _, opts := range []*sql.TxOptions{nil, {}, {ReadOnly: true}, {Isolation: sql.LevelSerializable}} {
		tx, err := db.BeginTx(ctx, opts)
		note("begin", err)
		if err == nil {
			_, err = tx.ExecContext(ctx, "abcd", 1)
			note("exec in it", err)
			note("commit", tx.Commit())
		}
	}

	// What is done with a context that ends.
	c, err := db.Conn(ctx)
	note("connection", err)
	_, err = c.ExecContext(dead, "abcd", 1)
	note("dead exec", err)
	_, err = c.QueryContext(dead, "abcd", 1) //nolint:gocritic,rowserrcheck,sqlclosecheck // there are no rows
	note("dead query", err)
	_, err = c.PrepareContext(dead, "abcd") //nolint:sqlclosecheck // left to the connection's end
	note("dead prepare", err)
	_, err = c.BeginTx(dead, nil)
	note("dead begin", err)
	synctest.Wait() // database/sql rolls back
	stmt, err := c.PrepareContext(ctx, "abcd")
	note("prepare", err)
	_, err = stmt.ExecContext(dead, 1)
	note("dead statement exec", err)
	_, err = stmt.QueryContext(dead, 1) //nolint:gocritic,rowserrcheck,sqlclosecheck // there are no rows
	note("dead statement query", err)
	note("close", stmt.Close()) //nolint:sqlclosecheck // closing is part of the script
	note("close", c.Close())

	ending, end := context.WithCancel(ctx)
	tx, err := db.BeginTx(ending, nil)
	note("begin", err)
	end()
	synctest.Wait() // database/sql rolls back, and may throw the connection away
	note("commit", tx.Commit())
	_, err = db.ExecContext(ctx, "abcd", 1)
	note("exec", err)
	return got
}

// Law 15: optional interfaces are forwarded exactly. Everything that database/sql does
// to a driver, and every result, is the same with the connector in between.
// Mutation: in conn.BeginTx, `if !resets || !validates {` becomes
// `if !resets && !validates {`; in stmt.CheckNamedValue,
// `return s.conn.CheckNamedValue(nv)` becomes `return driver.ErrSkip`.
func TestLaw15EveryShapeOfDriverIsForwardedExactly(t *testing.T) {
	for connName, shape := range connections {
		for stmtName, stmt := range statements {
			t.Run(connName+" with "+stmtName, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					run := func(open func(*trace) driver.Connector) ([]string, []string) {
						calls := &trace{}
						db := sql.OpenDB(open(calls))
						db.SetMaxOpenConns(1)
						got := script(t, db)
						require.NoError(t, db.Close())
						return got, calls.lines
					}
					dial := func(calls *trace) func() driver.Conn {
						return func() driver.Conn {
							calls.addf("dial")
							return shape(base{calls, stmt})
						}
					}
					plain, plainCalls := run(func(c *trace) driver.Connector { return only{dial(c)} })
					source := newFake("one")
					wrapped, wrappedCalls := run(func(c *trace) driver.Connector {
						return sqldb.Connector(source, over(dial(c)))
					})
					assert.Equal(t, plain, wrapped)
					assert.Equal(t, plainCalls, wrappedCalls)
					assert.Greater(t, len(plain), 180)
					assert.NotEmpty(t, source.suspected())
				})
			})
		}
	}
}

// Law 15. Mutation: in Raw, `driverConn = wrapped.Unwrap()` becomes `_ = wrapped`.
func TestLaw15RawReachesTheDriversOwnConnection(t *testing.T) {
	own := &deniedConn{}
	db := sql.OpenDB(sqldb.Connector(newFake("one"), over(func() driver.Conn { return own })))
	closing(t, db)
	c, err := db.Conn(t.Context())
	require.NoError(t, err)
	failure := errors.New("of f")
	require.Equal(t, failure, sqldb.Raw(c, func(driverConn any) error {
		assert.Same(t, own, driverConn)
		return failure
	}))
	require.NoError(t, c.Close())

	// With another's connection it is sql.Conn.Raw.
	foreign := sql.OpenDB(only{func() driver.Conn { return own }})
	closing(t, foreign)
	c, err = foreign.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, sqldb.Raw(c, func(driverConn any) error {
		assert.Same(t, own, driverConn)
		return nil
	}))
	require.NoError(t, c.Close())
}
