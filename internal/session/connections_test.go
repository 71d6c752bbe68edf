package session

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// TestE5ADeadHTTP2ConnectionIsNoticedByItsPing: the server vanishes without a word. A request
// that could wait for ten minutes is told within half of one, and the next one works.
// Mutation: no pings are sent.
func TestE5ADeadHTTP2ConnectionIsNoticedByItsPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t)
		n := serve(t, ca.server(), hello)
		tr := n.transport(TLS{CACert: write(t, t.TempDir(), "ca.pem", ca.pem())}, nil)
		got, err := get(t, tr, time.Second, "/v1/x")
		require.NoError(t, err)
		require.Equal(t, "HTTP/2.0", got)
		require.EqualValues(t, 1, n.dials.Load())

		n.frozen.Store(true)
		began := time.Now()
		_, err = get(t, tr, 10*time.Minute, "/v1/x")
		require.Error(t, err)
		require.LessOrEqual(t, time.Since(began), 30*time.Second)

		n.frozen.Store(false)
		_, err = get(t, tr, time.Second, "/v1/x")
		require.NoError(t, err)
	})
}

// TestE5AfterThreeFailuresAllConnectionsAreMadeAnew: what is behind the name answers pings
// and no request, as a load balancer does whose server is gone, while one that hears of the
// move late would go on using its connection, since a request is under way on it.
// Mutation: failures are not counted.
func TestE5AfterThreeFailuresAllConnectionsAreMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t)
		n := serve(t, ca.server(), func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v1/answered" {
				<-r.Context().Done()
				return
			}
			hello(rw, r)
		})
		tr := n.transport(TLS{CACert: write(t, t.TempDir(), "ca.pem", ca.pem())}, nil)
		_, err := get(t, tr, time.Second, "/v1/answered")
		require.NoError(t, err)
		hanging := make(chan error, 1)
		go func() {
			_, err := ask(t.Context(), tr, time.Hour, "/v1/hangs", &call{})
			hanging <- err
		}()
		synctest.Wait()

		for range failuresInARow - 1 { // with a good answer in between they are not in a row
			_, err = get(t, tr, time.Second, "/v1/hangs")
			require.Error(t, err)
		}
		_, err = get(t, tr, time.Second, "/v1/answered")
		require.NoError(t, err)
		_, err = get(t, tr, time.Second, "/v1/hangs")
		require.Error(t, err)
		require.EqualValues(t, 1, n.dials.Load())

		for range failuresInARow {
			_, err = get(t, tr, time.Second, "/v1/hangs")
			require.Error(t, err)
		}
		_, err = get(t, tr, time.Second, "/v1/answered")
		require.NoError(t, err)
		require.EqualValues(t, 2, n.dials.Load())
		require.Error(t, <-hanging)
	})
}

// TestE5ACallerWhoLeavesIsNoFailure of the connection. Mutation: he counts.
func TestE5ACallerWhoLeavesIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t)
		n := serve(t, ca.server(), func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		tr := n.transport(TLS{CACert: write(t, t.TempDir(), "ca.pem", ca.pem())}, nil)
		for range 2 * failuresInARow {
			w := tr.conns.cur.Load()
			gone := make(chan struct{})
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				defer close(gone)
				_, err := ask(ctx, tr, time.Hour, "/v1/hangs", &call{})
				assert.Error(t, err)
			}()
			synctest.Wait()
			cancel()
			<-gone
			require.Same(t, w, tr.conns.cur.Load())
		}
	})
}

// TestE5ConnectionsAreRenewedAfterAWhile, or a client that is never without requests would
// stay with an address that the name left. No request fails for it.
// Mutation: connections live for ever.
func TestE5ConnectionsAreRenewedAfterAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t)
		n := serve(t, ca.server(), hello)
		tr := n.transport(TLS{CACert: write(t, t.TempDir(), "ca.pem", ca.pem())}, nil)
		for range 12 * 60 { // an hour
			_, err := get(t, tr, time.Second, "/v1/x")
			require.NoError(t, err)
			time.Sleep(5 * time.Second)
		}
		require.EqualValues(t, 12, n.dials.Load())
	})
}

// TestE5AUsersClientIsOnlyAskedToCloseWhatIsIdle: its transport stays the same, since how to
// make another only the user knows. Mutation: it is not asked.
func TestE5AUsersClientIsOnlyAskedToCloseWhatIsIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		user := &failing{}
		s := &Session{cfg: Config{Address: vaultURL, Base: &http.Client{Transport: user}}, clock: lease.SystemClock()}
		tr, err := newTransport(s)
		require.NoError(t, err)
		for range 2 * failuresInARow {
			time.Sleep(connectionLife)
			_, err := get(t, tr, time.Second, "/v1/x")
			require.Error(t, err)
		}
		require.EqualValues(t, 4, user.closed.Load(), "each time both ways, which are one here")
		require.Same(t, user, tr.conns.cur.Load().shared)
		tr.closeIdle()
		require.EqualValues(t, 4, user.closed.Load())
	})
}

// failing is a user's transport that gets no answer.
type failing struct{ closed atomic.Int32 }

func (*failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("broken") }

func (f *failing) CloseIdleConnections() { f.closed.Add(1) }

// TestLaw19NoProxyIsTakenFromTheEnvironment. Mutation: HTTP_PROXY counts.
func TestLaw19NoProxyIsTakenFromTheEnvironment(t *testing.T) {
	t.Parallel()
	h := ownTransport(nil)
	require.Nil(t, h.Proxy)
	require.Nil(t, single(h).Proxy)
}

// TestLaw07WhatWasNeverSentIsNotAmbiguous: a handshake that fails has created nothing, so that a
// creation may be repeated. One whose answer is lost may have. Mutation: all that was dialled
// counts as sent.
func TestLaw07WhatWasNeverSentIsNotAmbiguous(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, other := newAuthority(t), newAuthority(t)
		n := serve(t, ca.server(), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		for trusted, lost := range map[*authority]bool{ca: true, other: false} {
			tr := n.transport(TLS{CACert: write(t, t.TempDir(), "ca.pem", trusted.pem())}, nil)
			for _, create := range []bool{true, false} {
				_, err := ask(t.Context(), tr, time.Second, "/v1/x", &call{create: create})
				require.Error(t, err)
				require.Equal(t, lost, Ambiguous(&lease.Error{Class: lease.Transient, Err: &Error{Err: err}}), "%v", err)
			}
		}
	})
}
