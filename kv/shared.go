package kv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/internal/session"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// Reads, Key, Raw, NewReads and NewStore are for leasehold.Client only.

// Reads is what the stores of one client share: the answers that were read, the requests
// under way, and the watching.
type Reads struct {
	answers  *cache.Shared[Key, *Raw]
	mounts   *mounts
	asked    *mounts       // for writes, which wait for the answer; kept is none
	negative atomic.Uint64 // hits that said that there is nothing

	mu      sync.Mutex // guards the rest; never held over a request
	pollers map[Key]*poller
	failing map[Key]error // the latest failed attempt of a request under way: what those who wait for it are told
}

// What the cache keeps at most. Vault takes secrets of a megabyte; most have a few hundred
// bytes.
const (
	cachedAnswers = 1024
	cachedBytes   = 16 << 20
)

// negativeAge is for how long the answer that there is nothing at a path may be given
// again: long enough for a thousand who look for it at once, and too short to be in the
// way of who has just written it with another client.
const negativeAge = time.Second

// NewReads is called by leasehold.New.
func NewReads() *Reads {
	return &Reads{
		answers: cache.NewShared[Key, *Raw](cache.Limits[*Raw]{Answers: cachedAnswers, Bytes: cachedBytes, Size: func(r *Raw) int {
			return len(r.body) + answerOverhead
		}}),
		mounts:  newMounts(),
		asked:   newMounts(),
		pollers: make(map[Key]*poller),
	}
}

// answerOverhead is about what an answer takes beside its body.
const answerOverhead = 256

// Key names an answer in the cache.
type Key struct {
	Namespace, Mount, Path string
	Version                int // of the secret; 0: the latest
	Engine                 int // as it was given; 0: to be detected
}

// Raw is an undecoded answer in the cache.
type Raw struct {
	body    []byte
	engine  int           // the version of the engine that gave it
	sent    lease.Instant // when it was asked for
	token   *lease.Grant  // that it was read with; nil where nothing is there
	missing error         // why there is no body
	foreign atomic.Bool   // a reader has found that it is no KV answer
}

// CacheStatus is what became of the reads of one client's KV secrets, by kv.Get, Load and
// kv.Watch alike. The numbers count from the client's start, but for Kept.
type CacheStatus struct {
	Hits         uint64 // reads with kv.MaxAge that were answered from memory
	NegativeHits uint64 // those of them that were told again, within a second, that nothing is there
	Misses       uint64 // reads with kv.MaxAge for which nothing young enough was there
	Joins        uint64 // reads that waited for the request of another
	Requests     uint64 // reads that asked Vault; repeated attempts are not counted
	Evictions    uint64 // answers that made room for others
	Kept         int    // answers in memory now, 1024 or 16 MiB at most
}

// Status returns what became of the reads so far.
func (r *Reads) Status() CacheStatus {
	c, negative := r.answers.Counts(), r.negative.Load()
	return CacheStatus{
		Hits: c.Hits - min(negative, c.Hits), NegativeHits: negative, Misses: c.Misses, Joins: c.Joins,
		Requests: c.Requests, Evictions: c.Evictions, Kept: c.Kept,
	}
}

// Invalidate forgets what was read from path, all versions of it: the next read with
// [MaxAge] asks Vault, and no read from now on joins a request that began before. The
// writers of this package do it by themselves; call it after a write that was made in
// another way, as with Client.Vault. It asks nothing, and moves no watched value: that is
// what the value's Refresh is for.
func (s *Store) Invalidate(path string) { s.wrote(path) }

// wrote is called when a write to path has returned, whatever it returned: it may have
// happened.
func (s *Store) wrote(path string) {
	s.reads.answers.Invalidate(func(k Key) bool {
		return k.Path == path && k.Mount == s.mount && k.Namespace == s.view.Namespace
	})
}

// read returns an undecoded answer: see Get.
func (s *Store) read(ctx context.Context, path string, o getOptions) (*Raw, error) {
	if s.err != nil {
		return nil, s.err
	}
	if err := session.CheckPath(path); err != nil {
		return nil, fmt.Errorf("leasehold: read from %s: %w", s.mount, err)
	}
	if o.version < 0 {
		return nil, fmt.Errorf("leasehold: read %s/%s: version %d is negative", s.mount, path, o.version)
	}
	if s.view.Closed() {
		return nil, session.ErrClosed
	}
	key := s.key(path, o.version)
	var usable func(*Raw) bool // nil: no kept answer will do
	if o.maxAge > 0 && !o.fresh {
		usable = s.usable(o.maxAge)
		if raw, ok := s.reads.answers.Kept(key, usable); ok {
			return raw, raw.missing
		}
	}
	ctx, cancel := session.Limited(ctx)
	defer cancel()
	fetch := func(ctx context.Context) (*Raw, error) {
		failed := false
		o.failing = func(err error) {
			failed = true
			s.reads.noteFailing(key, err)
		}
		defer func() {
			if failed {
				s.reads.noteFailing(key, nil)
			}
		}()
		sent := s.view.Clock()()
		raw, err := s.fetch(ctx, path, o)
		if isMissing(err) {
			return &Raw{sent: sent, missing: err}, nil
		}
		return raw, err
	}
	var raw *Raw
	var err error
	if o.fresh {
		raw, err = s.reads.answers.Renew(ctx, key, fetch)
	} else {
		raw, err = s.reads.answers.Do(ctx, key, usable, fetch)
	}
	switch {
	case err != nil && err == ctx.Err(): //nolint:errorlint // that itself, which says nothing
		if last := s.reads.isFailing(key); last != nil {
			return nil, fmt.Errorf("%w; given up: %w while waiting for another read of it", last, err)
		}
		return nil, fmt.Errorf("leasehold: read %s/%s: %w while waiting for another read of it", s.mount, path, err)
	case err != nil:
		return nil, err
	}
	return raw, raw.missing
}

func (r *Reads) noteFailing(key Key, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.failing, key)
		return
	}
	if r.failing == nil {
		r.failing = make(map[Key]error)
	}
	r.failing[key] = err
}

func (r *Reads) isFailing(key Key) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failing[key]
}

func (s *Store) key(path string, version int) Key {
	return Key{Namespace: s.view.Namespace, Mount: s.mount, Path: path, Version: version, Engine: s.given}
}

// isMissing reports whether err is Vault's answer that there is nothing to read.
func isMissing(err error) bool {
	return errors.Is(err, ErrNotFound) || errors.Is(err, ErrDeleted) || errors.Is(err, ErrDestroyed) || errors.Is(err, ErrNoMount)
}

// usable returns what judges a kept answer for who allows it to be maxAge old.
func (s *Store) usable(maxAge time.Duration) func(*Raw) bool {
	clock := s.view.Clock()
	return func(r *Raw) bool {
		if r.missing != nil {
			if r.age(clock()) > min(maxAge, negativeAge) {
				return false
			}
			s.reads.negative.Add(1)
			return true
		}
		// Whoever revoked a token wants nobody to see what it was allowed to (failure code D6).
		return !r.token.Ended() && !r.foreign.Load() && r.age(clock()) <= maxAge
	}
}

// age is by the clock that went further: the monotonic one stands still while the machine
// sleeps (failure code K1), and the wall clock may be put back (K2).
func (r *Raw) age(now lease.Instant) time.Duration {
	return max(now.Mono-r.sent.Mono, now.Wall.Sub(r.sent.Wall))
}
