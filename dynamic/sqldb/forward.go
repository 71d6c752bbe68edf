package sqldb

import (
	"context"
	"database/sql/driver"
)

// shaped returns the connection as database/sql is to see it. With an Exec of its own a
// connection has its arguments converted before there is a statement, and without the
// statement's help; so conn must not have Exec, or Query, where the driver has not,
// or arguments would be refused that the driver's statements accept.
func (c *conn) shaped() driver.Conn {
	execs, queries := hasExec(c.inner), hasQuery(c.inner)
	switch {
	case execs && queries:
		return fullConn{c, execer{c}, queryer{c}}
	case execs:
		return execConn{c, execer{c}}
	case queries:
		return queryConn{c, queryer{c}}
	default:
		return c
	}
}

type (
	fullConn struct {
		*conn
		execer
		queryer
	}
	execConn struct {
		*conn
		execer
	}
	queryConn struct {
		*conn
		queryer
	}
	execer  struct{ owner *conn }
	queryer struct{ owner *conn }
)

var (
	_ driver.Pinger             = (*conn)(nil)
	_ driver.ConnPrepareContext = (*conn)(nil)
	_ driver.ConnBeginTx        = (*conn)(nil)
	_ driver.NamedValueChecker  = (*conn)(nil)
	_ driver.SessionResetter    = (*conn)(nil)
	_ driver.Validator          = (*conn)(nil)
	_ driver.ExecerContext      = fullConn{}
	_ driver.QueryerContext     = fullConn{}
)

func hasExec(c driver.Conn) bool {
	if _, ok := c.(driver.ExecerContext); ok {
		return true
	}
	_, ok := c.(driver.Execer) //nolint:staticcheck // drivers that have only this exist
	return ok
}

func hasQuery(c driver.Conn) bool {
	if _, ok := c.(driver.QueryerContext); ok {
		return true
	}
	_, ok := c.(driver.Queryer) //nolint:staticcheck // drivers that have only this exist
	return ok
}

// ExecContext implements [driver.ExecerContext].
func (e execer) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	c := e.owner
	if err := c.enter(); err != nil {
		return nil, err
	}
	switch x := c.inner.(type) {
	case driver.ExecerContext:
		r, err := x.ExecContext(ctx, query, args)
		return r, c.judge(err)
	case driver.Execer: //nolint:staticcheck // see hasExec
		values, err := positional(ctx, args)
		if err != nil {
			return nil, err
		}
		r, err := x.Exec(query, values)
		return r, c.judge(err)
	}
	return nil, driver.ErrSkip
}

// QueryContext implements [driver.QueryerContext].
func (q queryer) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	c := q.owner
	if err := c.enter(); err != nil {
		return nil, err
	}
	switch x := c.inner.(type) {
	case driver.QueryerContext:
		r, err := x.QueryContext(ctx, query, args)
		return r, c.judge(err)
	case driver.Queryer: //nolint:staticcheck // see hasQuery
		values, err := positional(ctx, args)
		if err != nil {
			return nil, err
		}
		r, err := x.Query(query, values)
		return r, c.judge(err)
	}
	return nil, driver.ErrSkip
}

// positional is what database/sql does with arguments before it calls a driver that
// knows neither names nor contexts.
func positional(ctx context.Context, named []driver.NamedValue) ([]driver.Value, error) {
	values := make([]driver.Value, len(named))
	for i, nv := range named {
		if nv.Name != "" {
			return nil, errNamed
		}
		values[i] = nv.Value
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	default:
		return values, nil
	}
}

// Ping implements [driver.Pinger]. It does not refuse for the credential's sake:
// database/sql does not repeat a ping, and would report a fault where there is none.
func (c *conn) Ping(ctx context.Context) error {
	if err := c.keep(); err != nil {
		return err
	}
	if p, ok := c.inner.(driver.Pinger); ok {
		return c.judge(p.Ping(ctx))
	}
	return nil
}

// Prepare implements [driver.Conn].
func (c *conn) Prepare(query string) (driver.Stmt, error) {
	return c.PrepareContext(context.Background(), query)
}

// PrepareContext implements [driver.ConnPrepareContext].
func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	s, err := prepare(ctx, c.inner, query)
	if err != nil {
		return nil, c.judge(err)
	}
	return c.statement(s), nil
}

func prepare(ctx context.Context, inner driver.Conn, query string) (driver.Stmt, error) {
	if p, ok := inner.(driver.ConnPrepareContext); ok {
		return p.PrepareContext(ctx, query)
	}
	s, err := inner.Prepare(query)
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		_ = s.Close()
		return nil, ctx.Err()
	default:
		return s, nil
	}
}

// Begin implements [driver.Conn].
func (c *conn) Begin() (driver.Tx, error) {
	return c.BeginTx(context.Background(), driver.TxOptions{})
}

// BeginTx implements [driver.ConnBeginTx].
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if err := c.enter(); err != nil {
		return nil, err
	}
	t, err := begin(ctx, c.inner, opts)
	if err != nil {
		return nil, c.judge(err)
	}
	_, resets := c.inner.(driver.SessionResetter)
	_, validates := c.inner.(driver.Validator)
	if !resets || !validates {
		t = &tx{Tx: t, conn: c, done: ctx.Done()}
	}
	return t, nil
}

func begin(ctx context.Context, inner driver.Conn, opts driver.TxOptions) (driver.Tx, error) {
	if b, ok := inner.(driver.ConnBeginTx); ok {
		return b.BeginTx(ctx, opts)
	}
	switch {
	case opts.Isolation != 0:
		return nil, errIsolation
	case opts.ReadOnly:
		return nil, errReadOnly
	}
	t, err := inner.Begin() //nolint:staticcheck // there is no other
	if err != nil {
		return nil, err
	}
	select {
	case <-ctx.Done():
		_ = t.Rollback()
		return nil, ctx.Err()
	default:
		return t, nil
	}
}

// CheckNamedValue implements [driver.NamedValueChecker]. ErrSkip has database/sql go on
// as if there were no such method.
func (c *conn) CheckNamedValue(nv *driver.NamedValue) error {
	if n, ok := c.inner.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(nv)
	}
	return driver.ErrSkip
}
