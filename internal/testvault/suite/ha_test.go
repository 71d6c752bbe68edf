package suite

import (
	"context"
	"database/sql"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
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
				_, err := kv.Get[limits](ctx, s.KV("secret"), "limits")
				if ctx.Err() != nil {
					return
				}
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

// unforwarded has standbys redirect to the leader rather than forward to it.
type unforwarded struct {
	base     http.RoundTripper
	mu       sync.Mutex
	redirect map[string]int // by path
}

func (u *unforwarded) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Vault-No-Request-Forwarding", "true")
	resp, err := u.base.RoundTrip(r)
	if err == nil && resp.StatusCode == http.StatusTemporaryRedirect {
		u.mu.Lock()
		defer u.mu.Unlock()
		u.redirect[strings.TrimPrefix(r.URL.Path, "/v1/")]++
	}
	return resp, err
}

func (u *unforwarded) reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	clear(u.redirect)
}

func (u *unforwarded) count(path string) int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.redirect[path]
}

// TestHAAStandbyRedirectsEverything gives a client the address of a standby that does not
// forward, and of the others as hosts that it may be redirected to. Login, reads,
// creations and renewals, with their bodies and their tokens, must arrive at the leader,
// also at the one that takes over in the midst of the lease: a third of it, since an
// election may take ten seconds. A client that follows no redirect, loses the body or
// repeats a creation fails.
func TestHAAStandbyRedirectsEverything(t *testing.T) {
	t.Parallel()
	w, c := newClusterWorld(t)
	const role, mount = "redirect", "approle-redirect"
	w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "30s", "max_ttl": "1h"})
	address := c.Standbys()[0]
	wire := &unforwarded{base: &http.Transport{DisableKeepAlives: true}, redirect: map[string]int{}}
	a := w.start(t, mount, map[string]any{"token_ttl": "30s"}, trust(c), func(cfg *leasehold.Config) {
		cfg.Address = address.Addr()
		cfg.HTTPClient = &http.Client{Transport: wire}
	})
	creds, err := dynamic.Database(t.Context(), a, role)
	require.NoError(t, err)
	db := w.open(t, creds)
	log := &queryLog{w: w, role: role}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { log.work(ctx, db) })

	// Of the leader: what was asked of it directly, without this package's own requests.
	reach := func(leader *testvault.Node) {
		t.Helper()
		_, err := kv.Get[limits](t.Context(), a.KV("secret"), "limits")
		require.NoError(t, err)
		_, err = dynamic.Database(t.Context(), a, role)
		require.NoError(t, err)
		for _, path := range []string{"secret/data/limits", "database/creds/" + role, "sys/leases/renew", "auth/token/renew-self"} {
			testvault.Poll(t, 20*time.Second, func() bool { return leader.Audit().Count("", path) > 0 && wire.count(path) > 0 },
				path+" does not reach the leader by a redirect")
		}
	}
	reach(c.Leader())
	assert.Equal(t, 1, wire.count("auth/"+mount+"/login"), "redirected logins")
	wire.reset()
	leader := c.StepDown()
	if leader == address { // it would redirect nobody
		leader = c.StepDown()
	}
	require.NotEqual(t, address, leader)
	c.Audit().Reset()
	reach(leader)
	cancel()
	wg.Wait()
	assert.Empty(t, log.failed, "failed queries")
	assert.Greater(t, log.done, 50, "too few queries to say anything")
	assert.Zero(t, log.changes, "changes of the database user")
	figure.AtMost(stdout, "ha-redirect-failed", float64(len(log.failed)), "queries", 0, "oracle=query-log",
		fmt.Sprintf("queries=%d", log.done), fmt.Sprintf("renewals=%d", wire.count("sys/leases/renew")),
		fmt.Sprintf("creations=%d", wire.count("database/creds/"+role)), fmt.Sprintf("logins=%d", 1+wire.count("auth/"+mount+"/login")))
	require.NoError(t, db.Close())
	require.NoError(t, a.Close(context.Background()))
	w.nothingLeft(t, role)
}

// TestHAARedirectToAnUnknownHostIsBackedOffFromLikeAnOutage has the first renewal of the
// lease and that of the token meet a standby that has just lost its leader: it forwards
// at all other times, and now redirects to a host that nobody has configured. That passes
// within seconds. Who takes it for a setting that somebody must change waits until the
// lease can only be replaced, or has ended.
func TestHAARedirectToAnUnknownHostIsBackedOffFromLikeAnOutage(t *testing.T) {
	t.Parallel()
	const role, mount = "unknown", "approle-unknown"
	w := newWorld(t)
	p := testvault.NewProxy(t, w.v.Addr())
	for _, path := range []string{"sys/leases/renew", "auth/token/renew-self"} {
		p.Fault(testvault.Rule{Path: path, Redirect: "http://127.0.0.1:1", Times: 1})
	}
	w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "10s", "max_ttl": "1h"})
	a := w.start(t, mount, map[string]any{"token_ttl": "10s"}, via(p))
	creds, err := dynamic.Database(t.Context(), a, role)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 14*time.Second)
	defer cancel()
	held := &holder{graves: &graves{w: w}, creds: creds}
	every(ctx, 20*time.Millisecond, func() { held.look(ctx) })
	logins, creations := w.v.Audit().Count("", "auth/"+mount+"/login"), w.v.Audit().Count("read", "database/creds/"+role)
	assert.Empty(t, held.misses, "failed reads of the held credential")
	assert.Equal(t, 1, logins, "logins in the audit log: none but the first")
	assert.Equal(t, 1, creations, "creations in the audit log: none but the first")
	figure.AtMost(stdout, "ha-unknown-host-logins", float64(logins-1), "logins", 0, "oracle=audit-log", fmt.Sprintf("creations=%d", creations-1))
	require.NoError(t, a.Close(context.Background()))
	w.nothingLeft(t, role)
}
