package suite

import (
	"context"
	"database/sql"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// player is an application with a token, a credential, a pool and a proxy of its own.
// Many of them share a world; each is found in the audit log by its name.
type player struct {
	w     world
	name  string // of the AppRole mount and the database role, unlike others' in its first 8 letters
	p     *testvault.Proxy
	app   *app
	creds *dynamic.Credential[dynamic.UserPass]
	db    *sql.DB
	log   *queryLog

	quit context.CancelFunc
	wg   sync.WaitGroup
}

func (w world) player(t *testing.T, name string, lease, token map[string]any, change ...func(*leasehold.Config)) *player {
	t.Helper()
	w.v.DatabaseRole("database", name, lease)
	y := &player{w: w, name: name, p: testvault.NewProxy(t, w.v.Addr()), log: &queryLog{w: w, role: name}}
	y.app = w.start(t, "approle-"+name, token, append([]func(*leasehold.Config){via(y.p)}, change...)...)
	var err error
	y.creds, err = dynamic.Database(t.Context(), y.app, name)
	require.NoError(t, err)
	y.db = w.open(t, y.creds)
	return y
}

// play begins to query.
func (y *player) play(t *testing.T, workers int) {
	t.Helper()
	var ctx context.Context
	ctx, y.quit = context.WithCancel(t.Context())
	for range workers {
		y.wg.Go(func() { y.log.work(ctx, y.db) })
	}
}

// rest ends the querying: the query log is complete.
func (y *player) rest() {
	y.quit()
	y.wg.Wait()
}

// leave closes everything, and asserts that nothing is left of it.
func (y *player) leave(t *testing.T) {
	t.Helper()
	require.NoError(t, y.db.Close())
	require.NoError(t, y.app.Close(context.Background()))
	y.w.nothingLeft(t, y.name)
}

// unharmed asserts that no query failed, and that no credential came late.
func (y *player) unharmed(t *testing.T) {
	t.Helper()
	assert.Positive(t, y.log.done, "%s: no queries say nothing", y.name)
	assert.Empty(t, y.log.failed, "%s: failed queries", y.name)
	assert.Empty(t, y.log.late, "%s: credentials first used after their predecessor's death; creations %v, renewals %v", y.name, y.creations(), y.renewals())
}

// answers returns the answers that Vault gave to this player without an error.
func (y *player) answers(op, path string) (good []testvault.Entry) {
	for _, e := range y.w.v.Audit().Responses() {
		if e.Operation == op && e.Path == path && e.DisplayName == "approle-"+y.name && e.Error == "" {
			good = append(good, e)
		}
	}
	return good
}

// creations are when Vault made credentials for the role, whoever heard of it.
func (y *player) creations() (at []time.Time) {
	for _, e := range y.answers("read", "database/creds/"+y.name) {
		at = append(at, e.Time)
	}
	return at
}

// asked is when requests for credentials that were granted reached the proxy: by that, and not by the
// answers, their ages are reckoned.
func (y *player) asked() (at []time.Time) {
	for _, s := range y.p.Log() {
		if s.Path == "database/creds/"+y.name && s.Status == http.StatusOK {
			at = append(at, s.Time)
		}
	}
	return at
}

func (y *player) logins() int { return y.w.v.Audit().Count("", "auth/approle-"+y.name+"/login") }

// renewals are when renewals of leases reached the proxy.
func (y *player) renewals() (at []time.Time) {
	for _, s := range y.p.Log() {
		if s.Path == "sys/leases/renew" {
			at = append(at, s.Time)
		}
	}
	return at
}

// perLease counts events between one creation and the next.
func perLease(creations, events []time.Time) []int {
	n := make([]int, len(creations))
	for _, at := range events {
		lease := 0
		for lease+1 < len(creations) && at.After(creations[lease+1]) {
			lease++
		}
		n[lease]++
	}
	return n
}

// gaps are the times between one event and the next.
func gaps(at []time.Time) (between []time.Duration) {
	for i := 1; i < len(at); i++ {
		between = append(between, at[i].Sub(at[i-1]))
	}
	return between
}

// hour is a token that outlives every test.
func hour() map[string]any { return map[string]any{"token_ttl": "1h"} }

// newVault is a world without a database, which takes longest to start.
func newVault(t *testing.T) world {
	t.Helper()
	w := world{v: testvault.Vault(t)}
	w.v.Policy("app", `path "secret/data/*" { capabilities = ["read"] }`)
	w.v.Write("secret/data/payments/stripe", map[string]any{"data": map[string]any{"api_key": canaryValue, "retries": 3}})
	return w
}

// read reads a secret of the world within d.
func (a *app) read(t *testing.T, d time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	_, err := kv.Get[stripe](ctx, a.KV("secret"), "payments/stripe")
	return err
}
