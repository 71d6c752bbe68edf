package leasehold_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// What the official client does to who uses it plainly. The numbers only tell these tests
// apart; those that are shown elsewhere:
//
//	13 the environment           TestLaw19...
//	14 paths that climb          TestLaw21APathThatIsAnotherPathIsRefused
//	15 kinds of 404              TestLaw06FourKindsOfNotFound
//	16 redirects                 TestE4..., TestX3..., TestLaw21ATokenGoesToNoForeignHost
//	20 numbers                   TestNumbersAreKeptExactly in kv
//	21 creations that are lost   TestLaw07AnAnswerThatWasLostLeavesOneOrphan, TestF23...

// TestTrap09WhoGivesUpInTheQueueIsNotSent: the official limiter's error is ignored, and all go out.
// Mutation: Budget.Requests bounds nothing.
func TestTrap09WhoGivesUpInTheQueueIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Budget.Requests = 1 })
		w.Fail(vaulttest.Fault{Path: configPath, Hang: true})
		var wg sync.WaitGroup
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, _ = kv.Get[settings](ctx, c.KV("secret"), "app/config")
		})
		synctest.Wait() // it has the only slot, for longer than the others wait
		for i := range 20 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
				defer cancel()
				_, hatch := c.Vault().Logical().ReadWithContext(ctx, "secret/data/other")
				_, err := kv.Get[settings](ctx, c.KV("secret"), fmt.Sprintf("app/config/%d", i))
				assert.ErrorIs(t, err, context.DeadlineExceeded) //nolint:testifylint // require has no place in a goroutine
				assert.NoError(t, hatch, "the escape hatch is no part of the budget")
			})
		}
		wg.Wait()
		require.Equal(t, 1, w.Count("GET", configPath))
		w.ClearFaults()
	})
}

// TestTrap10NothingIsLeftOfARequest: neither the context that it had, nor, where a method takes none,
// a wait without end. Mutations: a request from the escape hatch has no end of its own; it does not
// end with the client; its context outlives its answer.
func TestTrap10NothingIsLeftOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		var mu sync.Mutex
		var made []context.Context
		c := w.start(through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			mu.Lock()
			made = append(made, r.Context())
			mu.Unlock()
			return next.RoundTrip(r)
		}))
		_, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		w.open(c)
		raw, err := c.Vault().Logical().ReadRaw(configPath)
		require.NoError(t, err)
		_, err = io.ReadAll(raw.Body)
		require.NoError(t, err)
		synctest.Wait() // a login ends after its answer was taken
		for _, ctx := range made {
			require.Error(t, ctx.Err())
		}

		w.Fail(vaulttest.Fault{Path: configPath, Hang: true})
		began := time.Now()
		_, err = c.Vault().Logical().Read(configPath)
		require.Error(t, err)
		require.Equal(t, time.Minute, time.Since(began))

		ended := make(chan time.Time, 1)
		go func() {
			_, err := c.Vault().Logical().Read(configPath)
			assert.Error(t, err)
			ended <- time.Now()
		}()
		synctest.Wait()
		began = time.Now()
		require.NoError(t, c.Close(t.Context()))
		require.Equal(t, began, <-ended)
	})
}

// TestTrap11ACopyOfTheClientHasTheCurrentToken: WithNamespace and the callbacks copy what the client
// holds, and that is not a token. Mutation: the official client holds the first one.
func TestTrap11ACopyOfTheClientHasTheCurrentToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute, TokenMaxTTL: 2 * time.Minute})
		c := w.start()
		team := c.Vault().WithNamespace("team")
		seen := 0
		watched := c.Vault().WithResponseCallbacks(func(*api.Response) { seen++ })
		time.Sleep(10 * time.Minute)
		for _, copied := range []*api.Client{team, watched} {
			secret, err := copied.Logical().ReadWithContext(t.Context(), configPath)
			require.NoError(t, err)
			require.NotNil(t, secret)
		}
		sent := w.wire.all()
		require.Equal(t, "team", sent[len(sent)-2].namespace)
		require.Empty(t, sent[len(sent)-1].namespace)
		require.Equal(t, 1, seen)
	})
}

