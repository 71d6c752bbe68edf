package leasehold_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// proxy stands for a Vault Proxy that puts in its own token, which it tells nobody, and may cache what
// has a lease that can be renewed: it renews that by itself and forgets it towards its end.
type proxy struct {
	next   http.RoundTripper
	token  atomic.Value
	seen   atomic.Int64 // requests that came with a token
	hits   atomic.Int64 // of the cache
	caches bool

	mu    sync.Mutex
	cache map[string]*kept
}

// kept is an answer in the cache.
type kept struct {
	header http.Header
	body   []byte
	date   time.Time
}

func (p *proxy) RoundTrip(req *http.Request) (*http.Response, error) {
	if _, ok := req.Header["X-Vault-Token"]; ok {
		p.seen.Add(1)
	}
	var sent []byte
	if req.Body != nil {
		sent, _ = io.ReadAll(req.Body)
		_ = req.Body.Close()
	}
	token := p.token.Load().(string)
	key := req.Method + " " + req.URL.Path + " " + string(sent) + " " + token
	p.mu.Lock()
	hit := p.cache[key]
	p.mu.Unlock()
	if hit != nil {
		if p.hits.Add(1) > 10_000 { // it would keep the bubble's clock from moving
			return nil, errors.New("a hot loop")
		}
		header := hit.header.Clone()
		header.Set("X-Cache", "HIT")
		header.Set("Age", fmt.Sprintf("%.0f", time.Since(hit.date).Seconds()))
		return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(bytes.NewReader(hit.body)), Request: req}, nil
	}
	resp, body, err := p.ask(req, sent, token)
	if err != nil {
		return nil, err
	}
	var answer map[string]any
	_ = json.Unmarshal(body, &answer)
	if data, ok := answer["data"].(map[string]any); ok && strings.HasSuffix(req.URL.Path, lookupSelf) {
		delete(data, "id")
		delete(data, "accessor")
		if body, err = json.Marshal(answer); err != nil {
			return nil, err
		}
		resp.ContentLength = int64(len(body))
		resp.Header.Del("Content-Length")
	}
	resp.Header.Set("X-Cache", "MISS")
	if id, _ := answer["lease_id"].(string); p.caches && id != "" && answer["renewable"] == true {
		p.mu.Lock()
		p.cache[key] = &kept{resp.Header.Clone(), body, time.Now().Truncate(time.Second)}
		p.mu.Unlock()
		seconds, _ := answer["lease_duration"].(float64)
		p.keep(req, key, id, token, time.Duration(seconds)*time.Second, time.Duration(seconds)*time.Second)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

func (p *proxy) ask(req *http.Request, sent []byte, token string) (*http.Response, []byte, error) {
	req = req.Clone(req.Context())
	req.Header.Set("X-Vault-Token", token)
	req.Body = io.NopCloser(bytes.NewReader(sent))
	resp, err := p.next.RoundTrip(req)
	if err != nil {
		return nil, nil, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	return resp, body, err
}

// keep renews a lease at about two thirds of what is left, and forgets it once less than half of what
// there was is granted: what the official client's LifetimeWatcher does.
func (p *proxy) keep(like *http.Request, key, id, token string, whole, left time.Duration) {
	time.AfterFunc(left*7/10, func() {
		req, _ := http.NewRequest(http.MethodPut, address+"/v1/"+renewLease, http.NoBody)
		req.Header = like.Header.Clone()
		resp, body, err := p.ask(req, fmt.Appendf(nil, `{"lease_id":%q}`, id), token) //nolint:bodyclose // it is
		var answer struct {
			Duration int64 `json:"lease_duration"`
		}
		_ = json.Unmarshal(body, &answer)
		granted := time.Duration(answer.Duration) * time.Second
		if err == nil && resp.StatusCode == http.StatusOK && granted > whole/2 {
			p.keep(like, key, id, token, whole, granted)
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.cache, key)
	})
}

// behind starts a client that reaches Vault through p.
func (w *world) behind(p *proxy) *leasehold.Client {
	return w.start(func(cfg *leasehold.Config) { cfg.Auth, cfg.HTTPClient = auth.None(), &http.Client{Transport: p} })
}

// TestNoneLeavesTheTokenToAProxy: no request carries one, the proxy's is followed, though nothing but
// its age tells it from the one before, and nothing is revoked, since others may have the same from
// its cache.
// Mutations: Close releases leases under a token that is not ours; another token is taken for the
// same with more time.
func TestNoneLeavesTheTokenToAProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		token := func() string {
			return w.CreateToken(vaulttest.TokenSpec{TTL: 20 * time.Minute, Policies: []string{"app"}})
		}
		p := &proxy{next: w.Client().Transport}
		p.token.Store(token())
		c := w.behind(p)
		creds := w.open(c)
		for i := range 200 {
			if i%10 == 7 {
				p.token.Store(token()) // of which nobody tells us
			}
			time.Sleep(time.Minute)
			up, err := creds.Get()
			require.NoError(t, err)
			require.True(t, w.Alive(up.Username), "minute %d", i)
		}
		require.NoError(t, c.Ready())
		require.Zero(t, p.seen.Load())
		live := len(w.Leases())
		require.NoError(t, creds.Close(t.Context()))
		w.open(c)
		require.NoError(t, c.Close(t.Context()))
		require.Len(t, w.Leases(), live+1)
		require.Zero(t, w.Count("POST", "sys/leases/revoke"))
		require.Zero(t, w.Count("POST", "auth/token/revoke-self"))
	})
}

