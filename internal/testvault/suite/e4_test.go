package suite

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestE4ARedirectIsFollowedToWhomTheTokenMayGo has the proxy send everything on to a second
// one, as a standby does to the active node. The official client takes the token to
// whatever host an answer names, follows one hop, and chokes on 308.
func TestE4ARedirectIsFollowedToWhomTheTokenMayGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.v.DatabaseRole("database", "moved", map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
	host := func(p *testvault.Proxy) string { return p.Addr()[strings.Index(p.Addr(), "//")+2:] }
	trusting := func(hosts ...*testvault.Proxy) func(*leasehold.Config) {
		return func(c *leasehold.Config) {
			for _, p := range hosts {
				c.RedirectHosts = append(c.RedirectHosts, host(p))
			}
		}
	}

	t.Run("a login is not sent to a stranger", func(t *testing.T) {
		t.Parallel()
		w := w.in(t)
		roleID, secretID := w.v.AppRole("approle-stray", "app", hour())
		standby, stranger := testvault.NewProxy(t, w.v.Addr()), testvault.NewProxy(t, w.v.Addr())
		standby.Fault(testvault.Rule{Redirect: stranger.Addr()})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		began := time.Now()
		_, err := leasehold.New(ctx, leasehold.Config{
			Address: standby.Addr(), Auth: approle.New(roleID, approle.SecretIDString(secretID), approle.Mount("approle-stray")),
		})
		require.ErrorContains(t, err, host(stranger))
		require.ErrorContains(t, err, "RedirectHosts")
		assert.NotContains(t, err.Error(), secretID)
		assert.Less(t, time.Since(began), 5*time.Second, "waiting does not make it trusted")
		assert.Empty(t, stranger.Log(), "requests that reached the stranger")
		assert.Equal(t, 1, standby.Count("", ""))
	})
	t.Run("a token is not sent to a stranger", func(t *testing.T) {
		t.Parallel()
		w := w.in(t)
		standby, stranger := testvault.NewProxy(t, w.v.Addr()), testvault.NewProxy(t, w.v.Addr())
		a := w.start(t, "approle-stray2", hour(), via(standby))
		undo := standby.Fault(testvault.Rule{Redirect: stranger.Addr()})
		standby.Reset()
		err := a.read(t, 10*time.Second)
		require.ErrorContains(t, err, host(stranger))
		require.ErrorContains(t, err, "RedirectHosts")
		_, err = dynamic.Database(t.Context(), a, "moved")
		require.ErrorContains(t, err, host(stranger))
		assert.Empty(t, stranger.Log(), "requests that reached the stranger")
		assert.Equal(t, 3, standby.Count("", ""), "the mount's version, the secret and the credential: each was asked for once")
		undo()
		require.NoError(t, a.read(t, 10*time.Second))
		require.NoError(t, a.Close(t.Context()))
	})
	for status, name := range map[int]string{http.StatusTemporaryRedirect: "appr-307", http.StatusPermanentRedirect: "appr-308"} {
		t.Run(http.StatusText(status)+" to a node that is trusted", func(t *testing.T) {
			t.Parallel()
			w, role := w.in(t), "node"+name[4:]
			w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "6s", "max_ttl": "1h"})
			standby, active := testvault.NewProxy(t, w.v.Addr()), testvault.NewProxy(t, w.v.Addr())
			standby.Fault(testvault.Rule{Redirect: active.Addr(), Status: status})
			a := w.start(t, name, hour(), via(standby), trusting(active))
			require.NoError(t, a.read(t, 10*time.Second))
			creds, err := dynamic.Database(t.Context(), a, role)
			require.NoError(t, err)
			testvault.Poll(t, 10*time.Second, func() bool { return active.Count("", "sys/leases/renew") > 0 }, "no renewal reached the active node")
			_, err = creds.Get()
			require.NoError(t, err)
			for _, path := range []string{"auth/" + name + "/login", "secret/data/payments/stripe", "database/creds/" + role} {
				assert.Equal(t, 1, standby.Count("", path), "%s: asked of the standby", path)
				assert.Equal(t, 1, active.Count("", path), "%s: asked of the active node", path)
			}
			assert.Equal(t, 1, w.v.Audit().Count("", "auth/"+name+"/login"), "logins in the audit log")
			assert.Equal(t, 1, w.v.Audit().Count("read", "database/creds/"+role), "creations in the audit log")
			for _, s := range active.Log() {
				assert.Equal(t, host(active), s.Host, "the Host header is the node's own")
				assert.Equal(t, strings.HasSuffix(s.Path, "/login"), s.Token == "", "%s: the token goes along, but for the login", s.Path)
			}
			require.NoError(t, a.Close(t.Context()))
			w.nothingLeft(t, role)
		})
	}
	t.Run("a loop ends", func(t *testing.T) {
		t.Parallel()
		w := w.in(t)
		one, two := testvault.NewProxy(t, w.v.Addr()), testvault.NewProxy(t, w.v.Addr())
		a := w.start(t, "approle-loop", hour(), via(one), trusting(two))
		defer one.Fault(testvault.Rule{Redirect: two.Addr()})()
		defer two.Fault(testvault.Rule{Redirect: one.Addr()})()
		one.Reset()
		err := a.read(t, 2*time.Second)
		require.ErrorContains(t, err, "redirected 4 times")
		// It may pass when the servers agree again: it is tried for as long as ctx lasts.
		assert.LessOrEqual(t, one.Count("", "")+two.Count("", ""), 4*10, "requests in 2 s")
		one.Clear()
		require.NoError(t, a.read(t, 10*time.Second))
		require.NoError(t, a.Close(t.Context()))
	})
	t.Run("https does not lead to http", func(t *testing.T) {
		t.Parallel()
		w := w.in(t)
		ca := newAuthority(t)
		secure := testvault.NewProxy(t, w.v.Addr(), testvault.ProxyTLS(ca.server(t)))
		plain := testvault.NewProxy(t, w.v.Addr())
		a := w.start(t, "approle-tls", hour(), via(secure), trusting(plain), func(c *leasehold.Config) { c.TLS.CACert = ca.file })
		undo := secure.Fault(testvault.Rule{Redirect: plain.Addr()})
		err := a.read(t, 10*time.Second)
		require.ErrorContains(t, err, host(plain))
		require.ErrorContains(t, err, "by http")
		assert.Empty(t, plain.Log(), "requests that others could read")
		undo()
		require.NoError(t, a.Close(t.Context()))
	})
}
