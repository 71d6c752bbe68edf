package suite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// watched is what these secrets hold.
type watched struct {
	N int `json:"n"`
}

// newKV is a Vault with KV of both versions, and no database.
func newKV(t *testing.T) world {
	t.Helper()
	w := world{v: testvault.Vault(t)}
	w.v.Mount("old", "kv", map[string]string{"version": "1"})
	w.v.Policy("app", `path "+/data/*" { capabilities = ["read", "create", "update"] }  path "old/*" { capabilities = ["read"] }`)
	return w
}

func (w world) put(path string, n int) {
	w.v.Write("secret/data/"+path, map[string]any{"data": map[string]any{"n": n}})
}

// TestC2ManyWatchersCostOneRequest an interval: fifty values of one path, by the audit log; and each
// sees every version within the interval.
func TestC2ManyWatchersCostOneRequest(t *testing.T) {
	t.Parallel()
	const every = 2 * time.Second
	w := newKV(t)
	a := w.start(t, "approle-many", map[string]any{"token_ttl": "1h"})
	w.put("limits", 1)
	w.v.Audit().Reset()
	began := time.Now()
	intervals := func() int { return int(time.Since(began)/(every*3/4)) + 1 }
	var values []*cache.Value[watched]
	for range 50 {
		v, err := kv.Watch[watched](t.Context(), a.KV("secret"), "limits", kv.Every(every))
		require.NoError(t, err)
		values = append(values, v)
	}
	reads := func() int { return w.v.Audit().Count("read", "secret/data/limits") }
	assert.LessOrEqual(t, reads(), 1+intervals(), "reads for fifty values that begin, and that have begun")
	var slowest time.Duration
	for n := 2; n <= 6; n++ {
		w.put("limits", n)
		written := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*every)
		var wg sync.WaitGroup
		for _, v := range values {
			wg.Go(func() {
				if _, err := v.Wait(ctx, uint64(n-1)); assert.NoError(t, err) {
					assert.Equal(t, n, v.Get().N)
				}
			})
		}
		wg.Wait()
		cancel()
		slowest = max(slowest, time.Since(written))
	}
	n := reads()
	assert.LessOrEqual(t, n, 1+intervals(), "reads in the audit log")
	figure.AtMost(stdout, "watchers-of-one-path-latency", slowest.Seconds(), "s", every.Seconds(), "oracle=clock", "watchers=50", fmt.Sprintf("reads=%d", n))
	status := a.Status()
	assert.Len(t, status.Values, 1)
	assert.EqualValues(t, n, status.Cache.Requests)
}

// TestC2WhatHappensToAWatchedSecret: deleted, undeleted, forbidden, destroyed, removed and made anew. The last good value
// stays, its Err says why, and it recovers by itself.
func TestC2WhatHappensToAWatchedSecret(t *testing.T) {
	t.Parallel()
	const every = time.Second
	w := newKV(t)
	a := w.start(t, "approle-fate", map[string]any{"token_ttl": "1h"})
	w.put("fate", 1)
	w.put("fate", 2)
	value, err := kv.Watch[watched](t.Context(), a.KV("secret"), "fate", kv.Every(every))
	require.NoError(t, err)
	fails := func(n int, is error) {
		t.Helper()
		require.Eventually(t, func() bool { return value.Err() != nil }, 3*every, 20*time.Millisecond)
		if is != nil {
			require.ErrorIs(t, value.Err(), is)
		}
		require.Equal(t, n, value.Get().N)
	}
	recovers := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool { return value.Err() == nil }, 3*every, 20*time.Millisecond, "%v", value.Err())
		require.Equal(t, n, value.Get().N)
	}
	w.v.Delete("secret/data/fate")
	fails(2, kv.ErrDeleted)
	w.v.Write("secret/undelete/fate", map[string]any{"versions": []int{2}})
	recovers(2)
	require.EqualValues(t, 1, value.Snapshot().Generation, "the same version")
	w.v.Policy("app", `path "sys/none" { capabilities = ["read"] }`)
	fails(2, nil)
	var refused *leasehold.Error
	require.ErrorAs(t, value.Err(), &refused)
	require.Equal(t, http.StatusForbidden, refused.Status)
	require.Contains(t, refused.Error(), `path "secret/data/fate" { capabilities = ["read"]`)
	w.v.Policy("app", `path "secret/data/*" { capabilities = ["read"] }`)
	recovers(2)
	w.v.Write("secret/destroy/fate", map[string]any{"versions": []int{2}})
	fails(2, kv.ErrDestroyed)
	w.v.Delete("secret/metadata/fate")
	require.Eventually(t, func() bool { return value.Refresh(t.Context()) != nil && !errors.Is(value.Err(), kv.ErrDestroyed) }, 3*every, 20*time.Millisecond)
	require.ErrorIs(t, value.Err(), kv.ErrNotFound)
	w.put("fate", 3) // version 1 again
	recovers(3)
	w.put("fate", 4)
	require.NoError(t, value.Refresh(t.Context()))
	require.Equal(t, 4, value.Get().N)
}

