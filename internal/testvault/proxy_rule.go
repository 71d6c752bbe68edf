package testvault

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Rule says which requests a Proxy spoils, and how. The zero value of a field
// restricts nothing. One of the actions is to be chosen, or Delay, which goes
// with each of them, too.
type Rule struct {
	// Name is what Seen.Fault says; by default the action's own name.
	Name string

	// Method is what the request must be. A list is "LIST", whether it came as that
	// or as a GET with list=true; to "GET" only other GETs belong.
	Method string
	// Path is how the request's path must begin, without /v1/. A "*" stands for
	// anything: "auth/*/login".
	Path string
	// Match sees the requests that Method and Path fit.
	Match func(*http.Request) bool

	// Of the requests that match: Skip are left alone, then each Every-th is struck,
	// with a probability of Chance, up to Times of them. A request that is left alone
	// is offered to the rules that were added later.
	Skip, Every int
	Chance      float64
	Times       int

	// DropBefore cuts the connection; Vault never sees the request.
	DropBefore bool
	// DropAfter cuts the connection when Vault has answered; the answer is lost.
	DropAfter bool
	// Status is answered in Vault's place, with Header and Body.
	Status int
	Header http.Header
	Body   string
	// Rewrite changes Vault's answer. It may change header in place.
	Rewrite func(status int, header http.Header, body []byte) (int, []byte)
	// BlackHole gives no answer for as long as the client waits. When the rule is
	// undone, the request goes on its way.
	BlackHole bool
	// HalfClose sends the headers and half of the body of Vault's answer, and then
	// ends the connection, or in HTTP/2 resets the stream.
	HalfClose bool
	// Redirect sends the client to another server, "http://host:port", with the same
	// path and query, by 307 or else Status.
	Redirect string

	// Delay holds the request for that long, or until the rule is undone.
	Delay time.Duration

	// After lets Vault answer before Status, BlackHole and Delay come into effect.
	After bool
}

// Status is a rule that answers as Vault does, with a list of errors.
func Status(status int, errs ...string) Rule {
	body, err := json.Marshal(map[string][]string{"errors": append([]string{}, errs...)}) // never null
	if err != nil {
		panic(err) // strings always marshal
	}
	return Rule{Status: status, Body: string(body), Header: http.Header{"Content-Type": {"application/json"}}}
}

// Fault adds a rule. A request is struck by the first one that strikes it. undo
// takes the rule away and lets go what it holds.
func (p *Proxy) Fault(rule Rule) (undo func()) {
	p.tb.Helper()
	if err := rule.complete(); err != nil {
		p.tb.Fatalf("testvault: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.added++
	f := &fault{
		Rule:   rule,
		undone: make(chan struct{}),
		// Its own, so that which of its requests are struck does not depend on what
		// other rules meet in the meantime.
		rand: rand.New(rand.NewPCG(uint64(p.seed), uint64(p.added))), //nolint:gosec // to be repeatable
	}
	p.faults = append(p.faults, f)
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if i := slices.Index(p.faults, f); i >= 0 {
			p.faults = slices.Delete(p.faults, i, i+1)
			close(f.undone)
		}
	}
}

// Clear takes all rules away.
func (p *Proxy) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		close(f.undone)
	}
	p.faults = nil
}

// strike finds what happens to a request. If nothing does, that is a zero fault.
func (p *Proxy) strike(r *http.Request) *fault {
	p.mu.Lock()
	faults := slices.Clone(p.faults)
	p.mu.Unlock()
	for _, f := range faults { // without the lock: Match may well ask the proxy
		if f.fits(r) && f.strikes() {
			return f
		}
	}
	return &fault{}
}

// complete checks that the rule says one thing, and names it.
func (r *Rule) complete() error {
	var actions []string
	for _, a := range []struct {
		chosen bool
		name   string
	}{
		{r.DropBefore, "drop before"},
		{r.DropAfter, "drop after"},
		{r.Status != 0 && r.Redirect == "", "status " + strconv.Itoa(r.Status)},
		{r.Rewrite != nil, "rewrite"},
		{r.BlackHole, "black hole"},
		{r.HalfClose, "half close"},
		{r.Redirect != "", "redirect"},
	} {
		if a.chosen {
			actions = append(actions, a.name)
		}
	}
	if len(actions) == 0 && r.Delay > 0 {
		actions = []string{"delay"}
	}
	switch {
	case len(actions) != 1:
		return fmt.Errorf("a rule does one thing, not %q", actions)
	case r.Status != 0 && (r.Status < 200 || r.Status > 599):
		return fmt.Errorf("a rule cannot answer with the status %d", r.Status)
	case r.Status == 0 && r.Redirect == "" && (r.Body != "" || r.Header != nil):
		return fmt.Errorf("a rule with a body or headers needs a status")
	case r.After && (r.DropBefore || r.Redirect != "" || r.Delay == 0 && !r.BlackHole && r.Status == 0):
		return fmt.Errorf("the rule's After means nothing with %q", actions[0])
	case r.Skip < 0, r.Every < 0, r.Times < 0, r.Delay < 0, r.Chance < 0, r.Chance > 1:
		return fmt.Errorf("a rule counts from 0, and its chance is at most 1")
	}
	if r.Name == "" {
		r.Name = actions[0]
	}
	r.Header = r.Header.Clone()
	return nil
}

func (r *Rule) fits(req *http.Request) bool {
	return fits(r.Method, r.Path, method(req), path(req)) && (r.Match == nil || r.Match(req))
}

// fits is how rules and Count choose requests.
func fits(wantMethod, wantPath, method, path string) bool {
	if wantMethod != "" && wantMethod != method {
		return false
	}
	first, rest, _ := strings.Cut(strings.TrimPrefix(wantPath, "/"), "*")
	path, ok := strings.CutPrefix(path, first)
	for ok && rest != "" {
		var part string
		part, rest, _ = strings.Cut(rest, "*")
		_, path, ok = strings.Cut(path, part)
	}
	return ok
}

// method is the request's, in Vault's terms.
func method(r *http.Request) string {
	if r.Method == http.MethodGet {
		if list, err := strconv.ParseBool(r.URL.Query().Get("list")); err == nil && list {
			return methodList
		}
	}
	return r.Method
}

// path is the request's, without /v1/.
func path(r *http.Request) string { return strings.TrimPrefix(r.URL.Path, "/v1/") }

// fault is a rule at work.
type fault struct {
	Rule
	undone chan struct{} // nil in the zero fault, which holds nothing

	mu      sync.Mutex
	rand    *rand.Rand
	matched int
	struck  int
}

// strikes counts a request that fits, and says whether it is struck.
func (f *fault) strikes() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-f.undone:
		return false
	default:
	}
	if f.Times > 0 && f.struck == f.Times {
		return false
	}
	f.matched++
	if f.matched <= f.Skip || f.Every > 1 && (f.matched-f.Skip)%f.Every != 0 {
		return false
	}
	if f.Chance > 0 && f.rand.Float64() >= f.Chance {
		return false
	}
	f.struck++
	return true
}
