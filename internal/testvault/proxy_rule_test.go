package testvault

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestProxyDropsBeforeVaultSeesIt(t *testing.T) {
	up := behind(t, nil)
	p := NewProxy(t, up.URL)
	p.Fault(Rule{DropBefore: true, Times: 1})
	_, err := get(t, p, "database/creds/app")
	require.ErrorIs(t, err, io.EOF)
	assert.Zero(t, up.reached())
	assert.False(t, p.Log()[0].Forwarded)
	assert.Equal(t, "drop before", p.Log()[0].Fault)
	assert.Equal(t, []int{200}, statuses(t, p, "database/creds/app", 1))
}

func TestProxyDropsAfterVaultHasAnswered(t *testing.T) {
	up := behind(t, nil)
	p := NewProxy(t, up.URL)
	p.Fault(Rule{DropAfter: true, Times: 1})
	_, err := get(t, p, "database/creds/app")
	require.ErrorIs(t, err, io.EOF)
	assert.Equal(t, 1, up.reached())
	assert.True(t, p.Log()[0].Forwarded)
	assert.Zero(t, p.Log()[0].Status)
	assert.Equal(t, 1, p.Count("", ""))
}

// TestProxyShowsF23: net/http repeats a GET by itself when a reused connection
// breaks, the proxy repeats nothing, and its log tells the two apart.
func TestProxyShowsF23(t *testing.T) {
	up := behind(t, nil)
	p := NewProxy(t, up.URL)
	client := visitor(t, true)
	p.Fault(Rule{DropAfter: true, Skip: 1, Times: 1})
	for range 2 {
		_, err := ask(t.Context(), client, http.MethodGet, p.Addr(), nil)
		require.NoError(t, err, "the client notices nothing")
	}
	assert.Equal(t, 3, up.reached())
	log := p.Log()
	require.Len(t, log, 3)
	assert.Equal(t, []int{1, 1, 2}, []int{log[0].Conn, log[1].Conn, log[2].Conn})
}

func TestProxyAnswersInVaultsPlace(t *testing.T) {
	up := behind(t, nil)
	p := NewProxy(t, up.URL)
	rule := Status(http.StatusTooManyRequests, "slow down")
	rule.Header.Set("Retry-After", "7")
	undo := p.Fault(rule)
	got, err := ask(t.Context(), visitor(t, false), http.MethodGet, p.Addr(), nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusTooManyRequests, got.status)
	assert.Equal(t, "7", got.header.Get("Retry-After"))
	assert.Equal(t, "application/json", got.header.Get("Content-Type"))
	assert.JSONEq(t, `{"errors":["slow down"]}`, got.body)
	undo()
	assert.Zero(t, up.reached())

	p.Fault(Rule{Status: http.StatusBadGateway, After: true})
	assert.Equal(t, []int{http.StatusBadGateway}, statuses(t, p, "", 1))
	assert.Equal(t, 1, up.reached())
	assert.True(t, p.Log()[1].Forwarded)
	assert.JSONEq(t, `{"errors":[]}`, Status(473).Body)
}

func TestProxyRulesCount(t *testing.T) {
	for _, tc := range []struct {
		name string
		rule Rule
		want []int
	}{
		{"always", Rule{}, []int{412, 412, 412, 412, 412, 412}},
		{"at first", Rule{Times: 2}, []int{412, 412, 200, 200, 200, 200}},
		{"later", Rule{Skip: 2}, []int{200, 200, 412, 412, 412, 412}},
		{"now and then", Rule{Every: 2}, []int{200, 412, 200, 412, 200, 412}},
		{"all of it", Rule{Skip: 1, Every: 2, Times: 2}, []int{200, 200, 412, 200, 412, 200}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := NewProxy(t, behind(t, nil).URL)
			tc.rule.Status = http.StatusPreconditionFailed
			p.Fault(tc.rule)
			assert.Equal(t, tc.want, statuses(t, p, "", 6))
		})
	}
}

func TestProxyRulesComeInTheirOrder(t *testing.T) {
	p := NewProxy(t, behind(t, nil).URL)
	p.Fault(Rule{Status: 412, Times: 2})
	undo := p.Fault(Rule{Status: 503, Times: 2})
	p.Fault(Rule{Status: 429})
	assert.Equal(t, []int{412, 412, 503}, statuses(t, p, "", 3))
	undo()
	undo() // once is enough, and twice does no harm
	assert.Equal(t, []int{429, 429}, statuses(t, p, "", 2))
	p.Clear()
	assert.Equal(t, []int{200}, statuses(t, p, "", 1))
}

func TestProxyChanceIsRepeatable(t *testing.T) {
	run := func(seed int64, others int) []int {
		p := NewProxy(t, behind(t, nil).URL, Seed(seed))
		p.Fault(Rule{Path: "app", Status: 503, Chance: 0.5})
		p.Fault(Rule{Path: "other", Status: 503, Chance: 0.5})
		statuses(t, p, "other", others)
		return statuses(t, p, "app", 24)
	}
	first := run(1, 0)
	assert.Contains(t, first, 200)
	assert.Contains(t, first, 503)
	assert.Equal(t, first, run(1, 5), "whatever other rules meet")
	assert.NotEqual(t, first, run(2, 0))
}