// TestC2AWatchedSecretOfVersion1: its ttl is how often it is read.
func TestC2AWatchedSecretOfVersion1(t *testing.T) {
	t.Parallel()
	w := newKV(t)
	a := w.start(t, "approle-old", map[string]any{"token_ttl": "1h"})
	w.v.Write("old/limits", map[string]any{"n": 1, "ttl": "2s"})
	w.v.Write("old/calm", map[string]any{"n": 1})
	value, err := kv.Watch[watched](t.Context(), a.KV("old"), "limits", kv.Every(time.Hour))
	require.NoError(t, err)
	_, err = kv.Watch[watched](t.Context(), a.KV("old"), "calm", kv.Every(time.Hour))
	require.NoError(t, err)
	w.v.Audit().Reset()
	began := time.Now()
	for n := 2; n <= 4; n++ {
		w.v.Write("old/limits", map[string]any{"n": n, "ttl": "2s"})
		require.Eventually(t, func() bool { return value.Get().N == n }, 6*time.Second, 20*time.Millisecond)
	}
	require.EqualValues(t, 4, value.Snapshot().Generation)
	assert.LessOrEqual(t, w.v.Audit().Count("read", "old/limits"), int(time.Since(began)/(1500*time.Millisecond))+1)
	assert.Zero(t, w.v.Audit().Count("read", "old/calm"), "the mount's default of 32 days is no hint to read more often")
}

// TestD1ReadersShareAndSeeLocalWrites: who allows an age is served from memory, what is not there is
// remembered for a second, and a write of this client is seen by whoever reads after it.
func TestD1ReadersShareAndSeeLocalWrites(t *testing.T) {
	t.Parallel()
	w := newKV(t)
	a := w.start(t, "approle-share", map[string]any{"token_ttl": "1h"})
	w.put("limits", 1)
	store := a.KV("secret")
	get := func(path string) (watched, error) {
		s, err := kv.Get[watched](t.Context(), store, path, kv.MaxAge(time.Minute))
		return s.Value, err
	}
	var wg sync.WaitGroup
	for range 2 { // who joins a request, and who finds its answer
		for range 200 {
			wg.Go(func() {
				if _, err := get("limits"); assert.NoError(t, err) {
					_, err = get("none")
					assert.ErrorIs(t, err, kv.ErrNotFound)
				}
			})
		}
		wg.Wait()
	}
	reads := func(path string) int { return w.v.Audit().Count("read", "secret/data/"+path) }
	assert.Equal(t, 1, reads("limits"))
	assert.LessOrEqual(t, reads("none"), 2, "one a second")
	counts := a.Status().Cache
	assert.GreaterOrEqual(t, counts.Hits, uint64(200))
	assert.NotZero(t, counts.NegativeHits)
	assert.Equal(t, uint64(1+reads("none")), counts.Requests)
	for n := range 20 {
		for range 4 {
			wg.Go(func() { _, _ = kv.Get[watched](t.Context(), store, "limits") })
		}
		_, err := store.Put(t.Context(), "limits", watched{N: 100 + n})
		require.NoError(t, err)
		got, err := get("limits")
		require.NoError(t, err)
		require.Equal(t, 100+n, got.N)
	}
	wg.Wait()
}
