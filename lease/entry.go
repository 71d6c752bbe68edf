package lease

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// Entry is one lease that a Manager keeps, through all its grants. Its methods
// may be called by many goroutines at once.
type Entry struct {
	m      *Manager
	name   string
	keeper Keeper
	cur    atomic.Pointer[Grant]
	status atomic.Pointer[Status]

	// An entry without a keeper is polled.
	read     func(context.Context) error
	interval time.Duration

	// The rest belongs to the manager's goroutine.
	action      Action
	at          time.Duration // when action is due
	wake        time.Duration // at, or the deadline if that must be told first
	index       int           // in the heap; -1 when not there
	busy        bool          // a job is running
	queued      *lane         // due, and waiting for a worker there
	urgent      bool          // somebody waits for a replacement
	ending      bool          // the current grant cannot be extended
	noRenew     bool          // renewing the current grant is not permitted
	toldRefused bool
	toldEnd     bool
	removed     bool
	failures    int
	failing     Action // what the latest failure was of
	err         *Error
	since       time.Time // of the first of these failures
	generation  uint64
	cancel      context.CancelFunc
	waiters     []chan error
}

func newEntry(m *Manager, name string, k Keeper) *Entry {
	return &Entry{m: m, name: name, keeper: k, index: -1, generation: 1}
}

// Grant returns the current grant; nil for what is polled.
func (e *Entry) Grant() *Grant { return e.cur.Load() }

// Invalidate says that g was found dead by its use, and how that showed. If g is
// still the current grant it is replaced, once, however often this is called.
func (e *Entry) Invalidate(g *Grant, cause error) {
	g.End()
	e.m.do(func() {
		if e.cur.Load() == g {
			e.m.lost(e, cause)
			e.m.hurry(e)
		}
	})
}

// Ensure returns nil as soon as there is a valid grant other than old. If there is none it
// starts or joins a replacement and waits for the outcome of one attempt. While a
// failure that waiting does not cure is being backed off from, it returns that
// failure at once.
func (e *Entry) Ensure(ctx context.Context, old *Grant) error {
	outcome := make(chan error, 1)
	if !e.m.do(func() {
		switch g := e.cur.Load(); {
		case e.removed:
			outcome <- ErrClosed
		case g != old && g.Valid(e.m.clock()):
			outcome <- nil
		case e.failures > 0 && e.failing == Replace && !e.busy && (e.err.Class == Permanent || e.err.Class == Refused):
			outcome <- e.err
		default:
			e.waiters = append(e.waiters, outcome)
			e.m.hurry(e)
		}
	}) {
		return ErrClosed
	}
	select {
	case err := <-outcome:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-e.m.stop:
		return ErrClosed
	}
}

// Supersede asks for a replacement now although the grant is good, for what must
// hand over early.
func (e *Entry) Supersede(g *Grant) {
	e.m.do(func() {
		if e.cur.Load() == g && !e.ending {
			e.ending = true
			e.m.schedule(e)
		}
	})
}

// Adopt makes g, obtained outside of the manager, the current grant.
func (e *Entry) Adopt(g *Grant) {
	e.m.do(func() {
		if !e.removed {
			e.m.replaced(e, g)
		}
	})
}

// Remove ends the keeping. It gives nothing back, and does not wait for work in
// flight, which is cancelled.
func (e *Entry) Remove() {
	e.m.do(func() {
		e.removed = true
		e.queued = nil
		if e.cancel != nil {
			e.cancel()
		}
		e.answer(ErrClosed)
		e.m.unschedule(e)
		delete(e.m.entries, e)
	})
}

// isChild reports whether the entry must wait for a worker.
func (e *Entry) isChild() bool { return e.read != nil || e.cur.Load().parent != nil }

// work does the action. It runs outside of the manager's goroutine. A keeper that
// panics fails its own lease only; the panic's value is not shown, since it may
// hold a secret.
func (e *Entry) work(ctx context.Context, action Action, g *Grant) (next *Grant, renewed Lease, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: panic in a callback (%T)", e.name, p)
		}
	}()
	switch {
	case e.read != nil:
		err = e.read(ctx)
	case action == Renew:
		renewed, err = e.keeper.Renew(ctx, g)
	default:
		next, err = e.keeper.Replace(ctx)
	}
	return next, renewed, err
}

// hurry makes a replacement due now, unless one is running or a failed one is
// being backed off from.
func (m *Manager) hurry(e *Entry) {
	if e.removed || e.read != nil {
		return
	}
	e.urgent = true
	if e.busy && e.action == Renew {
		e.cancel() // of no use any more, and it may take its time
	}
	if e.failures == 0 || e.failing != Replace {
		e.failures, e.err = 0, nil
		if e.queued == &m.leases {
			e.queued = nil // it was to be renewed
		}
		m.schedule(e)
	}
}

