package leasehold_test

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestLaw23QuestionsForVersionsAreWithinTheBudget: those of twenty mounts that nobody has asked for, too.
// Mutation: a question that is asked once takes no slot.
func TestLaw23QuestionsForVersionsAreWithinTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		var now, most atomic.Int64
		slow := through(w, func(r *http.Request, next http.RoundTripper) (*http.Response, error) {
			if r.Method == http.MethodGet && r.URL.Path != "/v1/auth/token/lookup-self" {
				atMost(&most, now.Add(1))
				defer now.Add(-1)
				time.Sleep(100 * time.Millisecond)
			}
			return next.RoundTrip(r)
		})
		c := w.start(slow, func(c *leasehold.Config) { c.Budget.Requests, c.Auth = 3, token.New(w.RootToken()) })
		var wg sync.WaitGroup
		for i := range 20 {
			mount := "m" + strconv.Itoa(i)
			w.MountKV1(mount)
			w.PutKV(mount, "x", map[string]any{"y": "z"})
			wg.Go(func() {
				_, err := kv.Get[map[string]string](t.Context(), c.KV(mount), "x")
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		require.EqualValues(t, 3, most.Load())
		require.Equal(t, 40, w.Count("GET", "m")+w.Count("GET", uiMounts))
	})
}
