package kv_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestC2RefreshAsksNow: and all who watch the path see what it read; a thousand callers share.
// Mutation: watcher.refresh joins a request that began before.
func TestC2RefreshAsksNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		value := watch[flags](t, c, kv.Every(time.Hour))
		other := watch[map[string]string](t, c, kv.Every(time.Hour))
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		require.NoError(t, value.Refresh(t.Context()))
		require.Equal(t, "two", value.Get().Banner)
		require.Equal(t, "two", other.Get()["banner"])
		require.NoError(t, value.Refresh(t.Context()), "nothing new is no failure")
		require.EqualValues(t, 2, value.Snapshot().Generation)
		require.Equal(t, 3, server.Count("GET", path))

		// A request is under way that Vault has answered already, and its answer is late.
		server.Fail(vaulttest.Fault{Path: path, Delay: time.Second, After: true})
		go func() { _, _ = kv.Get[flags](t.Context(), c.KV("secret"), "app/flags") }()
		synctest.Wait()
		server.PutKV("secret", "app/flags", map[string]any{"banner": "three"})
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if assert.NoError(t, value.Refresh(t.Context())) {
					assert.Equal(t, "three", value.Get().Banner)
				}
			})
		}
		wg.Wait()
		require.Equal(t, 5, server.Count("GET", path))
		require.NoError(t, value.Close())
		require.ErrorIs(t, value.Refresh(t.Context()), cache.ErrClosed)
		require.NoError(t, other.Refresh(t.Context()))
		require.NoError(t, c.Close(t.Context()))
		require.ErrorIs(t, other.Refresh(t.Context()), cache.ErrClosed)
	})
}

// TestC2RefreshSaysWhatIsWrong: as Err does then; but that its caller had no time left says nothing of
// the secret. Mutation: watcher.refresh takes its caller's end for the secret's.
func TestC2RefreshSaysWhatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		value := watch[flags](t, c, kv.Every(time.Hour))
		server.Fail(vaulttest.Fault{Path: path, Delay: 10 * time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		require.ErrorIs(t, value.Refresh(ctx), context.Canceled)
		require.NoError(t, value.Err())
		require.NoError(t, c.Status().Values[0].Err)
		server.ClearFaults()

		server.DeleteKV("secret", "app/flags")
		require.ErrorIs(t, value.Refresh(t.Context()), kv.ErrDeleted)
		require.ErrorIs(t, value.Err(), kv.ErrDeleted)
		require.Eventually(t, func() bool { return errors.Is(c.Status().Values[0].Err, kv.ErrDeleted) }, time.Second, time.Millisecond)
		server.PutKV("secret", "app/flags", map[string]any{"banner": 7})
		var misfit *kv.DecodeError
		require.ErrorAs(t, value.Refresh(t.Context()), &misfit)
		require.Equal(t, "one", value.Get().Banner)
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		require.NoError(t, value.Refresh(t.Context()))
		require.NoError(t, value.Err())
		require.Eventually(t, func() bool { return c.Status().Values[0].Err == nil }, time.Second, time.Millisecond)
		require.Equal(t, "two", value.Get().Banner)
	})
}

// TestC2RefreshWaitsForTheVerifier: for that of its own answer, and says what that said.
func TestC2RefreshWaitsForTheVerifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		var refuse atomic.Bool
		var calls atomic.Int32
		value := watch[flags](t, c, kv.Every(time.Hour), kv.Verify(func(ctx context.Context, _ flags) error {
			calls.Add(1)
			select {
			case <-time.After(5 * time.Second):
			case <-ctx.Done():
				return ctx.Err()
			}
			if refuse.Load() {
				return errors.New("not yet")
			}
			return nil
		}))
		put := func(banner string) { server.PutKV("secret", "app/flags", map[string]any{"banner": banner}) }
		put("two")
		require.NoError(t, value.Refresh(t.Context()))
		require.Equal(t, "two", value.Get().Banner)

		put("three")
		slow := make(chan error)
		go func() { slow <- value.Refresh(t.Context()) }()
		time.Sleep(2 * time.Second)
		put("four")
		require.NoError(t, value.Refresh(t.Context()))
		require.Equal(t, "four", value.Get().Banner)
		require.NoError(t, <-slow)
		require.EqualValues(t, 4, calls.Load())

		refuse.Store(true)
		put("five")
		require.ErrorContains(t, value.Refresh(t.Context()), "version 5 was not accepted: not yet")
		require.Equal(t, "four", value.Get().Banner)
		require.EqualValues(t, 5, calls.Load(), "once for each request")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		require.ErrorIs(t, value.Refresh(ctx), context.DeadlineExceeded)
	})
}

