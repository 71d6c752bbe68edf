package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
)

// Source is what a connector needs of a *dynamic.Credential[dynamic.UserPass].
type Source interface {
	// Current returns the valid credential and waits for a replacement if there is
	// none.
	Current(ctx context.Context) (dynamic.UserPass, error)
	// Snapshot returns the newest credential with its generation, without I/O.
	Snapshot() dynamic.Snapshot[dynamic.UserPass]
	// Wait returns the first snapshot with a generation greater than after. An error
	// while ctx lives means that there will be none.
	Wait(ctx context.Context, after uint64) (dynamic.Snapshot[dynamic.UserPass], error)
	// Invalidate says that the database refused to let this generation in, however often
	// it is called for one. After that Current returns another, if there will be one.
	Invalidate(generation uint64)
	// Suspect says that the database refused something to this generation.
	Suspect(generation uint64)
}

var _ Source = (*dynamic.Credential[dynamic.UserPass])(nil)

// Dialer is a [driver.Connector] over credentials that change, for [sql.OpenDB] of
// one pool, which closes it with itself.
type Dialer struct {
	creds Source
	open  func(dynamic.UserPass) (driver.Connector, error)
	options

	seen    atomic.Uint64 // the newest generation that older ones have been retired for
	retired atomic.Uint64

	mu            sync.Mutex // before conn.mu, where both are held
	generations   map[uint64]*generation
	driver        driver.Driver
	invalidated   uint64 // the newest generation that was invalidated
	invalidations uint64
	closed        bool
	cancel        context.CancelFunc // ends the goroutine
	done          chan struct{}      // closed when the goroutine has ended; nil before it started
	nudge         context.CancelFunc // has the goroutine look again
}

var (
	_ driver.Connector = (*Dialer)(nil)
	_ io.Closer        = (*Dialer)(nil)
)

var errClosed = errors.New("leasehold: sqldb: the connector is closed")

// Option adjusts a connector.
type Option func(*options)

type options struct {
	fixedMargin time.Duration // negative: by the credential's life
	authFailure func(error) bool
}

// maxMargin bounds the default margin: a lease of a week needs no hour to finish a
// statement in.
const maxMargin = 30 * time.Second

// Margin sets how long before its credential's end a connection is no longer handed
// out if there is a newer credential. Default: a tenth of the credential's life, at most
// 30 seconds. Make it longer than the longest transaction.
func Margin(d time.Duration) Option { return func(o *options) { o.fixedMargin = max(d, 0) } }

// AuthFailure has f judge, instead of [IsAuthFailure], whether a dial failed because
// the database refused the user or the password.
func AuthFailure(f func(error) bool) Option {
	return func(o *options) {
		if f != nil {
			o.authFailure = f
		}
	}
}

// Connector returns a connector that dials with what creds holds at that moment. open
// makes the driver's own connector for one credential; it is called once for each
// unless it fails, and must not dial.
func Connector(creds Source, open func(dynamic.UserPass) (driver.Connector, error), opts ...Option) *Dialer {
	d := &Dialer{
		creds:       creds,
		open:        open,
		options:     options{fixedMargin: -1, authFailure: IsAuthFailure},
		generations: map[uint64]*generation{},
	}
	for _, opt := range opts {
		opt(&d.options)
	}
	return d
}

// Format writes what it dials with, whatever the verb: without it, fmt would read
// fields that other goroutines are writing.
func (d *Dialer) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "sqldb.Dialer(%v)", d.creds) }

// Connect implements [driver.Connector]. It waits for Vault only if there is no valid
// credential.
func (d *Dialer) Connect(ctx context.Context) (driver.Conn, error) {
	if err := d.start(); err != nil {
		return nil, err
	}
	// At most two dials: a database that locks out after failed logins, or counts
	// them, must not meet a loop (failure code P3).
	var first *dialError
	for {
		c, err := d.dial(ctx, first)
		var failed *dialError
		switch {
		case err == nil && first == nil && c.unfit():
			// The credential was replaced or ended while the dial was under way. The
			// pool would find out too, but gives up after three.
			_ = c.Close()
			first = &dialError{err: driver.ErrBadConn}
		case err == nil:
			return c.shaped(), nil
		case first == nil && errors.As(err, &failed) && failed.auth:
			d.invalidate(failed.generation)
			first = failed
		default:
			return nil, err
		}
	}
}

