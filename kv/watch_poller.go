package kv

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// poller reads one path for all of a client's values that watch it, so that they cost one
// request an interval: the shortest that one of them wants. Each decodes for itself.
type poller struct {
	store *Store
	path  string

	mu       sync.Mutex // guards the rest; never held over a request or a callback
	watchers map[watching]struct{}
	entry    *lease.Entry
	interval time.Duration
	ttl      time.Duration // what a secret of KV version 1 says it may be kept for; 0: it does not
}

// watching is a watcher[T] for any T.
type watching interface {
	every() time.Duration
	// offer has it look at an answer. The outcome may take longer; and while that of an
	// earlier answer does, it is that one's trial which is returned.
	offer(a reading) *trial
}

// reading is the outcome of one read.
type reading struct {
	raw *Raw
	is  identity
	err error         // why there is neither
	at  lease.Instant // when it was asked for
}

// identity tells one content of a secret from another.
type identity struct {
	version int
	created time.Time
	sum     [sha256.Size]byte // of KV version 1, which has no versions: a hash, since nobody needs the value twice
}

// same reports whether i and other name the same content. Versions restart when a secret's
// metadata was deleted, so the time of creation counts too.
func (i identity) same(other identity) bool {
	return i.version == other.version && i.created.Equal(other.created) && i.sum == other.sum
}

// behind reports whether i is older than other: a node that lags behind has answered. A
// smaller version that was created later is none of those: the secret was made anew.
func (i identity) behind(other identity) bool {
	return i.version < other.version && !i.created.After(other.created)
}

// identify reads from an answer what it is, and for how long it says that it may be kept,
// and leaves the data as it is.
func identify(where string, r *Raw) (identity, time.Duration, error) {
	s, err := decode[ignored](where, r, strictness{})
	is := identity{version: s.Metadata.Version, created: s.Metadata.Created}
	if err == nil && r.engine == 1 {
		var data json.RawMessage
		data, err = dataOf(where, r)
		is.sum = sha256.Sum256(data)
	}
	return is, s.TTL, err
}

// ignored is a JSON value that nobody looks at.
type ignored bool

// UnmarshalJSON notes that there is one.
func (i *ignored) UnmarshalJSON([]byte) error { *i = true; return nil }

// join has w kept current. The poller of a path exists as long as somebody watches it.
func (r *Reads) join(s *Store, path string, w watching, ttl time.Duration) *poller {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := s.key(path, 0)
	p := r.pollers[key]
	if p == nil {
		p = &poller{store: s, path: path, watchers: make(map[watching]struct{})}
		r.pollers[key] = p
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watchers[w], p.ttl = struct{}{}, ttl
	p.pace()
	return p
}

// leave ends that.
func (r *Reads) leave(p *poller, w watching) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watchers, w)
	if len(p.watchers) > 0 {
		p.pace()
		return
	}
	if key := p.store.key(p.path, 0); r.pollers[key] == p {
		delete(r.pollers, key)
	}
	p.entry.Remove()
}

// within reports whether path is read at least every d already, so that what was
// read last is as new as what who asks for every d would have.
func (r *Reads) within(key Key, d time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pollers[key]
	if p == nil {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.interval <= d
}

// pace sees to it that p reads as often as the most demanding of its watchers wants, and
// the secret itself. The lock is held.
func (p *poller) pace() {
	interval := time.Duration(0)
	for w := range p.watchers {
		if d := w.every(); interval == 0 || d < interval {
			interval = d
		}
	}
	if p.ttl > 0 {
		interval = min(interval, max(p.ttl, minInterval))
	}
	switch {
	case p.entry == nil:
		p.entry = p.store.view.Manager().Poll(p.store.where(p.path), interval, p.poll)
	case interval != p.interval:
		p.entry.SetInterval(interval)
	}
	p.interval = interval
}

// What one read of a watched secret may take: the interval, within these. A server that is slow would otherwise
// be asked again and again, and never heard.
const (
	pollPatience = 5 * time.Second
	pollTimeout  = 10 * time.Second
)

// poll reads the secret again for all who watch it.
func (p *poller) poll(ctx context.Context) error {
	p.mu.Lock()
	interval := p.interval
	p.mu.Unlock()
	// Get would try for a minute and only then say that something is wrong: a read that
	// fails is over when the next one is due.
	limited, cancel := context.WithTimeout(ctx, min(max(interval, pollPatience), pollTimeout))
	defer cancel()
	a := p.read(limited, getOptions{quiet: true})
	if a.err != nil && ctx.Err() != nil {
		return a.err // the end of the watching, not of the secret
	}
	return p.tell(ctx, a)
}

// read asks Vault.
func (p *poller) read(ctx context.Context, o getOptions) reading {
	a := reading{at: p.store.view.Clock()()}
	a.raw, a.err = p.store.read(ctx, p.path, o)
	if a.err != nil {
		return a
	}
	a.at = a.raw.sent
	var ttl time.Duration
	if a.is, ttl, a.err = identify(p.store.where(p.path), a.raw); a.err != nil {
		a.err = &lease.Error{Class: lease.Permanent, Err: a.err} // as with what does not decode, the pace is kept
		return a
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ttl != ttl && len(p.watchers) > 0 {
		p.ttl = ttl
		p.pace()
	}
	return a
}

// patience is how long a poll waits for verifiers: their outcome is then part of its own,
// and a slow one is in nobody's way.
const patience = time.Second

// tell has all who watch look at an answer, and returns what they say is wrong.
func (p *poller) tell(ctx context.Context, a reading) error {
	p.mu.Lock()
	watchers := slices.Collect(maps.Keys(p.watchers))
	p.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var trials []*trial
	for _, w := range watchers {
		if t := w.offer(a); t.at == a.at.Mono {
			trials = append(trials, t)
		}
	}
	var faults faults
	for _, t := range trials {
		if t.over(limited) {
			faults.add(t.err)
		}
	}
	return faults.err()
}

// faults are what is wrong with an answer. Most who watch one path say the same.
type faults []error

func (f *faults) add(err error) {
	if err == nil || slices.ContainsFunc(*f, func(e error) bool { return e.Error() == err.Error() }) {
		return
	}
	*f = append(*f, err)
}

// err is all of them. What only a write can cure does not change the pace of the reads; of
// several, one that may pass decides.
func (f *faults) err() error {
	switch len(*f) {
	case 0:
		return nil
	case 1:
		return (*f)[0]
	}
	class := lease.Permanent
	for _, err := range *f {
		var le *lease.Error
		if !errors.As(err, &le) {
			class = lease.Unknown
		} else if le.Class != lease.Permanent {
			class = le.Class
		}
	}
	return &lease.Error{Class: class, Err: errors.Join(*f...)}
}

// trial is what becomes of an answer.
type trial struct {
	at   time.Duration // of the answer
	done chan struct{}
	err  error // set before done is closed
}

// ended is the trial of an answer that needed none.
func ended(a reading, err error) *trial {
	t := &trial{at: a.at.Mono, done: make(chan struct{}), err: err}
	close(t.done)
	return t
}

func (t *trial) running() bool {
	select {
	case <-t.done:
		return false
	default:
		return true
	}
}

// over waits for the trial's end, and reports whether that came before ctx's.
func (t *trial) over(ctx context.Context) bool {
	select {
	case <-t.done:
	case <-ctx.Done():
	}
	return !t.running()
}

// callback calls what a user gave us and takes its panic, whose value is not shown, since
// it may hold a secret. leasehold.Client.Close knows by this function's name that it
// was called from within, and must not wait for itself.
func callback(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic (%T)", p)
		}
	}()
	return f()
}
