package suite

import (
	"context"
	"database/sql"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// balancer is a load balancer: it asks each node for its health and has the proxy send
// its clients to one that is well.
type balancer struct {
	p     *testvault.Proxy
	nodes []string // their addresses, which outlast a restart
	check string   // what a node that is well answers with 200

	mu     sync.Mutex
	target string
	since  time.Time
}

func balance(t *testing.T, c *testvault.VaultCluster, check string) *balancer {
	t.Helper()
	leader := c.Leader().Addr()
	b := &balancer{p: testvault.NewProxy(t, leader), check: check, target: leader, since: time.Now()}
	for _, n := range c.Nodes() {
		b.nodes = append(b.nodes, n.Addr())
	}
	return b
}

func (b *balancer) run(ctx context.Context) {
	client := &http.Client{Timeout: 500 * time.Millisecond, Transport: &http.Transport{DisableKeepAlives: true}}
	next := 0
	every(ctx, 100*time.Millisecond, func() {
		next++ // another one each time, if several are well
		for i := range b.nodes {
			node := b.nodes[(next+i)%len(b.nodes)]
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, node+b.check, http.NoBody)
			if err != nil {
				return
			}
			resp, err := client.Do(req)
			if err != nil {
				continue
			}
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				b.send(node)
				return
			}
		}
	})
}

func (b *balancer) send(target string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if target != b.target {
		b.p.Swap(target)
		b.target, b.since = target, time.Now()
	}
}

// leads says since when the present target has been one.
func (b *balancer) leads() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since
}

// service is an application behind a balancer, which does all that one does at once.
type service struct {
	*app

	name   string
	w      world
	b      *balancer
	trusts bool // that it will be redirected, if at all, to a node that it knows
	held   *holder
	log    *queryLog
	db     *sql.DB
	flags  *cache.Value[limits]
	zeros  atomic.Int64 // reads of the watched value that gave nothing

	mu      sync.Mutex
	reads   int // of KV, from Vault
	failed  []sight
	reopens int // of new leases, after an answer that was lost
}

func (w world) serve(t *testing.T, name string, b *balancer, dead *graves, change ...func(*leasehold.Config)) *service {
	t.Helper()
	w.v.DatabaseRole("database", name, map[string]any{"default_ttl": "20s", "max_ttl": "1h"})
	s := &service{name: name, w: w, b: b, log: &queryLog{w: w, role: name}}
	s.trusts = len(change) > 0
	s.app = w.start(t, "approle-"+name, map[string]any{"token_ttl": "20s"}, append(change, via(b.p))...)
	creds, err := dynamic.Database(t.Context(), s, name)
	require.NoError(t, err)
	s.held = &holder{graves: dead, creds: creds}
	s.db = w.open(t, creds)
	s.flags, err = kv.Watch[limits](t.Context(), s.KV("secret"), "limits", kv.Every(time.Second))
	require.NoError(t, err)
	return s
}

// work runs the load until ctx ends.
func (s *service) work(ctx context.Context) {
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() { s.log.work(ctx, s.db) })
	}
	wg.Go(func() {
		every(ctx, 10*time.Millisecond, func() {
			s.held.look(ctx)
			if s.flags.Get().N != 7 {
				s.zeros.Add(1)
			}
		})
	})
	for range 2 {
		wg.Go(func() {
			every(ctx, 50*time.Millisecond, func() {
				at := time.Now()
				limited, cancel := uncut(ctx)
				_, err := kv.Get[limits](limited, s.KV("secret"), "limits")
				cancel()
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.reads++; err != nil {
					s.failed = append(s.failed, sight{at, err.Error()})
				}
			})
		})
	}
	wg.Wait()
}

// reopen obtains another lease, beginning now, and returns how long after the leader was
// there to ask that was. An answer that was lost is returned at once; the application
// tries again.
func (s *service) reopen(t *testing.T) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := dynamic.Database(ctx, s, s.name)
		cancel()
		if err == nil {
			break
		}
		if time.Since(began) > 30*time.Second {
			assert.Fail(t, "no new lease of "+s.name, err.Error())
			return time.Since(began)
		}
		s.reopens++
		<-time.After(100 * time.Millisecond)
	}
	opened := time.Now()
	if since := s.b.leads(); since.After(began) && since.Before(opened) {
		began = since
	}
	return opened.Sub(began)
}
