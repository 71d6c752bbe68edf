package testvault

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// maxProxied bounds a body on its way through a Proxy, which holds it whole. It
// is Vault's own limit for a request.
const maxProxied = 32 << 20

// UpstreamFailed is what Seen.Fault says when no rule struck, but the server
// behind the proxy could not be reached or broke off.
const UpstreamFailed = "upstream failed"

// Proxy stands on loopback between the code under test and a Vault, and does
// what networks and load balancers do: see Rule for single requests, and Refuse,
// Freeze and Cut for connections. What no rule concerns goes through unchanged.
// A server that cannot be reached shows as a connection that is cut, as it would
// without a proxy in between, and never as an answer.
//
// The proxy sends each request at most once, on a connection of its own: net/http
// repeats a GET when a reused connection breaks (F23), and then the number of
// requests at Vault would prove nothing. It follows no redirect.
//
// All methods may be called at any time, from any goroutine.
type Proxy struct {
	tb     testing.TB
	seed   int64
	tls    *tls.Config
	target atomic.Pointer[url.URL]
	wire   wire
	log    seenLog

	server    *http.Server
	transport *http.Transport
	cancel    context.CancelFunc // ends what is held at cleanup

	mu       sync.Mutex
	faults   []*fault // in the order in which they were added
	added    int      // how many ever were
	closed   bool
	handlers sync.WaitGroup // requests; added to under mu, unless closed
	serving  sync.WaitGroup // a goroutine for each listener
}

// ProxyOption changes how a Proxy is made.
type ProxyOption func(*Proxy)

// ProxyTLS makes the proxy speak TLS to its clients, with HTTP/2 if they want it.
// The server behind it is still spoken to in plain HTTP. config needs a
// certificate for 127.0.0.1; its GetCertificate and GetConfigForClient can change
// what clients see while the proxy runs.
func ProxyTLS(config *tls.Config) ProxyOption {
	return func(p *Proxy) { p.tls = config.Clone() }
}

// Seed decides what rules with a Chance do. Without it the seed is 1.
func Seed(seed int64) ProxyOption {
	return func(p *Proxy) { p.seed = seed }
}

// NewProxy starts a proxy in front of target, such as a Server's Addr. It lives
// as long as the test.
func NewProxy(tb testing.TB, target string, opts ...ProxyOption) *Proxy {
	tb.Helper()
	p := &Proxy{tb: tb, seed: 1, log: seenLog{salt: rand.Text()}}
	for _, opt := range opts {
		opt(p)
	}
	p.Swap(target)
	p.transport = &http.Transport{DisableKeepAlives: true, DisableCompression: true}
	// Not the test's own context: what runs in its cleanup, such as a client that
	// gives back its token, still needs the proxy.
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	p.server = &http.Server{ //nolint:gosec // no time-out: a frozen connection stays open, however long
		Handler:     http.HandlerFunc(p.serve),
		TLSConfig:   p.tls,
		ErrorLog:    slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: withConn,
	}
	p.Accept()
	tb.Cleanup(p.close)
	return p
}

// Addr is the proxy's address, as in VAULT_ADDR. It never changes.
func (p *Proxy) Addr() string {
	scheme := "http"
	if p.tls != nil {
		scheme = "https"
	}
	return fmt.Sprintf("%s://127.0.0.1:%d", scheme, p.wire.portNumber())
}

// Swap puts another server behind the proxy, for the requests that come from now
// on.
func (p *Proxy) Swap(target string) {
	p.tb.Helper()
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" || u.Host == "" || strings.Trim(u.Path, "/") != "" {
		p.tb.Fatalf("testvault: a proxy forwards to http://host:port, not to %q", target)
	}
	p.target.Store(u)
}

// close ends everything, whatever it waits for, and returns when it has ended.
func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cancel()
	p.wire.end()
	_ = p.server.Close() // after the connections: it would wait for frozen ones
	p.handlers.Wait()
	p.serving.Wait()
	p.transport.CloseIdleConnections()
}

// enter says whether a request may begin: after close none does.
func (p *Proxy) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.handlers.Add(1)
	return true
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		panic(http.ErrAbortHandler)
	}
	defer p.handlers.Done()
	conn := connOf(r)
	n := p.log.begin(r, conn.id)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxProxied))
	result := outcome{end: gone}
	if err == nil {
		f := p.strike(r)
		p.log.fault(n, f.Name)
		result = f.apply(r, func() (outcome, error) { return p.forward(r, body, n) })
	}
	p.deliver(w, r, conn, n, result)
}

// forward sends the request to the server behind the proxy, once.
func (p *Proxy) forward(r *http.Request, body []byte, n *Seen) (outcome, error) {
	ctx := httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() { p.log.forwarded(n) },
	})
	out := r.Clone(ctx)
	target := p.target.Load()
	out.URL.Scheme, out.URL.Host, out.RequestURI = target.Scheme, target.Host, ""
	out.Body, out.ContentLength, out.TransferEncoding = http.NoBody, int64(len(body)), nil
	if len(body) > 0 {
		out.Body = io.NopCloser(bytes.NewReader(body))
	}
	hopByHop(out.Header)
	if !has(out.Header, "User-Agent") {
		out.Header["User-Agent"] = nil // or net/http would add its own
	}
	resp, err := p.transport.RoundTrip(out)
	if err == nil {
		defer func() { _ = resp.Body.Close() }()
		body, err = io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxProxied))
	}
	if err != nil {
		if r.Context().Err() == nil {
			p.log.fault(n, UpstreamFailed)
		}
		return outcome{}, err
	}
	hopByHop(resp.Header)
	if !has(resp.Header, "Date") {
		resp.Header["Date"] = nil
	}
	return outcome{end: whole, status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// deliver ends the request on the client's side.
func (p *Proxy) deliver(w http.ResponseWriter, r *http.Request, conn *proxyConn, n *Seen, o outcome) {
	// While frozen a connection does not end either. After a cut, nothing was
	// sent, and the log must not claim so.
	if conn.thawed() != nil || o.end == gone {
		panic(http.ErrAbortHandler) // in HTTP/2 the others on this connection go on
	}
	if o.end == cut {
		_ = conn.Close()
		panic(http.ErrAbortHandler)
	}
	header := w.Header()
	maps.Copy(header, o.header)
	switch {
	case r.Method == http.MethodHead:
		// Its Content-Length is that of the body that a GET would have got.
	case o.status == http.StatusNoContent, o.status == http.StatusNotModified:
		header.Del("Content-Length")
	default:
		header.Set("Content-Length", strconv.Itoa(len(o.body)))
	}
	if !has(header, "Content-Type") {
		header["Content-Type"] = nil // or net/http would guess one
	}
	p.log.answered(n, o.status) // before the client can see it
	w.WriteHeader(o.status)
	if o.end == half {
		_, _ = w.Write(o.body[:len(o.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler) // and not Close, which would lose what HTTP/2 has yet to send
	}
	_, _ = w.Write(o.body)
}

// hopByHop removes what concerns one connection only. Expect is among it: the
// body is here already.
func hopByHop(h http.Header) {
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range []string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
	} {
		h.Del(name)
	}
}

func has(h http.Header, name string) bool {
	_, ok := h[name]
	return ok
}
