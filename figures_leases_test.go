//go:build figures

package leasehold_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
)

// counter answers creations with leases of an hour, keeps nothing of them, and counts
// what it is asked: a server whose own memory does not blur the measurement.
type counter struct{ creations, renewals, others atomic.Int64 }

func (c *counter) RoundTrip(r *http.Request) (*http.Response, error) {
	body := `{"data":{"accessor":"a","creation_ttl":0,"expire_time":null,"num_uses":0,"policies":["root"],"renewable":false,"ttl":0,"type":"service"}}`
	switch path := strings.TrimPrefix(r.URL.Path, "/v1/"); {
	case strings.HasPrefix(path, "database/creds/"):
		n := c.creations.Add(1)
		body = fmt.Sprintf(`{"request_id":"1d5a","lease_id":"%s/AbCdEfGhIjKlMnOpQr%06d","renewable":true,"lease_duration":3600,"data":{"password":"s-0aB1cD2eF3gH4-%06d","username":"v-approle-app-AbCdEfGhIjKlMn%06d-1763900000"},"wrap_info":null,"warnings":null,"auth":null}`, path, n, n, n)
	case strings.HasSuffix(path, "/renew"), strings.HasSuffix(path, "/renew-self"):
		c.renewals.Add(1)
	default:
		c.others.Add(1)
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
		ContentLength: int64(len(body)), Request: r,
	}, nil
}

// TestFigureTenThousandLeases opens them through dynamic and looks at what they weigh at
// rest. The official watcher has a goroutine, 13 to 14 KB and a renewal at start for each.
func TestFigureTenThousandLeases(t *testing.T) {
	const leases = 10_000
	server := &counter{}
	c, err := leasehold.New(t.Context(), leasehold.Config{Address: "http://vault.test:8200", Auth: token.New("given"), HTTPClient: &http.Client{Transport: server}})
	require.NoError(t, err)
	defer func() { _ = c.Close(context.Background()) }()

	kept := make([]*dynamic.Credential[dynamic.UserPass], leases)
	open := func(i int) {
		creds, err := dynamic.Database(t.Context(), c, "app")
		if err != nil {
			t.Error(err)
		}
		kept[i] = creds
	}
	open(0) // what is made once
	goroutines, heap := runtime.NumGoroutine(), inUse()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := 1 + worker; i < leases; i += 8 {
				open(i)
			}
		})
	}
	wg.Wait()
	heap = inUse() - heap
	require.NoError(t, c.Ready())

	note := []string{"oracle=runtime", fmt.Sprintf("leases=%d", leases)}
	require.True(t, figure.AtMost(os.Stdout, "leases-goroutines", float64(runtime.NumGoroutine()-goroutines), "goroutines", 4, note...))
	figure.AtMost(os.Stdout, "leases-memory", float64(heap)/(leases-1)/1024, "KiB/lease", 1.5, append(note, fmt.Sprintf("bytes=%d", heap))...)
	require.True(t, figure.AtMost(os.Stdout, "leases-renewals-at-start", float64(server.renewals.Load()), "renewals", 0, "oracle=server", fmt.Sprintf("creations=%d", server.creations.Load())))
	runtime.KeepAlive(kept)
}

// inUse is the heap after garbage collection; twice, since finalizers free more.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
