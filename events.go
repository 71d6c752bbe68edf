package leasehold

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// queuedEvents is how many events wait for a slow OnEvent before the oldest is
// dropped.
const queuedEvents = 256

// events logs events and hands them to OnEvent, in order, from one goroutine, so that
// a slow callback delays nobody.
type events struct {
	logger  *slog.Logger
	onEvent func(Event)
	done    chan struct{}

	mu     sync.Mutex // guards the rest; never held over a call to others
	wake   *sync.Cond
	queue  []Event
	lost   uint64
	closed bool
}

func newEvents(logger *slog.Logger, onEvent func(Event)) *events {
	e := &events{logger: logger, onEvent: onEvent, done: make(chan struct{})}
	e.wake = sync.NewCond(&e.mu)
	go e.deliver()
	return e
}

// put queues an event. It never blocks.
func (e *events) put(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || (e.logger == nil && e.onEvent == nil) {
		return
	}
	if len(e.queue) >= queuedEvents {
		e.queue = e.queue[1:]
		e.lost++
	}
	e.queue = append(e.queue, ev)
	e.wake.Signal()
}

func (e *events) dropped() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lost
}

func (e *events) deliver() {
	defer close(e.done)
	for {
		e.mu.Lock()
		for len(e.queue) == 0 && !e.closed {
			e.wake.Wait()
		}
		if len(e.queue) == 0 {
			e.mu.Unlock()
			return
		}
		ev := e.queue[0]
		e.queue = e.queue[1:]
		e.mu.Unlock()
		e.tell(ev)
	}
}

// tell logs ev and calls OnEvent. The panic of either must not end the program.
func (e *events) tell(ev Event) {
	e.log(ev)
	if e.onEvent == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil && e.logger != nil {
			defer func() { _ = recover() }()
			// By type, since its value may hold anything.
			e.logger.Error("leasehold: OnEvent panicked", "type", fmt.Sprintf("%T", p))
		}
	}()
	e.onEvent(ev)
}

func (e *events) log(ev Event) {
	defer func() { _ = recover() }() // there is nobody to tell
	if e.logger != nil {
		level := slog.LevelInfo
		attrs := []slog.Attr{slog.String("kind", string(ev.Kind)), slog.String("name", ev.Name)}
		if !ev.Expires.IsZero() {
			attrs = append(attrs, slog.Time("expires", ev.Expires))
		}
		if ev.Err != nil {
			level = slog.LevelWarn
			attrs = append(attrs, slog.String("error", ev.Err.Error()))
		}
		if ev.Kind == lease.Expired {
			level = slog.LevelError
		}
		e.logger.LogAttrs(context.Background(), level, "leasehold", attrs...)
	}
}

// close delivers what is queued and waits for that, bounded by ctx: a callback that
// hangs is abandoned.
func (e *events) close(ctx context.Context) error {
	e.mu.Lock()
	e.closed = true
	e.wake.Signal()
	e.mu.Unlock()
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("OnEvent has not returned: %w", context.Cause(ctx))
	}
}

// insideCallback reports whether the caller runs below one of the places that call
// user code and that Close waits for. Go has no other way to tell a goroutine that it
// would be waiting for itself.
func insideCallback() bool {
	pcs := make([]uintptr, 64)
	n := runtime.Callers(2, pcs)
	for n == len(pcs) { // there may be more
		pcs = make([]uintptr, 2*n)
		n = runtime.Callers(2, pcs)
	}
	frames := runtime.CallersFrames(pcs[:n])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "leasehold.(*events).tell") || strings.HasSuffix(f.Function, "leasehold/lease.(*Entry).work") ||
			strings.HasSuffix(f.Function, "internal/session.callLogin") || strings.HasSuffix(f.Function, "internal/session.callFingerprint") ||
			strings.HasSuffix(f.Function, "leasehold/kv.callback") {
			return true
		}
		if !more {
			return false
		}
	}
}