// TestA11NoneWaitsForAProxyThatLogsIn: a proxy that has just been started listens before it has a token,
// and what it passes on is refused. A start waits for it, and not for one that never logs in.
// Mutations: what a proxy without a token is refused ends the start; such a proxy is waited for without
// end; the ten seconds begin before it listens.
func TestA11NoneWaitsForAProxyThatLogsIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		p := &proxy{next: w.Client().Transport}
		p.token.Store("")
		time.AfterFunc(5*time.Second, func() {
			p.token.Store(w.CreateToken(vaulttest.TokenSpec{TTL: 20 * time.Minute, Policies: []string{"app"}}))
		})
		began := time.Now()
		c := w.behind(p)
		require.LessOrEqual(t, time.Since(began), 10*time.Second)
		require.NoError(t, c.Ready())
		require.NoError(t, c.Close(t.Context()))

		p.token.Store("")
		refused := w.Fail(vaulttest.Fault{Refuse: true}) // its port is not open yet
		time.AfterFunc(15*time.Second, refused)
		time.AfterFunc(20*time.Second, func() {
			p.token.Store(w.CreateToken(vaulttest.TokenSpec{TTL: 20 * time.Minute, Policies: []string{"app"}}))
		})
		require.NoError(t, w.behind(p).Close(t.Context()))

		p.token.Store("")
		began = time.Now()
		asked := w.Count("GET", lookupSelf)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		_, err := leasehold.New(ctx, w.config(func(cfg *leasehold.Config) { cfg.Auth, cfg.HTTPClient = auth.None(), &http.Client{Transport: p} }))
		require.ErrorContains(t, err, "use_auto_auth_token")
		require.GreaterOrEqual(t, time.Since(began), 10*time.Second)
		require.LessOrEqual(t, time.Since(began), 15*time.Second)
		require.LessOrEqual(t, w.Count("GET", lookupSelf)-asked, 10)
	})
}

// TestA11NoneLosesNothingWhileAProxyRestarts: it is away, then listens without a token, and then has another
// one or the same. What was obtained lives on at Vault, and is served.
// Mutation: a refused lookup proves a token's death behind a proxy as well.
func TestA11NoneLosesNothingWhileAProxyRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		p := &proxy{next: w.Client().Transport}
		token := w.CreateToken(vaulttest.TokenSpec{TTL: time.Hour, Policies: []string{"app"}})
		p.token.Store(token)
		c := w.behind(p)
		creds := w.open(c)
		before, err := creds.Get()
		require.NoError(t, err)
		for range 20 { // by chance something is due just then
			p.token.Store("")
			every(5*time.Second, 100*time.Millisecond, func(time.Duration) {
				require.Error(t, read(t.Context(), c, "secret"))
				_, err := creds.Get()
				require.NoError(t, err)
			})
			p.token.Store(token)
			require.NoError(t, read(t.Context(), c, "secret"))
			time.Sleep(time.Minute)
			require.NoError(t, c.Ready())
		}
		after, err := creds.Get()
		require.NoError(t, err)
		require.Equal(t, before.Username, after.Username)
		require.Equal(t, 1, w.creations())

		// Near the token's end, when there is another one soon after.
		time.Sleep(time.Until(c.Status().Token.Expires) - 8*time.Minute)
		p.token.Store("")
		time.Sleep(time.Minute)
		p.token.Store(w.CreateToken(vaulttest.TokenSpec{TTL: time.Hour, Policies: []string{"app"}}))
		every(40*time.Minute, time.Second, func(time.Duration) {
			up, err := creds.Get()
			require.NoError(t, err)
			require.True(t, w.Alive(up.Username))
		})
	})
}

