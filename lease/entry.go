package lease

import (
	"context"
	"fmt"
	"path"
	"sync/atomic"
	"time"
)

// Entry is one lease that a Manager keeps, through all its grants. Its methods
// may be called by many goroutines at once.
type Entry struct {
	m      *Manager
	name   string
	group  string // what all leases of one engine share: all but the last part of a path
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
	polled      bool          // at least once
	toldRefused bool
	toldEnd     bool
	removed     bool
	failures    int
	failing     Action        // what the latest failure was of
	tried       time.Duration // when the latest job was started
	err         *Error
	since       time.Time // of the first of these failures
	generation  uint64
	cancel      context.CancelFunc
	waiters     []chan error
}

func newEntry(m *Manager, name string, k Keeper) *Entry {
	e := &Entry{m: m, name: name, group: path.Dir(name), keeper: k, index: -1, generation: 1}
	if e.group == "." {
		e.group = name
	}
	return e
}

// Grant returns the current grant; nil for what is polled.
func (e *Entry) Grant() *Grant { return e.cur.Load() }

// Invalidate says that g was found dead by its use, and how that showed. If g is
// still the current grant it is replaced, once, however often this is called. If it was
// handed over, what has not moved yet has died with it and moves now.
func (e *Entry) Invalidate(g *Grant, cause error) {
	g.End()
	e.m.do(func() {
		if e.cur.Load() == g {
			e.m.lost(e, cause)
			e.m.hurry(e)
			return
		}
		for _, child := range e.m.childrenOf(g) {
			e.m.lost(child, errParentLost)
			e.m.hurry(child)
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
		case e.failures > 0 && e.failing == Replace && !e.busy && (e.err.Class == Permanent || e.err.Class == Refused || e.err.Class == Spent):
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

// Retry cuts short the pause after a failure: what it was about may have changed.
func (e *Entry) Retry() {
	e.m.do(func() {
		if !e.removed && !e.busy && e.queued == nil && e.failures > 0 {
			e.at = e.m.clock().Mono
			e.m.push(e)
		}
	})
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
		if g := e.cur.Load(); g != nil {
			e.m.settle(g) // nobody is going to ask about it
		}
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
	case action == check:
		renewed, err = e.keeper.(Checker).Check(ctx, g) //nolint:forcetypeassert // see slept
	case action == Renew:
		renewed, err = e.keeper.Renew(ctx, g)
	default:
		next, err = e.keeper.Replace(ctx)
	}
	return next, renewed, err
}
