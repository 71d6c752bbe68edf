package testvault

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
)

// wire is the proxy's side of the connections to its clients. It works below TLS
// and HTTP, on the bytes: a frozen connection does not even answer an HTTP/2 ping.
type wire struct {
	turn sync.Mutex // one of Accept, Refuse and the end at a time

	mu       sync.Mutex
	port     int           // chosen once
	listener net.Listener  // nil while refusing
	held     int           // the socket that keeps the port while refusing; 0: none
	frozen   chan struct{} // closed by the thaw; nil unless frozen
	open     map[*proxyConn]struct{}
	accepted int
	ended    bool
}

// Refuse makes dialling fail with "connection refused", and cuts what is open.
func (p *Proxy) Refuse() {
	p.tb.Helper()
	p.wire.turn.Lock()
	defer p.wire.turn.Unlock()
	if p.wire.closeListener() {
		if err := p.wire.hold(); err != nil {
			p.tb.Fatalf("testvault: keep the proxy's port while it refuses: %v", err)
		}
	}
	p.wire.cut()
}

// Accept ends a Refuse, on the same port.
func (p *Proxy) Accept() {
	p.tb.Helper()
	p.wire.turn.Lock()
	defer p.wire.turn.Unlock()
	l, err := p.wire.listen()
	if err != nil {
		p.tb.Fatalf("testvault: proxy: %v", err)
	}
	if l == nil {
		return
	}
	p.serving.Go(func() {
		if p.tls != nil {
			_ = p.server.ServeTLS(l, "", "")
		} else {
			_ = p.server.Serve(l)
		}
	})
}

// Freeze is a network that swallows packets: connections stay open and new ones
// are made (by the kernel), but nothing is read from any and nothing is sent,
// until Thaw. What was on its way then arrives late.
func (p *Proxy) Freeze() {
	p.wire.mu.Lock()
	defer p.wire.mu.Unlock()
	if p.wire.frozen == nil {
		p.wire.frozen = make(chan struct{})
	}
}

// Thaw ends a Freeze.
func (p *Proxy) Thaw() { p.wire.thaw() }

// Cut closes the connections that are open, frozen ones too. New ones are
// accepted.
func (p *Proxy) Cut() { p.wire.cut() }

func (w *wire) portNumber() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.port
}

// listen returns nil if there is a listener already, or no test any more.
func (w *wire) listen() (net.Listener, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != nil || w.ended {
		return nil, nil //nolint:nilnil // the caller has nothing to do then
	}
	w.release()
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", fmt.Sprintf("127.0.0.1:%d", w.port))
	if err != nil {
		return nil, err
	}
	w.port = l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on tcp
	w.listener = &proxyListener{Listener: l, wire: w}
	return w.listener, nil
}

// closeListener says whether there was one.
func (w *wire) closeListener() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener == nil {
		return false
	}
	_ = w.listener.Close()
	w.listener = nil
	return true
}

// hold binds the port without listening. Otherwise the kernel would sooner or
// later give it to one of the many connections that tests make, and Accept would
// fail, or a client would reach a stranger.
func (w *wire) hold() error {
	syscall.ForkLock.RLock() // a server that a test starts must not inherit it
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = fd
	// Connections of before linger on the port.
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		return err
	}
	return syscall.Bind(fd, &syscall.SockaddrInet4{Port: w.port, Addr: [4]byte{127, 0, 0, 1}})
}

// release undoes hold. The caller holds mu.
func (w *wire) release() {
	if w.held != 0 {
		_ = syscall.Close(w.held)
		w.held = 0
	}
}

func (w *wire) thaw() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.frozen != nil {
		close(w.frozen)
		w.frozen = nil
	}
}

func (w *wire) cut() {
	w.mu.Lock()
	var conns []*proxyConn
	for c := range w.open {
		conns = append(conns, c)
	}
	w.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

func (w *wire) end() {
	w.turn.Lock()
	defer w.turn.Unlock()
	w.closeListener()
	w.cut() // before the thaw, or what was held would still be sent
	w.thaw()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.release()
	w.ended = true
}

// proxyListener hands out connections that can be frozen.
type proxyListener struct {
	net.Listener
	wire *wire
}

func (l *proxyListener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	w := l.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.listener != net.Listener(l) { // Refuse came in between, and would not find it to cut
		return nil, errors.Join(net.ErrClosed, inner.Close())
	}
	w.accepted++
	c := &proxyConn{Conn: inner, wire: w, id: w.accepted, closed: make(chan struct{})}
	if w.open == nil {
		w.open = make(map[*proxyConn]struct{})
	}
	w.open[c] = struct{}{}
	return c, nil
}

// proxyConn is one connection from a client.
type proxyConn struct {
	net.Conn
	wire   *wire
	id     int
	closed chan struct{}
	once   sync.Once
}

// thawed waits while the proxy is frozen, and fails once the connection is cut.
func (c *proxyConn) thawed() error {
	for {
		c.wire.mu.Lock()
		frozen := c.wire.frozen
		c.wire.mu.Unlock()
		if frozen == nil {
			select {
			case <-c.closed:
				return net.ErrClosed
			default:
				return nil
			}
		}
		select {
		case <-frozen:
		case <-c.closed:
			return net.ErrClosed
		}
	}
}

func (c *proxyConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	// Only after reading: an idle connection waits in there when the freeze comes.
	if gone := c.thawed(); gone != nil {
		return 0, gone
	}
	return n, err
}

func (c *proxyConn) Write(b []byte) (int, error) {
	if err := c.thawed(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *proxyConn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		close(c.closed)
		c.wire.mu.Lock()
		delete(c.wire.open, c)
		c.wire.mu.Unlock()
		err = c.Conn.Close()
	})
	return err
}

type connKey struct{}

// withConn remembers for each request the connection that it came on.
func withConn(ctx context.Context, c net.Conn) context.Context {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	return context.WithValue(ctx, connKey{}, c)
}

func connOf(r *http.Request) *proxyConn {
	return r.Context().Value(connKey{}).(*proxyConn) //nolint:forcetypeassert // withConn put it there
}
