package sqldb

import (
	"context"
	"database/sql/driver"
)

// stmt is a statement of a conn.
type stmt struct {
	conn  *conn
	inner driver.Stmt
}

// columnStmt is a statement of a driver that converts arguments by column. Having the
// method alone changes how database/sql converts them, so stmt must not have it.
type columnStmt struct {
	*stmt
	columns driver.ColumnConverter //nolint:staticcheck // drivers that have it exist
}

var (
	_ driver.StmtExecContext   = (*stmt)(nil)
	_ driver.StmtQueryContext  = (*stmt)(nil)
	_ driver.NamedValueChecker = (*stmt)(nil)
	_ driver.ColumnConverter   = columnStmt{} //nolint:staticcheck // see columnStmt
)

// statement wraps the driver's statement, and keeps it for the goroutine, which closes
// connections without the pool.
func (c *conn) statement(inner driver.Stmt) driver.Stmt {
	s := &stmt{conn: c, inner: inner}
	c.mu.Lock()
	if c.stmts == nil {
		c.stmts = map[*stmt]struct{}{}
	}
	c.stmts[s] = struct{}{}
	c.mu.Unlock()
	if columns, ok := inner.(driver.ColumnConverter); ok { //nolint:staticcheck // see columnStmt
		return columnStmt{s, columns}
	}
	return s
}

// Close implements [driver.Stmt]. The pool closes statements of idle connections too,
// which the goroutine may be closing: then they go with the connection, and the
// pool, which may hold its lock, does not wait.
func (s *stmt) Close() error {
	c := s.conn
	c.mu.Lock()
	if _, open := c.stmts[s]; !open || c.state == closed {
		c.mu.Unlock()
		return nil
	}
	delete(c.stmts, s)
	c.closing.Lock() // at once: only who closes the connection holds it for long
	c.mu.Unlock()
	defer c.closing.Unlock()
	return s.inner.Close()
}

// NumInput implements [driver.Stmt].
func (s *stmt) NumInput() int { return s.inner.NumInput() }

// Exec implements [driver.Stmt].
func (s *stmt) Exec(args []driver.Value) (driver.Result, error) {
	if err := s.conn.enter(); err != nil {
		return nil, err
	}
	r, err := s.inner.Exec(args) //nolint:staticcheck // the interface asks for it
	return r, s.conn.judge(err)
}

// Query implements [driver.Stmt].
func (s *stmt) Query(args []driver.Value) (driver.Rows, error) {
	if err := s.conn.enter(); err != nil {
		return nil, err
	}
	r, err := s.inner.Query(args) //nolint:staticcheck // the interface asks for it
	return r, s.conn.judge(err)
}

// ExecContext implements [driver.StmtExecContext].
func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if x, ok := s.inner.(driver.StmtExecContext); ok {
		if err := s.conn.enter(); err != nil {
			return nil, err
		}
		r, err := x.ExecContext(ctx, args)
		return r, s.conn.judge(err)
	}
	values, err := positional(ctx, args)
	if err != nil {
		return nil, err
	}
	return s.Exec(values)
}

// QueryContext implements [driver.StmtQueryContext].
func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	if x, ok := s.inner.(driver.StmtQueryContext); ok {
		if err := s.conn.enter(); err != nil {
			return nil, err
		}
		r, err := x.QueryContext(ctx, args)
		return r, s.conn.judge(err)
	}
	values, err := positional(ctx, args)
	if err != nil {
		return nil, err
	}
	return s.Query(values)
}

// CheckNamedValue implements [driver.NamedValueChecker]. Where the statement has none
// database/sql asks the connection.
func (s *stmt) CheckNamedValue(nv *driver.NamedValue) error {
	if n, ok := s.inner.(driver.NamedValueChecker); ok {
		return n.CheckNamedValue(nv)
	}
	return s.conn.CheckNamedValue(nv)
}

// ColumnConverter implements [driver.ColumnConverter].
func (s columnStmt) ColumnConverter(i int) driver.ValueConverter { return s.columns.ColumnConverter(i) }
