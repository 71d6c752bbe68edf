package testvault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// upstream is what stands behind the proxy in these tests.
type upstream struct {
	*httptest.Server
	count atomic.Int32
}

// behind answers each request by handler; nil answers its path in twelve bytes.
func behind(t *testing.T, handler http.HandlerFunc) *upstream {
	t.Helper()
	if handler == nil {
		handler = func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%-12s", r.URL.Path) }
	}
	up := &upstream{}
	up.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up.count.Add(1)
		handler(w, r)
	}))
	t.Cleanup(up.Close)
	return up
}

// reached is how often the server behind the proxy was asked.
func (u *upstream) reached() int { return int(u.count.Load()) }

// visitor is a client that follows nothing and unpacks nothing. Only a reusing one
// keeps its connections.
func visitor(t *testing.T, reusing bool) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableKeepAlives: !reusing, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// reply is an answer, read to its end.
type reply struct {
	status int
	proto  string
	header http.Header
	length int64 // as announced
	body   string
}

// ask sends a request. What arrived before an error is in the reply.
func ask(ctx context.Context, c *http.Client, method, url string, header http.Header) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, http.NoBody)
	if err != nil {
		return reply{}, err
	}
	maps.Copy(req.Header, header)
	resp, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Proto, resp.Header, resp.ContentLength, string(body)}, err
}

// get asks on a connection of its own for the status, 0 if there was none.
func get(t *testing.T, p *Proxy, path string) (int, error) {
	t.Helper()
	got, err := ask(t.Context(), visitor(t, false), http.MethodGet, p.Addr()+"/v1/"+path, nil)
	return got.status, err
}

// statuses is what n requests get, one after the other; 0 for a connection that ends.
func statuses(t *testing.T, p *Proxy, path string, n int) []int {
	t.Helper()
	var all []int
	for range n {
		status, _ := get(t, p, path)
		all = append(all, status)
	}
	return all
}

// impatient is a context that ends soon: for what is never answered.
func impatient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestProxyChangesNothingUnasked(t *testing.T) {
	type request struct {
		method, uri, host, body string
		header                  http.Header
	}
	var got request
	up := behind(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = request{r.Method, r.RequestURI, r.Host, string(body), r.Header}
		w.Header()["X-Twice"] = []string{"a", "b"}
		w.Header().Set("Content-Encoding", "gzip")
		w.Header()["Date"] = nil
		w.Header()["Content-Type"] = nil
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprint(w, "not really gzip")
	})
	p := NewProxy(t, up.URL)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut,
		p.Addr()+"/v1/secret/a%2Fb//c%20d?x=1;2&x=%3D&y", strings.NewReader("the body"))
	require.NoError(t, err)
	req.Header = http.Header{
		"X-Vault-Token": {"hvs.planted"}, "X-Odd": {"1", "2"}, "User-Agent": nil,
		"Connection": {"X-Hop"}, "X-Hop": {"stays here"}, "Accept-Encoding": {"zstd"},
	}
	req.Host = "vault.example"
	resp, err := visitor(t, true).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)

	assert.Equal(t, request{
		method: "PUT", uri: "/v1/secret/a%2Fb//c%20d?x=1;2&x=%3D&y", host: "vault.example", body: "the body",
		header: http.Header{
			"X-Vault-Token": {"hvs.planted"}, "X-Odd": {"1", "2"}, "Accept-Encoding": {"zstd"},
			"Content-Length": {"8"}, "Connection": {"close"},
		},
	}, got)
	assert.Equal(t, http.StatusTeapot, resp.StatusCode)
	assert.Equal(t, "not really gzip", string(body))
	assert.Equal(t, http.Header{
		"X-Twice": {"a", "b"}, "Content-Encoding": {"gzip"}, "Content-Length": {"15"},
	}, resp.Header, "nothing added, nothing guessed, and the connection to the client stays")
}

