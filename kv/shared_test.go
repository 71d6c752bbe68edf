package kv_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestD1OneCacheServesAll: what Get or a watched value has read, MaxAge allows to others, each of
// which decodes it for itself. Mutation: plain reads are not kept.
func TestD1OneCacheServesAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		store := c.KV("secret")
		_, err := kv.Get[flags](t.Context(), store, "app/flags")
		require.NoError(t, err)
		first, err := kv.Get[map[string]any](t.Context(), store, "app/flags", kv.MaxAge(time.Minute))
		require.NoError(t, err)
		first.Value["banner"] = "spoilt"
		second, err := kv.Get[map[string]any](t.Context(), c.KV("secret"), "app/flags", kv.MaxAge(time.Minute))
		require.NoError(t, err)
		require.Equal(t, "one", second.Value["banner"])
		require.Equal(t, first.Obtained, second.Obtained)
		require.Equal(t, 1, server.Count("GET", path))

		watch[flags](t, c, kv.Every(10*time.Second))
		require.Equal(t, 2, server.Count("GET", path), "the first watcher asks")
		time.Sleep(time.Minute)
		asked := server.Count("GET", path)
		_, err = kv.Get[flags](t.Context(), store, "app/flags", kv.MaxAge(10*time.Second))
		require.NoError(t, err)
		require.Equal(t, asked, server.Count("GET", path))
	})
}

// countdown is a ctx that counts how often it is asked for its deadline.
type countdown struct {
	context.Context

	asked int
}

func (c *countdown) Deadline() (time.Time, bool) {
	c.asked++
	return c.Context.Deadline()
}

// TestD1WhatMemoryAnswersNeedsNoTimer: the minute of a read without a deadline is for asking Vault.
func TestD1WhatMemoryAnswersNeedsNoTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := root(t)
		ctx := &countdown{Context: t.Context()}
		get := func() (asked int) {
			before := ctx.asked
			_, err := kv.Get[flags](ctx, c.KV("secret"), "app/flags", kv.MaxAge(time.Minute))
			require.NoError(t, err)
			return ctx.asked - before
		}
		require.Positive(t, get())
		require.Zero(t, get())
	})
}

// TestD1ThatNothingIsThereIsRememberedBriefly: for who allows MaxAge, and no longer than he allows. Mutation:
// that there is nothing is no answer.
func TestD1ThatNothingIsThereIsRememberedBriefly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		server.PutKV("secret", "app/gone", map[string]any{"n": 1})
		server.DeleteKV("secret", "app/gone")
		for where, is := range map[string]error{"app/none": kv.ErrNotFound, "app/gone": kv.ErrDeleted} {
			asks := func() int { return server.Count("GET", "secret/data/"+where) }
			get := func(opts ...kv.GetOption) {
				_, err := kv.Get[flags](t.Context(), c.KV("secret"), where, opts...)
				require.ErrorIs(t, err, is)
			}
			for range 100 {
				get(kv.MaxAge(time.Hour))
			}
			require.Equal(t, 1, asks())
			get()
			require.Equal(t, 2, asks(), "plain Get asks")
			time.Sleep(100 * time.Millisecond)
			get(kv.MaxAge(200 * time.Millisecond))
			require.Equal(t, 2, asks())
			get(kv.MaxAge(50 * time.Millisecond))
			require.Equal(t, 3, asks())
			time.Sleep(time.Second + time.Millisecond)
			get(kv.MaxAge(time.Hour))
			require.Equal(t, 4, asks())
			server.PutKV("secret", where, map[string]any{"banner": "here"})
			time.Sleep(time.Second + time.Millisecond)
			s, err := kv.Get[flags](t.Context(), c.KV("secret"), where, kv.MaxAge(time.Hour))
			require.NoError(t, err)
			require.Equal(t, "here", s.Value.Banner)
		}
		require.EqualValues(t, 2*(99+1), c.Status().Cache.NegativeHits)
		require.Zero(t, c.Status().Cache.Hits)
	})
}

