package koanfkv_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/knadh/koanf/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/kv/koanfkv"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

const path = "secret/data/app"

type data = map[string]any

// vault returns a client with the root token, and a Vault that holds the secret app.
func vault(t *testing.T, app data) (*leasehold.Client, *vaulttest.Server) {
	t.Helper()
	server := vaulttest.New(t)
	server.PutKV("secret", "app", app)
	c, err := leasehold.New(t.Context(), leasehold.Config{Address: "http://vault.test", Auth: token.New(server.RootToken()), HTTPClient: server.Client()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close(context.Background())) })
	return c, server
}

func open(t *testing.T, c *leasehold.Client, delim string) *koanfkv.Provider {
	t.Helper()
	p, err := koanfkv.New(t.Context(), c.KV("secret"), "app", delim, kv.Every(10*time.Second))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, p.Close()) })
	return p
}

// pass lets time pass, and all that it brings happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestC4NumbersAreExactInKoanf, by koanf's getters and its Unmarshal.
func TestC4NumbersAreExactInKoanf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := vault(t, data{
			"port": 5432, "id": int64(9007199254740993), "top": uint64(18446744073709551615), "rate": 0.1, "wait": 1500000000, "none": nil, "key": "hunter2",
			"list": []any{9007199254740993, "x", data{"n": 1}}, "on": true,
			"limits": data{"rate": 1e-7, "burst": 1e3},
		})
		k := koanf.New(".")
		require.NoError(t, k.Load(open(t, c, "."), nil))
		assert.Equal(t, 5432, k.Int("port"))
		assert.EqualValues(t, 9007199254740993, k.Int64("id"))
		assert.Equal(t, uint64(18446744073709551615), k.Get("top"))
		assert.InDelta(t, 0.1, k.Get("rate"), 0)
		assert.InDelta(t, 1e-7, k.Float64("limits.rate"), 0)
		assert.Equal(t, 1000, k.Int("limits.burst"))
		assert.True(t, k.Bool("on"))
		assert.True(t, k.Exists("none"))
		assert.Equal(t, []any{int64(9007199254740993), "x", data{"n": int64(1)}}, k.Get("list"))

		var into struct {
			Port int           `koanf:"port"`
			ID   int64         `koanf:"id"`
			Top  uint64        `koanf:"top"`
			Wait time.Duration `koanf:"wait"`
			Key  secret.String `koanf:"key"`
		}
		require.NoError(t, k.Unmarshal("", &into))
		assert.Equal(t, 5432, into.Port)
		assert.EqualValues(t, 9007199254740993, into.ID)
		assert.Equal(t, uint64(18446744073709551615), into.Top)
		assert.Equal(t, 1500*time.Millisecond, into.Wait)
		assert.Equal(t, "hunter2", into.Key.Reveal())
	})
}

// TestUnmarshalTakesATextForBytesAsItIs, where kv.Get takes it for base64.
func TestUnmarshalTakesATextForBytesAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := vault(t, data{"key": "aHVudGVyMg=="})
		k := koanf.New(".")
		require.NoError(t, k.Load(open(t, c, "."), nil))
		var into struct {
			Key secret.Bytes `koanf:"key"`
		}
		require.NoError(t, k.Unmarshal("", &into))
		require.Equal(t, "aHVudGVyMg==", string(into.Key.Reveal()))
		got, err := kv.Get[struct {
			Key secret.Bytes `json:"key"`
		}](t.Context(), c.KV("secret"), "app")
		require.NoError(t, err)
		require.Equal(t, "hunter2", string(got.Value.Key.Reveal()))
	})
}

func TestKeysAreSplitAtTheDelimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := vault(t, data{"db.host": "h", "db": data{"port": 1, "tls.ca": "x"}, "a.b.c": 1, "list": []any{data{"x.y": 1}}})
		got, err := open(t, c, ".").Read()
		require.NoError(t, err)
		assert.Equal(t, data{
			"db": data{"host": "h", "port": int64(1), "tls": data{"ca": "x"}}, "a": data{"b": data{"c": int64(1)}},
			"list": []any{data{"x": data{"y": int64(1)}}},
		}, got)
		got, err = open(t, c, "").Read()
		require.NoError(t, err)
		assert.Equal(t, "h", got["db.host"])
		assert.Equal(t, data{"port": int64(1), "tls.ca": "x"}, got["db"])

		for _, app := range []data{
			{"db": "hunter2", "db.host": "hunter2"}, {"db": nil, "db.host": "hunter2"},
			{"db": data{"host": "hunter2"}, "db.host": "hunter2"}, {"list": []any{data{"a": 1, "a.b": "hunter2"}}},
		} {
			c, _ := vault(t, app)
			_, err := koanfkv.New(t.Context(), c.KV("secret"), "app", ".")
			require.ErrorContains(t, err, "meets another key")
			assert.NotContains(t, err.Error(), "hunter2")
			assert.Empty(t, c.Status().Values, "what New refused is asked for no more")
		}
	})
}