// TestOnChangeIsToldOfEachChangeInOrder: with what it was told last; who is slow hears of the newest, and holds up neither
// readers nor others. Mutation: watcher.report forgets what it told last.
func TestOnChangeIsToldOfEachChangeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		type change struct{ old, current string }
		var quick, slow []change
		value := watch[flags](t, c, kv.Every(time.Second),
			kv.OnChange(func(old, current flags) { quick = append(quick, change{old.Banner, current.Banner}) }),
			kv.OnChange(func(old, current flags) {
				slow = append(slow, change{old.Banner, current.Banner})
				time.Sleep(2500 * time.Millisecond)
			}))
		for _, banner := range []string{"a", "b", "c", "d"} {
			server.PutKV("secret", "app/flags", map[string]any{"banner": banner})
			time.Sleep(time.Second)
			synctest.Wait()
			require.Equal(t, banner, value.Get().Banner)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.Equal(t, []change{{"one", "a"}, {"a", "b"}, {"b", "c"}, {"c", "d"}}, quick)
		require.Equal(t, change{"one", "a"}, slow[0])
		require.Equal(t, "d", slow[len(slow)-1].current)
		require.Less(t, len(slow), 4)
		for i := range slow[1:] {
			require.Equal(t, slow[i].current, slow[i+1].old)
		}
	})
}

// TestOnChangeThatPanicsIsAnEvent: and hears of the next change.
// Mutation: callback lets a panic through.
func TestOnChangeThatPanicsIsAnEvent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := vaulttest.New(t)
		server.PutKV("secret", "app/flags", map[string]any{"banner": "one"})
		events := make(chan leasehold.Event, 100)
		c, err := leasehold.New(t.Context(), leasehold.Config{
			Address: "http://vault.test", Auth: token.New(server.RootToken()), HTTPClient: server.Client(),
			OnEvent: func(e leasehold.Event) {
				if e.Kind == lease.CallbackFailed {
					events <- e
				}
			},
		})
		require.NoError(t, err)
		defer func() { require.NoError(t, c.Close(context.Background())) }()
		calls := 0
		value := watch[flags](t, c, kv.Every(time.Second), kv.OnChange(func(_, current flags) {
			if calls++; calls == 1 {
				panic(current.Banner)
			}
		}))
		server.PutKV("secret", "app/flags", map[string]any{"banner": "canary"})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Len(t, events, 1)
		e := <-events
		require.Equal(t, "secret/app/flags", e.Name)
		require.EqualError(t, e.Err, "leasehold: watch secret/app/flags: OnChange: panic (string)")
		server.PutKV("secret", "app/flags", map[string]any{"banner": "three"})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, 2, calls)
		require.NoError(t, value.Err())
	})
}

// TestOnChangeMayClose: its value, or the client, which does not wait for it then. Mutation:
// insideCallback does not know callbacks of kv.
func TestOnChangeMayClose(t *testing.T) {
	for _, what := range []string{"value", "client"} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, server := root(t)
				var value *cache.Value[flags]
				var took time.Duration
				calls := 0
				value = watch[flags](t, c, kv.Every(time.Second), kv.OnChange(func(_, _ flags) {
					calls++
					began := time.Now()
					end := value.Close
					if what == "client" {
						end = func() error { return c.Close(context.Background()) }
					}
					err := end()
					took = time.Since(began)
					assert.NoError(t, err)
				}))
				for range 3 {
					server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
					time.Sleep(2 * time.Second)
				}
				synctest.Wait()
				require.Equal(t, 1, calls)
				require.Zero(t, took)
				require.NoError(t, c.Close(t.Context()))
			})
		})
	}
}

// TestLaw18CloseFromAVerifierOfAWatchedValue does not wait for it.
func TestLaw18CloseFromAVerifierOfAWatchedValue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		calls := 0
		var took time.Duration
		watch[flags](t, c, kv.Every(time.Second), kv.Verify(func(context.Context, flags) error {
			if calls++; calls == 2 {
				began := time.Now()
				err := c.Close(context.Background())
				took = time.Since(began)
				return err
			}
			return nil
		}))
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, 2, calls)
		require.Zero(t, took)
		require.NoError(t, c.Close(t.Context()))
	})
}

// TestAWatchThatEndsBeforeItsOutage: nothing of Watch remains where the first read fails.
func TestAWatchThatEndsBeforeItsOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		_, err := kv.Watch[flags](t.Context(), c.KV("secret"), "app/other", kv.Every(time.Second))
		require.ErrorIs(t, err, kv.ErrNotFound)
		server.Fail(vaulttest.Fault{Path: path, Status: http.StatusServiceUnavailable})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = kv.Watch[flags](ctx, c.KV("secret"), "app/flags", kv.Every(time.Second))
		require.ErrorContains(t, err, "503")
		asked := server.Count("GET", "secret/")
		time.Sleep(time.Minute)
		require.Equal(t, asked, server.Count("GET", "secret/"))
		require.Empty(t, c.Status().Values)
	})
}
