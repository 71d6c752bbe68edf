//go:build figures

package lease_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// fleet is a server with many clients, and the truth about what it granted them.
type fleet struct {
	clock lease.Clock
	downs []outage

	mu       sync.Mutex // guards the rest
	requests []int      // in each second, whatever came of them
	logins   int
	mints    int
}

type outage struct{ from, to time.Duration }

// ask counts a request, takes its time, and fails while the server is down.
func (f *fleet) ask(counted *int) error {
	now := f.clock().Mono
	f.mu.Lock()
	f.requests[int(now/time.Second)]++
	if counted != nil {
		*counted++
	}
	f.mu.Unlock()
	for _, o := range f.downs {
		if now >= o.from && now < o.to {
			return errOf(lease.Transient)
		}
	}
	time.Sleep(20 * ms)
	return nil
}

// kept is one lease of one client: the token, or a credential under it.
type kept struct {
	f      *fleet
	ttl    time.Duration
	max    time.Duration // from when it was made; 0: none
	parent *kept         // nil of the token
	entry  *lease.Entry

	mu    sync.Mutex // guards the rest: the server's books
	grant *lease.Grant
	born  time.Duration
	ends  time.Duration
	under *lease.Grant // the token that it was made with
}

func (k *kept) book(g *lease.Grant, sent lease.Instant) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.grant, k.born, k.under = g, sent.Mono, g.Parent()
	k.ends = sent.Mono + k.ttl
}

// alive is the server's word on g.
func (k *kept) alive(g *lease.Grant, now time.Duration) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.grant != g {
		return false
	}
	return now < k.ends && (k.parent == nil || k.parent.grants(k.under, now))
}

// grants is whether the token g, which may be an old one, lives on. An old one cannot
// have been renewed since it was replaced, so that it ends when the client thinks.
func (k *kept) grants(g *lease.Grant, now time.Duration) bool {
	if k.alive(g, now) {
		return true
	}
	l := g.Lease()
	return now < l.Sent.Mono+l.TTL
}

func (k *kept) lease(sent lease.Instant) lease.Lease {
	return lease.Lease{TTL: k.ttl, Asked: k.ttl, Sent: sent, Renewable: true}
}

// Renew implements lease.Keeper.
func (k *kept) Renew(_ context.Context, g *lease.Grant) (lease.Lease, error) {
	sent := k.f.clock()
	if err := k.f.ask(nil); err != nil {
		return lease.Lease{}, err
	}
	if !k.alive(g, sent.Mono) {
		return lease.Lease{}, errOf(lease.Dead)
	}
	l := k.lease(sent)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.max > 0 {
		l.TTL = min(l.TTL, k.born+k.max-sent.Mono)
	}
	k.ends = sent.Mono + l.TTL
	return l, nil
}

// Replace implements lease.Keeper.
func (k *kept) Replace(ctx context.Context) (*lease.Grant, error) {
	counted := &k.f.logins
	var parent *lease.Grant
	if k.parent != nil {
		counted = &k.f.mints
		for parent = k.parent.entry.Grant(); !parent.Valid(k.f.clock()); parent = k.parent.entry.Grant() {
			if err := k.parent.entry.Ensure(ctx, parent); err != nil {
				return nil, err
			}
		}
	}
	sent := k.f.clock()
	if err := k.f.ask(counted); err != nil {
		return nil, err
	}
	g := lease.NewGrant(k.lease(sent), parent)
	k.book(g, sent)
	return g, nil
}

// Release implements lease.Keeper.
func (k *kept) Release(context.Context, *lease.Grant) error { return nil }

// TestFigureFleet has 10,000 clients start together and live for a day with two outages.
// Each has a token, a credential under it, and a watched value. The first minute is the
// start itself. Each second is compared with the mean of its hour.
func TestFigureFleet(t *testing.T) {
	const (
		clients  = 10_000
		day      = 24 * time.Hour
		tokenTTL = 20 * time.Minute
		tokenMax = 8 * time.Hour
		leaseTTL = time.Hour
		watched  = 10 * time.Minute
	)
	synctest.Test(t, func(t *testing.T) {
		f := &fleet{
			clock:    lease.SystemClock(),
			downs:    []outage{{6 * time.Hour, 6*time.Hour + 5*time.Minute}, {15 * time.Hour, 15*time.Hour + 9*time.Minute}},
			requests: make([]int, day/time.Second+60),
		}
		var managers []*lease.Manager
		var creds []*kept
		for range clients {
			m := lease.NewManager(lease.Config{Clock: f.clock})
			managers = append(managers, m)
			token := &kept{f: f, ttl: tokenTTL, max: tokenMax}
			cred := &kept{f: f, ttl: leaseTTL, parent: token}
			for _, k := range []*kept{token, cred} {
				var parent *lease.Grant
				if k.parent != nil {
					parent = k.parent.entry.Grant()
				}
				g := lease.NewGrant(k.lease(f.clock()), parent)
				k.book(g, f.clock())
				k.entry = m.Add("fleet", k, g)
			}
			creds = append(creds, cred)
			m.Poll("fleet", watched, func(context.Context) error { return f.ask(nil) })
		}
		expiredReads, validReads, missing := 0, 0, 0
		for at := time.Duration(0); at < day; at += time.Minute {
			time.Sleep(time.Minute)
			synctest.Wait()
			now := f.clock()
			for _, c := range creds {
				switch g := c.entry.Grant(); {
				case !g.Valid(now):
					missing++
				case c.alive(g, now.Mono):
					validReads++
				default:
					expiredReads++
				}
			}
		}
		for _, m := range managers {
			require.NoError(t, m.Close(t.Context()))
		}
		worst, total := 0.0, 0
		for hour := range int(day / time.Hour) {
			sum, peak := 0, 0
			for second := hour * 3600; second < (hour+1)*3600; second++ {
				if second < 60 {
					continue
				}
				sum += f.requests[second]
				peak = max(peak, f.requests[second])
			}
			ratio := float64(peak) / (float64(sum) / 3600)
			worst = max(worst, ratio)
			total += sum
			t.Logf("hour %2d: %6d requests, peak %d/s, ratio %.2f", hour, sum, peak, ratio)
		}
		note := []string{"oracle=server", fmt.Sprintf("requests=%d", total), fmt.Sprintf("logins=%d", f.logins), fmt.Sprintf("creations=%d", f.mints)}
		figure.AtMost(os.Stdout, "fleet-peak-ratio", worst, "x", 3, note...)
		require.True(t, figure.AtMost(os.Stdout, "fleet-expired-reads", float64(expiredReads), "reads", 0, "oracle=server", fmt.Sprintf("valid=%d", validReads), fmt.Sprintf("none=%d", missing)))
	})
}
