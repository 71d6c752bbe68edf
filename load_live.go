package leasehold

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// follower keeps the live fields of one secret current: one watch, from which each field
// takes its part. All of them change together or, when one cannot be read, none does.
type follower struct {
	watched watched

	mu     sync.Mutex // guards the rest
	fields []*liveField
	latest json.RawMessage // that the watch has got
	misfit error           // of what the watch has taken between Load's first look and its end
	begun  bool            // there are values
}

// liveField is a field with its value.
type liveField struct {
	*field

	put    func(target any, obtained time.Time)
	closed atomic.Bool // not guarded: Close waits for no decoder of the caller's
}

// watched is what is needed of a watched value.
type watched interface {
	Snapshot() cache.Snapshot[json.RawMessage]
	Err() error
	Refresh(ctx context.Context) error
	Close() error
}

// follow begins to watch the source. Its first content is not judged here: Load says what is
// wrong with it for each field.
func (c *Client) follow(ctx context.Context, s *source) error {
	f := &follower{}
	for _, field := range s.fields {
		if field.maker != nil {
			f.fields = append(f.fields, &liveField{field: field})
		}
	}
	began := c.session.Clock()().Wall
	value, err := kv.Watch[json.RawMessage](ctx, s.store(c), s.path, kv.Verify(f.accept))
	if err != nil {
		return err
	}
	if value.Snapshot().Obtained.Before(began) { // it began with what another's watch has read last
		if err := value.Refresh(ctx); err != nil {
			return errors.Join(err, value.Close())
		}
	}
	f.watched = value
	s.follower, s.data = f, value.Get()
	s.giveBack = func(context.Context) error { return value.Close() }
	return nil
}

// accept publishes new content, or says why it cannot be read: then the last good one stays.
func (f *follower) accept(_ context.Context, data json.RawMessage) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.latest = data
	if !f.begun {
		return nil // Load is not done yet
	}
	if err := f.publish(data, time.Now()); err != nil { // which the watch reports
		return &lease.Error{Class: lease.Permanent, Err: err} // only a write changes that: the pace is kept
	}
	f.misfit = nil
	return nil
}

// publish is called with the lock held. A field that was closed is in nobody's way.
func (f *follower) publish(data json.RawMessage, obtained time.Time) error {
	targets := make([]any, len(f.fields))
	var errs []error
	for i, field := range f.fields {
		if field.closed.Load() {
			continue
		}
		target := field.maker.Target()
		switch set, err := field.decode(data); {
		case err == nil:
			set(reflect.ValueOf(target).Elem())
			targets[i] = target
		case field.optional && missing(err): // it stays as it is, and is in nobody's way
		default:
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i, field := range f.fields {
		if targets[i] != nil {
			field.put(targets[i], obtained)
		}
	}
	return nil
}

// leave takes out a field that has nothing to begin with.
func (f *follower) leave(absent *field) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fields = slices.DeleteFunc(f.fields, func(other *liveField) bool { return other.field == absent })
}

// health is the Err of every value.
func (f *follower) health() error {
	f.mu.Lock()
	misfit := f.misfit
	f.mu.Unlock()
	if err := f.watched.Err(); err != nil || misfit == nil {
		return err
	}
	return &cache.StaleError{Since: f.watched.Snapshot().Obtained, Err: misfit}
}

// start makes the values and hands them out by put. first has been decoded by Load.
func (f *follower) start(c *Client, first json.RawMessage, put func(*field, any)) {
	var open atomic.Int64
	var undo atomic.Pointer[func()] // the client may be closed before it is known
	closeOne := func(field *liveField) error {
		field.closed.Store(true)
		if open.Add(-1) > 0 {
			return nil
		}
		if u := undo.Load(); u != nil {
			(*u)()
		}
		return f.watched.Close()
	}
	if len(f.fields) == 0 {
		_ = f.watched.Close()
		return
	}
	f.mu.Lock()
	made := make([]any, 0, len(f.fields))
	for _, field := range f.fields {
		value, put := field.maker.Make(f.health, cache.OnClose(func() error { return closeOne(field) }), cache.OnRefresh(f.watched.Refresh))
		made = append(made, value)
		field.put = put
		open.Add(1)
	}
	f.begun = true
	obtained := f.watched.Snapshot().Obtained
	_ = f.publish(first, obtained)     // which Load has found to fit
	if !bytes.Equal(first, f.latest) { // changed since then
		f.misfit = f.publish(f.latest, obtained)
	}
	f.mu.Unlock()
	for i, field := range f.fields {
		put(field.field, made[i])
	}
	u := c.session.OnClose(func() {
		for _, value := range made {
			_ = value.(interface{ Close() error }).Close() //nolint:forcetypeassert // a *cache.Value
		}
	})
	undo.Store(&u)
}
