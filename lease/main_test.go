package lease_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a manager in a bubble, with all that it told.
type world struct {
	t     *testing.T
	clock lease.Clock
	skew  atomic.Int64 // of the wall clock
	m     *lease.Manager

	mu     sync.Mutex
	events []lease.Event
	at     []time.Duration // when each of them was told
}

// inBubble runs f with a manager whose time is the bubble's, and closes it.
func inBubble(t *testing.T, cfg lease.Config, f func(*world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		system := lease.SystemClock()
		w.clock = func() lease.Instant {
			now := system()
			now.Wall = now.Wall.Add(time.Duration(w.skew.Load()))
			return now
		}
		cfg.Clock = w.clock
		cfg.OnEvent = func(ev lease.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, ev)
			w.at = append(w.at, w.now())
		}
		w.m = lease.NewManager(cfg)
		defer func() { require.NoError(t, w.m.Close(context.Background())) }() // t.Context has ended if f gave up
		f(w)
	})
}

func (w *world) now() time.Duration { return w.clock().Mono }

// pass lets time pass, and then all that is due be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// take lets d go by in the midst of work, where the bubble need not come to rest.
func take(d time.Duration) { time.Sleep(d) }

// told returns when events of that kind were told of name.
func (w *world) told(name string, kind lease.EventKind) []time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var at []time.Duration
	for i, ev := range w.events {
		if ev.Name == name && ev.Kind == kind {
			at = append(at, w.at[i])
		}
	}
	return at
}

// grants returns a renewable grant of that TTL, asked for now.
func (w *world) grant(ttl time.Duration, parent *lease.Grant) *lease.Grant {
	return lease.NewGrant(w.lease(ttl), parent)
}

func (w *world) lease(ttl time.Duration) lease.Lease {
	return lease.Lease{TTL: ttl, Asked: ttl, Sent: w.clock(), Renewable: true}
}

// runaway is far more calls than any test causes.
const runaway = 5000

// keeper is a fake that grants ttl, and notes when it was called.
type keeper struct {
	w   *world
	ttl time.Duration

	onRenew   func(context.Context, *lease.Grant) (lease.Lease, error)
	onReplace func(context.Context) (*lease.Grant, error)
	onRelease func(context.Context, *lease.Grant) error
	parent    func() *lease.Grant // the parent of the moment

	mu                         sync.Mutex
	running, most              int
	renews, replaces, releases []time.Duration
}

func (w *world) keeper(ttl time.Duration) *keeper { return &keeper{w: w, ttl: ttl} }

// add keeps a first grant of k's under parent.
func (w *world) add(name string, k *keeper, parent *lease.Grant) *lease.Entry {
	return w.m.Add(name, k, w.grant(k.ttl, parent))
}

func field[T any](k *keeper, f *T) T {
	k.mu.Lock()
	defer k.mu.Unlock()
	return *f
}

// set changes what k does while it is at work.
func (k *keeper) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

func (k *keeper) enter(calls *[]time.Duration) func() {
	k.mu.Lock()
	defer k.mu.Unlock()
	*calls = append(*calls, k.w.now())
	if len(*calls) >= runaway {
		// Without a pause the bubble's time would stand still, and the test with it.
		if len(*calls) == runaway {
			k.w.t.Errorf("%d calls of one keeper", runaway)
		}
		k.mu.Unlock()
		time.Sleep(time.Hour)
		k.mu.Lock()
	}
	k.running++
	k.most = max(k.most, k.running)
	return func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.running--
	}
}

func (k *keeper) Renew(ctx context.Context, g *lease.Grant) (lease.Lease, error) {
	defer k.enter(&k.renews)()
	if f := field(k, &k.onRenew); f != nil {
		return f(ctx, g)
	}
	return k.w.lease(k.ttl), nil
}

func (k *keeper) Replace(ctx context.Context) (*lease.Grant, error) {
	defer k.enter(&k.replaces)()
	if f := field(k, &k.onReplace); f != nil {
		return f(ctx)
	}
	var parent *lease.Grant
	if f := field(k, &k.parent); f != nil {
		parent = f()
	}
	return k.w.grant(k.ttl, parent), nil
}

func (k *keeper) Release(ctx context.Context, g *lease.Grant) error {
	defer k.enter(&k.releases)()
	if f := field(k, &k.onRelease); f != nil {
		return f(ctx, g)
	}
	return nil
}

func (k *keeper) calls() (renews, replaces, releases []time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.renews), slices.Clone(k.replaces), slices.Clone(k.releases)
}

// errOf makes an error of a class.
func errOf(c lease.Class) error {
	return &lease.Error{Class: c, Err: errors.New("answer of class " + c.String())}
}

// renewFails makes every renewal fail.
func renewFails(c lease.Class) func(context.Context, *lease.Grant) (lease.Lease, error) {
	return func(context.Context, *lease.Grant) (lease.Lease, error) { return lease.Lease{}, errOf(c) }
}

func replaceFails(c lease.Class) func(context.Context) (*lease.Grant, error) {
	return func(context.Context) (*lease.Grant, error) { return nil, errOf(c) }
}

// hang waits for its context, and then a little, as a cancelled request does.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// moments notes when something was done.
type moments struct {
	mu sync.Mutex
	at []time.Duration
}

func (m *moments) add(at time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = append(m.at, at)
}

func (m *moments) all() []time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.at)
}