// TestWhatFailsOtherwiseIsNotRemembered: a missing permission may be granted at any moment.
func TestWhatFailsOtherwiseIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		server.Fail(vaulttest.Fault{Path: path, Status: http.StatusForbidden, Count: 2})
		get := func() error {
			_, err := kv.Get[flags](t.Context(), c.KV("secret"), "app/flags", kv.MaxAge(time.Hour))
			return err
		}
		var e *leasehold.Error
		require.ErrorAs(t, get(), &e)
		require.Eventually(t, func() bool { return get() == nil }, time.Second, time.Millisecond)
		require.NoError(t, get())
	})
}

// TestLaw14InvalidateAsksVaultAgain: for that path only, and all its versions; no reader joins what began before.
// Mutation: Store.wrote forgets the latest version alone.
func TestLaw14InvalidateAsksVaultAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		server.PutKV("secret", "app/other", map[string]any{"banner": "other"})
		get := func(path string, opts ...kv.GetOption) string {
			s, err := kv.Get[flags](t.Context(), c.KV("secret"), path, append(opts, kv.MaxAge(time.Hour))...)
			require.NoError(t, err)
			return s.Value.Banner
		}
		reads := func() int { return server.Count("GET", "secret/data/") }
		all := func() { get("app/flags"); get("app/flags", kv.AtVersion(1)); get("app/other") }
		all()
		all()
		require.Equal(t, 3, reads())
		c.KV("secret").Invalidate("app/flags")
		all()
		require.Equal(t, 5, reads())
		c.KV("elsewhere").Invalidate("app/flags")
		all()
		require.Equal(t, 5, reads())

		// A write that is made while Vault's answer to a read is on its way.
		server.Fail(vaulttest.Fault{Path: path, Delay: time.Second, After: true})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = kv.Get[flags](t.Context(), c.KV("secret"), "app/flags") })
		synctest.Wait()
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		c.KV("secret").Invalidate("app/flags")
		for range 100 {
			wg.Go(func() { assert.Equal(t, "two", get("app/flags")) })
		}
		wg.Wait()
		require.Equal(t, "two", get("app/flags"))
		require.Equal(t, 7, reads())
	})
}

// TestLaw14AReaderSeesWhatThisClientHasWritten: though another's read of before is still under way. Mutation: Put
// tells nobody.
func TestLaw14AReaderSeesWhatThisClientHasWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		store := c.KV("secret")
		server.Fail(vaulttest.Fault{Method: http.MethodGet, Path: path, Delay: time.Second, After: true})
		go func() { _, _ = kv.Get[flags](t.Context(), store, "app/flags") }()
		synctest.Wait()
		_, err := store.Put(t.Context(), "app/flags", flags{Banner: "two"})
		require.NoError(t, err)
		for range 2 {
			s, err := kv.Get[flags](t.Context(), store, "app/flags", kv.MaxAge(time.Hour))
			require.NoError(t, err)
			require.Equal(t, "two", s.Value.Banner)
		}
		require.Equal(t, 2, server.Count("GET", path))
	})
}

// TestStatusCountsReads: those that memory answered, and those that Vault was asked for.
func TestStatusCountsReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		store := c.KV("secret")
		get := func(opts ...kv.GetOption) { _, _ = kv.Get[flags](t.Context(), store, "app/flags", opts...) }
		get(kv.MaxAge(time.Minute)) // a miss
		get(kv.MaxAge(time.Minute)) // a hit
		get()
		server.Fail(vaulttest.Fault{Path: path, Delay: time.Second})
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() { get() })
		}
		wg.Wait()
		want := kv.CacheStatus{Hits: 1, Misses: 1, Joins: 9, Requests: 3, Kept: 1}
		require.Equal(t, want, c.Status().Cache)
		require.NoError(t, c.Close(t.Context()))
		require.Equal(t, want, c.Status().Cache)
		_, err := kv.Get[flags](t.Context(), store, "app/flags", kv.MaxAge(time.Hour))
		require.ErrorIs(t, err, leasehold.ErrClosed, "also of what is in memory")
	})
}