func TestProxyPassesAnswersWithoutABody(t *testing.T) {
	up := behind(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			w.Header().Set("Content-Length", "77")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	p := NewProxy(t, up.URL)
	got, err := ask(t.Context(), visitor(t, false), http.MethodHead, p.Addr(), nil)
	require.NoError(t, err)
	assert.EqualValues(t, 77, got.length)
	got, err = ask(t.Context(), visitor(t, false), http.MethodDelete, p.Addr(), nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusNoContent, got.status)
	assert.Empty(t, got.body)
	assert.NotContains(t, got.header, "Content-Length")
}

func TestProxyLeavesRedirectsToTheClient(t *testing.T) {
	up := behind(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect)
	})
	p := NewProxy(t, up.URL)
	assert.Equal(t, []int{http.StatusTemporaryRedirect}, statuses(t, p, "sys/health", 1))
	assert.Equal(t, 1, up.reached())
}

func TestProxySwapsTheServerBehindIt(t *testing.T) {
	first, second := behind(t, nil), behind(t, nil)
	p := NewProxy(t, first.URL)
	client := visitor(t, true)
	for _, target := range []*upstream{first, second, first} {
		before := target.reached()
		p.Swap(target.URL)
		_, err := ask(t.Context(), client, http.MethodGet, p.Addr(), nil)
		require.NoError(t, err)
		assert.Equal(t, before+1, target.reached())
	}
	assert.Equal(t, 1, p.Log()[2].Conn, "the clients keep their connections")
}

func TestProxyCutsWhatAServerLeavesUnanswered(t *testing.T) {
	dead := httptest.NewServer(nil)
	dead.Close()
	breaking := behind(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	p := NewProxy(t, dead.URL)
	assert.Equal(t, []int{0}, statuses(t, p, "", 1))
	p.Swap(breaking.URL)
	assert.Equal(t, []int{0}, statuses(t, p, "", 1))
	assert.Equal(t, 1, breaking.reached())
	log := p.Log()
	assert.Equal(t, UpstreamFailed, log[0].Fault)
	assert.False(t, log[0].Forwarded)
	assert.Equal(t, UpstreamFailed, log[1].Fault)
	assert.True(t, log[1].Forwarded)
}

func TestProxyLogsWhatItSaw(t *testing.T) {
	p := NewProxy(t, behind(t, nil).URL)
	defer p.Fault(Rule{Path: "database/creds", Status: 503, Name: "down"})()
	client := visitor(t, true)
	for _, r := range []struct {
		method, path string
		header       http.Header
	}{
		{"GET", "secret/data/app", http.Header{"X-Vault-Token": {"hvs.planted"}, "X-Vault-Namespace": {"team"}, "X-Other": {"1"}}},
		{"GET", "secret/metadata/app?list=true", http.Header{"Authorization": {"Bearer hvs.planted"}}},
		{"PUT", "auth/approle/login", nil},
		{"GET", "database/creds/app", http.Header{"X-Vault-Token": {"hvs.another"}}},
	} {
		_, err := ask(t.Context(), client, r.method, p.Addr()+"/v1/"+r.path, r.header)
		require.NoError(t, err)
	}
	log := p.Log()
	require.Len(t, log, 4)
	for i, want := range []Seen{
		{Method: "GET", Path: "secret/data/app", Namespace: "team", Token: p.TokenID("hvs.planted"), Forwarded: true, Status: 200},
		{Method: "LIST", Path: "secret/metadata/app", Token: p.TokenID("hvs.planted"), Forwarded: true, Status: 200},
		{Method: "PUT", Path: "auth/approle/login", Forwarded: true, Status: 200},
		{Method: "GET", Path: "database/creds/app", Token: p.TokenID("hvs.another"), Status: 503, Fault: "down"},
	} {
		want.Host, want.Conn, want.Proto = strings.TrimPrefix(p.Addr(), "http://"), 1, "HTTP/1.1"
		want.Time, want.Header = log[i].Time, log[i].Header
		assert.Equal(t, want, log[i])
		assert.WithinDuration(t, time.Now(), log[i].Time, time.Minute)
	}
	assert.Equal(t, "1", log[0].Header.Get("X-Other"))
	assert.Len(t, log[0].Token, 8)
	assert.NotEqual(t, log[0].Token, log[3].Token)
	assert.NotEqual(t, log[0].Token, NewProxy(t, p.Addr()).TokenID("hvs.planted"), "each proxy has a salt of its own")
	assert.NotContains(t, fmt.Sprintf("%+v", log), "hvs.")

	assert.Equal(t, 4, p.Count("", ""))
	assert.Equal(t, 2, p.Count("GET", ""))
	assert.Equal(t, 1, p.Count("LIST", "secret/"))
	assert.Equal(t, 1, p.Count("", "auth/*/login"))
	p.Reset()
	assert.Empty(t, p.Log())
}

func TestProxyHasLoggedAnAnswerBeforeTheClientReadsIt(t *testing.T) {
	large := strings.Repeat("x", 1<<16) // and so it is sent while the proxy still writes
	p := NewProxy(t, behind(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, large) }).URL)
	client := visitor(t, true)
	for n := range 200 {
		_, err := ask(t.Context(), client, http.MethodGet, p.Addr(), nil)
		require.NoError(t, err)
		log := p.Log()
		require.Len(t, log, n+1)
		require.Equal(t, http.StatusOK, log[n].Status)
	}
}