// TestLaw11KoanfGetsACopy: koanf keeps the maps that it is given, and changes them.
// Mutation: plain returns maps as they are.
func TestLaw11KoanfGetsACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := vault(t, data{"db": data{"host": "h", "ports": []any{1}}})
		p := open(t, c, ".")
		k := koanf.New(".")
		require.NoError(t, k.Load(p, nil))
		require.NoError(t, k.Set("db.host", "other"))
		first, err := p.Read()
		require.NoError(t, err)
		first["db"].(data)["ports"].([]any)[0] = "changed"
		again, err := p.Read()
		require.NoError(t, err)
		assert.Equal(t, data{"db": data{"host": "h", "ports": []any{int64(1)}}}, again)
		_, err = p.ReadBytes()
		require.ErrorContains(t, err, "without a parser")
	})
}

func TestRefreshAsksNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := vault(t, data{"n": 1})
		p := open(t, c, ".")
		server.PutKV("secret", "app", data{"n": 2})
		require.NoError(t, p.Refresh(t.Context()))
		got, err := p.Read()
		require.NoError(t, err)
		assert.Equal(t, data{"n": int64(2)}, got)
		require.NoError(t, p.Close())
		require.ErrorIs(t, p.Refresh(t.Context()), cache.ErrClosed)
	})
}

// told is what a callback was called with.
type told struct {
	at  time.Duration
	err error
}

func TestEachNewVersionIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := vault(t, data{"n": 1})
		p := open(t, c, ".")
		k := koanf.New(".")
		require.NoError(t, k.Load(p, nil))
		server.PutKV("secret", "app", data{"n": 2})
		pass(10 * time.Second) // it comes before Watch, and after what was loaded
		var calls []error
		cb := func(event any, err error) {
			assert.Nil(t, event)
			if err == nil {
				err = k.Load(p, nil)
			}
			calls = append(calls, err)
		}
		require.NoError(t, p.Watch(cb))
		require.ErrorContains(t, p.Watch(cb), "watched already")
		synctest.Wait()
		require.Equal(t, []error{nil}, calls)
		require.Equal(t, 2, k.Int("n"))

		pass(time.Hour)
		require.Len(t, calls, 1, "nothing changed")
		for n := 3; n < 10; n++ {
			server.PutKV("secret", "app", data{"n": n})
			pass(10 * time.Second)
			require.Equal(t, n, k.Int("n"))
		}
		require.Len(t, calls, 8)

		server.PutKV("secret", "app", data{"n": 10, "n.m": 1})
		pass(10 * time.Second)
		require.Len(t, calls, 9)
		require.ErrorContains(t, calls[8], `key "n.m"`)
		require.Equal(t, 9, k.Int("n"))

		require.NoError(t, p.Unwatch())
		require.NoError(t, p.Unwatch())
		server.PutKV("secret", "app", data{"n": 11})
		pass(time.Minute)
		require.Len(t, calls, 9)
		require.NoError(t, p.Watch(cb), "what it missed meanwhile")
		synctest.Wait()
		require.Equal(t, 11, k.Int("n"))
		require.Equal(t, []error{nil}, calls[9:])
	})
}

// TestACallbackIsNeverCalledTwiceAtOnce, also where it is watched again while it runs, or by itself.
// Mutation: Watch does not wait for the call that Unwatch left.
func TestACallbackIsNeverCalledTwiceAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := vault(t, data{"n": 1})
		p := open(t, c, ".")
		var running, most, calls atomic.Int32
		var again func(any, error)
		again = func(any, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if calls.Add(1) == 1 {
				assert.NoError(t, p.Unwatch())
				assert.NoError(t, p.Watch(again))
			}
			time.Sleep(30 * time.Second)
		}
		require.NoError(t, p.Watch(again))
		for n := 2; n < 6; n++ {
			server.PutKV("secret", "app", data{"n": n})
			pass(11 * time.Second)
			require.NoError(t, p.Unwatch())
			require.NoError(t, p.Watch(again))
		}
		pass(5 * time.Minute)
		require.EqualValues(t, 1, most.Load())
		require.Greater(t, calls.Load(), int32(1))
	})
}

