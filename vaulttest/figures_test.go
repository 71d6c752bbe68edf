//go:build figures

package vaulttest_test

import (
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestFigureStart measures a server with its first answer: what each test of a user pays. The
// process's very first one is a note.
func TestFigureStart(t *testing.T) {
	start := func(tb testing.TB) {
		tb.Helper()
		s := vaulttest.New(&program{})
		req, _ := http.NewRequest(http.MethodGet, "http://vault/v1/auth/token/lookup-self", http.NoBody)
		req.Header.Set("X-Vault-Token", s.RootToken())
		resp, err := s.Client().Do(req)
		if err != nil || resp.StatusCode != http.StatusOK {
			tb.Fatal("no answer", err)
		}
		resp.Body.Close()
	}
	began := time.Now()
	start(t)
	first := time.Since(began)
	r := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			start(b)
		}
	})
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	figure.AtMost(os.Stdout, "vaulttest-start", ms(r.T)/float64(r.N), "ms", 1,
		"oracle=testing.Benchmark", fmt.Sprintf("first=%.3fms", ms(first)))
}
