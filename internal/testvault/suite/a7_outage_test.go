package suite

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// gate stands between Vault and the API server.
type gate struct {
	addr  string
	fault atomic.Pointer[http.HandlerFunc] // what answers instead; nil: the API server
	asked atomic.Int64                     // while there was a fault
}

func newGate(t *testing.T, k *testvault.Kube) *gate {
	t.Helper()
	target, err := url.Parse(k.Addr())
	require.NoError(t, err)
	trusted := x509.NewCertPool()
	require.True(t, trusted.AppendCertsFromPEM([]byte(k.CACert())))
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: trusted}},
	}
	g := &gate{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if fault := g.fault.Load(); fault != nil {
			g.asked.Add(1)
			(*fault)(w, r)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	g.addr = server.URL
	return g
}

// shut has fault answer until the end that is returned is called.
func (g *gate) shut(fault http.HandlerFunc) (end func()) {
	g.fault.Store(&fault)
	return func() { g.fault.Store(nil) }
}

func failing(w http.ResponseWriter, _ *http.Request) {
	http.Error(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"etcdserver: no leader","code":500}`, http.StatusInternalServerError)
}

// hanging answers nobody, and lets go when Vault does. The request must have been read for
// that to be seen.
func hanging(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

// TestA7AnAPIServerThatFailsIsNoRefusalForGood lets the API server fail when the service
// must log in again. Vault says "permission denied" of that, too, as if the token were no
// good: who believes it for long is without Vault when the cluster is back. While Vault's
// own token lives, the service notices nothing.
func TestA7AnAPIServerThatFailsIsNoRefusalForGood(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, mount, ttl string
		fault            http.HandlerFunc
		outage           time.Duration // since Vault's token is dead, or else since the fault
		dead             bool
	}{
		{"it answers 500", "a7fails", "20s", failing, 3 * time.Second, false},
		{"it hangs", "a7hangs", "20s", hanging, 3 * time.Second, false},
		{"it answers 500 until it is too late", "a7late", "9s", failing, 2 * time.Second, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := newPod(t, tc.mount, map[string]any{"token_ttl": tc.ttl, "token_max_ttl": tc.ttl})
			g := newGate(t, p.k)
			p.v.KubernetesAuth(p.k, p.mount, map[string]any{"kubernetes_host": g.addr})
			p.project(t, p.token())
			a, err := p.connect(t)
			require.NoError(t, err)
			log, stop := a.load(t.Context())

			end := g.shut(tc.fault)
			testvault.Poll(t, 20*time.Second, func() bool { return g.asked.Load() > 0 }, "Vault asks the API server again")
			if tc.dead {
				testvault.Poll(t, 20*time.Second, func() bool { return a.fetch(t.Context()) != nil }, "the token's death")
			}
			<-time.After(tc.outage)
			ended := time.Now()
			end()
			var back time.Time
			testvault.Poll(t, time.Minute, func() (ok bool) {
				back, ok = p.in(t).loginAfter(tc.mount, ended) // with the same token
				return ok
			}, "a login in the audit log")
			stop()
			require.NoError(t, a.fetch(t.Context()))
			_, refused := p.logins(p.mount)
			if tc.dead {
				require.NotEmpty(t, log.failed, "reads must have failed for this to say anything")
				figure.AtMost(stdout, "a7-outage-recovery", back.Sub(ended).Seconds(), "s", 40, "oracle=audit-log", fmt.Sprintf("refused=%d", refused))
			} else {
				assert.Empty(t, log.failed, "failed reads")
			}
			assert.LessOrEqual(t, refused, 8, "refused logins in the audit log")
			require.NoError(t, a.Close(context.Background()))
			assert.Zero(t, p.liveTokens(p.mount), "tokens left")
		})
	}
}
