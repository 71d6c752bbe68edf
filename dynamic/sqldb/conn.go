package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"sync"
	"time"
)

// conn is a connection with the credential that it was dialled with.
//
// It has the optional interfaces of driver.Conn whether the driver's connection has
// them or not, and does without them what database/sql does. Only having or not having
// Exec and Query makes a difference to how arguments are converted: see shaped.
type conn struct {
	dialer     *Dialer
	generation *generation
	inner      driver.Conn

	// closing is held while inner or one of its statements is being closed, which the
	// pool may do to an idle connection at the same time as the goroutine. After mu.
	closing sync.Mutex

	mu       sync.Mutex // guards the rest; never held over a call of the driver's
	state    state
	spoiled  bool      // of no further use whatever its credential; see tx
	counted  bool      // in Dialer.retired
	retireAt time.Time // valid once there is a newer generation
	stmts    map[*stmt]struct{}
}

// state is what is known of who holds a connection.
type state int

const (
	fresh  state = iota // dialled: in the pool or in use, and nobody says which
	busy                // has been used since the pool handed it out
	idle                // returned to the pool
	closed              // by the pool, or claimed by the goroutine
)

// refused tells whether the connection must not be handed out again. c.mu is held, and
// newest was obtained before.
func (c *conn) refused(newest uint64) bool {
	left := c.generation.snap.Left()
	if left <= 0 {
		return true
	}
	if newest <= c.generation.snap.Generation {
		return false // no other would last longer
	}
	return left <= c.dialer.margin(c.generation) || !time.Now().Before(c.retireAt)
}

// unfit is refused for a connection that nobody has yet.
func (c *conn) unfit() bool {
	newest := c.dialer.newest()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.refused(newest)
}

// take marks the connection as handed out, or returns driver.ErrBadConn if it must not
// be.
func (c *conn) take() error {
	newest := c.dialer.newest()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == closed || c.spoiled {
		return driver.ErrBadConn
	}
	c.state = busy // also when refused: the pool is about to close it
	if c.refused(newest) {
		c.retired()
		return driver.ErrBadConn
	}
	return nil
}

// enter is called before each statement. The pool hands out a new connection without
// ResetSession, be it from the pool after an hour, so that the first one checks in
// its place. Nothing has been sent then, so database/sql may take another connection.
func (c *conn) enter() error {
	c.mu.Lock()
	inUse, bad := c.state == busy, c.state == closed || c.spoiled
	c.mu.Unlock()
	switch {
	case bad:
		return driver.ErrBadConn
	case inUse:
		return nil
	}
	return c.take()
}

// keep is enter for what database/sql does not repeat with another connection: it does
// not refuse for the credential's sake. When the connection is returned IsValid does.
func (c *conn) keep() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == closed || c.spoiled {
		return driver.ErrBadConn
	}
	c.state = busy
	return nil
}

// retired counts the connection, once. c.mu is held.
func (c *conn) retired() {
	if !c.counted {
		c.counted = true
		c.dialer.retired.Add(1)
	}
}

func (c *conn) inUse() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state == busy
}

// judge looks at a statement's error and returns it unchanged: database/sql compares
// some with ==.
func (c *conn) judge(err error) error {
	if err == nil || !isDenial(err) {
		return err
	}
	number := c.generation.snap.Generation
	c.dialer.creds.Suspect(number)
	if c.dialer.newest() > number {
		// Nobody asks Vault about an older credential. It is about to go anyway.
		c.mu.Lock()
		c.retireAt = time.Now()
		c.mu.Unlock()
	}
	return err
}

// ResetSession implements [driver.SessionResetter]: the pool is about to hand the
// connection out.
func (c *conn) ResetSession(ctx context.Context) error {
	if err := c.take(); err != nil {
		return err
	}
	if r, ok := c.inner.(driver.SessionResetter); ok {
		return r.ResetSession(ctx)
	}
	return nil
}

// IsValid implements [driver.Validator]: the connection was returned.
func (c *conn) IsValid() bool {
	newest := c.dialer.newest()
	c.mu.Lock()
	bad := c.state == closed || c.spoiled
	if !bad && c.refused(newest) {
		bad = true
		c.retired()
	}
	c.mu.Unlock()
	if bad {
		return false
	}
	if v, ok := c.inner.(driver.Validator); ok && !v.IsValid() {
		return false
	}
	// A fresh one stays fresh. database/sql may put it into the pool in a way that skips
	// ResetSession next time, so it could be closed in somebody's hands.
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == busy {
		c.state = idle
	}
	return true
}

// Close implements [driver.Conn]. It is idempotent, as both the pool and the goroutine
// may close.
func (c *conn) Close() error {
	c.mu.Lock()
	gone := c.state == closed
	c.state, c.stmts = closed, nil // those to be closed the pool has closed
	c.mu.Unlock()
	if gone {
		return nil
	}
	return c.hangUp()
}

// hangUp closes the driver's connection, whose state is closed already. If it was
// claimed from the pool its statements come first, as when the pool closes.
func (c *conn) hangUp() error {
	c.mu.Lock()
	stmts := c.stmts
	c.stmts = nil
	c.mu.Unlock()
	c.closing.Lock()
	defer c.closing.Unlock()
	defer c.dialer.forget(c)
	for s := range stmts {
		_ = s.inner.Close()
	}
	return c.inner.Close()
}

// Unwrap returns the driver's own connection, for Raw and for instrumentation.
func (c *conn) Unwrap() driver.Conn { return c.inner }

// Raw calls f with the driver's own connection, for what only the driver can do, such
// as pgx's CopyFrom. Use it in place of [sql.Conn.Raw], which gives the connection as
// this package wraps it: database/sql has no way to pass the driver's through.
func Raw(c *sql.Conn, f func(driverConn any) error) error {
	return c.Raw(func(driverConn any) error {
		if wrapped, ok := driverConn.(interface {
			Unwrap() driver.Conn
			keep() error
		}); ok {
			if err := wrapped.keep(); err != nil {
				return err
			}
			driverConn = wrapped.Unwrap()
		}
		return f(driverConn)
	})
}

// tx is a transaction on a driver's connection that database/sql would throw away when
// the transaction's context ends, because the connection cannot be both reset and
// validated. As conn can be, database/sql would keep it.
type tx struct {
	driver.Tx
	conn *conn
	done <-chan struct{} // of the transaction's context
}

func (t *tx) Rollback() error {
	select {
	case <-t.done:
		t.conn.mu.Lock()
		t.conn.spoiled = true
		t.conn.mu.Unlock()
	default:
	}
	return t.Tx.Rollback()
}

// errors of database/sql for what a driver lacks, word for word.
var (
	errIsolation = errors.New("sql: driver does not support non-default isolation level")
	errReadOnly  = errors.New("sql: driver does not support read-only transactions")
	errNamed     = errors.New("sql: driver does not support the use of Named Parameters")
)
