//go:build figures

package leasehold_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestFigureLoad compares a Load of 100 secrets with reading them one after another, from
// a server that is 5 ms away. How many requests are under way at once is counted there, and
// must not be more than what Budget promises when it is left alone.
func TestFigureLoad(t *testing.T) {
	const secrets, rounds, budget, latency = 100, 5, 32, 5 * time.Millisecond
	server := vaulttest.New(t)
	paths := make([]string, secrets)
	fields := make([]reflect.StructField, secrets)
	for i := range secrets {
		paths[i] = fmt.Sprintf("app/%d", i)
		server.PutKV("secret", paths[i], map[string]any{"key": strconv.Itoa(i)})
		fields[i] = reflect.StructField{
			Name: fmt.Sprintf("F%d", i), Type: reflect.TypeFor[secret.String](), Tag: reflect.StructTag(fmt.Sprintf(`vault:"secret:%s#key"`, paths[i])),
		}
	}
	var now, most atomic.Int64
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		atMost(&most, now.Add(1))
		defer now.Add(-1) // the answer goes out after that
		<-time.After(latency)
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(far.Close)
	c, err := leasehold.New(t.Context(), leasehold.Config{Address: far.URL, Auth: token.New(server.RootToken())})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close(t.Context()) })

	var all, each time.Duration
	for round := range rounds {
		dst := reflect.New(reflect.StructOf(fields))
		before := server.Count("GET", "secret/data/app/")
		began := time.Now()
		require.NoError(t, c.Load(t.Context(), dst.Interface()))
		took := time.Since(began)
		require.Equal(t, secrets, server.Count("GET", "secret/data/app/")-before, "each secret once")
		for i := range secrets {
			require.Equal(t, secret.NewString(strconv.Itoa(i)), dst.Elem().Field(i).Interface())
		}
		began = time.Now()
		for _, path := range paths {
			_, err := kv.Get[map[string]secret.String](t.Context(), c.KV("secret"), path)
			require.NoError(t, err)
		}
		if one := time.Since(began); round == 0 || one < each {
			each = one
		}
		if round == 0 || took < all {
			all = took
		}
	}
	figure.AtLeast(os.Stdout, "load-100", float64(each)/float64(all), "x", 8,
		"oracle=time.Now", "ours="+all.Round(time.Microsecond).String(), "peer="+each.Round(time.Microsecond).String())
	require.True(t, figure.AtMost(os.Stdout, "load-at-once", float64(most.Load()), "requests", budget, "oracle=vaulttest", fmt.Sprintf("requests=%d", secrets), fmt.Sprintf("rounds=%d", rounds)))
}
