package suite

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// limits is what the tests watch in KV.
type limits struct {
	N int `json:"n"`
}

// openCap is the longest pause between two attempts of dynamic.Open.
const openCap = 5 * time.Second

// newClusterWorld is newWorld with three Vaults, of which one leads.
func newClusterWorld(t *testing.T) (world, *testvault.VaultCluster) {
	t.Helper()
	c := testvault.Cluster(t)
	w := world{v: c.Server, pg: testvault.Postgres(t)}
	w.pg.Exec("CREATE TABLE ledger (id int); INSERT INTO ledger VALUES (1)")
	w.v.Database(w.pg, "database")
	w.v.Policy("app", `
		path "secret/data/*"    { capabilities = ["read"] }
		path "database/creds/*" { capabilities = ["read"] }`)
	w.v.Write("secret/data/limits", map[string]any{"data": map[string]any{"n": 7}})
	return w, c
}

// TestHAFailoversCostNobodyAnything runs three applications on leases and tokens of 20 s:
// one behind a load balancer that knows who leads, two behind ones that send them to any
// node that is up, which forwards. Under them the leader is killed and comes back, steps
// down, and each node is sealed and unsealed. Each leaves some seconds in which nobody
// answers, at any time in the leases' lives, or in which a standby that else forwards
// redirects to the leader that has gone: one of the two does not know that host. Who
// takes either for an answer, drops its token, or does not try again before the lease
// ends, has reads or queries fail.
func TestHAFailoversCostNobodyAnything(t *testing.T) { //nolint:tparallel // the subtests judge what is over
	t.Parallel()
	w, c := newClusterWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	dead := &graves{w: w}
	const leaders, all = "/v1/sys/health", "/v1/sys/health?standbyok=true"
	services := []*service{
		w.serve(t, "leader", balance(t, c, leaders), dead, trust(c)),
		w.serve(t, "anynode", balance(t, c, all), dead),
		w.serve(t, "trusting", balance(t, c, all), dead, trust(c)),
	}
	var wg sync.WaitGroup
	wg.Go(func() { dead.dig(ctx) })
	for _, s := range services {
		wg.Go(func() { s.b.run(ctx) })
		wg.Go(func() { s.work(ctx) })
	}

	slowest, opened := time.Duration(0), 0
	// A new lease is wanted at the moment of each disturbance.
	while := func(disturb func()) {
		var opening sync.WaitGroup
		took := make([]time.Duration, len(services))
		for i, s := range services {
			opening.Go(func() { took[i] = s.reopen(t) })
		}
		disturb()
		opening.Wait()
		opened += len(took)
		slowest = max(slowest, slices.Max(took))
		<-time.After(2 * time.Second)
	}
	killed := c.Leader()
	while(func() { killed.Kill(); c.AwaitLeader() })
	while(func() { killed.Restart(); c.AwaitLeader() })
	while(func() { c.StepDown() })
	// For ten seconds Vault keeps it from leading, even if the others elect it: then they
	// have no leader for half of a lease's life, which nobody could bridge.
	<-time.After(10 * time.Second)
	for _, n := range c.Nodes() {
		while(func() { n.Seal(); c.AwaitLeader() })
		while(func() { n.Unseal(); c.AwaitLeader() })
	}
	cancel()
	wg.Wait()

	figure.AtMost(stdout, "ha-resume", slowest.Seconds(), "s", openCap.Seconds(), "oracle=proxy", fmt.Sprintf("opened=%d", opened))
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) { s.judge(t, c) })
	}
}

// judge asserts what the application has seen, and closes it.
func (s *service) judge(t *testing.T, c *testvault.VaultCluster) {
	t.Helper()
	logins := c.Audit().Count("", "auth/approle-"+s.name+"/login")
	creations := c.Audit().Count("read", "database/creds/"+s.name)
	assert.Greater(t, s.log.done, 500, "too few queries to say anything")
	assert.Greater(t, s.held.reads, 1000, "too few reads to say anything")
	assert.Greater(t, s.reads, 100, "too few reads of KV to say anything")
	assert.Positive(t, unwell(s.b.p), "requests that met no leader: without one nothing was tested")
	assert.Empty(t, s.log.failed, "failed queries")
	assert.Empty(t, s.held.misses, "failed reads of the held credential")
	assert.Empty(t, s.held.corpses, "credentials handed out whose user was gone")
	assert.Zero(t, s.zeros.Load(), "failed reads of the watched value")
	assert.Equal(t, 1, logins, "logins in the audit logs: none but the first")
	for _, f := range s.failed {
		if !s.trusts { // what is asked of Vault itself may fail, and says what to do
			assert.Contains(t, f.what, "add it to RedirectHosts")
			continue
		}
		assert.Fail(t, "a read of KV failed", f.what)
	}
	name := "ha-" + s.name
	figure.AtMost(stdout, name+"-failed-queries", float64(len(s.log.failed)), "queries", 0, "oracle=query-log", fmt.Sprintf("queries=%d", s.log.done))
	figure.AtMost(stdout, name+"-failed-reads", float64(len(s.held.misses))+float64(s.zeros.Load()), "reads", 0, "oracle=application",
		fmt.Sprintf("reads=%d", s.held.reads), fmt.Sprintf("from-vault=%d", s.reads), fmt.Sprintf("of-these-failed=%d", len(s.failed)))
	figure.AtMost(stdout, name+"-logins", float64(logins-1), "logins", 0, "oracle=audit-log",
		fmt.Sprintf("creations=%d", creations), fmt.Sprintf("lost=%d", s.reopens), fmt.Sprintf("met-no-leader=%d", unwell(s.b.p)))
	require.NoError(t, s.db.Close())
	require.NoError(t, s.Close(context.Background()))
	s.w.in(t).nothingLeft(t, s.name)
}

// trust allows redirects to each node, as one does who knows them all.
func trust(c *testvault.VaultCluster) func(*leasehold.Config) {
	return func(cfg *leasehold.Config) {
		for _, n := range c.Nodes() {
			cfg.RedirectHosts = append(cfg.RedirectHosts, strings.TrimPrefix(n.Addr(), "http://"))
		}
	}
}

// unwell counts what was cut or answered by a node without a leader.
func unwell(p *testvault.Proxy) (n int) {
	for _, seen := range p.Log() {
		if seen.Fault == testvault.UpstreamFailed || seen.Status >= http.StatusInternalServerError {
			n++
		}
	}
	return n
}
