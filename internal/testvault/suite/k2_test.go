package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestK2ASlowAnswerAgesItsOwnLease delays each creation and each renewal by half of the
// lease's life, from the first one on: either Vault acts at once and its answer is late,
// or it acts late, or the creation's answer is late and no renewal reaches Vault. Who
// counts from the answer believes in five seconds that the lease does not have, and hands
// out and dials with a dead user; who gives up on the first slow renewal for good has
// queries fail. Nothing but the lease can end here: the token lives for an hour.
func TestK2ASlowAnswerAgesItsOwnLease(t *testing.T) {
	t.Parallel()
	const slow = 5 * time.Second
	w := newWorld(t)
	for _, tc := range []struct {
		name, role string
		rule       testvault.Rule // for renewals; creations are as late
		after      bool
	}{
		{"the answer is late", "k2late", testvault.Rule{Delay: slow, After: true}, true},
		{"the request is late", "k2ask", testvault.Rule{Delay: slow}, false},
		{"the answer is late and no renewal succeeds", "k2alone", testvault.Rule{DropBefore: true}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := w.in(t)
			p := testvault.NewProxy(t, w.v.Addr())
			tc.rule.Path = "sys/leases/renew"
			p.Fault(tc.rule)
			leases := &leaseTable{w: w, ids: map[string]string{}}
			p.Fault(testvault.Rule{Path: "database/creds/", Delay: slow, After: tc.after, Rewrite: leases.note})
			w.v.DatabaseRole("database", tc.role, map[string]any{"default_ttl": "10s", "max_ttl": "1h"})
			a := w.start(t, "approle-"+tc.role, map[string]any{"token_ttl": "1h"}, via(p))
			creds, err := dynamic.Database(t.Context(), a, tc.role)
			require.NoError(t, err)
			db := w.open(t, creds)

			ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
			defer cancel()
			dead := &graves{w: w}
			held := &holder{graves: dead, creds: creds}
			log := &queryLog{w: w, role: tc.role}
			var wg sync.WaitGroup
			wg.Go(func() { dead.dig(ctx) })
			wg.Go(func() { every(ctx, 20*time.Millisecond, func() { held.look(ctx) }) })
			for range 4 {
				wg.Go(func() { log.work(ctx, db) })
			}
			ahead, compared := -time.Hour, 0
			wg.Go(func() {
				every(ctx, 200*time.Millisecond, func() {
					if d, ok := leases.ahead(creds.Snapshot()); ok {
						ahead, compared = max(ahead, d), compared+1
					}
				})
			})
			wg.Wait()

			assert.Greater(t, log.done, 200, "too few queries to say anything")
			assert.GreaterOrEqual(t, compared, 50, "too few comparisons with Vault's lease table")
			assert.Empty(t, log.failed, "failed queries")
			assert.Empty(t, held.corpses, "credentials handed out whose user was gone")
			assert.Less(t, ahead, time.Second, "Expires is later than the lease's own end")
			slowed := p.Count("", "database/creds/") + p.Count("", "sys/leases/renew")
			assert.GreaterOrEqual(t, slowed, 3, "slow requests")
			creations := w.v.Audit().Count("read", "database/creds/"+tc.role)
			assert.LessOrEqual(t, creations, 10, "creations in the audit log")
			figure.AtMost(stdout, tc.role+"-failed", float64(len(log.failed)), "queries", 0, "oracle=query-log",
				fmt.Sprintf("queries=%d", log.done), fmt.Sprintf("creations=%d", creations), fmt.Sprintf("slowed=%d", slowed))
			figure.AtMost(stdout, tc.role+"-corpses", float64(len(held.corpses)), "credentials", 0, "oracle=pg_roles",
				fmt.Sprintf("reads=%d", held.reads), fmt.Sprintf("without=%d", len(held.misses)))
			figure.AtMost(stdout, tc.role+"-expires-ahead", ahead.Seconds(), "s", 1, "oracle=lease-table", fmt.Sprintf("compared=%d", compared))

			p.Clear()
			require.NoError(t, db.Close())
			require.NoError(t, a.Close(context.Background()))
			w.nothingLeft(t, tc.role)
		})
	}
}

// leaseTable knows which lease is whose, from the answers that pass the proxy.
type leaseTable struct {
	w world

	mu  sync.Mutex
	ids map[string]string // by user
}

// note is a rule's Rewrite.
func (l *leaseTable) note(status int, _ http.Header, body []byte) (int, []byte) {
	var answer struct {
		LeaseID string `json:"lease_id"`
		Data    struct {
			Username string `json:"username"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &answer) == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ids[answer.Data.Username] = answer.LeaseID
	}
	return status, body
}

// ahead is by how much the library believes a credential's lease to end later than Vault
// does. It says no where the lease has gone.
func (l *leaseTable) ahead(s dynamic.Snapshot[dynamic.UserPass]) (time.Duration, bool) {
	expires := s.Expires() // before Vault is asked: what is renewed in between ends later
	l.mu.Lock()
	id := l.ids[s.Value.Username]
	l.mu.Unlock()
	status, answer, err := l.w.v.TryWrite("sys/leases/lookup", map[string]any{"lease_id": id})
	if err != nil || status != http.StatusOK {
		return 0, false
	}
	data, _ := answer["data"].(map[string]any)
	text, _ := data["expire_time"].(string)
	end, err := time.Parse(time.RFC3339Nano, text)
	return expires.Sub(end), err == nil
}
