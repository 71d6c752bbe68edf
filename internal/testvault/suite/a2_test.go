package suite

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestA2AnOutageOfFourTenthsOfTheTTLChangesNothing lets Vault become unusable at the
// worst moment that an application cannot choose: with the first renewal of a lease or
// a token of 20 s, for 8 s. A client that answers a failed renewal with a login, or with
// a new credential, shows it in the audit log; one that gives up fails queries, since all
// that is held dies at 20 s and the test goes on for 30 s.
func TestA2AnOutageOfFourTenthsOfTheTTLChangesNothing(t *testing.T) {
	t.Parallel()
	const ttl, lasts, watched = 20 * time.Second, 8 * time.Second, 30 * time.Second
	w := newWorld(t)
	for _, what := range []struct {
		name, renewal string
		role, lease   map[string]any
	}{
		{
			"lease", "sys/leases/renew",
			map[string]any{"token_ttl": "1h"}, map[string]any{"default_ttl": ttl.String(), "max_ttl": "1h"},
		},
		{
			"token", "auth/token/renew-self",
			map[string]any{"token_ttl": ttl.String(), "token_max_ttl": "1h"}, map[string]any{"default_ttl": "1h", "max_ttl": "2h"},
		},
	} {
		for _, how := range []string{"refuse", "503", "freeze"} {
			name := what.name + "-" + how
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				w, p := w.in(t), testvault.NewProxy(t, w.v.Addr())
				role, mount := "a2"+what.name[:1]+how, "approle-a2-"+name
				w.v.DatabaseRole("database", role, what.lease)
				a := w.start(t, mount, maps.Clone(what.role), via(p)) // start adds to it
				creds, err := dynamic.Database(t.Context(), a, role)
				require.NoError(t, err)
				before := w.v.Leases("database/creds/" + role)
				db := w.open(t, creds)

				ended := outage(p, what.renewal, how, lasts)
				log := w.queried(t.Context(), db, role, watched)
				select {
				case <-ended:
				default:
					require.Fail(t, "the outage must have begun and ended for this to say anything")
				}

				logins, creations := w.v.Audit().Count("", "auth/"+mount+"/login"), w.v.Audit().Count("", "database/creds/"+role)
				failed, renewed := renewals(p, what.renewal)
				assert.Greater(t, log.done, int(watched/queries), "too few queries to say anything")
				assert.Empty(t, log.failed, "failed queries")
				assert.Len(t, log.seen, 1, "database users over the time")
				assert.Equal(t, 1, logins, "logins in the audit log")
				assert.Equal(t, 1, creations, "creations in the audit log")
				assert.Equal(t, before, w.v.Leases("database/creds/"+role), "the lease is the same one")
				assert.Positive(t, failed, "renewals that the outage spoilt")
				assert.Positive(t, renewed, "renewals that Vault granted afterwards")
				figure.AtMost(stdout, "a2-outage-"+name+"-failed", float64(len(log.failed)), "queries", 0, "oracle=query-log", fmt.Sprintf("queries=%d", log.done))
				figure.AtMost(stdout, "a2-outage-"+name+"-minted", float64(logins+creations-2), "logins+creations", 0,
					"oracle=audit-log", fmt.Sprintf("spoilt_renewals=%d", failed), fmt.Sprintf("granted_renewals=%d", renewed))

				require.NoError(t, db.Close())
				require.NoError(t, a.Close(context.Background()))
				w.nothingLeft(t, role)
			})
		}
	}
}

// outage makes Vault unusable as how says, from the first request for path on, which is
// the first to feel it. The channel is closed when it is over.
func outage(p *testvault.Proxy, path, how string, lasts time.Duration) <-chan struct{} {
	begin, end := func() {}, func() {}
	rule := testvault.Rule{DropBefore: true}
	switch how {
	case "refuse":
		begin, end = p.Refuse, p.Accept
	case "freeze":
		begin, end = p.Freeze, p.Thaw
	default:
		rule = testvault.Status(http.StatusServiceUnavailable, "Vault is sealed")
	}
	var once sync.Once
	var down atomic.Bool
	ended := make(chan struct{})
	rule.Match = func(r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, path) {
			once.Do(func() {
				down.Store(true)
				begin()
				time.AfterFunc(lasts, func() {
					down.Store(false)
					end()
					close(ended)
				})
			})
		}
		return down.Load()
	}
	p.Fault(rule)
	return ended
}

// renewals counts the renewals that never reached Vault, and those that it granted.
func renewals(p *testvault.Proxy, path string) (spoilt, granted int) {
	for _, n := range p.Log() {
		switch {
		case n.Path != path:
		case n.Forwarded && n.Status == http.StatusOK:
			granted++
		case n.Fault != "":
			spoilt++
		}
	}
	return spoilt, granted
}

// queried has four workers query db for as long as that, and returns what came of it.
func (w world) queried(ctx context.Context, db *sql.DB, role string, span time.Duration) *queryLog {
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	log := &queryLog{w: w, role: role}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { log.work(ctx, db) })
	}
	wg.Wait()
	return log
}
