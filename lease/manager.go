package lease

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// Keeper does the work for one lease. The manager calls one method of a keeper
// at a time, from goroutines of its own, with a context that ends when the
// manager closes.
type Keeper interface {
	// Renew asks for more time for g and returns what was granted.
	Renew(ctx context.Context, g *Grant) (Lease, error)
	// Replace obtains, verifies and publishes a new one. The old grant is left to
	// end by itself.
	Replace(ctx context.Context) (*Grant, error)
	// Release gives g back.
	Release(ctx context.Context, g *Grant) error
}

// Checker is a Keeper that can ask what is left of g without extending it. After the
// machine slept, a grant without a parent is checked before anything else is done.
type Checker interface {
	Check(ctx context.Context, g *Grant) (Lease, error)
}

// Config is what a Manager needs. The zero value works.
type Config struct {
	Policy Policy
	Clock  Clock // nil: SystemClock()
	// Workers is how many renewals, replacements and polls of each kind are under way at
	// once, not counting those that take long. Default 8. Leases without a parent, which
	// others depend on, never wait for a worker.
	Workers int
	// OnEvent is called in order from the manager's goroutine and must not block.
	OnEvent func(Event)
}

// Manager keeps any number of leases. One goroutine owns a heap of what is due;
// the work is done by a bounded number of others that exist while there is work.
type Manager struct {
	policy  Policy
	clock   Clock
	workers int
	onEvent func(Event)

	inbox  chan func() // run by the loop, which alone touches the fields below
	stop   chan struct{}
	done   chan struct{} // closed when the loop and all jobs have ended
	ctx    context.Context
	cancel context.CancelFunc
	once   sync.Once

	due     dueHeap
	entries map[*Entry]struct{}
	leases  lane
	mints   lane // replacements: creations that hang must not hold up renewals
	polls   lane // of their own: reads that hang must not hold up leases
	jobs    int
	awake   Instant // when the two clocks were last known to agree
}

// longestTimer bounds how long the loop sleeps: timers stop while a machine is
// suspended, so a long one would fire too late (failure code K1).
const longestTimer = 30 * time.Second

// NewManager starts a manager. Close it.
func NewManager(cfg Config) *Manager {
	m := &Manager{
		policy:  cfg.Policy,
		clock:   cfg.Clock,
		workers: cfg.Workers,
		onEvent: cfg.OnEvent,
		inbox:   make(chan func()),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
		entries: make(map[*Entry]struct{}),
	}
	if m.clock == nil {
		m.clock = SystemClock()
	}
	if m.workers <= 0 {
		m.workers = 8
	}
	if m.onEvent == nil {
		m.onEvent = func(Event) {}
	}
	m.awake = m.clock()
	m.ctx, m.cancel = context.WithCancel(context.Background())
	go m.loop()
	return m
}

// Add has k keep g from now on. A grant without a parent is what others are
// obtained under. After Close the entry is never worked on.
func (m *Manager) Add(name string, k Keeper, g *Grant) *Entry {
	e := newEntry(m, name, k)
	e.cur.Store(g)
	e.noRenew = g.Lease().Capped // see replaced
	e.publish()
	m.do(func() {
		m.entries[e] = struct{}{}
		g.unsure = g.predates(m.clock())
		m.event(e, Obtained, nil)
		m.schedule(e)
	})
	return e
}

// Poll has read called about every interval, a little early and with jitter, so
// that a change is seen within the interval. A failure is retried sooner, with
// back-off.
func (m *Manager) Poll(name string, interval time.Duration, read func(context.Context) error) *Entry {
	e := newEntry(m, name, nil)
	e.read, e.interval = read, interval
	e.publish()
	m.do(func() {
		m.entries[e] = struct{}{}
		m.schedule(e)
	})
	return e
}

// Entries returns the status of all that is kept, in no order.
func (m *Manager) Entries() []Status {
	var all []Status
	answered := make(chan struct{})
	if m.do(func() {
		for e := range m.entries {
			all = append(all, e.Status())
		}
		close(answered)
	}) {
		<-answered
	}
	return all
}

// Close stops all work and waits until it has ended, or ctx has. It gives nothing
// back: see Release. It is idempotent.
func (m *Manager) Close(ctx context.Context) error {
	m.once.Do(func() { close(m.stop) })
	select {
	case <-m.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("lease: work still running at close: %w", context.Cause(ctx))
	}
}

// Release gives back all that is still kept; call it after Close. It returns
// the number of grants that could not be given back, and the first error.
func (m *Manager) Release(ctx context.Context) (failed int, first error) {
	select {
	case <-m.stop:
	default:
		return 0, errors.New("lease: work on them is still running")
	}
	var entries []*Entry
	got := make(chan struct{})
	collect := func() { entries = slices.Collect(maps.Keys(m.entries)); close(got) }
	select {
	case <-m.done:
		collect()
	case m.inbox <- collect: // a job hangs: its loop lives on
		<-got
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan struct{}, m.workers)
	for _, e := range entries {
		g := e.cur.Load()
		if e.keeper == nil {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := e.release(ctx, g); err != nil {
				mu.Lock()
				defer mu.Unlock()
				if failed++; first == nil {
					first = err
				}
			}
		})
	}
	wg.Wait()
	return failed, first
}

// childrenOf returns the entries whose current grant was obtained under g.
func (m *Manager) childrenOf(g *Grant) (children []*Entry) {
	if !g.hasChildren.Load() {
		return nil // most grants, of which there may be thousands
	}
	for e := range m.entries {
		if e.read == nil && e.cur.Load().parent == g {
			children = append(children, e)
		}
	}
	return children
}

// do has f run by the loop. It reports false if the manager was closed.
func (m *Manager) do(f func()) bool {
	select {
	case m.inbox <- f:
		return true
	case <-m.stop:
		return false
	}
}

// loop owns all entries. It ends when stopped, after all jobs have.
func (m *Manager) loop() {
	defer close(m.done)
	defer m.cancel()
	timer := time.NewTimer(longestTimer)
	defer timer.Stop()
	for {
		m.noticeSleep()
		m.dispatch()
		timer.Reset(m.untilNext())
		select {
		case f := <-m.inbox:
			m.noticeSleep() // before anything is decided
			f()
		case <-timer.C:
		case <-m.stop:
			m.cancel()
			for m.jobs > 0 {
				(<-m.inbox)()
			}
			return
		}
	}
}

func (m *Manager) untilNext() time.Duration {
	if len(m.due) == 0 {
		return longestTimer
	}
	return min(max(0, m.due[0].wake-m.clock().Mono), longestTimer)
}
