package suite

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestB3AnOutsideRevocationIsFeltOnceAndReplacedOnce revokes the lease, or the token
// that it hangs on, early in the life of both. Nobody tells the client: it learns of it
// from the database, by a statement that is refused on a warm connection or by fifty
// dials that are refused at once. A client that waits for its next renewal would fail
// for 20 minutes (F5), and one that takes each refusal for a reason would mint fifty.
//
// Nothing runs beside it: fifty workers that dial for each query, one process of PostgreSQL each
// time, take both cores, and whoever watches a lease of seconds then sees it replaced too late.
func TestB3AnOutsideRevocationIsFeltOnceAndReplacedOnce(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		what    string
		token   bool
		cold    bool
		workers int
	}{
		{what: "lease-warm", workers: workers},
		{what: "lease-cold", cold: true, workers: 50},
		{what: "token-warm", token: true, workers: workers},
		{what: "token-cold", token: true, cold: true, workers: 50},
	} {
		t.Run(tc.what, func(t *testing.T) {
			role := "b" + tc.what[:1] + tc.what[6:] // bl-warm, bt-cold
			y := w.in(t).player(t, role, map[string]any{"default_ttl": "1h", "max_ttl": "2h"}, hour())
			if tc.cold {
				y.db.SetMaxIdleConns(0)
				y.db.SetMaxOpenConns(tc.workers)
			}
			y.play(t, tc.workers)
			<-time.After(time.Second)
			before := y.app.Status().Token.Accessor
			if tc.token {
				y.log.mu.Lock()
				y.log.revokedAt = time.Now()
				y.log.mu.Unlock()
				y.w.v.RevokeAccessor(before)
			} else {
				y.log.revoke()
			}
			<-time.After(4 * time.Second)
			y.rest()

			figure.AtMost(stdout, "b3-"+tc.what, y.log.recovery().Seconds(), "s", 2,
				"oracle=query-log", fmt.Sprintf("failed=%d", len(y.log.failed)), fmt.Sprintf("queries=%d", y.log.done))
			if !tc.cold { // a dial that was refused is repeated: whether any query fails is luck there
				require.NotEmpty(t, y.log.failed, "the revocation must have been felt for this to say anything")
			}
			assert.Empty(t, y.log.failedBefore(), "failed queries before the revocation")
			assert.Empty(t, y.log.failedAfter(4*time.Second-2*queries), "queries must go on after the last failure")
			assert.Len(t, y.creations(), 2, "one creation, for any number of refusals; none would say that nobody felt it")
			logins := 1
			if tc.token {
				logins = 2
			}
			assert.Equal(t, logins, y.logins(), "a dead token is one login, a dead lease none")
			assert.Equal(t, tc.token, before != y.app.Status().Token.Accessor)
			assert.Equal(t, 1, y.log.changes, "changes of the database user")
			testvault.Poll(t, 10*time.Second, func() bool { return slices.Equal(y.w.roles(role), []string{y.log.user}) },
				"the only database user is not the one in use")
			y.leave(t)
		})
	}
}
