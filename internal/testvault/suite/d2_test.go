package suite

import (
	"context"
	"fmt"
	"slices"
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
)

// TestD2FiveHundredClientsDoNotComeBackTogether has 500 clients with a lease of 120 s
// each, and refuses all connections for 30 s from when the first renewals fall due. When
// Vault answers again they must not all be there in the same second, and none may have
// lost its credential. Clients that renew at a fixed share of the TTL, and repeat at fixed
// pauses, meet in one second, and Vault falls over again.
//
// It is not parallel: 500 clients that start take all cores for seconds, and what ran beside would be late.
func TestD2FiveHundredClientsDoNotComeBackTogether(t *testing.T) {
	const clients, due, outage, after = 500, 40 * time.Second, 30 * time.Second, 30
	w := newWorld(t)
	w.v.DatabaseRole("database", "herd", map[string]any{"default_ttl": "120s", "max_ttl": "2h"})
	roleID, secretID := w.v.AppRole("approle-herd", "app", map[string]any{"token_ttl": "1h", "token_policies": "app"})
	p := testvault.NewProxy(t, w.v.Addr())
	all := make([]*leasehold.Client, clients)
	creds := make([]*dynamic.Credential[dynamic.UserPass], clients)
	errs := make([]error, clients)
	each(clients, func(i int) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if all[i], errs[i] = leasehold.New(ctx, leasehold.Config{
			Address: p.Addr(), Auth: approle.New(roleID, approle.SecretIDString(secretID), approle.Mount("approle-herd")),
			KeepOnClose: true, // Vault would take half a minute to drop 500 users, with which its world ends anyway
		}); errs[i] == nil {
			creds[i], errs[i] = dynamic.Database(ctx, all[i], "herd")
		}
	})
	opened := time.Now()
	t.Cleanup(func() {
		each(clients, func(i int) {
			if all[i] != nil {
				_ = all[i].Close(context.Background())
			}
		})
	})
	users := make([]string, clients)
	for i := range clients {
		require.NoError(t, errs[i])
		users[i] = creds[i].Snapshot().Value.Username
	}

	<-time.After(time.Until(opened.Add(due)))
	p.Refuse()
	<-time.After(outage)
	p.Reset()
	w.v.Audit().Reset()
	p.Accept()
	<-time.After((after + 5) * time.Second)

	healthy := 0
	for i, c := range creds {
		if up, err := c.Get(); err == nil && up.Username == users[i] && all[i].Ready() == nil {
			healthy++
		}
	}
	assert.True(t, figure.AtLeast(stdout, "d2-healthy", float64(healthy), "clients", clients, "oracle=credentials"))
	assert.Len(t, w.roles("herd"), clients, "the database users are those of before, and no others")
	var seen, told []time.Time
	for _, s := range p.Log() {
		seen = append(seen, s.Time)
		assert.Equal(t, "sys/leases/renew", s.Path, "an outage makes nobody log in or mint")
	}
	for _, e := range w.v.Audit().Responses() {
		told = append(told, e.Time)
	}
	for oracle, at := range map[string][]time.Time{"proxy-log": seen, "audit-log": told} {
		peak, total := busiest(at, after)
		assert.GreaterOrEqual(t, total, clients/2, "%s: too few renewals to say anything", oracle)
		name := "d2-peak-ratio"
		if oracle != "proxy-log" {
			name += "-" + oracle
		}
		figure.AtMost(stdout, name, float64(peak)*after/float64(total), "x", 3, "oracle="+oracle,
			fmt.Sprintf("peak=%d", peak), fmt.Sprintf("requests=%d", total), fmt.Sprintf("seconds=%d", after), fmt.Sprintf("clients=%d", clients))
	}
	each(clients, func(i int) { errs[i] = all[i].Close(context.Background()) })
	for _, err := range errs {
		require.NoError(t, err)
	}
}

// busiest counts the events in the seconds from the first one on: in the busiest one, and
// in all.
func busiest(at []time.Time, seconds int) (peak, total int) {
	if len(at) == 0 {
		return 0, 0
	}
	first := slices.MinFunc(at, time.Time.Compare)
	counts := make([]int, seconds)
	for _, a := range at {
		if second := int(a.Sub(first) / time.Second); second < seconds {
			counts[second]++
			total++
		}
	}
	return slices.Max(counts), total
}

// each calls f for 0 to n-1, a few at a time.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	turns := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range turns {
				f(i)
			}
		})
	}
	for i := range n {
		turns <- i
	}
	close(turns)
	wg.Wait()
}
