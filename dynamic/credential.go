package dynamic

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// Credential is a credential that is kept valid. Its methods may be called by many
// goroutines at once.
type Credential[T any] struct {
	view    session.View
	request Request
	decode  func(*Grant) (T, error)
	verify  func(context.Context, T) error

	cur    atomic.Pointer[held[T]]
	closed atomic.Bool
	entry  *lease.Entry // nil for a fixed one
	undo   func()       // of session.OnClose

	mu      sync.Mutex    // guards changed
	changed chan struct{} // closed and replaced at each publication, closed for good by Close

	unpublished atomic.Pointer[held[T]] // minted, not yet accepted
	looked      atomic.Int64            // when a lookup was last made, monotonic
	clock       lease.Clock             // of the session
	life        time.Duration           // of the newest grant; only the keeper's
}

// held is one credential with what it is known by.
type held[T any] struct {
	value      T
	generation uint64
	grant      *lease.Grant
	id         secret.String // of the lease
	asked      time.Duration // the TTL of the first grant: what renewals are measured by
	data       *Grant        // until it is published
}

// Snapshot is a credential at one moment.
type Snapshot[T any] struct {
	// Value is shared: do not modify a map or a slice inside.
	Value T
	// Generation is 1 for the first credential and grows by one with each
	// replacement; 0 means that there is none.
	Generation uint64
	// Obtained is when it was asked for.
	Obtained time.Time

	grant *lease.Grant
	clock lease.Clock
}

// Expires returns the true deadline of this generation: the earlier of its lease's
// and its token's. It moves with renewals, also after the snapshot was taken. The
// zero time means no end. It is for people and logs: use Left to decide.
func (s Snapshot[T]) Expires() time.Time {
	if s.grant == nil {
		return time.Time{}
	}
	return s.grant.Expires()
}

// Left returns how long this generation remains valid: 0 or less when it has
// expired or was found dead, the largest duration if it does not end.
func (s Snapshot[T]) Left() time.Duration {
	if s.grant == nil {
		return 1<<63 - 1
	}
	return s.grant.Left(s.clock())
}

// Life returns how long this generation was valid for when it was obtained or last
// renewed: what a margin can be scaled to. 0 if it does not end.
func (s Snapshot[T]) Life() time.Duration {
	if s.grant == nil {
		return 0
	}
	return s.grant.Life()
}

// Format writes the path and the generation, whatever the verb: without it, fmt
// would read fields that other goroutines are writing.
func (c *Credential[T]) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "dynamic.Credential(%s, generation %d)", c.request.Path, c.cur.Load().generation)
}

// Fixed returns a credential that never changes and never ends: for tests and local
// runs, without a client.
func Fixed[T any](value T) *Credential[T] {
	clock := lease.SystemClock()
	c := newCredential[T](session.View{}, clock, Request{Path: "fixed"}, nil, nil)
	c.publish(&held[T]{value: value, grant: lease.NewGrant(lease.Lease{Sent: clock()}, nil)})
	return c
}

func newCredential[T any](v session.View, clock lease.Clock, r Request, decode func(*Grant) (T, error), verify func(context.Context, T) error) *Credential[T] {
	return &Credential[T]{view: v, request: r, decode: decode, verify: verify, changed: make(chan struct{}), clock: clock}
}

// Get returns the current credential, without I/O or locks. Past its true deadline,
// or once it was found dead, it returns the zero T and [ErrExpired]; after Close,
// [ErrClosed].
func (c *Credential[T]) Get() (T, error) {
	h := c.cur.Load()
	switch {
	case c.closed.Load():
		var zero T
		return zero, ErrClosed
	case !h.grant.Valid(c.clock()):
		var zero T
		return zero, ErrExpired
	}
	return h.value, nil
}

// Current is Get that, where there is no valid credential, starts or joins a
// replacement and waits for the outcome of one attempt, or until ctx ends. The
// error is then [ErrExpired] with the cause.
func (c *Credential[T]) Current(ctx context.Context) (T, error) {
	for {
		h := c.cur.Load()
		value, err := c.Get()
		if !errors.Is(err, ErrExpired) {
			return value, err
		}
		if cause := c.entry.Ensure(ctx, h.grant); cause != nil {
			if errors.Is(cause, ErrClosed) {
				return value, ErrClosed
			}
			return value, fmt.Errorf("%w: %s: %w", ErrExpired, c.request.Path, cause)
		}
	}
}

