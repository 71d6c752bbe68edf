package suite

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// TestD1AColdBurstIsOneRead has 1,000 goroutines want the same secret of a client that has
// read nothing yet.
func TestD1AColdBurstIsOneRead(t *testing.T) {
	w := newWorld(t)
	a := w.start(t, "approle-burst", map[string]any{"token_ttl": "1h"})
	store := a.KV("secret")
	var wg sync.WaitGroup
	start := make(chan struct{})
	failed := make(chan error, 1000)
	for range 1000 {
		wg.Go(func() {
			<-start
			if _, err := kv.Get[stripe](t.Context(), store, "payments/stripe", kv.MaxAge(time.Minute)); err != nil {
				failed <- err
			}
		})
	}
	close(start)
	wg.Wait()
	assert.Empty(t, failed)
	logins, reads := w.v.Audit().Count("", "auth/approle-burst/login"), w.v.Audit().Count("read", "secret/data/payments/stripe")
	assert.Equal(t, 1, logins, "that of New: see TestA14OneLoginForAllAndNoTokenLeft for those who share one")
	assert.True(t, figure.AtMost(stdout, "cold-burst-reads", float64(reads), "reads", 1, "oracle=audit-log", "goroutines=1000"))
}

// TestC2AWatchSeesANewVersionWithinItsInterval writes a version and waits for it.
func TestC2AWatchSeesANewVersionWithinItsInterval(t *testing.T) {
	const every = 2 * time.Second
	w := newWorld(t)
	a := w.start(t, "approle-watch", map[string]any{"token_ttl": "1h"})
	type limits struct {
		N int `json:"n"`
	}
	w.v.Write("secret/data/limits", map[string]any{"data": map[string]any{"n": 1}})
	value, err := kv.Watch[limits](t.Context(), a.KV("secret"), "limits", kv.Every(every))
	require.NoError(t, err)
	w.v.Audit().Reset()
	var slowest time.Duration
	began := time.Now()
	for n := 2; n <= 5; n++ {
		w.v.Write("secret/data/limits", map[string]any{"data": map[string]any{"n": n}})
		written := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*every)
		_, err := value.Wait(ctx, uint64(n-1))
		cancel()
		require.NoError(t, err)
		slowest = max(slowest, time.Since(written))
		assert.Equal(t, n, value.Get().N)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = value.Get() }))
	reads := w.v.Audit().Count("read", "secret/data/limits")
	assert.LessOrEqual(t, reads, int(time.Since(began)/(every*3/4))+1, "reads in the audit log: never more often than the interval")
	figure.AtMost(stdout, "watch-latency", slowest.Seconds(), "s", every.Seconds(), "oracle=clock", fmt.Sprintf("reads=%d", reads))

	// A deleted secret keeps its last good value, with the reason.
	w.v.Delete("secret/data/limits")
	require.Eventually(t, func() bool { return value.Err() != nil }, 3*every, 50*time.Millisecond)
	require.ErrorIs(t, value.Err(), kv.ErrDeleted)
	assert.Equal(t, 5, value.Get().N)
	require.NoError(t, a.Ready(), "the last good value is what the application holds")
}

// TestBadInput asks for what cannot be had: each gives one error that names what to
// fix, and none outlasts its ctx.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	a := w.start(t, "approle-bad", map[string]any{"token_ttl": "1h"})
	closed := w.start(t, "approle-closed", map[string]any{"token_ttl": "1h"})
	require.NoError(t, closed.Close(t.Context()))
	get := func(ctx context.Context, c *app, mount, path string) error {
		_, err := kv.Get[stripe](ctx, c.KV(mount), path)
		return err
	}
	for _, tc := range []struct {
		name string
		do   func(ctx context.Context) error
		says []string
		is   error
	}{
		{"a wrong secret-id", func(ctx context.Context) error {
			_, err := leasehold.New(ctx, leasehold.Config{Address: w.v.Addr(), Auth: approle.New("role", approle.SecretIDString("wrong-secret-id"), approle.Mount("approle-bad"))})
			return err
		}, []string{"log in", "auth/approle-bad/login", "400", "invalid role or secret ID", "check the role"}, nil},
		{"a Vault that is not there", func(ctx context.Context) error {
			_, err := leasehold.New(ctx, leasehold.Config{Address: "http://127.0.0.1:1", Auth: approle.New("role", approle.SecretIDString("x"))})
			return err
		}, []string{"log in", "127.0.0.1:1", "connection refused", "Address"}, context.DeadlineExceeded},
		{"an empty configuration", func(ctx context.Context) error {
			_, err := leasehold.New(ctx, leasehold.Config{})
			return err
		}, []string{"Address is empty", "Auth is nil"}, nil},
		{"a missing secret", func(ctx context.Context) error { return get(ctx, a, "secret", "no/such") }, []string{"secret/no/such"}, kv.ErrNotFound},
		{"a path that is not allowed", func(ctx context.Context) error { return get(ctx, a, "other", "x") }, []string{"other/data/x", "403", `capabilities = ["read"]`}, nil},
		{"a path with ..", func(ctx context.Context) error { return get(ctx, a, "secret", "../../sys/mounts") }, []string{`".."`, "secret"}, nil},
		{"an empty path", func(ctx context.Context) error { return get(ctx, a, "secret", "") }, []string{"empty"}, nil},
		{"a wrong type", func(ctx context.Context) error {
			_, err := kv.Get[struct {
				Retries string `json:"retries"`
			}](ctx, a.KV("secret"), "payments/stripe")
			return err
		}, []string{"secret/payments/stripe#retries", "string", "number"}, nil},
		{"an unknown tag", func(ctx context.Context) error {
			return a.Load(ctx, &struct {
				K secret.String `vault:"secret:payments/stripe#api_key,sometimes"`
			}{})
		}, []string{"field K", "sometimes", "optional"}, nil},
		{"two missing secrets", func(ctx context.Context) error {
			return a.Load(ctx, &struct {
				A stripe `vault:"secret:no/one"`
				B stripe `vault:"secret:no/two"`
			}{})
		}, []string{"secret/no/one", "secret/no/two"}, kv.ErrNotFound},
		{"an unknown database role", func(ctx context.Context) error {
			_, err := dynamic.Database(ctx, a, "nobody")
			return err
		}, []string{"database/creds/nobody", "unknown role"}, nil},
		{"a closed client", func(ctx context.Context) error { return get(ctx, closed, "secret", "payments/stripe") }, nil, leasehold.ErrClosed},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			began := time.Now()
			err := tc.do(ctx)
			require.Error(t, err)
			assert.Less(t, time.Since(began), 2*time.Second)
			for _, s := range tc.says {
				assert.Contains(t, err.Error(), s)
			}
			if tc.is != nil {
				require.ErrorIs(t, err, tc.is)
			}
			assert.NotContains(t, err.Error(), "wrong-secret-id")
		})
	}
}
