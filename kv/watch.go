package kv

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// WatchOption adjusts a Watch.
type WatchOption func(*watchOptions)

type watchOptions struct {
	every    time.Duration
	maxStale time.Duration
	verify   any
}

// DefaultInterval is how often a watched secret is read if Every does not say.
const DefaultInterval = time.Minute

// Every sets how often the secret is read: a new version is seen within d of
// being written. Reads come a little earlier than d, with jitter. At least 1 s.
func Every(d time.Duration) WatchOption { return func(o *watchOptions) { o.every = d } }

// MaxStale makes the value's Err report it if it was not confirmed for longer than
// d. The value is served all the same.
func MaxStale(d time.Duration) WatchOption { return func(o *watchOptions) { o.maxStale = d } }

// Verify has f judge a new version before it is published. While f refuses, the
// good value stays, the refusal is reported, and the version is verified
// again at the next reads. Watch itself returns a refusal of the first version. Its ctx
// ends after 30 seconds. T must be the T of Watch.
func Verify[T any](f func(ctx context.Context, value T) error) WatchOption {
	return func(o *watchOptions) { o.verify = f }
}

// Watch reads the secret at path, as Get does, and keeps it current in memory:
// the returned value is read without I/O or locks and changes when Vault holds
// another version. ctx is for this first read only.
//
// When a later read fails, or the secret was deleted or no longer fits T, the last
// good value stays; the value's Err says why, and there is an event. Close the
// value to end the watching; closing the client does, too.
func Watch[T any](ctx context.Context, s *Store, path string, opts ...WatchOption) (*cache.Value[T], error) {
	o := watchOptions{every: DefaultInterval}
	for _, opt := range opts {
		opt(&o)
	}
	verify := func(context.Context, T) error { return nil }
	if o.verify != nil {
		f, ok := o.verify.(func(context.Context, T) error)
		if !ok || f == nil {
			var want T
			return nil, fmt.Errorf("leasehold: watch %s/%s: Verify takes a %T, not a %T", s.mount, path, o.verify, want)
		}
		verify = f
	}
	if o.every < time.Second {
		return nil, fmt.Errorf("leasehold: watch %s/%s: Every(%s): at least 1s", s.mount, path, o.every)
	}
	w := &watcher[T]{store: s, path: path, verify: verify, every: o.every}
	first, err := Get[T](ctx, s, path)
	if err != nil {
		return nil, err
	}
	if err := w.check(ctx, first); err != nil {
		return nil, err
	}
	var entry *lease.Entry
	var forget atomic.Pointer[func()] // the client may be closed before it is known
	value, publisher := cache.New[T](cache.MaxStale(o.maxStale), cache.OnClose(func() error {
		entry.Remove()
		if f := forget.Load(); f != nil {
			(*f)()
		}
		return nil
	}))
	w.publisher = publisher
	w.publish(first)
	entry = s.view.Manager().Poll(s.mount+"/"+path, o.every, w.poll)
	undo := s.view.OnClose(func() {
		publisher.Fail(lease.ErrClosed)
		_ = value.Close()
	})
	forget.Store(&undo)
	if s.view.Closed() {
		return nil, lease.ErrClosed
	}
	return value, nil
}

type watcher[T any] struct {
	store     *Store
	path      string
	verify    func(context.Context, T) error
	every     time.Duration
	publisher *cache.Publisher[T]
	have      Metadata // of the published value; only one poll runs at a time
}

// verifyTimeout bounds a verifier that heeds its context.
const verifyTimeout = 30 * time.Second

// pollTimeout bounds one read of a watched secret.
const pollTimeout = 10 * time.Second

// poll reads the secret again and publishes it if it is another version. Versions
// restart when a secret's metadata was deleted, so the time of creation counts too.
func (w *watcher[T]) poll(ctx context.Context) error {
	// Get would try for a minute and only then say that something is wrong: a read that
	// fails is over when the next one is due.
	limited, cancel := context.WithTimeout(ctx, min(w.every, pollTimeout))
	defer cancel()
	next, err := Get[T](limited, w.store, w.path, func(o *getOptions) { o.quiet = true })
	switch {
	case err != nil:
	case next.Metadata.Version == w.have.Version && next.Metadata.Created.Equal(w.have.Created):
		w.publisher.Confirm(next.Obtained)
		return nil
	default:
		if err = w.check(ctx, next); err == nil {
			w.publish(next)
			return nil
		}
	}
	if ctx.Err() == nil {
		w.publisher.Fail(err)
	}
	var misfit *DecodeError
	if errors.As(err, &misfit) {
		return &lease.Error{Class: lease.Permanent, Err: err} // as in missing: the pace is kept
	}
	return err
}

func (w *watcher[T]) publish(s Secret[T]) {
	w.have = s.Metadata
	w.publisher.Publish(s.Value, s.Obtained, time.Time{})
}

// check calls the verifier, whose panic must not end the program.
func (w *watcher[T]) check(ctx context.Context, s Secret[T]) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic (%T)", p)
		}
		if err != nil {
			err = fmt.Errorf("leasehold: watch %s/%s: version %d was not accepted: %w", w.store.mount, w.path, s.Metadata.Version, err)
		}
	}()
	limited, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	return w.verify(limited, s.Value)
}
