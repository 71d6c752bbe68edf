package lease

import (
	"math/rand/v2"
	"time"
)

// check is the action that asks what is left, of a Checker.
const check = Replace + 1

// noticeSleep finds out that the machine slept: the wall clock has gone further than the
// monotonic one since both were last seen. It looks whenever the loop runs, which is every
// 30 s at least, and at once when somebody waits for a grant.
func (m *Manager) noticeSleep() {
	now := m.clock()
	switch lead := now.Wall.Sub(m.awake.Wall) - (now.Mono - m.awake.Mono); {
	case lead < 0: // put back: monotonic time alone counts, from here
		m.awake = now
	case lead > slept:
		m.awake = now
		m.slept(now)
	}
}

// slept has everything that was asked for before the machine slept asked about: first
// what others hang on, then the rest, spread. What is past its end by the wall clock is
// expired to readers meanwhile, and nothing is obtained anew until the server says that
// it is gone (law 9): the wall clock may just have been put right.
func (m *Manager) slept(now Instant) {
	for e := range m.entries {
		if e.read != nil {
			if !e.busy && e.queued == nil {
				e.at = min(e.at, now.Mono+m.jitter(e.interval/4))
				m.push(e)
			}
			continue
		}
		g := e.cur.Load()
		if g.Left(now) == g.Left(now.awake()) {
			continue // obtained since, or without an end
		}
		_, can := e.keeper.(Checker)
		g.unsure, g.check = true, can && !e.isChild() && !e.busy
		e.failures, e.err = 0, nil
	}
	for e := range m.entries { // now that it is known whose parent is asked about
		if e.read == nil && e.cur.Load().unsure {
			m.schedule(e)
		}
	}
}

// longestWake bounds over how much time leases are renewed after a sleep.
const longestWake = time.Minute

// ask schedules a question about e's grant g, of which nobody knows whether it has ended,
// and reports whether there is one to ask, or one about its parent to wait for.
func (m *Manager) ask(e *Entry, g *Grant, now Instant) bool {
	left := g.Left(now.awake())
	switch {
	case left <= 0, g.parent != nil && g.parent.superseded.Load():
		m.settle(g)
		return false
	case g.parent != nil && g.parent.unsure:
		e.action, e.at = Renew, never // settle comes back to it
		m.push(e)
		return true
	case g.check:
		e.action, e.at = check, now.Mono+m.jitter(time.Second)
	case !g.Lease().Renewable || e.noRenew || (e.ending && e.failures > 0):
		m.settle(g) // nobody is going to ask about it
		return false
	case e.failures > 0:
		return false // the policy says when to ask again
	default:
		spread := min(longestWake, left/10)
		if g.parent == nil {
			spread = min(spread, time.Second) // as for a check: others wait for it
		}
		if valid := g.Left(now); valid > 0 {
			spread = min(spread, valid/2)
		}
		e.action, e.at = Renew, now.Mono+m.jitter(spread)
	}
	if len(e.waiters) > 0 {
		e.at = now.Mono
	}
	m.push(e)
	return true
}

// checked takes the outcome of a check of g.
func (m *Manager) checked(e *Entry, g *Grant, l Lease, err error) {
	g.check = false
	switch {
	case e.cur.Load() != g, g.Ended(): // replaced, or found dead, meanwhile
	case err != nil:
		if failure := classify(err); failure.Class == Transient || failure.Class == Dead {
			m.failed(e, check, g, failure)
			return
		}
		m.event(e, RenewFailed, err) // proves nothing: to renew will
	case l.TTL > 0 || g.Lease().TTL <= 0:
		l.Capped = false // more was not asked for
		g.lease.Store(&l)
		m.revived(e, g)
		e.publish()
	}
	m.schedule(e)
}

// revived notes that the server knew g when it was asked.
func (m *Manager) revived(e *Entry, g *Grant) {
	now := m.clock()
	if !g.predates(now) {
		m.settle(g)
	}
	if g.Valid(now) {
		e.toldEnd = false
		e.answer(nil)
	}
}

// predates reports whether g's newest answer was asked for before the machine slept.
func (g *Grant) predates(now Instant) bool {
	l := g.Lease()
	return l.TTL > 0 && now.since(l.Sent) != now.awake().since(l.Sent)
}

// settle ends the uncertainty about g, for which its children have waited.
func (m *Manager) settle(g *Grant) {
	if !g.unsure {
		return
	}
	g.unsure, g.check = false, false
	for _, child := range m.childrenOf(g) {
		m.schedule(child)
	}
}

func (m *Manager) jitter(d time.Duration) time.Duration {
	return time.Duration(rand.Float64() * float64(max(d, 0))) //nolint:gosec // jitter, not a secret
}
