package lease

import (
	"container/heap"
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// dispatch starts everything that is due and for which there is a worker.
func (m *Manager) dispatch() {
	now := m.clock()
	for len(m.due) > 0 && m.due[0].wake <= now.Mono {
		e := heap.Pop(&m.due).(*Entry) //nolint:forcetypeassert // the heap's only type
		m.tellExpired(e, now)
		if e.at > now.Mono { // woken for its deadline only
			m.push(e)
			continue
		}
		if l := m.lane(e); e.isChild() && !m.room(l, e) {
			e.queued = l
			l.waiting = append(l.waiting, e)
		} else {
			m.start(e)
		}
		e.at = never // until the outcome; but its end must be told meanwhile
		m.push(e)
	}
}

// start runs the entry's due action in a goroutine, which sends the outcome back.
func (m *Manager) start(e *Entry) {
	e.queued, e.busy, e.urgent = nil, true, false
	e.tried = m.clock().Mono
	action, g := e.action, e.cur.Load()
	var worker *job
	if e.isChild() {
		worker = m.begin(m.lane(e), e)
	}
	m.jobs++
	ctx, cancel := context.WithCancel(m.ctx)
	e.cancel = cancel
	go func() {
		var next *Grant
		var renewed Lease
		err := errNoReturn // but runtime.Goexit runs what is deferred, and nothing else
		defer func() {
			cancel()
			// Not m.do: the loop takes outcomes until the last job has ended.
			m.inbox <- func() {
				m.jobs--
				e.busy = false
				m.finish(e, action, g, next, renewed, err)
				if worker != nil {
					m.end(worker)
				}
			}
		}()
		next, renewed, err = e.work(ctx, action, g)
	}()
}

var errNoReturn = errors.New("a callback ended its goroutine")

// schedule decides what comes next for e and when.
func (m *Manager) schedule(e *Entry) {
	if e.removed || e.busy || e.queued != nil || m.ctx.Err() != nil {
		return
	}
	now := m.clock()
	state := State{Failures: e.failures, Rand: rand.Float64()} //nolint:gosec // jitter, not a secret
	if e.err != nil {
		state.Last, state.RetryAfter = e.err.Class, e.err.RetryAfter
	}
	if e.read != nil {
		pause := m.policy.poll(e.interval, state)
		if !e.polled { // those who started together must not stay together (D2)
			pause = m.jitter(pause)
		}
		e.action, e.at = Renew, now.Mono+pause
		m.push(e)
		return
	}
	g := e.cur.Load()
	if g.unsure && m.ask(e, g, now) {
		return
	}
	l, moving := g.Lease(), g.parent != nil && g.parent.superseded.Load()
	state.TTL, state.Age, state.Left = l.TTL, now.since(l.Sent), g.Left(now)
	state.Unsure, state.Failed, state.Tried = g.unsure, e.failing, e.tried-l.Sent.Mono
	state.Renewable, state.Held = l.Renewable && !e.noRenew, l.Held
	state.Ending = e.ending || moving || e.urgent
	step := m.policy.Next(state)
	if moving && !e.urgent && state.Failures == 0 && state.Left > 0 {
		// Handover: spread over half of what is left, which is what the old parent
		// still has, or less where the lease's own end comes before that.
		step.In = time.Duration(state.Rand * float64(min(state.Left, longestSpread)/2))
	}
	e.action, e.at = step.Do, now.Mono+step.In
	if step.Do == Idle {
		e.at = never
	}
	m.push(e)
}

// longestSpread bounds what a handover's spread is half of: it need not take longer, and
// the old parent may have no end.
const longestSpread = 10 * time.Minute

// push puts e into the heap, to be woken when its action is due, or at its
// deadline if that comes first and must still be told.
func (m *Manager) push(e *Entry) {
	e.wake = e.at
	if e.read == nil && !e.toldEnd {
		now := m.clock()
		if left := e.cur.Load().Left(now); left < never-now.Mono {
			e.wake = min(e.at, now.Mono+max(left, 0))
		}
	}
	switch {
	case e.wake == never:
		m.unschedule(e)
	case e.index >= 0:
		heap.Fix(&m.due, e.index)
	default:
		heap.Push(&m.due, e)
	}
}

func (m *Manager) unschedule(e *Entry) {
	if e.index >= 0 {
		heap.Remove(&m.due, e.index)
	}
}

// dueHeap is a heap of entries by wake.
type dueHeap []*Entry

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].wake < h[j].wake }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *dueHeap) Push(x any) {
	e := x.(*Entry) //nolint:forcetypeassert // the heap's only type
	e.index = len(*h)
	*h = append(*h, e)
}

func (h *dueHeap) Pop() any {
	old := *h
	e := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	e.index = -1
	return e
}