// dialError is the failure of a dial with a generation.
type dialError struct {
	generation uint64 // 0: no failure, only a reason to dial again
	err        error
	auth       bool // the database refused the credential
}

func (e *dialError) Error() string {
	return fmt.Sprintf("leasehold: sqldb: dial with credential generation %d: %v", e.generation, e.err)
}

func (e *dialError) Unwrap() error { return e.err }

// dial makes one connection with the credential of the moment. first is the failure
// that it is a repetition for.
func (d *Dialer) dial(ctx context.Context, first *dialError) (*conn, error) {
	again := first != nil && first.generation != 0
	if _, err := d.creds.Current(ctx); err != nil {
		err = fmt.Errorf("leasehold: sqldb: no credential to dial with: %w", err)
		if again {
			err = fmt.Errorf("%w; %w", first, err)
		}
		return nil, err
	}
	// Value and generation must belong together, and between two calls the credential
	// may be replaced: what Current returned only says that there is one.
	snap := d.creds.Snapshot()
	if again && snap.Generation == first.generation {
		return nil, first // the same would be refused again
	}
	g := d.hold(snap)
	defer d.release(g)
	inner, err := d.connector(g)
	if err == nil {
		var ci driver.Conn
		if ci, err = inner.Connect(ctx); err == nil {
			return d.register(g, ci), nil
		}
	}
	return nil, &dialError{snap.Generation, withoutPassword(err, snap.Value.Password), d.authFailure(err)}
}

// invalidate gives up a generation. Of the dials that fail together only the first counts,
// but each tells the source, which replaces once: one that left it to the first could look
// before that has told, find the generation still good, and fail with what it was refused.
func (d *Dialer) invalidate(generation uint64) {
	d.creds.Invalidate(generation)
	d.mu.Lock()
	defer d.mu.Unlock()
	if generation <= d.invalidated {
		return
	}
	d.invalidated = generation
	d.invalidations++
}

// Driver implements [driver.Connector]: it is the driver of what open returns, for
// those who look at [sql.DB.Driver] to tell databases apart.
func (d *Dialer) Driver() driver.Driver {
	d.mu.Lock()
	known := d.driver
	d.mu.Unlock()
	if known != nil {
		return known
	}
	g := d.hold(d.creds.Snapshot())
	defer d.release(g)
	inner, err := d.connector(g)
	if err != nil {
		return noDriver{}
	}
	return inner.Driver()
}

// noDriver stands for a driver that is not known, since open has failed.
type noDriver struct{}

func (noDriver) Open(string) (driver.Conn, error) {
	return nil, errors.New("leasehold: sqldb: open has failed; use the connector")
}

// Close ends the upkeep. It is called by [sql.DB.Close], and leaves connections that
// are in use to their users.
func (d *Dialer) Close() error {
	d.mu.Lock()
	closing := !d.closed
	d.closed = true
	done := d.done
	if closing && done != nil {
		d.cancel()
	}
	d.mu.Unlock()
	if done != nil {
		<-done
	}
	if !closing {
		return nil
	}
	return d.closeUnused()
}

// Stats says what became of connections.
type Stats struct {
	Current       int    // open connections of the newest credential
	Older         int    // open connections of earlier ones
	Overdue       int    // of all these, in use past the end of their credential
	Retired       uint64 // connections closed because of their credential
	Invalidations uint64 // credentials given up because the database did not let them in
}

// Stats returns the numbers of the moment.
func (d *Dialer) Stats() Stats {
	newest := d.newest()
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Stats{Retired: d.retired.Load(), Invalidations: d.invalidations}
	for number, g := range d.generations {
		if number == newest {
			s.Current += len(g.conns)
		} else {
			s.Older += len(g.conns)
		}
		if g.snap.Left() > 0 {
			continue
		}
		for c := range g.conns {
			if c.inUse() {
				s.Overdue++
			}
		}
	}
	return s
}