// Snapshot returns the current credential with its generation, valid or not.
func (c *Credential[T]) Snapshot() Snapshot[T] {
	h := c.cur.Load()
	return Snapshot[T]{Value: h.value, Generation: h.generation, Obtained: h.grant.Lease().Sent.Wall, grant: h.grant, clock: c.clock}
}

// Wait returns the first snapshot with a generation greater than after. It returns
// ctx's error when ctx ends, and [ErrClosed] after Close.
func (c *Credential[T]) Wait(ctx context.Context, after uint64) (Snapshot[T], error) {
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if c.closed.Load() {
			return Snapshot[T]{}, ErrClosed
		}
		if s := c.Snapshot(); s.Generation > after {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Snapshot[T]{}, ctx.Err()
		}
	}
}

// All yields the current snapshot and then each later one. It ends with the error
// that ended it: ctx's, or [ErrClosed].
func (c *Credential[T]) All(ctx context.Context) iter.Seq2[Snapshot[T], error] {
	return func(yield func(Snapshot[T], error) bool) {
		for after := uint64(0); ; {
			s, err := c.Wait(ctx, after)
			if !yield(s, err) || err != nil {
				return
			}
			after = s.Generation
		}
	}
}

// Invalidate says that the credential of this generation was refused where it is
// used. It is replaced, once, however often this is called; for another than the
// current generation it does nothing. It does not wait.
func (c *Credential[T]) Invalidate(generation uint64) {
	if h := c.cur.Load(); h.generation == generation && c.entry != nil && !c.closed.Load() {
		c.entry.Invalidate(h.grant, errRefused)
	}
}

var errRefused = errors.New("it was refused where it is used")

// Suspect says that the credential of this generation may be dead: something was
// refused that a missing permission would explain as well. Vault is asked, at most
// once a second and in the background; if the lease is gone the credential is
// replaced.
func (c *Credential[T]) Suspect(generation uint64) {
	h := c.cur.Load()
	if h.generation != generation || h.id.IsZero() || c.closed.Load() {
		return
	}
	now := int64(c.clock().Mono) + 1 // 0 is never
	last := c.looked.Load()
	if (last != 0 && now-last < int64(time.Second)) || !c.looked.CompareAndSwap(last, now) {
		return
	}
	c.view.Go(func(ctx context.Context) {
		_, err := lookUp(ctx, c.view, c.request.Path, h.id.Reveal())
		var le *lease.Error
		if errors.As(err, &le) && le.Class == lease.Dead {
			c.entry.Invalidate(h.grant, err)
		}
	})
}

// CountOverdue has an adapter's connections counted in leasehold.Status: f returns
// how many are in use past their credential's end. Call undo when the adapter is
// closed.
func (c *Credential[T]) CountOverdue(f func() int) (undo func()) {
	if c.entry == nil {
		return func() {}
	}
	return c.view.CountOverdue(f)
}

// Close ends the keeping and revokes the lease, for which the policy must allow
// update on sys/leases/revoke: without it Close returns the refusal, and the lease
// ends by itself or with the client. It is idempotent; close what uses the credential
// first.
func (c *Credential[T]) Close(ctx context.Context) error {
	if !c.end() || c.entry == nil {
		return nil
	}
	c.undo()
	c.entry.Remove()
	var errs []error
	for _, h := range []*held[T]{c.unpublished.Swap(nil), c.cur.Load()} {
		if h != nil && h.grant.MayLive(c.clock()) {
			errs = append(errs, c.release(ctx, h))
		}
	}
	return errors.Join(errs...)
}

// end marks the credential closed and wakes all who wait.
func (c *Credential[T]) end() bool {
	if c.closed.Swap(true) {
		return false
	}
	if c.entry != nil {
		c.view.Drop(c.request.Path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.changed)
	return true
}

// abandon undoes a failed open. What was minted and not accepted is given back: the
// client may live long, and nobody would use it.
func (c *Credential[T]) abandon() {
	c.view.Drop(c.request.Path)
	if h := c.unpublished.Load(); h != nil {
		c.view.Go(func(ctx context.Context) { _ = c.release(context.WithoutCancel(ctx), h) })
	}
}

// publish makes h the current credential.
func (c *Credential[T]) publish(h *held[T]) {
	h.generation = 1
	if old := c.cur.Load(); old != nil {
		h.generation = old.generation + 1
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cur.Store(h)
	if !c.closed.Load() {
		close(c.changed)
		c.changed = make(chan struct{})
	}
}
