package vaulttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// maxBody is Vault's own default limit of a request's size.
const maxBody = 32 << 20

// Client returns an HTTP client that reaches the server inside the process, whatever host its
// requests name. It opens no socket and starts no goroutine that outlives its request, so it works
// in a testing/synctest bubble, where a socket would stop the clock.
func (s *Server) Client() *http.Client {
	return &http.Client{
		Transport: inProcess{s},
		// As vault/api sets it: the caller sees a redirect instead of being taken along.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type inProcess struct{ s *Server }

// errGone is what a caller gets if the test's own code ends the goroutine of his request, as
// testing.T.FailNow does in a callback.
var errGone = errors.New("vaulttest: a callback has ended the request")

func (p inProcess) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	if err := ctx.Err(); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	// A goroutine of its own, since the request may hang by a fault, or in the test's callback,
	// while the caller must come back when its context ends.
	// It has a copy of the request, since a caller that came back early may use his again.
	own := req.Clone(ctx)
	done := make(chan reply, 1)
	go func() {
		if own.Body != nil {
			defer own.Body.Close()
		}
		r := reply{err: errGone}
		defer func() { done <- r }()
		r = p.s.serve(own)
	}()
	select {
	case <-ctx.Done():
		if req.Body != nil {
			_ = req.Body.Close() // the goroutine may be reading it
		}
		return nil, ctx.Err()
	case r := <-done:
		if r.err != nil {
			return nil, r.err
		}
		return r.response(req), nil
	}
}

func (r reply) response(req *http.Request) *http.Response {
	header := r.headers()
	length := int64(len(r.body))
	body := r.body
	if req.Method == http.MethodHead {
		body = nil
	}
	return &http.Response{
		Status: fmt.Sprintf("%d %s", r.status, http.StatusText(r.status)), StatusCode: r.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, ContentLength: length, Body: io.NopCloser(bytes.NewReader(body)), Request: req,
	}
}

func (r reply) headers() http.Header {
	h := http.Header{"Cache-Control": {"no-store"}, "Content-Type": {"application/json"}}
	for k, v := range r.header {
		h[http.CanonicalHeaderKey(k)] = v
	}
	return h
}

// URL returns http://127.0.0.1:PORT, where the server listens from the first call on. Not for use
// in a synctest bubble, whose clock a socket stops and which would end with goroutines of net/http
// left: see Client.
func (s *Server) URL() string {
	s.netMu.Lock()
	defer s.netMu.Unlock()
	if s.hostPort == "" {
		s.listen("127.0.0.1:0")
	}
	return "http://" + s.hostPort
}

// listen starts the listener. The caller holds netMu.
func (s *Server) listen(addr string) {
	// No context to bound: listening on loopback is immediate, and Close ends it.
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", addr)
	if err != nil {
		s.tb.Fatalf("vaulttest: %v", err)
		return
	}
	s.hostPort = l.Addr().String()
	if s.isClosed() {
		// A closed server has an address where nobody answers.
		_ = l.Close()
		return
	}
	s.httpd = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.served = make(chan struct{})
	go func(httpd *http.Server, served chan struct{}) {
		defer close(served)
		_ = httpd.Serve(l) // ends at Close; nobody is left to tell another error to
	}(s.httpd, s.served)
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

// ServeHTTP implements http.Handler, for a test that has a listener of its own, such as
// httptest.NewTLSServer(s). Most need URL or Client only.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r := s.serve(req)
	if r.err != nil {
		dropConnection(w, errors.Is(r.err, syscall.ECONNREFUSED))
		return
	}
	maps.Copy(w.Header(), r.headers())
	w.WriteHeader(r.status)
	if req.Method != http.MethodHead {
		_, _ = w.Write(r.body) // an error means that the client has gone
	}
}

// dropConnection ends the connection without an answer. A listener cannot refuse one connection and
// take the next, so a refusal is a reset here, the nearest that the client can see.
func dropConnection(w http.ResponseWriter, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, isTCP := conn.(*net.TCPConn); isTCP && reset {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// Close stops the server: in-process requests and new connections are refused, those under way are
// cut. The data stays, and its time goes on; see Restart. Closing twice does no harm.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.closes++
	for w := range s.waiting {
		delete(s.waiting, w)
		w.end <- io.EOF
	}
	s.mu.Unlock()

	s.netMu.Lock()
	defer s.netMu.Unlock()
	if s.httpd == nil {
		return
	}
	_ = s.httpd.Close()
	<-s.served
	s.httpd = nil
}

// Restart brings a closed server back, with its data and, if URL was used, on the same port. The
// server is unsealed if it was.
func (s *Server) Restart() {
	s.Close()
	s.mu.Lock()
	s.closed = false
	s.opens()
	s.mu.Unlock()
	s.netMu.Lock()
	defer s.netMu.Unlock()
	if s.hostPort != "" && s.httpd == nil {
		s.listen(s.hostPort)
	}
}

// errRefused is what dialling a port gives where nobody listens.
func errRefused() error {
	return &net.OpError{
		Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8200},
		Err: os.NewSyscallError("connect", syscall.ECONNREFUSED),
	}
}

// serve takes one request through the faults and the server, whichever way it came.
func (s *Server) serve(req *http.Request) reply {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return reply{err: errRefused()}
	}
	c := newCall(s, req)
	f := s.takeFault(c.method, c.path)
	closes := s.closes
	s.mu.Unlock()

	// Before a fault holds it: net/http sees that a client has left once the body is read.
	bad := c.read(req)
	r := s.withFault(req.Context(), f, func() reply { return s.handle(c, bad) })
	s.mu.Lock()
	if s.closes != closes {
		r = reply{err: io.EOF}
	}
	s.log[c.index].Status = r.status
	s.mu.Unlock()
	return r
}
