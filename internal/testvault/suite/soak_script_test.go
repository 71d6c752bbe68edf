package suite

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// soakTTL is the shortest life of anything in a soak. Each outage is shorter than three
// tenths of it: with less left, no library could keep the lease.
const soakTTL = 10 * time.Second

// step is one thing that happens to a soak.
type step struct {
	at    time.Duration // from the beginning
	what  string        // a key of faults or of strikes
	lasts time.Duration // of faults
	whom  int           // of strikes: which tenant, role or value
}

func (s step) String() string {
	return fmt.Sprintf("%v %s(%d) for %v", s.at.Round(time.Millisecond), s.what, s.whom, s.lasts.Round(time.Millisecond))
}

// soakScript is what happens in a soak of that length: the same for the same seed. After
// two faults comes a strike. All kinds of each come in turn, in an order that is drawn
// anew each time.
func soakScript(seed uint64, length time.Duration) []step {
	r := rand.New(rand.NewPCG(seed, 0))
	between := func(lo, hi time.Duration) time.Duration { return lo + time.Duration(r.Int64N(int64(hi-lo))) }
	deal := func(kinds int) func() int {
		var deck []int
		return func() int {
			if len(deck) == 0 {
				deck = r.Perm(kinds)
			}
			card := deck[0]
			deck = deck[1:]
			return card
		}
	}
	fault, strike := deal(len(faults)), deal(len(strikes))
	var script []step
	for at := 2 * time.Second; at < length-8*time.Second; {
		s := step{at: at, lasts: between(soakTTL/50, soakTTL/100*28), whom: r.IntN(12)}
		if len(script)%3 == 2 {
			s.what = strikes[strike()].name
		} else {
			s.what = faults[fault()].name
		}
		script = append(script, s)
		// In the calm after each, a lease must have time to recover.
		at += s.lasts + between(soakTTL/5, soakTTL/10*3)
	}
	return script
}

// faults are what comes between the clients and Vault for a while. end undoes it.
var faults = []struct {
	name  string
	begin func(p *testvault.Proxy) (end func())
}{
	{"refuse", func(p *testvault.Proxy) func() { p.Refuse(); return p.Accept }},
	{"freeze", func(p *testvault.Proxy) func() { p.Freeze(); return p.Thaw }},
	{"freeze and cut", func(p *testvault.Proxy) func() {
		p.Freeze()
		return func() { p.Cut(); p.Thaw() }
	}},
	{"cut", func(p *testvault.Proxy) func() { p.Cut(); return p.Cut }},
	{"error", rule(testvault.Status(http.StatusInternalServerError, "internal error"))},
	{"sealed", rule(testvault.Status(http.StatusServiceUnavailable, "Vault is sealed"))},
	{"standby", rule(testvault.Status(http.StatusInternalServerError, "local node not active but active cluster node not found"))},
	{"limited", rule(testvault.Rule{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {"2"}}, Body: `{"errors":["request path: rate limit quota exceeded"]}`})},
	{"overloaded", rule(testvault.Rule{Status: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {"2"}}, Body: "<html>overloaded</html>"})},
	{"gateway", rule(testvault.Rule{Status: http.StatusBadGateway, Body: "<html>bad gateway</html>"})},
	{"gateway after", rule(testvault.Rule{Status: http.StatusGatewayTimeout, Body: "<html>timeout</html>", After: true})},
	{"drop before", rule(testvault.Rule{DropBefore: true})},
	{"drop after", rule(testvault.Rule{DropAfter: true})},
	{"half close", rule(testvault.Rule{HalfClose: true})},
	{"black hole", rule(testvault.Rule{BlackHole: true})},
	{"black hole after", rule(testvault.Rule{BlackHole: true, After: true})},
	{"slow request", rule(testvault.Rule{Delay: soakTTL / 10})},
	{"slow answer", rule(testvault.Rule{Delay: soakTTL / 10, After: true})},
	{"flaky", rule(testvault.Rule{DropBefore: true, Chance: 0.5})},
	{"flaky answers", rule(testvault.Rule{DropAfter: true, Chance: 0.5})},
	{"rewritten", rule(testvault.Rule{Rewrite: func(int, http.Header, []byte) (int, []byte) {
		return http.StatusBadGateway, []byte("<html>rewritten</html>")
	}})},
	{"creations fail", rule(testvault.Rule{Path: "database/creds/", DropAfter: true})},
	{"renewals fail", rule(testvault.Rule{Path: "sys/leases/renew", Status: http.StatusInternalServerError, Body: `{"errors":["failed to renew"]}`})},
	{"logins fail", rule(testvault.Rule{Path: "auth/*/login", Status: http.StatusInternalServerError, Body: `{"errors":["failed to log in"]}`})},
}

func rule(r testvault.Rule) func(*testvault.Proxy) func() {
	return func(p *testvault.Proxy) func() { return p.Fault(r) }
}

// strikes are what others do to Vault and to the database. The number chooses whom.
var strikes = []struct {
	name string
	hit  func(s *soak, st step)
}{
	{"revoke leases", func(s *soak, st step) { s.revokeLeases(st.whom, func() {}) }},
	{"revoke a token", func(s *soak, st step) { s.revokeToken(st.whom, func() {}) }},
	{"revoke leases in an outage", func(s *soak, st step) {
		s.p.Refuse()
		s.revokeLeases(st.whom, func() { <-time.After(st.lasts); s.p.Accept() })
	}},
	{"revoke a token in an outage", func(s *soak, st step) {
		s.p.Refuse()
		s.revokeToken(st.whom, func() { <-time.After(st.lasts); s.p.Accept() })
	}},
	{"kill connections", func(s *soak, st step) { s.killConnections(st.whom) }},
	{"write", func(s *soak, _ step) { s.write() }},
}
