package suite

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/jwt"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// issuer is who issues JWTs, with discovery and a set of keys.
type issuer struct {
	t     *testing.T
	ca    *authority // nil: it speaks http
	addr  string
	key   atomic.Pointer[ecdsa.PrivateKey]
	fails atomic.Bool

	mu   sync.Mutex
	open *httptest.Server
}

func newIssuer(t *testing.T, ca *authority) *issuer {
	t.Helper()
	i := &issuer{t: t, ca: ca, addr: freeAddr(t)}
	i.rotate()
	i.start()
	t.Cleanup(func() { i.stop() })
	return i
}

func (i *issuer) url() string {
	if i.ca != nil {
		return "https://" + i.addr
	}
	return "http://" + i.addr
}

// rotate replaces the key: of JWTs that are signed with the new one Vault knows nothing yet.
func (i *issuer) rotate() {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(i.t, err)
	i.key.Store(key)
}

func (i *issuer) start() {
	i.t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.fails.Store(false)
	if i.open != nil {
		return
	}
	l, err := (&net.ListenConfig{}).Listen(i.t.Context(), "tcp", i.addr)
	if !assert.NoError(i.t, err) { //nolint:testifylint // a timer calls it, too
		return
	}
	if i.ca != nil {
		l = tls.NewListener(l, i.ca.server(i.t))
	}
	i.open = httptest.NewUnstartedServer(i)
	_ = i.open.Listener.Close()
	i.open.Listener = l
	i.open.Start()
}

func (i *issuer) stop() {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.open != nil {
		i.open.Close()
		i.open = nil
	}
}

// ServeHTTP implements http.Handler.
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i.fails.Load() {
		http.Error(w, "upstream connect error", http.StatusServiceUnavailable)
		return
	}
	var answer map[string]any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{
			"issuer": i.url(), "jwks_uri": i.url() + "/keys", "authorization_endpoint": i.url() + "/authorize",
			"token_endpoint": i.url() + "/token", "id_token_signing_alg_values_supported": []string{"ES256"},
		}
	case "/keys":
		public, err := i.key.Load().PublicKey.Bytes()
		if err != nil {
			panic(err)
		}
		encode := base64.RawURLEncoding.EncodeToString
		answer = map[string]any{"keys": []any{map[string]any{
			"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "x": encode(public[1:33]), "y": encode(public[33:]),
		}}}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(answer); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// TestA7AnIssuerThatVaultDoesNotReach is away before its first JWT is shown, and again when its key is
// another one. Vault says 400 of each JWT then, as of one that is no good, and its words alone tell:
// who takes them for a refusal starts without Vault, or is without it long after the issuer is back.
func TestA7AnIssuerThatVaultDoesNotReach(t *testing.T) {
	t.Parallel()
	const discovery, keys = "error configuring token validator: keyset configuration error: ", "error validating token: error verifying token signature: fetching keys "
	w := newVault(t)
	for _, tc := range []struct {
		name, mount, first string // what Vault says before the first login
		config             func(*issuer) map[string]any
		tls                bool
		away               func(*issuer)
	}{
		{"discovery that answers 503", "oidc-fails", discovery, byDiscovery, true, func(i *issuer) { i.fails.Store(true) }},
		{"discovery that is closed", "oidc-closed", discovery, byDiscovery, true, (*issuer).stop},
		{"keys that answer 503", "jwks-fails", keys, byKeys, false, func(i *issuer) { i.fails.Store(true) }},
		{"keys that are closed", "jwks-closed", keys, byKeys, false, (*issuer).stop},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := w.in(t)
			var ca *authority
			if tc.tls {
				ca = newAuthority(t)
			}
			i := newIssuer(t, ca)
			w.v.Write("sys/auth/"+tc.mount, map[string]any{"type": "jwt"})
			w.v.Write("auth/"+tc.mount+"/config", tc.config(i))
			w.v.Write("auth/"+tc.mount+"/role/app", map[string]any{
				"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault", "token_policies": "app", "token_ttl": "8s", "token_max_ttl": "8s",
			})
			file := filepath.Join(t.TempDir(), "jwt")
			issue := func() string {
				text := signed(t, i.key.Load(), time.Hour)
				write(t, file, []byte(text))
				return text
			}
			method := jwt.New("app", auth.File(file), jwt.Mount(tc.mount))
			says := func(text, prefix string) {
				status, body, err := w.v.As("").TryWrite("auth/"+tc.mount+"/login", map[string]any{"role": "app", "jwt": text})
				require.NoError(t, err)
				assert.Equal(t, http.StatusBadRequest, status)
				assert.Contains(t, fmt.Sprint(body["errors"]), prefix)
			}

			tc.away(i)
			says(issue(), tc.first)
			short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, err := leasehold.New(short, leasehold.Config{Address: w.v.Addr(), Auth: method})
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "is jwks_url or oidc_discovery_url in the method's config right")
			require.NotContains(t, err.Error(), "eyJ")
			back := time.AfterFunc(5*time.Second, i.start)
			defer back.Stop()
			var told heard
			a, err := w.enter(t, method, told.listen)
			require.NoError(t, err, "it waits")
			// What Vault answers with 400 by itself is no error to its audit log.
			first := w.v.Audit().Count("", "auth/"+tc.mount+"/login")
			assert.Positive(t, told.count(lease.ObtainFailed, "token"), "events: there is no token yet")
			assert.Greater(t, first, 2, "logins in the audit log: the issuer was away")
			assert.LessOrEqual(t, first, 25, "logins in the audit log, of 7 s")

			tc.away(i)
			i.rotate()
			says(issue(), keys)
			testvault.Poll(t, 15*time.Second, func() bool { return a.read(t, time.Second) != nil && a.Ready() != nil }, "the token's death")
			<-time.After(5 * time.Second)
			require.Error(t, a.Ready())
			later := w.v.Audit().Count("", "auth/"+tc.mount+"/login") - first
			assert.Greater(t, later, 1, "logins in the audit log: the issuer was away")
			assert.LessOrEqual(t, later, 15, "logins in the audit log, of 15 s")
			i.start()
			began := time.Now()
			testvault.Poll(t, 40*time.Second, func() bool { return a.fetch(t.Context()) == nil }, "reads work again")
			took := time.Since(began)
			require.NoError(t, a.Ready())
			assert.NotContains(t, a.said.String(), "eyJ")
			require.NoError(t, a.Close(context.Background()))
			assert.Zero(t, w.liveTokens(tc.mount), "tokens left")
			figure.AtMost(stdout, "a7-issuer-"+tc.mount+"-recovery", took.Seconds(), "s", 12, "oracle=clock",
				fmt.Sprintf("logins_at_start=%d", first), fmt.Sprintf("logins_later=%d", later))
		})
	}
}

func byDiscovery(i *issuer) map[string]any {
	return map[string]any{"oidc_discovery_url": i.url(), "oidc_discovery_ca_pem": string(i.ca.pem)}
}

func byKeys(i *issuer) map[string]any { return map[string]any{"jwks_url": i.url() + "/keys"} }
