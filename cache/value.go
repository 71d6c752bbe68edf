// Package cache holds the current value of something that changes, so that
// readers need no lock and no I/O.
//
// A [Value] is what the application reads from; its [Publisher] is what feeds
// it. A value is published whole, as an immutable [Snapshot], so that a username
// never meets the password of another generation. A reader can have the current
// value, learn how stale it is and why, and wait for the next one.
//
// Values are shared between all readers: do not modify a map or a slice inside.
package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is returned by Wait when the value was closed, or its client was:
// no further value will come. Get keeps returning the last one.
var ErrClosed = errors.New("cache: closed")

// Snapshot is one published value.
type Snapshot[T any] struct {
	// Value is shared: do not modify a map or a slice inside.
	Value T
	// Generation is 1 for the first value and grows by one with each; 0 means
	// that nothing was published yet.
	Generation uint64
	// Obtained is when the value was asked for.
	Obtained time.Time
	// Expires is when the value ends; the zero time if it does not.
	Expires time.Time
}

// StaleError is why a value was not confirmed when it should have been. The
// value itself is kept and still served.
type StaleError struct {
	// Since is when the value was last known to be current.
	Since time.Time
	// Err is the latest failure; nil where refreshing just took too long.
	Err error
}

// Error says since when the value is stale, and why.
func (e *StaleError) Error() string {
	since := e.Since.UTC().Format(time.RFC3339)
	if e.Err == nil {
		return "cache: not confirmed since " + since
	}
	return fmt.Sprintf("cache: not confirmed since %s: %v", since, e.Err)
}

// Unwrap returns the latest failure.
func (e *StaleError) Unwrap() error { return e.Err }

// Value is a changing value of type T. Its methods may be called by many
// goroutines at once.
type Value[T any] struct {
	cur atomic.Pointer[Snapshot[T]] // never nil

	health atomic.Pointer[health] // never nil
	stale  time.Duration          // MaxStale; 0: no limit
	source func() error           // tells the health of one that follows another; else nil

	mu      sync.Mutex    // guards changed, closed and the order of publications; never held over a call to others
	changed chan struct{} // closed and replaced at each publication
	closed  bool

	onClose   func() error                // nil: nobody wants to know
	onRefresh func(context.Context) error // nil: there is nothing to ask
}

type health struct {
	confirmed time.Time
	err       error
}

// Option adjusts a Value.
type Option func(*options)

type options struct {
	maxStale  time.Duration
	onClose   func() error
	onRefresh func(context.Context) error
}

// MaxStale makes Err report a value that was not confirmed for longer than d,
// even if nothing failed. The default is no limit.
func MaxStale(d time.Duration) Option { return func(o *options) { o.maxStale = d } }

// OnClose has f called once, by the first Close.
func OnClose(f func() error) Option { return func(o *options) { o.onClose = f } }

// OnRefresh has f do the work of Refresh: it asks the source and returns once what that
// answered was published or confirmed, or why it was not. Many may call it at once.
func OnRefresh(f func(context.Context) error) Option { return func(o *options) { o.onRefresh = f } }

// New returns an empty value and the publisher that feeds it.
func New[T any](opts ...Option) (*Value[T], *Publisher[T]) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	v := &Value[T]{changed: make(chan struct{}), stale: o.maxStale, onClose: o.onClose, onRefresh: o.onRefresh}
	v.cur.Store(&Snapshot[T]{})
	v.health.Store(&health{})
	return v, &Publisher[T]{v: v}
}

// Fixed returns a value that never changes: for tests and local runs.
func Fixed[T any](value T) *Value[T] {
	v, p := New[T]()
	p.Publish(value, time.Now(), time.Time{})
	return v
}

// Format writes the generation, whatever the verb: without it, fmt would read fields
// that other goroutines are writing, and the value may be a secret.
func (v *Value[T]) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "cache.Value(generation %d)", v.Snapshot().Generation)
}

// Get returns the last good value: one atomic load, no lock, no I/O, no clock.
// It is the zero T only before the first value, which a constructor that
// returns a Value waits for.
func (v *Value[T]) Get() T { return v.cur.Load().Value }

// Snapshot returns the last good value with its generation and times.
func (v *Value[T]) Snapshot() Snapshot[T] { return *v.cur.Load() }

// Err returns nil if the value is known to be current, else a *[StaleError]
// with the latest failure. The value is served all the same.
func (v *Value[T]) Err() error {
	if v.source != nil {
		return v.source()
	}
	h := v.health.Load()
	if h.err != nil || (v.stale > 0 && time.Since(h.confirmed) > v.stale) {
		return &StaleError{Since: h.confirmed, Err: h.err}
	}
	return nil
}

// Wait returns the first snapshot with a generation greater than after; Wait(ctx,
// 0) waits for the first value of all. It returns ctx's error when ctx ends
// and [ErrClosed] once no further value can come.
func (v *Value[T]) Wait(ctx context.Context, after uint64) (Snapshot[T], error) {
	for {
		v.mu.Lock()
		s, changed, closed := v.cur.Load(), v.changed, v.closed
		v.mu.Unlock()
		switch {
		case s.Generation > after:
			return *s, nil
		case closed:
			return Snapshot[T]{}, ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Snapshot[T]{}, ctx.Err()
		}
	}
}

// All yields the current snapshot, if there is one, and then each later one,
// until ctx ends or the value is closed. A reader slower than the changes skips
// to the newest.
func (v *Value[T]) All(ctx context.Context) iter.Seq[Snapshot[T]] {
	return func(yield func(Snapshot[T]) bool) {
		for after := uint64(0); ; {
			s, err := v.Wait(ctx, after)
			if err != nil || !yield(s) {
				return
			}
			after = s.Generation
		}
	}
}

// Refresh asks the value's source now, rather than when it is due, and blocks until it has
// answered or ctx ends. After nil, Get returns what the source held when it was asked. An
// error says why that is not so, as Err will unless only ctx has ended; the value
// stays. It returns [ErrClosed] after Close, and does nothing where there is no source, as
// for [Fixed].
//
// It is for who has been told of a change, or has just made it. Reading needs no Refresh.
func (v *Value[T]) Refresh(ctx context.Context) error {
	v.mu.Lock()
	closed := v.closed
	v.mu.Unlock()
	switch {
	case closed:
		return ErrClosed
	case v.onRefresh == nil:
		return nil
	}
	return v.onRefresh(ctx)
}

// Close ends the refreshing of the value. Get keeps returning the last one. It
// is idempotent.
func (v *Value[T]) Close() error {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return nil
	}
	v.closed = true
	close(v.changed)
	v.mu.Unlock()
	if v.onClose != nil {
		return v.onClose()
	}
	return nil
}