// TestD6TheCacheIsBounded: by number, and by what the answers take.
func TestD6TheCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		get := func(path string) {
			_, err := kv.Get[map[string]string](t.Context(), c.KV("secret"), path)
			require.NoError(t, err)
		}
		for i := range 1100 {
			server.PutKV("secret", fmt.Sprint("many/", i), map[string]any{"banner": "x"})
			get(fmt.Sprint("many/", i))
		}
		require.Equal(t, 1024, c.Status().Cache.Kept)
		require.EqualValues(t, 1100-1024, c.Status().Cache.Evictions)
		large := strings.Repeat("x", 1<<20)
		for i := range 20 {
			server.PutKV("secret", fmt.Sprint("large/", i), map[string]any{"banner": large})
			get(fmt.Sprint("large/", i))
		}
		require.Equal(t, 15, c.Status().Cache.Kept, "16 MiB")
	})
}

// TestWatchersUnderStress: values that come and go, callbacks, refreshes, writes, invalidations and an
// outage, all at once; in the end every value is the newest, and none has gone back.
func TestWatchersUnderStress(t *testing.T) {
	type counter struct {
		N int `json:"n"`
	}
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		store := c.KV("secret")
		var n atomic.Int64
		write := func(i int) { server.PutKV("secret", fmt.Sprint("s/", i), map[string]any{"n": n.Add(1)}) }
		for i := range 3 {
			write(i)
		}
		random := rand.New(rand.NewPCG(1, 2))
		var mu sync.Mutex
		dice := func(n int) int { mu.Lock(); defer mu.Unlock(); return random.IntN(n) }
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		var wg sync.WaitGroup
		var changes atomic.Int64
		for i := range 30 {
			wg.Go(func() {
				for ctx.Err() == nil {
					last := 0
					v, err := kv.Watch[counter](ctx, store, fmt.Sprint("s/", i%3), kv.Every(time.Duration(1+dice(5))*time.Second),
						kv.Verify(func(context.Context, counter) error {
							time.Sleep(time.Duration(dice(3000)) * time.Millisecond)
							if dice(5) == 0 {
								return errors.New("not this time")
							}
							return nil
						}),
						kv.OnChange(func(old, current counter) {
							changes.Add(1)
							assert.Greater(t, current.N, old.N)
							time.Sleep(time.Duration(dice(3000)) * time.Millisecond)
						}))
					if err != nil {
						continue
					}
					for range dice(50) {
						time.Sleep(time.Duration(dice(1000)) * time.Millisecond)
						switch dice(4) {
						case 0:
							limited, cancel := context.WithTimeout(ctx, time.Duration(dice(2000))*time.Millisecond)
							_ = v.Refresh(limited)
							cancel()
						case 1:
							store.Invalidate(fmt.Sprint("s/", i%3))
						case 2:
							_, _ = kv.Get[counter](ctx, store, fmt.Sprint("s/", i%3), kv.MaxAge(time.Second))
						}
						now := v.Get().N
						assert.GreaterOrEqual(t, now, last)
						last = now
					}
					assert.NoError(t, v.Close())
				}
			})
		}
		wg.Go(func() {
			for ctx.Err() == nil {
				time.Sleep(time.Duration(dice(3000)) * time.Millisecond)
				write(dice(3))
				if dice(20) == 0 {
					server.Fail(vaulttest.Fault{Path: "secret/", Status: http.StatusServiceUnavailable, Count: 10})
				}
			}
		})
		wg.Wait()
		require.Greater(t, changes.Load(), int64(100))
		require.Empty(t, c.Status().Values, "pollers without a watcher")
		server.ClearFaults()
		var values []*cache.Value[counter]
		for i := range 3 {
			v, err := kv.Watch[counter](t.Context(), store, fmt.Sprint("s/", i), kv.Every(2*time.Second))
			require.NoError(t, err)
			values = append(values, v)
			write(i)
		}
		time.Sleep(3 * time.Second)
		for i, v := range values {
			require.EqualValues(t, n.Load()-2+int64(i), v.Get().N)
		}
	})
}