// TestTrap12ACloneIsNotMadeOfTheEnvironment: Clone is not to be used, but who does gets the current
// token, and neither the token nor the namespace of the environment.
// Mutation: clones begin without our token.
func TestTrap12ACloneIsNotMadeOfTheEnvironment(t *testing.T) {
	t.Setenv("VAULT_TOKEN", "hvs.fromTheEnvironment")
	t.Setenv("VAULT_NAMESPACE", "foreign")
	t.Setenv("VAULT_HEADERS", `{"X-Foreign":"yes"}`)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		clone, err := c.Vault().Clone()
		require.NoError(t, err)
		secret, err := clone.Logical().ReadWithContext(t.Context(), configPath)
		require.NoError(t, err)
		require.NotNil(t, secret)
		sent := w.wire.all()
		require.Empty(t, sent[len(sent)-1].namespace)
		require.Empty(t, sent[len(sent)-1].header.Get("X-Foreign"))
	})
}

// TestTrap17ManyReadersShareFewConnections (D4): 32 of them, over a socket, in rounds that they begin
// together. Mutation: as many connections are kept as net/http keeps by itself.
func TestTrap17ManyReadersShareFewConnections(t *testing.T) {
	const readers, rounds = 32, 20
	var opened atomic.Int32
	var mu sync.Mutex
	present, round := 0, make(chan struct{})
	w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	for i := range readers {
		w.PutKV("secret", fmt.Sprintf("app/config/%d", i), map[string]any{"banner": "x"})
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, configPath) {
			mu.Lock()
			mine := round
			if present++; present == readers {
				close(round)
				present, round = 0, make(chan struct{})
			}
			mu.Unlock()
			<-mine
		}
		w.ServeHTTP(rw, r)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	c := w.start(func(c *leasehold.Config) { c.Address, c.HTTPClient = server.URL, nil })
	for range rounds {
		var wg sync.WaitGroup
		for i := range readers {
			wg.Go(func() {
				_, err := kv.Get[settings](t.Context(), c.KV("secret"), fmt.Sprintf("app/config/%d", i)) // one path each: reads are shared
				assert.NoError(t, err)
			})
		}
		wg.Wait()
	}
	require.NoError(t, c.Close(t.Context()))
	require.Less(t, opened.Load(), int32(3*readers), "for %d reads", readers*rounds)
}

// TestTrap18UnwrappingLeavesTheTokenAlone: of a client without one it would take the wrapping token's
// place. Mutation: the official client holds nothing.
func TestTrap18UnwrappingLeavesTheTokenAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		wrapping := w.Wrap(map[string]any{"a": "b"}, time.Minute)
		got, err := c.Vault().Logical().UnwrapWithContext(t.Context(), wrapping)
		require.NoError(t, err)
		require.Equal(t, "b", got.Data["a"])
		sent := w.wire.all()
		asked := sent[len(sent)-1]
		require.Equal(t, "sys/wrapping/unwrap", asked.path)
		require.NotEqual(t, wrapping, asked.token)
		require.Contains(t, asked.body, wrapping)
		_, err = c.Vault().Logical().ReadWithContext(t.Context(), configPath)
		require.NoError(t, err)
	})
}

// untidy logs in and leaves things on the client that it was given.
type untidy struct {
	auth.Method

	t *testing.T
	n *atomic.Int32
}

func (u untidy) Login(ctx context.Context, c *api.Client) (*api.Secret, error) {
	u.n.Add(1)
	assert.Empty(u.t, c.Token())
	assert.Empty(u.t, c.Headers().Get("X-Left"))
	assert.Empty(u.t, c.Namespace())
	s, err := c.Auth().Login(ctx, u.Method) // sets the token
	c.AddHeader("X-Left", "behind")
	c.SetNamespace("left")
	return s, err
}

