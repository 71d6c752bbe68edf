package suite

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// TestD3AClientLeavesNothingBehind makes and closes 50 clients in a row. The proxy is in
// this process, and so each connection that stays open is a goroutine on both sides (D4):
// 200 clients of the official library leave 401 (F10). It is not parallel, so that all
// goroutines are its own.
func TestD3AClientLeavesNothingBehind(t *testing.T) {
	const clients = 50
	w := newVault(t)
	roleID, secretID := w.v.AppRole("approle-many", "app", map[string]any{"token_ttl": "1h", "token_policies": "app"})
	p := testvault.NewProxy(t, w.v.Addr())
	idle := len(w.v.List("auth/token/accessors"))
	baseline, peak := runtime.NumGoroutine(), 0
	for range clients {
		a, err := leasehold.New(t.Context(), leasehold.Config{
			Address: p.Addr(), Auth: approle.New(roleID, approle.SecretIDString(secretID), approle.Mount("approle-many")),
		})
		require.NoError(t, err)
		_, err = kv.Get[stripe](t.Context(), a.KV("secret"), "payments/stripe")
		require.NoError(t, err)
		peak = max(peak, runtime.NumGoroutine()-baseline)
		require.NoError(t, a.Close(context.Background()))
	}
	testvault.Poll(t, 5*time.Second, func() bool { return runtime.NumGoroutine() <= baseline }, "goroutines or connections are left of 50 clients")
	assert.Len(t, w.v.List("auth/token/accessors"), idle, "tokens left")
	assert.True(t, figure.AtMost(stdout, "d3-goroutines-of-a-client", float64(peak), "goroutines", 25, "oracle=runtime", "proxy-included"))
}

// TestD4ReadersShareConnections has 200 goroutines read secrets of their own through one
// client. With the standard pool of two idle connections each of them dials again and
// again: 595 connections for 32 goroutines.
func TestD4ReadersShareConnections(t *testing.T) {
	t.Parallel()
	const readers, reads = 200, 10
	w := newVault(t)
	p := testvault.NewProxy(t, w.v.Addr())
	a := w.start(t, "approle-readers", hour(), via(p))
	for i := range readers {
		w.v.Write("secret/data/each/"+strconv.Itoa(i), map[string]any{"data": map[string]any{"retries": i}})
	}
	p.Reset()
	var wg sync.WaitGroup
	failed := make(chan error, readers)
	for i := range readers {
		wg.Go(func() {
			for range reads {
				if _, err := kv.Get[stripe](t.Context(), a.KV("secret"), "each/"+strconv.Itoa(i)); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	assert.Empty(t, failed)
	conns := map[int]bool{}
	for _, s := range p.Log() {
		conns[s.Conn] = true
	}
	assert.Equal(t, readers*reads, p.Count(http.MethodGet, "secret/data/each/"))
	assert.True(t, figure.AtMost(stdout, "d4-connections", float64(len(conns)), "connections", 40, "oracle=proxy-log", fmt.Sprintf("readers=%d", readers), "budget=32"))
	require.NoError(t, a.Close(context.Background()))
}

// TestD6NothingOfADeadTokenIsServedFromCache revokes a token from outside after a value
// was read with it, and writes another value. As soon as the client knows of the
// revocation, what the dead token was allowed to see is not served any more, however old
// an answer the reader would take.
func TestD6NothingOfADeadTokenIsServedFromCache(t *testing.T) {
	t.Parallel()
	w := newVault(t)
	a := w.start(t, "approle-cached", hour())
	get := func(path string, opts ...kv.GetOption) stripeOnly {
		t.Helper()
		s, err := kv.Get[stripeOnly](t.Context(), a.KV("secret"), path, opts...)
		require.NoError(t, err)
		return s.Value
	}
	w.v.Write("secret/data/cached", map[string]any{"data": map[string]any{"retries": 1}})
	assert.Equal(t, 1, get("cached").Retries)
	w.v.Write("secret/data/cached", map[string]any{"data": map[string]any{"retries": 2}})
	assert.Equal(t, 1, get("cached", kv.MaxAge(time.Hour)).Retries, "the cache must be in use for this to say anything")
	assert.Equal(t, 1, w.v.Audit().Count("read", "secret/data/cached"))

	w.v.RevokeAccessor(a.Status().Token.Accessor)
	get("payments/stripe") // it is told here
	assert.Equal(t, 2, w.v.Audit().Count("", "auth/approle-cached/login"))
	assert.Equal(t, 2, get("cached", kv.MaxAge(time.Hour)).Retries, "read with the dead token")
	assert.Equal(t, 2, get("cached", kv.MaxAge(time.Hour)).Retries)
	assert.Equal(t, 2, w.v.Audit().Count("read", "secret/data/cached"), "once more, for the new token")
	require.NoError(t, a.Close(context.Background()))
}

type stripeOnly struct {
	Retries int `json:"retries"`
}

// TestD7AClosedCredentialIsNobodyElses closes what others use as well: a credential of the
// same role, a client with the same identity. And a revocation that Vault refuses spoils
// nothing for what comes next.
func TestD7AClosedCredentialIsNobodyElses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	y := w.player(t, "shared", map[string]any{"default_ttl": "1h", "max_ttl": "2h"}, hour())
	y.play(t, workers)
	other, err := dynamic.Database(t.Context(), y.app, "shared")
	require.NoError(t, err)
	// The policy does not allow it: the lease ends with the client.
	require.ErrorContains(t, other.Close(t.Context()), "sys/leases/revoke")
	third, err := dynamic.Database(t.Context(), y.app, "shared")
	require.NoError(t, err, "a refused revocation must not keep the next one from being opened")
	_, err = third.Get()
	require.NoError(t, err)

	// Another process of the same identity comes and goes.
	twin := w.start(t, "approle-shared", hour())
	_, err = dynamic.Database(t.Context(), twin, "shared")
	require.NoError(t, err)
	assert.Len(t, w.v.Leases("database/creds/shared"), 4)
	require.NoError(t, twin.Close(context.Background()))
	testvault.Poll(t, 10*time.Second, func() bool { return len(w.v.Leases("database/creds/shared")) == 3 }, "the twin's lease is left, or others went with it")
	<-time.After(time.Second)
	y.rest()
	y.unharmed(t)
	assert.Zero(t, y.log.changes, "nothing of the first one's was touched")
	y.leave(t)
}