func TestProxyRulesChooseRequests(t *testing.T) {
	for _, tc := range []struct {
		method, path string
		fits         bool
	}{
		{"", "", true},
		{"GET", "auth/approle/login", true},
		{"PUT", "auth/approle/login", false},
		{"", "/auth/app", true},
		{"", "approle", false},
		{"", "auth/*/login", true},
		{"", "auth/*", true},
		{"", "*role/*gin", true},
		{"", "auth/*/logout", false},
		{"", "auth/*/login/*", false},
		{"", "*login*role", false},
	} {
		assert.Equal(t, tc.fits, fits(tc.method, tc.path, "GET", "auth/approle/login"), "%s %s", tc.method, tc.path)
	}

	p := NewProxy(t, behind(t, nil).URL)
	p.Fault(Rule{Method: "GET", Path: "secret/", Status: 403})
	p.Fault(Rule{Method: "LIST", Path: "secret/", Status: 412})
	p.Fault(Rule{Match: func(r *http.Request) bool { return r.URL.Query().Has("version") && p.Count("", "") > 0 }, Status: 404})
	assert.Equal(t, []int{403}, statuses(t, p, "secret/data/a?list=false", 1))
	assert.Equal(t, []int{412}, statuses(t, p, "secret/metadata?list=true", 1))
	assert.Equal(t, []int{404}, statuses(t, p, "kv/data/a?version=1", 1))
	got, err := ask(t.Context(), visitor(t, false), "LIST", p.Addr()+"/v1/secret/metadata", nil)
	require.NoError(t, err)
	assert.Equal(t, 412, got.status)
}

func TestProxyRewritesAnAnswer(t *testing.T) {
	p := NewProxy(t, behind(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Was", "there")
		http.Error(w, "permission denied", http.StatusForbidden)
	}).URL)
	p.Fault(Rule{Rewrite: func(status int, header http.Header, body []byte) (int, []byte) {
		header.Del("X-Was")
		header.Set("X-Now", "here")
		return status + 1, append(body, " and a text that is longer"...)
	}})
	got, err := ask(t.Context(), visitor(t, false), http.MethodGet, p.Addr(), nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusNotFound, got.status)
	assert.Equal(t, "permission denied\n and a text that is longer", got.body)
	assert.Equal(t, "here", got.header.Get("X-Now"))
	assert.Empty(t, got.header.Get("X-Was"))
	assert.Equal(t, http.StatusNotFound, p.Log()[0].Status)
}

func TestProxyBreaksAnAnswerOff(t *testing.T) {
	up := behind(t, nil)
	plain := NewProxy(t, up.URL)
	encrypted, overTLS := secured(t, up.URL)
	for name, tc := range map[string]struct {
		p      *Proxy
		client *http.Client
		err    string
	}{
		"HTTP/1.1": {plain, visitor(t, false), io.ErrUnexpectedEOF.Error()},
		"HTTP/2.0": {encrypted, overTLS, "INTERNAL_ERROR; received from peer"},
	} {
		t.Run(name, func(t *testing.T) {
			before := up.reached()
			defer tc.p.Fault(Rule{HalfClose: true})()
			got, err := ask(t.Context(), tc.client, http.MethodGet, tc.p.Addr()+"/v1/creds", nil)
			require.ErrorContains(t, err, tc.err)
			assert.Equal(t, "/v1/cr", got.body)
			assert.Equal(t, http.StatusOK, got.status)
			assert.EqualValues(t, 12, got.length)
			assert.Equal(t, name, got.proto)
			assert.Equal(t, before+1, up.reached())
		})
	}
	plain.Swap(behind(t, func(http.ResponseWriter, *http.Request) {}).URL)
	plain.Fault(Rule{HalfClose: true})
	assert.Equal(t, []int{0}, statuses(t, plain, "", 1), "half of an empty body would be all of it")
}

func TestProxyRedirects(t *testing.T) {
	up := behind(t, nil)
	p := NewProxy(t, up.URL)
	undo := p.Fault(Rule{Redirect: "http://10.0.0.1:8200/"})
	got, err := ask(t.Context(), visitor(t, false), http.MethodPut, p.Addr()+"/v1/a%2Fb?x=1", nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusTemporaryRedirect, got.status)
	assert.Equal(t, "http://10.0.0.1:8200/v1/a%2Fb?x=1", got.header.Get("Location"))
	undo()
	p.Fault(Rule{Redirect: "https://10.0.0.1:8200", Status: http.StatusPermanentRedirect})
	assert.Equal(t, []int{http.StatusPermanentRedirect}, statuses(t, p, "", 1))
	assert.Zero(t, up.reached())
}

// background asks, and delivers the status when it has it, 0 for a connection that
// ends. It is not bound to its test: the proxy's cleanup has to end it.
func background(t *testing.T, p *Proxy) <-chan int {
	t.Helper()
	answer := make(chan int, 1)
	ctx := context.WithoutCancel(t.Context())
	go func() {
		got, _ := ask(ctx, httpClient, http.MethodGet, p.Addr()+"/v1/held", nil)
		answer <- got.status
	}()
	return answer
}