// TestTrap19ALoginLeavesNothingBehind on the next one's client, nor on ours.
// Mutation: all logins use one client.
func TestTrap19ALoginLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute, TokenMaxTTL: time.Minute})
		var n atomic.Int32
		c := w.start(func(c *leasehold.Config) { c.Auth = untidy{c.Auth, t, &n} })
		time.Sleep(3 * time.Minute)
		require.Greater(t, n.Load(), int32(2))
		_, err := c.Vault().Logical().ReadWithContext(t.Context(), configPath)
		require.NoError(t, err)
		for _, s := range w.wire.all() {
			require.Empty(t, s.header.Get("X-Left"), s.path)
			require.Empty(t, s.namespace, s.path)
		}
	})
}

// endless is an answer that never ends, and counts what was read of it.
type endless struct{ read *atomic.Int64 }

func (e endless) Read(p []byte) (int, error) {
	e.read.Add(int64(len(p)))
	return len(p), nil
}

// TestTrap20AnAnswerIsBounded: the official client reads whatever comes.
// Mutation: there is no bound.
func TestTrap20AnAnswerIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		var read atomic.Int64
		c := w.start(through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if strings.HasSuffix(r.URL.Path, configPath) {
				resp.ContentLength, resp.Body = -1, io.NopCloser(io.LimitReader(endless{&read}, 100<<20))
			}
			return resp, err
		}))
		_, err := c.Vault().Logical().ReadWithContext(t.Context(), configPath)
		require.ErrorContains(t, err, "larger than 32 MiB")
		require.Less(t, read.Swap(0), int64(40<<20))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		_, err = kv.Get[settings](ctx, c.KV("secret"), "app/config")
		require.ErrorContains(t, err, "larger than 32 MiB")
		require.Less(t, read.Load(), int64(40<<20))
	})
}

// TestTrap21TheEscapeHatchCreatesOnce: what fails there is not repeated, neither by the official
// client nor, on a connection that breaks, by net/http. Over a socket.
// Mutations: the official client retries; what it reads goes out on connections that were used.
func TestTrap21TheEscapeHatchCreatesOnce(t *testing.T) {
	w := newWorld(t, vaulttest.AppRoleSpec{})
	w.Fail(vaulttest.Fault{Path: credsPath, Status: http.StatusInternalServerError})
	c, err := leasehold.New(t.Context(), leasehold.Config{Address: fragile(w), Auth: token.New(w.RootToken())})
	require.NoError(t, err)
	defer func() { _ = c.Close(context.Background()) }()
	_, err = kv.Get[settings](t.Context(), c.KV("secret"), "app/config") // the shared connection is warm now
	require.NoError(t, err)
	_, err = c.Vault().Logical().ReadWithContext(t.Context(), "database/creds/app")
	var re *api.ResponseError
	require.ErrorAs(t, err, &re)
	require.Equal(t, http.StatusInternalServerError, re.StatusCode)
	require.Equal(t, 1, w.creations())
}

// TestD5ReadersAndLoginsDoNotRace: the token dies every 50 ms under 64 readers, and none of them notices.
// Mutation: Session.Once does not repeat what a dead token was refused.
func TestD5ReadersAndLoginsDoNotRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range 15 {
					_, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
					_, hatch := c.Vault().WithNamespace("team").Logical().ReadWithContext(t.Context(), "auth/token/lookup-self")
					var re *api.ResponseError
					assert.True(t, hatch == nil || errors.As(hatch, &re) && re.StatusCode == http.StatusForbidden, "%v", hatch)
					assert.NoError(t, err) //nolint:testifylint // require has no place in a goroutine
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
		for range 4 {
			time.Sleep(50 * time.Millisecond)
			require.True(t, w.RevokeToken(w.token()))
		}
		wg.Wait()
		require.Equal(t, 5, w.logins())
	})
}
