package leasehold_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// roundTrip is a way to a server that is a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// through puts f before the server of w.
func through(w *world, f func(r *http.Request, next http.RoundTripper) (*http.Response, error)) func(*leasehold.Config) {
	return func(c *leasehold.Config) {
		c.HTTPClient = &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) { return f(r, w.wire) })}
	}
}

// reply is an answer without a server.
func reply(r *http.Request, status int, body string, header ...string) *http.Response {
	h := http.Header{"Content-Type": {"application/json"}}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status), Header: h, Request: r, ProtoMajor: 1, ProtoMinor: 1,
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
}

// TestE4AStandbyLeadsToTheActiveNode (law 21): everything goes to a standby, which redirects it in
// each of the four ways, by a relative address at first. The login and what creates something take
// effect once, with method, body and headers, under the name of the new host; each answer that only
// redirected is read to its end and closed, so that its connection can be used again.
// Mutations: 308 is no redirect; the body is not sent again; the old host is named; what redirects is
// not closed.
func TestE4AStandbyLeadsToTheActiveNode(t *testing.T) {
	for _, status := range []int{301, 302, 307, 308} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute})
				open := &openBodies{}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				c, err := leasehold.New(ctx, w.config(func(c *leasehold.Config) { c.RedirectHosts = []string{"Active.test:8200"} },
					through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
						assert.Equal(t, r.URL.Host, r.Host)
						assert.Equal(t, "true", r.Header.Get("X-Vault-Request"))
						switch {
						case r.URL.Host == "active.test:8200":
							return next.RoundTrip(r)
						case r.URL.Query().Get("again") == "":
							q := url.Values{"again": {"1"}}
							return open.count(reply(r, status, "redirected", "Location", r.URL.Path+"?"+q.Encode())), nil
						}
						return open.count(reply(r, status, "", "Location", "http://active.test:8200"+r.URL.Path)), nil
					})))
				require.NoError(t, err)
				w.open(c)
				_, err = kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
				require.NoError(t, err)
				secret, err := c.Vault().Logical().ReadWithContext(t.Context(), configPath)
				require.NoError(t, err)
				require.NotNil(t, secret)
				time.Sleep(time.Minute)
				require.NoError(t, c.Close(context.Background()))
				require.Equal(t, 1, w.logins())
				require.Equal(t, 1, w.creations())
				require.NotZero(t, w.Count("POST", renewToken))
				require.Equal(t, 1, w.Count("POST", revokeSelf))
				require.Zero(t, open.n.Load(), "answers that were not read and closed")
				for _, s := range w.wire.all() {
					require.Equal(t, "active.test:8200", s.host)
				}
			})
		})
	}
}

// openBodies counts answers that were not read to their end and closed.
type openBodies struct{ n atomic.Int32 }

type openBody struct {
	io.ReadCloser

	of   *openBodies
	read bool
}

func (o *openBodies) count(r *http.Response) *http.Response {
	o.n.Add(1)
	r.Body = &openBody{ReadCloser: r.Body, of: o}
	return r
}

func (b *openBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read = b.read || err == io.EOF
	return n, err
}

func (b *openBody) Close() error {
	if b.read {
		b.of.n.Add(-1)
	}
	return b.ReadCloser.Close()
}

// TestE4ServersThatDoNotAgreeAreNotFollowedForEver: two nodes send us to each other. Each attempt
// ends after a few hops with an error that says so; once they agree all is well.
// Mutations: hops are not counted; a creation that was only redirected counts as lost.
func TestE4ServersThatDoNotAgreeAreNotFollowedForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		var disagree atomic.Bool
		hops := 0
		c := w.start(func(c *leasehold.Config) { c.RedirectHosts = []string{"other.test:8200"} },
			through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				if !disagree.Load() {
					return next.RoundTrip(r)
				}
				if hops++; hops > 100 {
					return nil, io.ErrUnexpectedEOF
				}
				to := map[string]string{"vault.test:8200": "other.test:8200", "other.test:8200": "vault.test:8200"}[r.URL.Host]
				return reply(r, 307, "", "Location", "http://"+to+r.URL.Path), nil
			}))
		disagree.Store(true)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err := kv.Get[settings](ctx, c.KV("secret", kv.Version2()), "app/config")
		require.ErrorContains(t, err, "do not agree")
		require.Equal(t, 4, hops)
		time.AfterFunc(time.Second, func() { disagree.Store(false) })
		_, err = kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		hops = 0
		disagree.Store(true)
		time.AfterFunc(time.Second, func() { disagree.Store(false) })
		w.open(c) // what was only redirected has created nothing, and is repeated
		require.Equal(t, 1, w.creations())
	})
}

