package lease

import (
	"context"
	"errors"
	"fmt"
)

// hurry makes a replacement due now, unless one is running or a failed one is
// being backed off from.
func (m *Manager) hurry(e *Entry) {
	if e.removed || e.read != nil {
		return
	}
	if g := e.cur.Load(); g.unsure && !g.Ended() {
		if e.failures == 0 {
			m.schedule(e) // asked about first, but now
		}
		return
	}
	e.urgent = true
	if e.busy && e.action != Replace {
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
	case action == check:
		m.checked(e, g, renewed, err)
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
	e.polled = true
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
	e.ending = e.ending || l.Truncated() // Supersede may have come meanwhile
	if l.TTL > 0 {
		g.lease.Store(&l)
	} else if g.Lease().TTL > 0 {
		e.ending = true // "no more time", which must not read as "no end"
	}
	m.revived(e, g)
	e.publish()
	m.event(e, Renewed, nil)
	m.schedule(e)
}

func (m *Manager) replaced(e *Entry, next *Grant) {
	old := e.cur.Load()
	old.superseded.Store(true)
	e.cur.Store(next)
	e.generation++
	next.unsure = next.predates(m.clock())
	if next.Valid(m.clock()) || next.unsure {
		e.failures, e.err = 0, nil
	} else {
		// Whatever made it short makes the next one short as well: not at once.
		e.fail(Replace, &Error{Class: Unknown, Err: errStillborn})
	}
	e.ending, e.toldEnd, e.urgent, e.queued = false, false, false, nil
	// A maximum that cut the very first grant leaves nothing to renew.
	e.noRenew = next.Lease().Capped
	e.publish()
	m.event(e, Replaced, nil)
	switch {
	case next.Valid(m.clock()):
		e.answer(nil)
	case e.err != nil:
		e.answer(e.err)
	}
	m.settle(old)
	m.schedule(e)
	for _, child := range m.childrenOf(old) {
		// Whatever failed may have failed for the old one's sake, its login's failure included.
		child.failures, child.err = 0, nil
		m.schedule(child)
	}
}

func (m *Manager) failed(e *Entry, action Action, g *Grant, err *Error) {
	if m.ctx.Err() != nil || e.removed {
		e.answer(ErrClosed)
		return
	}
	kind := ReplaceFailed
	if action != Replace {
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
	case action != Replace && err.Class == Dead:
		g.End()
		e.failures, e.err = 0, nil
		m.lost(e, err)
	case action == Renew && err.Class == Spent:
		e.ending, e.failures, e.err = true, 0, nil
		m.event(e, RenewFailed, err)
	case action == Renew && e.urgent:
		// Cancelled by hurry, or overtaken: nothing to back off from.
	default:
		e.fail(action, err)
		m.event(e, kind, err)
	}
	if action == Renew && err.Class != Transient && g.unsure {
		m.settle(g) // it was asked
		if len(e.waiters) > 0 {
			m.hurry(e)
		}
	}
	if action == Replace || (g.unsure && err.Class == Transient) { // else a replacement follows
		e.answer(err)
	}
	if g.unsure {
		for _, child := range m.childrenOf(g) { // these wait for this one's outcome
			child.answer(err)
		}
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
	e.failures, e.err = 0, nil // it is missed from now on: a back-off of when it lived is too long
	e.publish()
	m.event(e, Lost, cause)
}

var errStillborn = errors.New("it had ended when it came")

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