func TestProxyDelays(t *testing.T) {
	const delay = 30 * time.Millisecond
	up := behind(t, nil)
	for _, rule := range []Rule{{Delay: delay}, {Delay: delay, After: true}, {Delay: delay, DropBefore: true}} {
		p := NewProxy(t, up.URL)
		p.Fault(rule)
		began := time.Now()
		_, err := get(t, p, "")
		assert.GreaterOrEqual(t, time.Since(began), delay)
		assert.Equal(t, rule.DropBefore, err != nil)
	}
	assert.Equal(t, 2, up.reached())
}

// TestProxyLetsGoWhatARuleHeld: whether it was held before Vault or after it, once
// the rule is undone the request goes on.
func TestProxyLetsGoWhatARuleHeld(t *testing.T) {
	for name, tc := range map[string]struct {
		rule Rule
		held int // requests at Vault while the rule holds one
	}{
		"delay":            {Rule{Delay: time.Hour}, 0},
		"delay after":      {Rule{Delay: time.Hour, After: true}, 1},
		"black hole":       {Rule{BlackHole: true}, 0},
		"black hole after": {Rule{BlackHole: true, After: true}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			up := behind(t, nil)
			p := NewProxy(t, up.URL)
			for _, letGo := range []string{"undo", "clear"} {
				p.Reset()
				before := up.reached()
				undo := p.Fault(tc.rule)
				answer := background(t, p)
				Poll(t, startWithin, func() bool {
					return p.Count("", "held") == 1 && up.reached() == before+tc.held
				}, "the request is held")
				assert.Empty(t, answer)
				assert.Zero(t, p.Log()[0].Status)
				if letGo == "undo" {
					undo()
				} else {
					p.Clear()
				}
				assert.Equal(t, http.StatusOK, <-answer)
				assert.Equal(t, before+1, up.reached())
			}
		})
	}
}

func TestProxyHoldsARequestUntilTheClientGoes(t *testing.T) {
	up := behind(t, nil)
	p := NewProxy(t, up.URL)
	undo := p.Fault(Rule{BlackHole: true})
	_, err := ask(impatient(t), visitor(t, false), http.MethodGet, p.Addr(), nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	Poll(t, startWithin, func() bool { return p.wire.openConns() == 0 }, "the connection is gone")
	undo()
	assert.Zero(t, up.reached())
}

// TestProxyEndsWhateverItHolds would hang, or be reported by goleak, if the proxy's
// cleanup waited for what it holds.
func TestProxyEndsWhateverItHolds(t *testing.T) {
	up := behind(t, nil)
	for name, hold := range map[string]func(*Proxy){
		"black hole": func(p *Proxy) { p.Fault(Rule{BlackHole: true}) },
		"after":      func(p *Proxy) { p.Fault(Rule{BlackHole: true, After: true}) },
		"delay":      func(p *Proxy) { p.Fault(Rule{Delay: time.Hour}) },
		"frozen": func(p *Proxy) {
			p.Fault(Rule{Match: func(*http.Request) bool { p.Freeze(); return false }, Status: 503})
		},
		"refusing": func(p *Proxy) {
			p.Fault(Rule{Match: func(*http.Request) bool { p.Refuse(); return true }, BlackHole: true})
		},
	} {
		var answer <-chan int
		t.Run(name, func(t *testing.T) {
			p := NewProxy(t, up.URL)
			hold(p)
			answer = background(t, p)
			Poll(t, startWithin, func() bool { return p.Count("", "held") == 1 }, "the request is held")
		})
		assert.Zero(t, <-answer, name)
	}
}

// TestProxyEndsWhatAPipeliningClientWaitsFor: with the next request at hand already,
// net/http does not notice that the connection of a held one is gone.
func TestProxyEndsWhatAPipeliningClientWaitsFor(t *testing.T) {
	p := NewProxy(t, behind(t, nil).URL)
	p.Fault(Rule{BlackHole: true})
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(p.Addr(), "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	for range 2 {
		_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: vault\r\n\r\n")
		require.NoError(t, err)
		Poll(t, startWithin, func() bool { return p.Count("", "") == 1 }, "the first request is held")
	}
}

func TestProxyTakesOnlyRulesThatMakeSense(t *testing.T) {
	r := &recorder{TB: t}
	p := NewProxy(r, behind(t, nil).URL)
	for _, rule := range []Rule{
		{},
		{DropBefore: true, DropAfter: true},
		{Status: 99},
		{Body: "without a status", BlackHole: true},
		{DropBefore: true, After: true, Delay: time.Second},
		{HalfClose: true, After: true},
		{Status: 503, Chance: 1.5},
		{Status: 503, Times: -1},
	} {
		r.failed = ""
		assert.Panics(t, func() { p.Fault(rule) })
		assert.Contains(t, r.failed, "testvault: ")
	}
	assert.Panics(t, func() { p.Swap("https://127.0.0.1:1") })
	assert.Panics(t, func() { p.Swap("127.0.0.1:8200") })
	assert.Equal(t, []int{200}, statuses(t, p, "", 1))
}
