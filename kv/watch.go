package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// Watch reads the secret at path, as Get does, and keeps it current in memory:
// the returned value is read without I/O or locks, and changes when Vault holds
// another version, or a version that was created at another time; in KV version 1, which
// has no versions, when the data differs. ctx is for this first read only.
//
// However many values of a client watch one path, of whatever types, Vault is asked once
// an interval, the shortest that one of them wants; each decodes the answer for itself. A
// path that is read often enough already begins with what was read last. Only stores that
// differ in [Version1] or [Version2] share nothing.
//
// When a later read fails, or the secret was deleted or no longer fits T, the last
// good value stays; the value's Err says why, and there is an event. It recovers by
// itself. So it does where a server that lags behind answers with an older version: that
// is never taken, and after Vault was restored from a backup it is not either, until there
// is a newer version or the program is started again.
//
// The value's Refresh asks at once, for who knows of a change. Close the value to end the
// watching; closing the client does, too.
func Watch[T any](ctx context.Context, s *Store, path string, opts ...WatchOption) (*cache.Value[T], error) {
	w, o, err := newWatcher[T](s, path, opts)
	if err != nil {
		return nil, err
	}
	get := o.get
	if s.reads.within(s.key(path, 0), o.every) {
		get.maxAge = o.every
	}
	raw, err := s.read(ctx, path, get)
	if err != nil {
		return nil, err
	}
	first, err := decode[T](s.where(path), raw, get.strict)
	if err != nil {
		return nil, err
	}
	is, ttl, err := identify(s.where(path), raw)
	if err != nil {
		return nil, err
	}
	if err := w.check(ctx, first); err != nil {
		return nil, err
	}
	w.ctx, w.cancel = context.WithCancel(context.Background()) //nolint:gosec // close calls it
	value, publisher := cache.New[T](cache.MaxStale(o.maxStale), cache.OnClose(w.close), cache.OnRefresh(w.refresh))
	w.publisher = publisher
	w.publish(first, is)
	w.seen = raw.sent.Mono // another's read that began before may still be on its way
	w.poller = s.reads.join(s, path, w, ttl)
	undo := s.view.OnClose(func() {
		publisher.Fail(lease.ErrClosed)
		_ = value.Close()
	})
	w.forget.Store(&undo)
	if s.view.Closed() {
		return nil, lease.ErrClosed
	}
	for _, f := range w.changed {
		begin := value.Snapshot()
		s.view.Go(func(context.Context) { w.report(value, begin, f) })
	}
	return value, nil
}

// watcher keeps one value current.
type watcher[T any] struct {
	store     *Store
	path      string
	interval  time.Duration
	strict    strictness
	verify    func(context.Context, T) error // nil: all is well
	changed   []func(old, current T)
	publisher *cache.Publisher[T]
	poller    *poller
	forget    atomic.Pointer[func()] // the client may be closed before it is known
	ctx       context.Context        //nolint:containedctx // of the watching, which ends with the value
	cancel    context.CancelFunc

	mu    sync.Mutex // guards the rest, and the order of publications; never held over a callback
	have  identity   // of the published value
	seen  time.Duration
	trial *trial // the latest; nil: there was none
}

func newWatcher[T any](s *Store, path string, opts []WatchOption) (*watcher[T], watchOptions, error) {
	o := watchOptions{every: DefaultInterval}
	for _, opt := range opts {
		opt(&o)
	}
	w := &watcher[T]{store: s, path: path, interval: o.every, strict: o.get.strict}
	wrong := func(format string, args ...any) (*watcher[T], watchOptions, error) {
		return nil, o, fmt.Errorf("leasehold: watch %s: %w", s.where(path), fmt.Errorf(format, args...))
	}
	if o.every < minInterval {
		return wrong("Every(%s): at least %s", o.every, minInterval)
	}
	if o.maxStale < 0 {
		return wrong("MaxStale(%s) is negative", o.maxStale)
	}
	if o.maxStale > 0 && o.maxStale < o.every {
		return wrong("MaxStale(%s): longer than the interval of %s, or a value that is read in time is stale before that", o.maxStale, o.every)
	}
	if o.get.version != 0 || o.get.maxAge != 0 {
		return wrong("Reading takes no AtVersion, since a version never changes, and no MaxAge: see Every")
	}
	var want T
	if o.verify != nil {
		f, ok := o.verify.(func(context.Context, T) error)
		if !ok || f == nil {
			return wrong("Verify takes a %T, not a %T", o.verify, want)
		}
		w.verify = f
	}
	for _, c := range o.changed {
		f, ok := c.(func(old, current T))
		if !ok || f == nil {
			return wrong("OnChange takes a %T, not two of %T", c, want)
		}
		w.changed = append(w.changed, f)
	}
	return w, o, nil
}

func (w *watcher[T]) every() time.Duration { return w.interval }

func (w *watcher[T]) close() error {
	w.cancel()
	w.store.reads.leave(w.poller, w)
	if f := w.forget.Load(); f != nil {
		(*f)()
	}
	return nil
}