// secured is a proxy with TLS, and a client that trusts it and prefers HTTP/2.
func secured(t *testing.T, target string) (*Proxy, *http.Client) {
	t.Helper()
	lender := httptest.NewTLSServer(nil) // its certificate is good for 127.0.0.1
	t.Cleanup(lender.Close)
	p := NewProxy(t, target, ProxyTLS(&tls.Config{Certificates: lender.TLS.Certificates, MinVersion: tls.VersionTLS12}))
	client := visitor(t, true)
	pool := x509.NewCertPool()
	pool.AddCert(lender.Certificate())
	transport := client.Transport.(*http.Transport)
	transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	transport.ForceAttemptHTTP2 = true
	return p, client
}

func TestProxySpeaksHTTP2OverTLS(t *testing.T) {
	p, client := secured(t, behind(t, nil).URL)
	got, err := ask(t.Context(), client, http.MethodGet, p.Addr()+"/v1/a", nil)
	require.NoError(t, err)
	assert.Equal(t, "HTTP/2.0", got.proto)
	assert.Equal(t, "/v1/a       ", got.body)

	// A request that its client gives up ends alone, one that is dropped takes the
	// connection along.
	defer p.Fault(Rule{Path: "held", BlackHole: true})()
	defer p.Fault(Rule{Path: "dropped", DropBefore: true})()
	_, err = ask(impatient(t), client, http.MethodGet, p.Addr()+"/v1/held", nil)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = ask(t.Context(), client, http.MethodGet, p.Addr()+"/v1/a", nil)
	require.NoError(t, err)
	_, err = ask(t.Context(), client, http.MethodPut, p.Addr()+"/v1/dropped", nil)
	require.Error(t, err)
	_, err = ask(t.Context(), client, http.MethodGet, p.Addr()+"/v1/a", nil)
	require.NoError(t, err)
	var conns []int
	for _, s := range p.Log() {
		assert.Equal(t, "HTTP/2.0", s.Proto)
		conns = append(conns, s.Conn)
	}
	assert.Equal(t, []int{1, 1, 1, 1, 2}, conns)
}

// TestProxyMayBeChangedAtAnyTime proves, with the race detector, that every method
// may be called while requests run, and that all of those end.
func TestProxyMayBeChangedAtAnyTime(t *testing.T) {
	up, other := behind(t, nil), behind(t, nil)
	p := NewProxy(t, up.URL, Seed(7))
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		client := visitor(t, true)
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = ask(t.Context(), client, http.MethodGet, p.Addr(), nil) // it may fail, but must end
				}
			}
		})
	}
	for range 20 {
		undo := p.Fault(Rule{BlackHole: true, Chance: 0.5})
		p.Fault(Rule{HalfClose: true, Chance: 0.5})
		p.Cut()
		p.Freeze()
		p.Swap(other.URL)
		p.Thaw()
		p.Refuse()
		undo()
		p.Accept()
		p.Swap(up.URL)
		_ = p.Count("", "")
		p.Clear()
		undo()
	}
	close(stop)
	readers.Wait()
	p.Reset()
	assert.Equal(t, []int{http.StatusOK}, statuses(t, p, "", 1))
}
