package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// sentinel stands for the current token in the one api.Client: what carries it
// gets the real one from the transport.
const sentinel = "leasehold-current-token"

const (
	headerToken     = "X-Vault-Token"
	headerNamespace = "X-Vault-Namespace"
)

// transport is the RoundTripper under every request. It puts in the token and the
// namespace, keeps both from strangers, and notes what the answer's headers say.
type transport struct {
	s         *Session
	host      string   // where the token may go
	redirects []string // and where else
	conns     *connections
	states    states
	logins    *api.Client // that each login has a copy of
	peek      atomic.Pointer[loginPeek]
}

// call travels in a request's context: what the transport is to do with the request, and
// what it saw.
type call struct {
	token     string
	namespace string
	create    bool // must not be repeated, by nobody

	sent       lease.Instant
	answered   bool
	cached     bool // the answer is from the cache of a Vault Proxy
	retryAfter time.Duration
}

type callKey struct{}

func newTransport(s *Session) (*transport, error) {
	addr, err := url.Parse(s.cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("leasehold: Address: %w", err)
	}
	t := &transport{s: s, host: hostPort(addr)}
	for _, h := range s.cfg.RedirectHosts {
		t.redirects = append(t.redirects, strings.ToLower(h))
	}
	if t.conns, err = newConnections(s); err != nil {
		return nil, err
	}
	t.logins, err = newAPI(s.cfg.Address, t.client(loginDoor{t}))
	return t, err
}

// client returns an http.Client on rt that leaves redirects to the transport.
func (t *transport) client(rt http.RoundTripper) *http.Client {
	return &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (t *transport) closeIdle() { t.conns.close() }

var errEscaped = errors.New("leasehold: closed, or no token yet")

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := req.Context(), func() {}
	c, _ := ctx.Value(callKey{}).(*call)
	if c == nil {
		var err error
		ctx, cancel = t.bounded(ctx)
		if c, err = t.escaped(req.WithContext(ctx)); err != nil {
			cancel()
			closeBody(req)
			return nil, err
		}
	}
	out := req.WithContext(ctx) // a RoundTripper must not change the caller's request
	out.Header = make(http.Header, len(req.Header)+3)
	maps.Copy(out.Header, req.Header)
	out.Host = req.URL.Host
	set(out.Header, headerToken, c.token)
	set(out.Header, headerNamespace, c.namespace)
	asked := t.states.require(out.Header)
	resp, err := t.follow(out, func(hop *http.Request) (*http.Response, error) { return t.send(hop, c, cancel) })
	if err != nil {
		cancel()
		return nil, err
	}
	c.answered = true
	c.retryAfter = retryAfter(resp.Header)
	if resp.Header.Get("X-Cache") == "HIT" { // of a Vault Proxy: what it says of TTLs is as old as that
		c.cached, c.sent = true, c.sent.Add(-age(resp.Header))
	}
	t.states.answered(resp, c.create || !isRead(req.Method), asked, t.s.clock())
	return resp, nil
}

// send sends one request, wherever to.
func (t *transport) send(out *http.Request, c *call, cancel func()) (*http.Response, error) {
	w := t.conns.current()
	rt := w.shared
	if c.create {
		rt = w.single
	}
	out, connected := watched(out, rt)
	c.sent = t.s.clock()
	resp, err := rt.RoundTrip(out)
	if err != nil {
		t.conns.ended(out.Context(), w, err)
		if !connected() {
			err = &notSentError{err}
		}
		return nil, err
	}
	if resp.Request == nil {
		resp.Request = out // a RoundTripper need not, but the official client looks at it
	}
	resp.Body = &body{ReadCloser: resp.Body, left: largestBody, ended: func(err error) {
		t.conns.ended(out.Context(), w, err)
		if !isRedirect(resp.StatusCode) {
			cancel()
		}
	}}
	return resp, nil
}

// escaped makes the call of a request from the escape hatch, with the caller's own idea of
// a token and namespace. What a GET does there nobody knows: it may create something, and
// so must not be repeated by net/http (failure code F23).
func (t *transport) escaped(req *http.Request) (*call, error) {
	c := &call{token: req.Header.Get(headerToken), namespace: req.Header.Get(headerNamespace), create: req.Method == http.MethodGet}
	if c.namespace == "" && req.URL.Path != "/v1/sys/health" { // which no namespace has
		c.namespace = t.s.cfg.Namespace
	}
	if c.token == sentinel {
		tok, err := t.s.acquire(req.Context())
		if err != nil {
			return nil, errors.Join(errEscaped, err)
		}
		c.token = tok.value.Reveal()
	}
	return c, nil
}

// bounded ends a request from the escape hatch with the client, and after a while where
// the caller has set no deadline: half of the official client's methods take no context.
func (t *transport) bounded(ctx context.Context) (context.Context, func()) {
	var cancel context.CancelFunc
	if _, ok := ctx.Deadline(); ok {
		ctx, cancel = context.WithCancel(ctx)
	} else {
		ctx, cancel = context.WithTimeout(ctx, readTimeout)
	}
	stop := context.AfterFunc(t.s.ctx, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

func isRead(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == "LIST"
}

func set(h http.Header, key, value string) {
	if value == "" {
		h.Del(key)
		return
	}
	h[key] = []string{value}
}

// longestRetryAfter is the longest pause that a server can ask for.
const longestRetryAfter = 24 * time.Hour

// age is how old an answer from a cache is, at most: the header is rounded to seconds.
func age(h http.Header) time.Duration {
	n, err := strconv.ParseUint(h.Get("Age"), 10, 32)
	if err != nil {
		return 0
	}
	return time.Duration(n+1) * time.Second
}

// retryAfter is how long the server asks us to wait: zero if it does not, or not in a form
// that makes sense. A date is compared with the server's own, never with our clock.
func retryAfter(h http.Header) time.Duration {
	v := h.Get("Retry-After")
	if v == "" { // as in nearly every answer: parsing it would cost more than all else here
		return 0
	}
	if n, err := strconv.ParseUint(v, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		return time.Duration(min(n, uint64(longestRetryAfter/time.Second))) * time.Second
	}
	then, err := http.ParseTime(v)
	if err != nil {
		return 0
	}
	now, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return 0
	}
	return max(0, min(then.Sub(now), longestRetryAfter))
}

// newAPI returns a client that takes nothing from the environment: every field that
// api.NewClient or a request would fill from a VAULT_ variable is set here.
func newAPI(address string, hc *http.Client) (*api.Client, error) {
	// A clone of it, which users should not make, at least does not begin with VAULT_TOKEN.
	c, err := api.NewClient(&api.Config{Address: address, HttpClient: hc, MaxRetries: 0, CloneToken: true, CloneHeaders: true})
	if err != nil {
		return nil, notMade(err)
	}
	c.SetToken("")
	c.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	c.SetWrappingLookupFunc(func(string, string) string { return "" })
	return c, nil
}
