package suite

import (
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

// lost are the ways in which the answer to a creation is lost: the user is there, and
// nobody knows of it.
func lost() map[string]testvault.Rule {
	return map[string]testvault.Rule{
		"dropped": {DropAfter: true},
		"gateway": {
			After: true, Status: http.StatusBadGateway,
			Header: http.Header{"Content-Type": {"text/html"}}, Body: "<html><body><h1>502 Bad Gateway</h1></body></html>",
		},
	}
}

// TestB11ALostAnswerLeavesOneOrphan loses the answer to a creation after Vault has made
// the user: at Open, and when a credential is replaced in the background. What repeats
// such a request makes an orphan each time, three with the official client's defaults
// (F8), and net/http repeats it as well on a reused connection (F23).
func TestB11ALostAnswerLeavesOneOrphan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var all []string // orphans of each subtest
	most, told := 0, sync.Mutex{}
	tell := func(t *testing.T, what string, orphans int) {
		t.Helper()
		told.Lock()
		defer told.Unlock()
		most, all = max(most, orphans), append(all, fmt.Sprintf("%s=%d", what, orphans))
		assert.LessOrEqual(t, orphans, 1, "orphans")
	}
	t.Cleanup(func() { // after the subtests
		figure.AtMost(stdout, "b11-orphans", float64(most), "orphans", 1, append(all, "oracle=sys/leases/lookup,audit-log,query-log")...)
	})
	for how, rule := range lost() {
		t.Run("at Open, "+how, func(t *testing.T) {
			t.Parallel()
			w, role := w.in(t), "open"+how[:4]
			w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
			p := testvault.NewProxy(t, w.v.Addr())
			a := w.start(t, "approle-"+role, hour(), via(p))
			rule.Path, rule.Times = "database/creds/", 1
			p.Fault(rule)
			_, err := dynamic.Database(t.Context(), a, role)
			require.ErrorContains(t, err, "not repeated", "what may have made a user is the caller's to repeat")

			orphans := len(w.v.Leases("database/creds/" + role))
			tell(t, "open-"+how, orphans)
			assert.Equal(t, 1, w.v.Audit().Count("read", "database/creds/"+role), "creations that reached Vault")
			assert.Len(t, w.roles(role), orphans)

			// A second try is a decision, and works.
			creds, err := dynamic.Database(t.Context(), a, role)
			require.NoError(t, err)
			_, err = creds.Get()
			require.NoError(t, err)
			assert.Equal(t, 2, w.v.Audit().Count("read", "database/creds/"+role))
			require.NoError(t, a.Close(t.Context()))
			w.nothingLeft(t, role)
		})
		t.Run("in the background, "+how, func(t *testing.T) {
			t.Parallel()
			role := "back" + how[:4]
			y := w.in(t).player(t, role, map[string]any{"default_ttl": "8s", "max_ttl": "10s"}, hour())
			rule.Path, rule.Times = "database/creds/", 1
			y.p.Fault(rule)
			y.play(t, workers)
			testvault.Poll(t, 20*time.Second, func() bool {
				y.log.mu.Lock()
				defer y.log.mu.Unlock()
				return y.log.changes == 1
			}, "no replacement after a lost answer")
			y.rest()
			y.unharmed(t)
			orphans := len(y.creations()) - len(y.log.seen)
			tell(t, "replaced-"+how, orphans)
			assert.Len(t, y.creations(), 3, "the first, the one that was lost, and a good one")
			y.leave(t)
		})
	}
}
