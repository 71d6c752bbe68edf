package leasehold_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

type plainBanner struct {
	Banner string `vault:"secret:app/config#banner"`
}

// TestLaw14LoadSharesTheCacheOfKV: what Load has read, MaxAge allows to others.
// Mutation: Load reads by a cache of its own.
func TestLaw14LoadSharesTheCacheOfKV(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		var cfg plainBanner
		require.NoError(t, c.Load(t.Context(), &cfg))
		asked := len(w.Requests())
		s, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config", kv.MaxAge(time.Minute))
		require.NoError(t, err)
		require.Equal(t, cfg.Banner, s.Value.Banner)
		require.Len(t, w.Requests(), asked)
		require.EqualValues(t, 1, c.Status().Cache.Hits)
	})
}

// TestLaw14LoadJoinsAReadThatIsUnderWay, and is joined. Mutation: Load reads by a cache of its own.
func TestLaw14LoadJoinsAReadThatIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		w.Fail(vaulttest.Fault{Path: configPath, Delay: time.Second})
		var cfg plainBanner
		var wg sync.WaitGroup
		wg.Go(func() {
			s, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config")
			if assert.NoError(t, err) {
				assert.Equal(t, "hello", s.Value.Banner)
			}
		})
		wg.Go(func() { assert.NoError(t, c.Load(t.Context(), &cfg)) })
		wg.Wait()
		require.Equal(t, "hello", cfg.Banner)
		require.Equal(t, 1, w.reads())
		require.EqualValues(t, 1, c.Status().Cache.Joins)
	})
}

// TestLaw14ALiveFieldFillsTheCacheOfKV, by the first read and by each later one.
// Mutation: a live field is watched by a cache of its own.
func TestLaw14ALiveFieldFillsTheCacheOfKV(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		c := w.start()
		var cfg struct {
			Banner *cache.Value[string] `vault:"secret:app/config#banner"`
		}
		require.NoError(t, c.Load(t.Context(), &cfg))
		for range 3 {
			asked := w.reads()
			s, err := kv.Get[settings](t.Context(), c.KV("secret"), "app/config", kv.MaxAge(kv.DefaultInterval))
			require.NoError(t, err)
			require.Equal(t, "hello", s.Value.Banner)
			require.Equal(t, asked, w.reads())
			time.Sleep(5 * time.Minute)
		}
		require.EqualValues(t, 3, c.Status().Cache.Hits)
	})
}