// TestNoneLooksAgainSoonAfterALittleMoreTime: the proxy's token was given what was left to its maximum.
// Its successor is seen within half of what remains then, whenever it comes.
// Mutation: what is left counts as a whole life.
func TestNoneLooksAgainSoonAfterALittleMoreTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		p := &proxy{next: w.Client().Transport}
		old := w.CreateToken(vaulttest.TokenSpec{TTL: 20 * time.Minute, MaxTTL: 21 * time.Minute, Policies: []string{"app"}})
		p.token.Store(old)
		c := w.behind(p)
		ends := time.Now().Add(21 * time.Minute)
		time.Sleep(14 * time.Minute)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, address+"/v1/"+renewToken, http.NoBody)
		require.NoError(t, err)
		resp, _, err := p.ask(req, nil, old) //nolint:bodyclose // it is
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, resp.StatusCode)
		time.Sleep(4*time.Minute + 30*time.Second)
		p.token.Store(w.CreateToken(vaulttest.TokenSpec{TTL: 20 * time.Minute, Policies: []string{"app"}}))
		time.Sleep(80 * time.Second)
		require.True(t, c.Status().Token.Expires.After(ends))
	})
}

// TestWhatAProxyKeepsIsLookedUp: its cache answers renewals, too, and gives the same credential to all,
// with the TTL that it had when it was made.
// Mutation: what is cached counts as what was asked for.
func TestWhatAProxyKeepsIsLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		w.database(vaulttest.RoleSpec{DefaultTTL: 10 * time.Minute, MaxTTL: time.Hour})
		p := &proxy{next: w.Client().Transport, caches: true, cache: map[string]*kept{}}
		p.token.Store(w.CreateToken(vaulttest.TokenSpec{TTL: 24 * time.Hour, Policies: []string{"app"}}))
		all := []*dynamic.Credential[dynamic.UserPass]{w.open(w.behind(p))}
		time.Sleep(25 * time.Minute)
		all = append(all, w.open(w.behind(p)))
		first, err := all[0].Get()
		require.NoError(t, err)
		second, err := all[1].Get()
		require.NoError(t, err)
		require.Equal(t, first.Username, second.Username, "it is cached")
		for i := range 6 * 60 {
			time.Sleep(time.Minute)
			for _, creds := range all {
				up, err := creds.Get()
				require.NoError(t, err, "minute %d", i)
				require.True(t, w.Alive(up.Username), "minute %d", i)
				for _, l := range w.Leases() {
					if l.Data["username"] == up.Username {
						require.False(t, creds.Snapshot().Expires().After(l.Expires), "minute %d", i)
					}
				}
			}
		}
		require.LessOrEqual(t, w.creations(), 9, "each lasts for nearly an hour")
		require.LessOrEqual(t, w.Count("PUT", "sys/leases/lookup"), 2*6*20)
	})
}

// TestAProxysCacheThatHasADeadCredential gives it to nobody.
// Mutations: a lease that is gone lasts as long as its answer says; the same credential is a new one.
func TestAProxysCacheThatHasADeadCredential(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		p := &proxy{next: w.Client().Transport, caches: true, cache: map[string]*kept{}}
		p.token.Store(w.CreateToken(vaulttest.TokenSpec{TTL: 24 * time.Hour, Policies: []string{"app"}}))
		creds := w.open(w.behind(p))
		dead, err := creds.Get()
		require.NoError(t, err)
		creds.Invalidate(1) // at its database, say
		time.Sleep(time.Minute)
		require.EqualValues(t, 1, creds.Snapshot().Generation, "the same is no other")
		w.RevokeLease(w.Leases()[0].ID)
		other, err := dynamic.Database(t.Context(), w.behind(p), "app")
		require.NoError(t, err)
		up, err := other.Get()
		require.NoError(t, err)
		require.NotEqual(t, dead.Username, up.Username, "it has waited until the proxy's cache forgot the old one")
		up, err = creds.Current(t.Context())
		require.NoError(t, err)
		require.NotEqual(t, dead.Username, up.Username)
		require.NotEmpty(t, w.events.of(lease.ObtainFailed, credsPath))
		require.Equal(t, 2, w.creations())
	})
}

// TestWhatAProxyHasCachedIsAsOldAsItSays, where it may not be looked up: its lease has less time left
// than the answer says.
// Mutation: the age is not taken off.
func TestWhatAProxyHasCachedIsAsOldAsItSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{})
		w.Policy("blind", vaulttest.Rule{Path: "sys/leases/lookup", Capabilities: []string{"deny"}})
		p := &proxy{next: w.Client().Transport, caches: true, cache: map[string]*kept{}}
		p.token.Store(w.CreateToken(vaulttest.TokenSpec{TTL: 24 * time.Hour, Policies: []string{"app", "blind"}}))
		w.open(w.behind(p))
		time.Sleep(10 * time.Minute)
		c := w.behind(p)
		w.open(c)
		ends, told := w.Leases()[0].Expires, c.Status().Leases[0].Expires
		require.False(t, told.After(ends))
		require.WithinDuration(t, ends, told, 2*time.Second)
	})
}
