package suite

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// swallowed has the connections that a proxy has at a moment lead nowhere any more, as
// those to a server that has moved do: nothing is answered, and nothing is closed. New
// ones reach the server.
type swallowed struct {
	mu    sync.Mutex
	known map[string]bool // connections, by the client's end
	moved bool
}

func swallow(p *testvault.Proxy) *swallowed {
	s := &swallowed{known: map[string]bool{}}
	p.Fault(testvault.Rule{BlackHole: true, Match: func(r *http.Request) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.moved {
			s.known[r.RemoteAddr] = true
		}
		return s.moved && s.known[r.RemoteAddr]
	}})
	return s
}

func (s *swallowed) move() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved = true
}

// readsAgain returns how long it takes until a read succeeds, each with a second's time.
func (a *app) readsAgain(t *testing.T, within time.Duration) time.Duration {
	t.Helper()
	began := time.Now()
	testvault.Poll(t, within, func() bool { return a.read(t, time.Second) == nil }, "no read succeeds again")
	return time.Since(began)
}

// TestE5AServerThatMovedAwayIsFoundAgain swallows what goes over the connections that
// exist, from the moment on at which they are in use: for good, as after a failover of the
// name, and for 8 s, as in a network that hangs. Over TLS all requests share one HTTP/2
// connection, which the kernel keeps for a quarter of an hour; others were gone for hours.
func TestE5AServerThatMovedAwayIsFoundAgain(t *testing.T) {
	t.Parallel()
	w := newVault(t)
	for _, proto := range []string{"http1", "http2"} {
		ca := newAuthority(t)
		begin := func(t *testing.T, w world, name string) (*testvault.Proxy, *app) {
			t.Helper()
			var opts []testvault.ProxyOption
			if proto == "http2" {
				opts = append(opts, testvault.ProxyTLS(ca.server(t)))
			}
			p := testvault.NewProxy(t, w.v.Addr(), opts...)
			a := w.start(t, "approle-"+name+proto, hour(), via(p), func(c *leasehold.Config) {
				if proto == "http2" {
					c.TLS.CACert = ca.file
				}
			})
			return p, a
		}
		warm := func(t *testing.T, p *testvault.Proxy, a *app) {
			t.Helper()
			for range 5 {
				require.NoError(t, a.read(t, 5*time.Second))
			}
			want := map[string]string{"http1": "HTTP/1.1", "http2": "HTTP/2.0"}[proto]
			log := p.Log()
			assert.Equal(t, want, log[len(log)-1].Proto)
		}
		t.Run(proto+", moved", func(t *testing.T) {
			t.Parallel()
			w := w.in(t)
			p, a := begin(t, w, "moved")
			gone := swallow(p)
			warm(t, p, a)
			gone.move()
			took := a.readsAgain(t, 30*time.Second)
			figure.AtMost(stdout, "e5-moved-"+proto, took.Seconds(), "s", 10, "oracle=clock", "read-timeout=1s")
			assert.GreaterOrEqual(t, took, time.Second, "the connections must have been dead for this to say anything")
			require.NoError(t, a.read(t, 5*time.Second), "and so are all later reads: of a dead connection no answer comes at all")
			assert.Equal(t, 1, w.v.Audit().Count("", "auth/approle-moved"+proto+"/login"), "no login")
			require.NoError(t, a.Close(t.Context()))
		})
		t.Run(proto+", a value that is only watched", func(t *testing.T) {
			t.Parallel()
			w := w.in(t)
			p, a := begin(t, w, "watch")
			gone := swallow(p)
			warm(t, p, a)
			value, err := kv.Watch[stripe](t.Context(), a.KV("secret"), "payments/stripe", kv.Every(2*time.Second))
			require.NoError(t, err)
			warm(t, p, a)
			gone.move()
			began := time.Now()
			testvault.Poll(t, 15*time.Second, func() bool { return value.Err() != nil }, "the failure does not show")
			testvault.Poll(t, 60*time.Second, func() bool { return value.Err() == nil }, "the watched value does not recover")
			figure.AtMost(stdout, "e5-watch-"+proto, time.Since(began).Seconds(), "s", 20, "oracle=value", "every=2s")
			assert.False(t, value.Get().APIKey.IsZero())
			require.NoError(t, a.Close(t.Context()))
		})
		t.Run(proto+", frozen", func(t *testing.T) {
			t.Parallel()
			w := w.in(t)
			p, a := begin(t, w, "frozen")
			warm(t, p, a)
			p.Freeze()
			frozen := time.Now()
			for time.Since(frozen) < 8*time.Second {
				require.Error(t, a.read(t, time.Second))
			}
			p.Thaw()
			took := a.readsAgain(t, 30*time.Second)
			figure.AtMost(stdout, "e5-thawed-"+proto, took.Seconds(), "s", 5, "oracle=clock", "frozen=8s")
			assert.Equal(t, 1, w.v.Audit().Count("", "auth/approle-frozen"+proto+"/login"), "no login")
			require.NoError(t, a.Close(t.Context()))
		})
	}
}

