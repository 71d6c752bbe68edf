package leasehold_test

import (
	"context"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestE6TheEscapeHatchDoesNotWaitForATokenWithoutEnd. Mutation: its bound begins with the request.
func TestE6TheEscapeHatchDoesNotWaitForATokenWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Fail(vaulttest.Fault{Path: loginPath, Status: 429, Header: http.Header{"Retry-After": {"600"}}})
		require.True(t, w.RevokeToken(w.token()))
		require.Error(t, read(t.Context(), c, "secret"))
		began := time.Now()
		_, err := c.Vault().Logical().Read(configPath)
		require.Error(t, err)
		require.LessOrEqual(t, time.Since(began), 61*time.Second)
	})
}

// TestLaw17ANamespaceThatCannotBeSentFailsAtOnce: such as one that was read from a file, with its
// line's end. Mutation: it is not looked at.
func TestLaw17ANamespaceThatCannotBeSentFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		began := time.Now()
		_, err := leasehold.New(ctx, leasehold.Config{Address: "http://127.0.0.1:1", Namespace: "team\n", Auth: approle.New("r", approle.SecretIDString("s"))})
		require.Error(t, err)
		require.Zero(t, time.Since(began))
	})
}

// TestLaw18CloseFromDeepBelowACallback finds the callback. Mutation: it looks at 64 frames.
func TestLaw18CloseFromDeepBelowACallback(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		var c *leasehold.Client
		ready, closed := make(chan struct{}), make(chan time.Duration, 1)
		var deep func(n int)
		deep = func(n int) {
			if n > 0 {
				deep(n - 1)
				return
			}
			began := time.Now()
			_ = c.Close(context.Background())
			closed <- time.Since(began)
		}
		c = w.start(func(cfg *leasehold.Config) {
			cfg.OnEvent = func(e leasehold.Event) {
				<-ready
				if e.Name != "token" {
					deep(100)
				}
			}
		})
		w.open(c)
		close(ready)
		require.Zero(t, <-closed)
	})
}

// TestLaw09MaxAgeCountsASleep (K1). Mutation: it counts on the monotonic clock alone.
func TestLaw09MaxAgeCountsASleep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newSleeper(t, vaulttest.AppRoleSpec{TokenTTL: 10 * time.Hour})
		c := w.start(w.clock)
		get := func() string {
			s, err := kv.Get[map[string]any](t.Context(), c.KV("secret"), "app/config", kv.MaxAge(time.Minute))
			require.NoError(t, err)
			return s.Value["banner"].(string)
		}
		require.Equal(t, "hello", get())
		w.sleep(time.Hour)
		w.PutKV("secret", "app/config", map[string]any{"banner": "new"})
		require.Equal(t, "new", get())
	})
}

// bare is a RoundTripper that does not set Response.Request, as it need not.
type bare struct{ next http.RoundTripper }

func (b bare) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.next.RoundTrip(r)
	if err == nil {
		resp.Request = nil
	}
	return resp, err
}

// TestE2AnAnswerNeedNotNameItsRequest: the official client looks at it for a 429. Mutation: it is
// left as it came.
func TestE2AnAnswerNeedNotNameItsRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.HTTPClient = &http.Client{Transport: bare{w.wire}} })
		w.Fail(vaulttest.Fault{Path: configPath, Status: 429, Count: 1})
		require.NotPanics(t, func() { require.NoError(t, read(t.Context(), c, "secret")) })
	})
}

// TestLaw06HealthHasNoNamespace. Mutation: it has.
func TestLaw06HealthHasNoNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Namespace = "team" })
		_, err := c.Vault().Sys().Health()
		require.NoError(t, err)
		for _, s := range w.wire.all() {
			if s.path == "sys/health" {
				require.Empty(t, s.namespace)
			}
		}
	})
}

// panicky is a logger's handler that panics.
type panicky struct{ slog.Handler }

func (panicky) Enabled(context.Context, slog.Level) bool { return true }

func (panicky) Handle(context.Context, slog.Record) error { panic("broken handler") }

// TestLaw22ALoggerThatPanicsEndsNothing, neither the program nor OnEvent. Mutation: its panic is
// not caught.
func TestLaw22ALoggerThatPanicsEndsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start(func(c *leasehold.Config) { c.Logger = slog.New(panicky{slog.DiscardHandler}) })
		synctest.Wait()
		require.NotEmpty(t, w.events.of(lease.Obtained, ""))
		require.NoError(t, c.Close(t.Context()))
	})
}

// TestC2APollThatDoesNotDecodeKeepsItsPace: nothing but a write changes that. Mutation: it is repeated
// like an outage.
func TestC2APollThatDoesNotDecodeKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 10 * time.Hour})
		c := w.start()
		w.PutKV("secret", "n", map[string]any{"n": 1})
		_, err := kv.Watch[map[string]int](t.Context(), c.KV("secret"), "n", kv.Every(time.Minute))
		require.NoError(t, err)
		w.PutKV("secret", "n", map[string]any{"n": "many"})
		before := w.Count("GET", "secret/data/n")
		time.Sleep(time.Hour)
		require.LessOrEqual(t, w.Count("GET", "secret/data/n")-before, 81)
	})
}

// tunes is a method that sets things on its client.
type tunes struct {
	auth *approle.Method
	t    *testing.T
}

func (m tunes) Login(ctx context.Context, c *api.Client) (*api.Secret, error) {
	require.Zero(m.t, c.MaxRetries())
	require.Zero(m.t, c.ClientTimeout())
	c.SetMaxRetries(4)
	c.SetClientTimeout(time.Second)
	return m.auth.Login(ctx, c)
}

// TestLaw07ALoginLeavesNoSettingsBehind: the next one would be repeated by the official client.
// Mutation: they are kept.
func TestLaw07ALoginLeavesNoSettingsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Minute, TokenMaxTTL: time.Minute})
		w.start(func(c *leasehold.Config) {
			c.Auth = tunes{approle.New(w.roleID, approle.SecretIDString(w.secretID)), t}
		})
		time.Sleep(3 * time.Minute)
	})
}
