package leasehold_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw12ABadChangeThatIsTakenBackIsForgotten, also in KV version 1, where the secret is then what it was.
// Mutation: a change that does not fit is held against what is there after it.
func TestLaw12ABadChangeThatIsTakenBackIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 100 * time.Hour})
		w.MountKV1("old")
		w.Policy("app", append(appPolicy, vaulttest.Rule{Path: "old/*", Capabilities: []string{"read"}})...)
		c := w.start()
		good := map[string]any{"limit": "1"}
		w.PutKV("old", "x", good)
		var cfg struct {
			Limit *cache.Value[int] `vault:"old:x#limit"`
		}
		require.NoError(t, c.Load(t.Context(), &cfg))
		w.PutKV("old", "x", map[string]any{"limit": "many"})
		time.Sleep(time.Minute)
		require.ErrorContains(t, cfg.Limit.Err(), "old/x#limit: want int")
		w.PutKV("old", "x", good)
		time.Sleep(time.Minute)
		require.NoError(t, cfg.Limit.Err())
		require.Equal(t, 1, cfg.Limit.Get())
	})
}

// TestAClosedLiveFieldIsInNobodysWay: nobody reads it any more, so that it need not fit.
// Mutation: a field that is closed is decoded like the others.
func TestAClosedLiveFieldIsInNobodysWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 100 * time.Hour})
		c := w.start()
		w.PutKV("secret", "app/config", map[string]any{"banner": "one", "limit": "1"})
		var cfg live
		require.NoError(t, c.Load(t.Context(), &cfg))
		require.NoError(t, cfg.Limit.Close())
		w.PutKV("secret", "app/config", map[string]any{"banner": "two", "limit": "many"})
		time.Sleep(time.Minute)
		require.Equal(t, "two", cfg.Banner.Get())
		require.NoError(t, cfg.Banner.Err())
		require.Equal(t, 1, *cfg.Limit.Get())
	})
}

// TestALaterLoadReadsWhatIsThereNow, whoever follows the secret already, and asks for it once.
// Mutation: it takes what was read last.
func TestALaterLoadReadsWhatIsThereNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const moment = time.Microsecond // in a longer one a watched value's own poll may fall
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 100 * time.Hour})
		c := w.start()
		w.PutKV("secret", "app/config", map[string]any{"banner": "one"})
		var first, later, broken, gone struct {
			Banner *cache.Value[string] `vault:"secret:app/config#banner"`
			Plain  string               `vault:"secret:app/config#banner"`
		}
		require.NoError(t, c.Load(t.Context(), &first))
		require.Equal(t, 1, w.reads())
		w.PutKV("secret", "app/config", map[string]any{"banner": "two"})
		time.Sleep(moment)
		began, asked := time.Now(), w.reads()
		require.NoError(t, c.Load(t.Context(), &later))
		require.Equal(t, "two", later.Banner.Get())
		require.Equal(t, "two", later.Plain)
		require.Equal(t, began, later.Banner.Snapshot().Obtained)
		require.Equal(t, asked+1, w.reads(), "each secret is asked for once")
		require.Equal(t, "two", first.Banner.Get(), "all who follow it have it")

		w.PutKV("secret", "app/config", map[string]any{"banner": 3})
		time.Sleep(moment)
		require.ErrorContains(t, c.Load(t.Context(), &broken), "field Banner: leasehold: decode secret/app/config#banner: want string")
		w.Fail(vaulttest.Fault{Path: configPath, Status: http.StatusNotFound, Body: `{"errors":[]}`, Count: 1})
		time.Sleep(moment)
		require.ErrorContains(t, c.Load(t.Context(), &gone), "fields Banner, Plain: leasehold: read secret/app/config: no secret")
		require.NoError(t, first.Banner.Close())
		require.NoError(t, later.Banner.Close())
		require.Empty(t, c.Status().Values, "a Load that failed follows nothing")
	})
}
