package testvault

import (
	"context"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// openConns counts the connections that clients have to the proxy.
func (w *wire) openConns() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.open)
}

func TestProxyRefusesAndAcceptsOnTheSamePort(t *testing.T) {
	up := behind(t, nil)
	p := NewProxy(t, up.URL)
	addr := p.Addr()
	for range 3 {
		_, err := ask(t.Context(), visitor(t, true), http.MethodPut, addr, nil)
		require.NoError(t, err)
		p.Refuse()
		p.Refuse()
		assert.Zero(t, p.wire.openConns(), "what was open is cut")
		_, err = get(t, p, "")
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		p.Accept()
		p.Accept()
		assert.Equal(t, addr, p.Addr())
		assert.Equal(t, []int{200}, statuses(t, p, "", 1))
	}
	assert.Equal(t, 6, up.reached())
}

// TestProxyKeepsItsPortWhileItRefuses: no connection that is made in the meantime
// is given the port, or Accept would fail.
func TestProxyKeepsItsPortWhileItRefuses(t *testing.T) {
	up := behind(t, nil)
	p := NewProxy(t, up.URL)
	p.Refuse() // and no connection ever was, whose remains would keep the port, too
	from, err := net.ResolveTCPAddr("tcp", strings.TrimPrefix(p.Addr(), "http://"))
	require.NoError(t, err)
	_, err = (&net.Dialer{LocalAddr: from}).DialContext(t.Context(), "tcp", up.Listener.Addr().String())
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	p.Accept()
	assert.Equal(t, []int{200}, statuses(t, p, "", 1))
}

func TestProxyCutsConnectionsAndAcceptsOthers(t *testing.T) {
	p := NewProxy(t, behind(t, nil).URL)
	undo := p.Fault(Rule{BlackHole: true})
	answer := background(t, p)
	Poll(t, startWithin, func() bool { return p.Count("", "held") == 1 }, "the request is held")
	p.Cut()
	assert.Zero(t, <-answer)
	undo()
	assert.Equal(t, []int{200}, statuses(t, p, "", 1))
	assert.Zero(t, p.Log()[0].Status)
	assert.Equal(t, 2, p.Log()[1].Conn)
}

// TestProxyFreezes: neither an idle connection nor a new one gets anything through,
// and none is closed. After the thaw the same connection goes on.
func TestProxyFreezes(t *testing.T) {
	up := behind(t, nil)
	plain := NewProxy(t, up.URL)
	encrypted, overTLS := secured(t, up.URL)
	for name, tc := range map[string]struct {
		p      *Proxy
		client *http.Client
	}{"HTTP/1.1": {plain, visitor(t, true)}, "HTTP/2.0": {encrypted, overTLS}} {
		t.Run(name, func(t *testing.T) {
			request := func(ctx context.Context) error {
				_, err := ask(ctx, tc.client, http.MethodPut, tc.p.Addr(), nil)
				return err
			}
			require.NoError(t, request(t.Context()))
			before := up.reached()
			tc.p.Freeze()
			tc.p.Freeze()
			waiting := make(chan error, 1)
			go func() { waiting <- request(t.Context()) }() // on the idle connection
			_, err := ask(impatient(t), tc.client, http.MethodPut, tc.p.Addr(), nil)
			require.ErrorIs(t, err, context.DeadlineExceeded)

			conn, err := new(net.Dialer).DialContext(impatient(t), "tcp", tc.p.Addr()[strings.LastIndex(tc.p.Addr(), "/")+1:])
			require.NoError(t, err, "the kernel accepts")
			defer func() { _ = conn.Close() }()
			assert.Empty(t, waiting)
			assert.Equal(t, before, up.reached())
			assert.Len(t, tc.p.Log(), 1, "nothing was read")

			tc.p.Thaw()
			tc.p.Thaw()
			require.NoError(t, <-waiting)
			require.NoError(t, request(t.Context()))
		})
	}
}

// TestProxyFreezesWhatIsUnderWay: an answer that comes during a freeze arrives after
// it, and so does the end of a connection.
func TestProxyFreezesWhatIsUnderWay(t *testing.T) {
	for name, tc := range map[string]struct {
		rule Rule
		want int
	}{"an answer": {Rule{BlackHole: true, After: true}, 200}, "a cut": {Rule{Delay: forever, DropBefore: true}, 0}} {
		t.Run(name, func(t *testing.T) {
			p := NewProxy(t, behind(t, nil).URL)
			undo := p.Fault(tc.rule)
			answer := background(t, p)
			Poll(t, startWithin, func() bool { return p.Count("", "held") == 1 }, "the request is held")
			p.Freeze()
			undo()
			_, err := ask(impatient(t), visitor(t, false), http.MethodGet, p.Addr(), nil)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			assert.Empty(t, answer)
			assert.Equal(t, 2, p.wire.openConns(), "besides the one that nobody waits for any more")
			assert.Zero(t, p.Log()[0].Status)
			p.Thaw()
			assert.Equal(t, tc.want, <-answer)
		})
	}
}

func TestProxyCutsFrozenConnections(t *testing.T) {
	p := NewProxy(t, behind(t, nil).URL)
	p.Freeze()
	answer := background(t, p)
	Poll(t, startWithin, func() bool { return p.wire.openConns() == 1 }, "the connection is there")
	p.Cut()
	assert.Zero(t, <-answer)
	p.Thaw()
	assert.Equal(t, []int{200}, statuses(t, p, "", 1))
}