// TestE5ALeaseOutlivesTheMoveOfItsServer swallows all existing connections when the first
// renewal of a lease of 12 s falls due. Upkeep must find the new way before the end, without
// minting, and with nobody's reads to help it.
func TestE5ALeaseOutlivesTheMoveOfItsServer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	y := w.player(t, "outlives", map[string]any{"default_ttl": "12s", "max_ttl": "1h"}, hour())
	gone := swallow(y.p)
	require.NoError(t, y.app.read(t, 5*time.Second)) // the connections in the pool are known
	y.play(t, workers)
	<-time.After(3 * time.Second)
	gone.move()
	moved := time.Now()
	testvault.Poll(t, 20*time.Second, func() bool { return len(y.answers("update", "sys/leases/renew")) > 0 }, "no renewal reached the new place")
	figure.AtMost(stdout, "e5-renewed", time.Since(moved).Seconds(), "s", 9, "oracle=audit-log", "lease=12s")
	<-time.After(6 * time.Second)
	y.rest()
	y.unharmed(t)
	assert.Len(t, y.creations(), 1, "an outage is no reason to mint")
	assert.Equal(t, 1, y.logins())
	y.leave(t)
}

// TestE6NothingOutlastsItsCtx makes every call that asks Vault while the network swallows
// everything, with a ctx of a second. The official client tries for a minute in places,
// and its watcher cannot be stopped at all while a renewal is under way (F9).
func TestE6NothingOutlastsItsCtx(t *testing.T) {
	t.Parallel()
	const patience = time.Second
	w := newWorld(t)
	w.v.DatabaseRole("database", "frozen", map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
	p := testvault.NewProxy(t, w.v.Addr())
	a := w.start(t, "approle-frozen", hour(), via(p))
	good, err := dynamic.Database(t.Context(), a, "frozen")
	require.NoError(t, err)
	refused, err := dynamic.Database(t.Context(), a, "frozen")
	require.NoError(t, err)
	closing, err := dynamic.Database(t.Context(), a, "frozen")
	require.NoError(t, err)
	value, err := kv.Watch[stripe](t.Context(), a.KV("secret"), "payments/stripe")
	require.NoError(t, err)
	roleID, secretID := w.v.AppRole("approle-frozen", "other", map[string]any{"token_policies": "app"})

	p.Freeze()
	refused.Invalidate(1)
	calls := map[string]func(ctx context.Context) error{
		"New": func(ctx context.Context) error {
			_, err := leasehold.New(ctx, leasehold.Config{
				Address: p.Addr(), Auth: approle.New(roleID, approle.SecretIDString(secretID), approle.Mount("approle-frozen")),
			})
			return err
		},
		"Load": func(ctx context.Context) error {
			return a.Load(ctx, &struct {
				S stripe `vault:"secret:payments/stripe"`
			}{})
		},
		"kv.Get": func(ctx context.Context) error {
			_, err := kv.Get[stripe](ctx, a.KV("secret"), "payments/stripe")
			return err
		},
		"kv.Watch": func(ctx context.Context) error {
			_, err := kv.Watch[stripe](ctx, a.KV("secret"), "payments/other")
			return err
		},
		"dynamic.Database": func(ctx context.Context) error {
			_, err := dynamic.Database(ctx, a, "frozen")
			return err
		},
		"Credential.Current": func(ctx context.Context) error { _, err := refused.Current(ctx); return err },
		"Credential.Wait":    func(ctx context.Context) error { _, err := good.Wait(ctx, 1); return err },
		"Credential.Close":   closing.Close,
		"Value.Wait":         func(ctx context.Context) error { _, err := value.Wait(ctx, 1); return err },
		"Vault": func(ctx context.Context) error {
			_, err := a.Vault().Logical().ReadWithContext(ctx, "secret/data/x")
			return err
		},
	}
	took := measure(t, calls, patience)
	at := time.Now()
	_, err = good.Current(t.Context())
	require.NoError(t, err, "what is valid is not waited for")
	_ = a.Status()
	_ = value.Get()
	require.ErrorContains(t, a.Ready(), "frozen", "the refused credential")
	assert.Less(t, time.Since(at), patience, "what is in memory needs no Vault")
	took = max(took, measure(t, map[string]func(ctx context.Context) error{"Close": a.Close}, patience))
	figure.AtMost(stdout, "e6-overrun", (took - patience).Seconds(), "s", 0.5, "oracle=clock", "ctx=1s", fmt.Sprintf("calls=%d", len(calls)+1))
	p.Cut()
	p.Thaw()
}

// measure makes all calls at once, and returns how long the slowest one took.
func measure(t *testing.T, calls map[string]func(context.Context) error, patience time.Duration) (slowest time.Duration) {
	t.Helper()
	type result struct {
		name string
		took time.Duration
		err  error
	}
	results := make(chan result, len(calls))
	for name, call := range calls {
		go func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			began := time.Now()
			err := call(ctx)
			results <- result{name, time.Since(began), err}
		}()
	}
	for range calls {
		r := <-results
		require.Error(t, r.err, r.name)
		assert.Less(t, r.took, patience+2*time.Second, "%s: hangs", r.name)
		slowest = max(slowest, r.took)
	}
	return slowest
}
