// Package koanfkv lets koanf v2 load a secret of Vault's KV engine, and load it again
// when it changes.
//
//	stripe, err := koanfkv.New(ctx, client.KV("secret"), "payments/stripe", ".")
//	defer stripe.Close()
//	err = k.Load(stripe, nil)
//
// koanf asks its providers without a context and keeps what they give as plain values. So
// New reads the secret within its ctx and keeps it current in memory, as kv.Watch does, and
// Read never waits for Vault. And in a Koanf nothing is a secret any more: do not Print
// one. Its Unmarshal fills fields of type secret.String and secret.Bytes; a Bytes gets the
// bytes of the text as they are, where kv.Get takes a text for base64.
package koanfkv

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/knadh/koanf/v2"

	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

var (
	errBytes   = errors.New("koanfkv: a secret comes as a map: load it without a parser")
	errWatched = errors.New("koanfkv: this provider is watched already: Unwatch it first")
)

// Provider is one secret as a koanf.Provider. It may be used by many goroutines at once.
type Provider struct {
	path, delim string
	value       *cache.Value[map[string]any]
	read        atomic.Uint64 // the generation that Read gave out last

	mu   sync.Mutex
	stop context.CancelFunc // of Watch's goroutine; nil: there is none
	done chan struct{}      // closed when the latest goroutine has ended; nil: there was none
}

var _ koanf.Provider = (*Provider)(nil)

// New reads the secret at path and keeps it current until Close, or until the client is
// closed. ctx is for this first read, which is retried as kv.Get does and fails with the
// same errors. The options are those of kv.Watch, whose T is map[string]any here.
//
// Keys of the secret are split at delim, which is that of koanf.New: with "." the key
// "db.host" becomes the key "host" of "db". With "" keys stay as they are. A secret in
// which two keys would then be one is refused.
func New(ctx context.Context, store *kv.Store, path, delim string, opts ...kv.WatchOption) (*Provider, error) {
	value, err := kv.Watch[map[string]any](ctx, store, path, opts...)
	if err != nil {
		return nil, err
	}
	p := &Provider{path: path, delim: delim, value: value}
	if _, err := p.Read(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

// Format writes the path, whatever the verb.
func (p *Provider) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "koanfkv.Provider(%s)", p.path) }

// Read returns a copy of the secret as it is in memory, without asking Vault, also after
// Close. Numbers become int64, uint64 or float64, or a string of their digits where each of
// these would lose some; koanf's getters understand that, too.
func (p *Provider) Read() (map[string]any, error) {
	s := p.value.Snapshot()
	out, err := p.convert(s.Value)
	if err == nil {
		p.read.Store(s.Generation)
	}
	return out, err
}

// ReadBytes always fails: pass koanf's Load no parser.
func (p *Provider) ReadBytes() ([]byte, error) { return nil, errBytes }

// Err returns nil if the secret in memory is known to be current, else why it is not, as
// the Err of a cache.Value does.
func (p *Provider) Err() error { return p.value.Err() }

// Refresh reads the secret from Vault now, as the Refresh of a cache.Value does: before a
// Load that is to see what was written a moment ago, such as on SIGHUP.
func (p *Provider) Refresh(ctx context.Context) error { return p.value.Refresh(ctx) }

// Watch has cb called whenever there is another version than Read gave out last, from one
// goroutine and so never twice at once; a slow cb misses versions in between. The event is
// nil. cb(nil, err) says that the secret can no longer be read (once, until it can again),
// that a version is not fit for koanf, or, as the last call of all, that the client was
// closed; Read goes on with the last good version where Vault has none.
//
// Load in cb into a new Koanf, and put it in the old one's place if that worked: koanf
// merges, so a key that is gone from the secret would stay in one that is loaded again.
func (p *Provider) Watch(cb func(event any, err error)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil {
		return errWatched
	}
	ctx, cancel := context.WithCancel(context.Background())
	before, done := p.done, make(chan struct{})
	p.stop, p.done = cancel, done
	go func() {
		defer close(done)
		if before != nil {
			<-before // a call that Unwatch did not wait for
		}
		p.watch(ctx, cb)
	}()
	return nil
}

// glance is how often Watch looks whether the value is stale: a new version wakes who
// waits for it, a failure does not.
const glance = time.Second

func (p *Provider) watch(ctx context.Context, cb func(event any, err error)) {
	told := false // that the secret cannot be read
	for after := p.read.Load(); ; {
		limited, cancel := context.WithTimeout(ctx, glance)
		s, err := p.value.Wait(limited, after)
		cancel()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			after, told = s.Generation, false
			_, err = p.convert(s.Value)
			cb(nil, err)
		case errors.Is(err, cache.ErrClosed):
			cb(nil, fmt.Errorf("koanfkv: %s: the client was closed: %w", p.path, err))
			return
		default:
			stale := p.value.Err()
			if stale != nil && !told {
				cb(nil, fmt.Errorf("koanfkv: %s: %w", p.path, stale))
			}
			told = stale != nil
		}
	}
}

// Unwatch ends what Watch began. It does not wait for a call of cb that is under way, and
// may be called from there. Afterwards Watch may be called again, whose calls then begin once
// that one has returned.
func (p *Provider) Unwatch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stop != nil {
		p.stop()
		p.stop = nil
	}
	return nil
}

// Close ends the reading of the secret, and what Watch began. It is idempotent. Closing the
// client does the same.
func (p *Provider) Close() error { return errors.Join(p.Unwatch(), p.value.Close()) }
