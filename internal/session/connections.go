package session

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// When connections of ours are given up (failure code E5): after so many failures in a
// row, since a server that moved away answers nothing and closes nothing; and after a
// while in any case, since what still answers may not be where the name points to now.
const (
	failuresInARow = 3
	connectionLife = 5 * time.Minute
)

// ways are two ways to the server: over connections that are shared and kept, and over one
// that is made for a single request.
type ways struct {
	shared, single http.RoundTripper
	own            bool // not a user's client, which is his to set up
	made           lease.Instant
	failures       atomic.Int32 // in a row
}

// connections hands out the ways of the moment. They are given up as a whole, since
// http.Transport has no other means to stop using a connection with requests in flight.
type connections struct {
	clock lease.Clock
	open  func(*tls.Config) *http.Transport
	cur   atomic.Pointer[ways]

	mu    sync.Mutex // guards the rest; only ever tried, so that no request waits for a file
	files tlsFiles
	conf  *tls.Config
}

// newConnections opens ways of our own, or takes those of a user's client.
func newConnections(s *Session) (*connections, error) {
	c := &connections{clock: s.clock, open: ownTransport}
	if s.cfg.Base != nil {
		w := &ways{shared: s.cfg.Base.Transport}
		if w.shared == nil {
			w.shared = http.DefaultTransport //nolint:forbidigo // what a user's client without a transport means
		}
		w.single = w.shared
		if h, ok := w.shared.(*http.Transport); ok {
			w.single = single(h)
		}
		c.cur.Store(w)
		return c, nil
	}
	c.files = tlsFiles{TLS: s.cfg.TLS, looked: s.clock(), report: func(err error) { s.Report(lease.ReadFailed, "TLS", err) }}
	var err error
	if c.files.used, err = c.files.read(); err != nil {
		return nil, err
	}
	if c.conf, err = c.files.config(c.files.used); err != nil {
		return nil, err
	}
	c.anew(s.clock())
	return c, nil
}

// current returns what a request goes out by.
func (c *connections) current() *ways {
	w := c.cur.Load()
	if !w.own || !c.mu.TryLock() {
		return w
	}
	defer c.mu.Unlock()
	now := c.clock()
	if c.files.due(now) {
		c.reload(now)
	}
	if passed(c.cur.Load().made, now, connectionLife) {
		c.anew(now)
	}
	return c.cur.Load()
}

// reload takes what the files hold now. The caller holds mu.
func (c *connections) reload(now lease.Instant) {
	if conf := c.files.reload(now); conf != nil {
		c.conf = conf
		c.anew(now)
	}
}

// shown is what the next connection shows: what the files hold now, or what worked before.
func (c *connections) shown() material {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reload(c.clock())
	return c.files.used
}

// ended is told how each request over w ended, its answer's body included.
func (c *connections) ended(ctx context.Context, w *ways, err error) {
	switch {
	case err == nil:
		w.failures.Store(0)
	case errors.Is(ctx.Err(), context.Canceled): // the caller went away, which says nothing
	case w.failures.Add(1) >= failuresInARow:
		c.giveUp(w)
	}
	if w.own && w != c.cur.Load() {
		w.closeIdle() // given up while this request was under way
	}
}

// giveUp stops using w, unless others have seen to it.
func (c *connections) giveUp(w *ways) {
	if !w.own {
		w.failures.Store(0)
		w.closeIdle()
		return
	}
	if !c.mu.TryLock() {
		return // a later failure will
	}
	defer c.mu.Unlock()
	if w == c.cur.Load() {
		c.anew(c.clock())
	}
}

// anew opens new ways. The caller holds mu, or is alone.
func (c *connections) anew(now lease.Instant) {
	h := c.open(c.conf.Clone()) // net/http writes into it
	if old := c.cur.Swap(&ways{shared: h, single: single(h), own: true, made: now}); old != nil {
		old.closeIdle()
	}
}

func (w *ways) closeIdle() {
	for _, rt := range []http.RoundTripper{w.shared, w.single} {
		if i, ok := rt.(interface{ CloseIdleConnections() }); ok {
			i.CloseIdleConnections()
		}
	}
}

// close ends the connections of ours that nobody uses.
func (c *connections) close() {
	if w := c.cur.Load(); w.own {
		w.closeIdle()
	}
}

// ownTransport is sized for many goroutines that read from one server: the
// standard pool of two idle connections would reconnect all the time.
func ownTransport(conf *tls.Config) *http.Transport {
	return &http.Transport{
		Proxy:                 nil, // HTTP_PROXY would send the token through a stranger unasked
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       conf,
		TLSHandshakeTimeout:   5 * time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       30 * time.Second,
		ResponseHeaderTimeout: 0, // each attempt has a deadline of its own
		ExpectContinueTimeout: time.Second,
		// One dead HTTP/2 connection would take all requests along, for as long as the
		// kernel resends (E5).
		HTTP2: &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second, WriteByteTimeout: 10 * time.Second},
	}
}

// single is h with a connection for each request: net/http repeats a GET by
// itself when a reused connection breaks, and a GET of dynamic credentials would
// then create two (failure code F23).
func single(h *http.Transport) *http.Transport {
	one := h.Clone()
	one.DisableKeepAlives = true
	one.ForceAttemptHTTP2 = false
	one.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	one.Protocols = nil
	if one.TLSClientConfig != nil {
		// Clone has set h up for HTTP/2: the server would choose it, and be spoken to in HTTP/1.
		one.TLSClientConfig.NextProtos = nil
	}
	return one
}
