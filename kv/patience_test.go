package kv_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw14WhoSetNoDeadlineFailsNobodyWithMoreTime: he has a minute, and who joins him as much as was
// given to him. Mutation: the minute begins where the request is shared already.
func TestLaw14WhoSetNoDeadlineFailsNobodyWithMoreTime(t *testing.T) {
	for name, ask := range map[string]func(context.Context, *kv.Store) error{
		"get": func(ctx context.Context, s *kv.Store) error { _, err := kv.Get[flags](ctx, s, "app/flags"); return err },
		"put": func(ctx context.Context, s *kv.Store) error { _, err := s.Put(ctx, "app/flags", flags{}); return err },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, server := root(t)
				server.Fail(vaulttest.Fault{Path: "secret/", Status: http.StatusServiceUnavailable})
				server.Fail(vaulttest.Fault{Path: uiMounts, Status: http.StatusServiceUnavailable})
				store := c.KV("secret")
				long, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
				defer cancel()
				var wg sync.WaitGroup
				wg.Go(func() {
					began := time.Now()
					err := ask(t.Context(), store)
					assert.InDelta(t, time.Minute, time.Since(began), float64(6*time.Second))
					assert.ErrorIs(t, err, context.DeadlineExceeded)
				})
				synctest.Wait()
				wg.Go(func() { assert.NoError(t, ask(long, store)) })
				time.Sleep(50 * time.Second)
				wg.Go(func() { assert.NoError(t, ask(t.Context(), store), "it has a minute of its own") })
				time.Sleep(45 * time.Second)
				server.ClearFaults()
				wg.Wait()
			})
		})
	}
}

// TestLaw12WhoWaitsForAnothersReadIsToldWhyItFails: a reader with little time, and a value that is watched.
// Mutation: only that there was no more time is told.
func TestLaw12WhoWaitsForAnothersReadIsToldWhyItFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		value := watch[flags](t, c, kv.Every(10*time.Second))
		defer server.Fail(vaulttest.Fault{Path: path, Status: http.StatusServiceUnavailable})()
		get := func(d time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			_, err := kv.Get[flags](ctx, c.KV("secret"), "app/flags")
			return err
		}
		go func() { _ = get(10 * time.Minute) }()
		synctest.Wait()
		err := get(2 * time.Second)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "503")
		time.Sleep(2 * time.Minute)
		require.ErrorContains(t, value.Err(), "503")
		require.ErrorContains(t, c.Status().Values[0].Err, "503")
		server.ClearFaults()
		time.Sleep(time.Minute)
		require.NoError(t, value.Err())
		require.NoError(t, get(time.Second))
		defer server.Fail(vaulttest.Fault{Path: path, Hang: true})()
		go func() { _ = get(time.Minute) }()
		synctest.Wait()
		require.NotContains(t, get(time.Second).Error(), "503", "that was before")
	})
}