// TestX3ARedirectToHTTPIsRefused (law 21), and so is one to nowhere: whatever RedirectHosts says,
// the token is not shown to everybody on the way. A login is held back alike.
// Mutation: a redirect from https to http is followed.
func TestX3ARedirectToHTTPIsRefused(t *testing.T) {
	for location, want := range map[string]string{
		"http://vault.test:8200/v1/" + configPath:  "where others could read the token",
		"http://active.test:8200/v1/" + configPath: "redirected by vault.test:8200 to active.test:8200",
		"ftp://vault.test:8200/v1/" + configPath:   "to vault.test:8200 by ftp",
		"https://[/":                               "an address that cannot be read",
		"":                                         "an address that cannot be read",
		"//stranger.test:8200/v1/" + configPath:    "redirected to stranger.test:8200, which is not trusted",
		"https://vault.test:8201/v1/" + configPath: "redirected to vault.test:8201, which is not trusted",
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
			var lead atomic.Bool
			secure := func(c *leasehold.Config) {
				c.Address, c.RedirectHosts = "https://vault.test:8200", []string{"vault.test:8200", "active.test:8200"}
			}
			way := through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				assert.Equal(t, "https", r.URL.Scheme)
				if lead.Load() {
					return reply(r, 307, "", "Location", location), nil
				}
				return next.RoundTrip(r)
			})
			c := w.start(secure, way)
			lead.Store(true)
			_, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
			require.ErrorContains(t, err, want)
			_, err = c.Vault().Logical().ReadWithContext(t.Context(), configPath)
			require.ErrorContains(t, err, want)
			_, err = leasehold.New(t.Context(), w.config(secure, way))
			require.ErrorContains(t, err, want, "a login, at once")
			require.Equal(t, 1, w.logins())
			lead.Store(false)
		})
	}
}

// TestLaw21APortThatGoesWithoutSayingIsTheSame host: https://vault.test leads to
// https://VAULT.test:443. Mutation: hosts are compared as they are written.
func TestLaw21APortThatGoesWithoutSayingIsTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Address = "https://vault.test" },
			through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				if r.URL.Host == "vault.test" {
					return reply(r, 307, "", "Location", "https://VAULT.test:443"+r.URL.Path), nil
				}
				return next.RoundTrip(r)
			}))
		_, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
	})
}

// state is a replication state as Vault Enterprise tells it.
func state(index int) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "v1:cluster:%d:%d:00ff", index, index))
}

// enterprise tells states, and refuses to answer who asks for one that it has not reached.
type enterprise struct {
	mu      sync.Mutex
	written int
	reached int
	refused int
	asked   []string // with what the latest request asked for
}

func (e *enterprise) roundTrip(r *http.Request, next http.RoundTripper) (*http.Response, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.asked = r.Header["X-Vault-Index"]
	for _, s := range e.asked {
		if s != state(e.written) && s != state(e.reached) || e.reached < e.written {
			e.refused++
			return reply(r, http.StatusPreconditionFailed, `{"errors":["required index state not present"]}`), nil
		}
	}
	resp, err := next.RoundTrip(r)
	if err == nil && (strings.HasSuffix(r.URL.Path, "/login") || strings.Contains(r.URL.Path, "/creds/")) {
		e.written++
		resp.Header.Set("X-Vault-Index", state(e.written))
	}
	return resp, err
}

func (e *enterprise) reach() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reached = e.written
}

// TestE1WeReadOurOwnWrites: the node that reads lags a second behind the one that wrote the login
// and the credential. What comes right after them asks for that state and waits in place of being
// told "invalid token", with one login and one credential.
// Mutation: states are not asked for.
func TestE1WeReadOurOwnWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		e := &enterprise{}
		lag := func() {
			time.AfterFunc(time.Second, e.reach)
		}
		lag()
		c := w.start(through(w, e.roundTrip))
		_, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		require.Equal(t, []string{state(1)}, e.asked)
		w.open(c)
		lag()
		_, err = kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		require.Equal(t, []string{state(2)}, e.asked, "the newer one alone")
		require.NotZero(t, e.refused)
		require.Equal(t, 1, w.logins())
		require.Equal(t, 1, w.creations())
	})
}

// TestE1AStateThatIsNeverReachedIsForgotten: the cluster was replaced by one that knows nothing
// of that state. Mutation: it is asked for without end.
func TestE1AStateThatIsNeverReachedIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		e := &enterprise{}
		c := w.start(through(w, e.roundTrip))
		began := time.Now()
		_, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		require.Greater(t, time.Since(began), 29*time.Second)
		require.Empty(t, e.asked)
		_, err = kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		require.Equal(t, 1, w.logins())
	})
}

// TestE1WithoutStatesNoneAreSent: Vault's community edition tells none, and what a proxy puts there
// is not repeated. Mutation: a header that is no state is kept.
func TestE1WithoutStatesNoneAreSent(t *testing.T) {
	for _, told := range []string{"", "nonsense"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
			c := w.start(through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
				resp, err := next.RoundTrip(r)
				if err == nil && told != "" {
					resp.Header.Set("X-Vault-Index", told)
				}
				return resp, err
			}))
			w.open(c)
			_, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
			require.NoError(t, err)
			for _, s := range w.wire.all() {
				require.NotContains(t, s.header, "X-Vault-Index", s.path)
			}
		})
	}
}

// TestE1A412IsWaitedOut: twice at the login, at what follows it, at the first read and at a
// creation, which happens once. Mutation: classify takes 412 for a final answer.
func TestE1A412IsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		for _, path := range []string{loginPath, lookupSelf, configPath, credsPath} {
			w.Fail(vaulttest.Fault{Path: path, Status: 412, Count: 2})
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		c, err := leasehold.New(ctx, w.config())
		require.NoError(t, err)
		defer func() { _ = c.Close(context.Background()) }()
		_, err = kv.Get[settings](ctx, c.KV("secret"), "app/config")
		require.NoError(t, err)
		w.open(c)
		require.Equal(t, 3, w.logins(), "two refused and one that was done")
		require.Equal(t, 3, w.creations(), "two refused and one that was done")
		require.Len(t, w.Tokens(), 1)
		require.Len(t, w.Leases(), 1)
	})
}
