package suite

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
)

const (
	runFor  = 60 * time.Second
	queries = 100 * time.Millisecond // between two of one worker
	workers = 8
)

// shortToken is an AppRole whose tokens die after 12 s whatever is done.
func shortToken() map[string]any { return map[string]any{"token_ttl": "8s", "token_max_ttl": "12s"} }

// TestA1 is the headline: tokens that die every 12 s, and not one failed query.
// The credential's own lease says an hour or 10 s; it dies with its token.
func TestA1(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, tc := range []struct {
		name, role, ttl, maxTTL string
		revoke                  bool
	}{
		{name: "a lease of one hour", role: "long", ttl: "1h", maxTTL: "2h"},
		{name: "a lease of ten seconds", role: "short", ttl: "10s", maxTTL: "15s"},
		{name: "a lease revoked from outside", role: "revoked", ttl: "1h", maxTTL: "2h", revoke: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := w.in(t)
			w.v.DatabaseRole("database", tc.role, map[string]any{"default_ttl": tc.ttl, "max_ttl": tc.maxTTL})
			mount := "approle-" + tc.role
			a := w.start(t, mount, shortToken())
			creds, err := dynamic.Database(t.Context(), a, tc.role)
			require.NoError(t, err)
			db := w.open(t, creds)

			log := &queryLog{w: w, role: tc.role}
			ctx, cancel := context.WithTimeout(t.Context(), runFor)
			defer cancel()
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() { log.work(ctx, db) })
			}
			if tc.revoke {
				wg.Go(func() {
					<-time.After(runFor / 3)
					log.revoke()
				})
			}
			wg.Wait()

			logins := w.v.Audit().Count("", "auth/"+mount+"/login")
			creations := w.v.Audit().Count("", "database/creds/"+tc.role)
			assert.Greater(t, log.done, int(workers*runFor/queries)/2, "too few queries to say anything")
			assert.GreaterOrEqual(t, logins, 4, "logins in the audit log")
			assert.LessOrEqual(t, logins, 24, "logins in the audit log")
			assert.GreaterOrEqual(t, log.changes, 2, "changes of the database user")
			figure.AtMost(stdout, "a1-"+tc.role+"-logins", float64(logins), "logins", 24, "oracle=audit-log")
			if tc.revoke {
				figure.AtMost(stdout, "a1-revoked-recovery", log.recovery().Seconds(), "s", 2, "oracle=query-log", fmt.Sprintf("failed=%d", len(log.failed)), fmt.Sprintf("queries=%d", log.done))
				assert.Empty(t, log.failedBefore(), "failed queries before the revocation")
				assert.Empty(t, log.failedAfter(5*time.Second), "failed queries long after the revocation")
			} else {
				figure.AtMost(stdout, "a1-"+tc.role+"-failed", float64(len(log.failed)), "queries", 0,
					"oracle=query-log", fmt.Sprintf("queries=%d", log.done), fmt.Sprintf("creations=%d", creations))
				assert.Empty(t, log.failed, "failed queries")
				assert.Empty(t, log.late, "credentials first used after their predecessor's death")
			}

			require.NoError(t, db.Close())
			require.NoError(t, a.Close(context.Background()))
			w.nothingLeft(t, tc.role)
		})
	}
}