// finish takes the outcome of a job.
func (m *Manager) finish(e *Entry, action Action, g, next *Grant, renewed Lease, err error) {
	switch {
	case e.read != nil:
		m.polled(e, err)
	case action == Renew && e.cur.Load() != g:
		m.schedule(e) // the answer is about a grant that Adopt has replaced meanwhile
	case err != nil:
		m.failed(e, action, g, classify(err))
	case action == Renew:
		m.renewed(e, g, renewed)
	case e.removed:
		// Obtained for nobody: give it back rather than leave an orphan.
		m.jobs++
		go func() {
			_ = e.release(m.ctx, next)
			m.inbox <- func() { m.jobs-- }
		}()
	default:
		m.replaced(e, next)
	}
}

// release gives g back. As in work, a panic is this lease's failure only.
func (e *Entry) release(ctx context.Context, g *Grant) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%s: panic in a callback (%T)", e.name, p)
		}
	}()
	return e.keeper.Release(ctx, g)
}

func (m *Manager) polled(e *Entry, err error) {
	if m.ctx.Err() != nil || e.removed {
		return // what failed was cancelled
	}
	if err != nil {
		e.fail(Idle, classify(err))
		m.event(e, ReadFailed, err)
	} else {
		e.failures, e.err = 0, nil
	}
	e.publish()
	m.schedule(e)
}

func (m *Manager) renewed(e *Entry, g *Grant, l Lease) {
	e.failures, e.err = 0, nil
	e.ending = e.ending || l.truncated() // Supersede may have come meanwhile
	if l.TTL > 0 {
		g.lease.Store(&l)
	} else if g.Lease().TTL > 0 {
		e.ending = true // "no more time", which must not read as "no end"
	}
	e.publish()
	m.event(e, Renewed, nil)
	m.schedule(e)
}

func (m *Manager) replaced(e *Entry, next *Grant) {
	old := e.cur.Load()
	old.superseded.Store(true)
	e.cur.Store(next)
	e.generation++
	e.failures, e.err = 0, nil
	e.ending, e.toldEnd, e.urgent = false, false, false
	// A maximum that cut the very first grant leaves nothing to renew.
	e.noRenew = next.Lease().Capped
	e.publish()
	m.event(e, Replaced, nil)
	e.answer(nil)
	m.schedule(e)
	if !old.hasChildren.Load() {
		return // most leases, of which there may be thousands
	}
	for child := range m.entries {
		if child.read != nil || child.cur.Load().parent != old {
			continue
		}
		if child.err != nil && child.err.Class == ParentDead {
			child.failures, child.err = 0, nil // cured
		}
		m.schedule(child)
	}
}

func (m *Manager) failed(e *Entry, action Action, g *Grant, err *Error) {
	if m.ctx.Err() != nil || e.removed {
		e.answer(ErrClosed)
		return
	}
	kind := ReplaceFailed
	if action == Renew {
		kind = RenewFailed
	}
	switch {
	case action == Renew && err.Class == Refused:
		// Not permitted to renew: report it once, then act as if it could not be.
		e.noRenew = true
		if !e.toldRefused {
			e.toldRefused = true
			m.event(e, RenewRefused, err)
		}
	case action == Renew && err.Class == Dead:
		g.End()
		e.failures, e.err = 0, nil
		m.lost(e, err)
	case action == Renew && e.urgent:
		// Cancelled by hurry, or overtaken: nothing to back off from.
	default:
		e.fail(action, err)
		m.event(e, kind, err)
	}
	if action == Replace {
		e.answer(err)
	}
	m.tellExpired(e, m.clock())
	e.publish()
	m.schedule(e)
}

func (e *Entry) fail(action Action, err *Error) {
	if e.failures++; e.failures == 1 {
		e.since = e.m.clock().Wall
	}
	e.failing, e.err = action, err
}

func (e *Entry) answer(err error) {
	for _, w := range e.waiters {
		w <- err
	}
	e.waiters = nil
}

// lost reports, once per grant, that it was found dead before its deadline.
func (m *Manager) lost(e *Entry, cause error) {
	if e.removed || e.toldEnd {
		return
	}
	e.toldEnd = true
	e.publish()
	m.event(e, Lost, cause)
}

var errParentLost = errors.New("the token that it was obtained with is gone")

// tellExpired reports, once per grant, that its true deadline has passed.
func (m *Manager) tellExpired(e *Entry, now Instant) {
	if e.read != nil || e.toldEnd || e.cur.Load().Valid(now) {
		return
	}
	if e.cur.Load().Ended() {
		m.lost(e, errParentLost)
		return
	}
	e.toldEnd = true
	e.publish()
	var cause error
	if e.err != nil {
		cause = e.err
	}
	m.event(e, Expired, cause)
}