// TestC3AFailureIsToldOnceAndTheLastGoodVersionStays. Mutation: watch tells it at each glance.
func TestC3AFailureIsToldOnceAndTheLastGoodVersionStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := vault(t, data{"n": 1})
		p := open(t, c, ".")
		var calls []told
		start := time.Now()
		require.NoError(t, p.Watch(func(_ any, err error) { calls = append(calls, told{time.Since(start), err}) }))
		_, err := c.Vault().Logical().DeleteWithContext(t.Context(), path)
		require.NoError(t, err)
		pass(time.Hour)
		require.Len(t, calls, 1)
		require.ErrorIs(t, calls[0].err, kv.ErrDeleted)
		require.ErrorIs(t, p.Err(), kv.ErrDeleted)
		require.LessOrEqual(t, calls[0].at, 12*time.Second)
		got, err := p.Read()
		require.NoError(t, err)
		require.Equal(t, data{"n": int64(1)}, got)

		server.PutKV("secret", "app", data{"n": 2})
		pass(time.Minute)
		require.Len(t, calls, 2)
		require.NoError(t, calls[1].err)
		require.NoError(t, p.Err())

		server.Fail(vaulttest.Fault{Path: path, Status: http.StatusServiceUnavailable})
		pass(time.Minute)
		server.ClearFaults()
		pass(time.Minute)
		require.Len(t, calls, 3, "an outage, and its end is not told: nothing changed")
		require.ErrorContains(t, calls[2].err, "503")
		require.NoError(t, p.Err())
	})
}

// TestEachWayToEndAWatchEndsIt; goleak and the bubble see what would go on.
func TestEachWayToEndAWatchEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := vault(t, data{"n": 1})
		var calls int
		count := func(any, error) { calls++ }
		for range 3 {
			p := open(t, c, ".")
			require.NoError(t, p.Watch(count))
			require.NoError(t, p.Close())
			require.NoError(t, p.Close())
			got, err := p.Read()
			require.NoError(t, err)
			require.NotEmpty(t, got)
		}
		inside := open(t, c, ".")
		require.NoError(t, inside.Watch(func(any, error) {
			calls++
			assert.NoError(t, inside.Close())
		}))
		server.PutKV("secret", "app", data{"n": 2})
		pass(time.Minute)
		require.Equal(t, 1, calls)
		asked := server.Count("GET", path)
		pass(time.Hour)
		require.Equal(t, asked, server.Count("GET", path))

		var last []error
		p := open(t, c, ".")
		require.NoError(t, p.Watch(func(_ any, err error) { last = append(last, err) }))
		require.NoError(t, c.Close(t.Context()))
		synctest.Wait()
		require.Len(t, last, 1)
		require.ErrorIs(t, last[0], cache.ErrClosed)
		require.ErrorContains(t, last[0], "app: the client was closed")
		_, err := koanfkv.New(t.Context(), c.KV("secret"), "app", ".")
		require.Error(t, err)
	})
}

// TestNewIsBoundedByItsContext: and says what kv says.
func TestNewIsBoundedByItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := vault(t, data{"n": 1})
		_, err := koanfkv.New(t.Context(), c.KV("secret"), "missing", ".")
		require.ErrorIs(t, err, kv.ErrNotFound)
		_, err = koanfkv.New(t.Context(), c.KV("secret"), "../app", ".")
		require.Error(t, err)
		_, err = koanfkv.New(t.Context(), c.KV("secret"), "app", ".", kv.Every(time.Millisecond))
		require.ErrorContains(t, err, "at least 1s")
		refused := kv.Verify(func(_ context.Context, m map[string]any) error {
			return fmt.Errorf("%d keys", len(m))
		})
		_, err = koanfkv.New(t.Context(), c.KV("secret"), "app", ".", refused)
		require.ErrorContains(t, err, "1 keys")

		server.Fail(vaulttest.Fault{Path: path, Status: http.StatusServiceUnavailable})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		_, err = koanfkv.New(ctx, c.KV("secret"), "app", ".")
		require.ErrorContains(t, err, "503")
		require.LessOrEqual(t, time.Since(start), 5*time.Second)
	})
}

func TestAProviderPrintsNoSecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := vault(t, data{"password": "hunter2"})
		p := open(t, c, ".")
		for _, v := range []any{p, struct{ P *koanfkv.Provider }{p}, []any{p}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
				assert.NotContains(t, fmt.Sprintf(verb, v), "hunter2")
			}
		}
		assert.Equal(t, "koanfkv.Provider(app)", fmt.Sprint(p))
	})
}