// offer implements watching.
func (w *watcher[T]) offer(a reading) *trial {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case a.at.Mono < w.seen:
		return ended(a, nil) // a later answer was faster
	case a.err != nil:
		w.publisher.Fail(a.err)
		return ended(a, a.err)
	case w.trial != nil && w.trial.running() && a.at.Mono-w.trial.at > verifyTimeout:
		err := fmt.Errorf("leasehold: watch %s: Verify has not returned for %s", w.store.where(w.path), (a.at.Mono - w.trial.at).Round(time.Second))
		w.publisher.Fail(err)
		return ended(a, &lease.Error{Class: lease.Permanent, Err: err})
	case w.trial != nil && (w.trial.running() || w.trial.at == a.at.Mono):
		return w.trial
	}
	w.seen = a.at.Mono
	if a.is.same(w.have) {
		w.publisher.Confirm(a.at.Wall)
		return ended(a, nil)
	}
	if a.is.behind(w.have) {
		err := fmt.Errorf("leasehold: watch %s: the server answered with version %d, and version %d is in use: it lags behind, or was restored from a backup",
			w.store.where(w.path), a.is.version, w.have.version)
		w.publisher.Fail(err)
		return ended(a, &lease.Error{Class: lease.Transient, Err: err})
	}
	next, err := w.decode(a.raw)
	if err != nil {
		w.publisher.Fail(err)
		return ended(a, &lease.Error{Class: lease.Permanent, Err: err}) // only a write changes that: the pace is kept
	}
	if w.verify == nil {
		w.publish(next, a.is)
		return ended(a, nil)
	}
	t := &trial{at: a.at.Mono, done: make(chan struct{})}
	if !w.store.view.Go(func(context.Context) { w.try(t, next, a.is) }) {
		return ended(a, lease.ErrClosed)
	}
	w.trial = t
	return t
}

// decode is decode for what may go wrong in the background: a panic in a decoder of the caller's is this
// value's failure, and not that of all who watch the path.
func (w *watcher[T]) decode(raw *Raw) (s Secret[T], err error) {
	where := w.store.where(w.path)
	if failed := callback(func() error { s, err = decode[T](where, raw, w.strict); return nil }); failed != nil {
		return s, fmt.Errorf("leasehold: watch %s: decode: %w", where, failed)
	}
	return s, err
}

// try has next verified, and publishes it if it may.
func (w *watcher[T]) try(t *trial, next Secret[T], is identity) {
	err := errNoReturn // but runtime.Goexit runs what is deferred, and nothing else
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil {
			w.publish(next, is)
		} else if w.ctx.Err() == nil {
			w.publisher.Fail(err)
		}
		t.err = err
		close(t.done)
	}()
	err = w.check(w.ctx, next)
}

var errNoReturn = errors.New("a callback ended its goroutine")

// publish makes s the current value. But for the first the lock is held.
func (w *watcher[T]) publish(s Secret[T], is identity) {
	w.have = is
	w.publisher.Publish(s.Value, s.Obtained, time.Time{})
}

// verifyTimeout bounds a verifier that heeds its context.
const verifyTimeout = 30 * time.Second

// check calls the verifier.
func (w *watcher[T]) check(ctx context.Context, s Secret[T]) error {
	if w.verify == nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	if err := callback(func() error { return w.verify(limited, s.Value) }); err != nil {
		version := ""
		if s.Metadata.Version > 0 {
			version = fmt.Sprintf("version %d ", s.Metadata.Version)
		}
		return fmt.Errorf("leasehold: watch %s: %swas not accepted: %w", w.store.where(w.path), version, err)
	}
	return nil
}

// refresh reads the secret now, for all who watch it, and returns what became of that here.
func (w *watcher[T]) refresh(ctx context.Context) error {
	a := w.poller.read(ctx, getOptions{quiet: true, fresh: true})
	if a.err != nil && (ctx.Err() != nil || errors.Is(a.err, lease.ErrClosed)) {
		return a.err // which says nothing of the secret
	}
	w.poller.entry.Polled(w.poller.tell(ctx, a))
	if a.err != nil {
		return a.err
	}
	for {
		t := w.offer(a)
		if !t.over(ctx) {
			return fmt.Errorf("leasehold: watch %s: %w while it is being verified", w.store.where(w.path), ctx.Err())
		}
		if t.at >= a.at.Mono {
			return t.err
		}
	}
}

// report calls f for each change that comes after begin, one after the other.
func (w *watcher[T]) report(value *cache.Value[T], begin cache.Snapshot[T], f func(old, current T)) {
	for {
		next, err := value.Wait(w.ctx, begin.Generation)
		if err != nil || w.ctx.Err() != nil {
			return
		}
		if err := callback(func() error { f(begin.Value, next.Value); return nil }); err != nil {
			name := w.store.where(w.path)
			w.store.view.Report(lease.CallbackFailed, name, fmt.Errorf("leasehold: watch %s: OnChange: %w", name, err))
		}
		begin = next
	}
}
