package suite

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// TestS1CloseIsBoundedAgainstABlackHole closes clients whose network swallows packets:
// two credentials are open, one read and one obtaining are under way, and the revocation
// gets no answer. A Close that waits for any of them hangs, and so does the program's end.
//
// It is not parallel: only so do the goroutines that are left belong to its client.
func TestS1CloseIsBoundedAgainstABlackHole(t *testing.T) {
	w := newWorld(t)
	for _, tc := range []struct {
		name          string
		bound         time.Duration // of ctx; 0: none
		target, limit float64       // s
	}{
		{"ctx", 500 * time.Millisecond, 1, 4},
		{"background", 0, 6, 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w, p := w.in(t), testvault.NewProxy(t, w.v.Addr())
			role := "bh" + tc.name
			w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
			a := w.start(t, "approle-"+role, map[string]any{"token_ttl": "8s"}, via(p))
			w.openTwo(t, a.Client, role)
			require.Positive(t, ofClient(), "a client at work must show for this to say anything")

			p.Freeze()
			read, opened := make(chan error, 1), make(chan error, 1)
			go func() {
				_, err := kv.Get[stripe](context.Background(), a.KV("secret"), "payments/stripe")
				read <- err
			}()
			go func() {
				_, err := dynamic.Database(context.Background(), a, role)
				opened <- err
			}()
			<-time.After(200 * time.Millisecond) // both are on their way, and will get nowhere

			ctx, cancel := context.WithCancel(context.Background())
			if tc.bound > 0 {
				ctx, cancel = context.WithTimeout(context.Background(), tc.bound)
			}
			defer cancel()
			began := time.Now()
			err := a.Close(ctx)
			took := time.Since(began)
			require.Error(t, err, "Close says that something was left")
			for what, result := range map[string]chan error{"the read": read, "the obtaining": opened} {
				select {
				case err := <-result:
					require.ErrorIs(t, err, leasehold.ErrClosed, what)
				case <-time.After(2 * time.Second):
					assert.Fail(t, what+" is still under way after Close")
				}
			}
			left := 0
			assert.Eventually(t, func() bool { left = ofClient(); return left == 0 }, 2*time.Second, 20*time.Millisecond, "goroutines of the client after Close")
			assert.Less(t, took.Seconds(), tc.limit, "Close's duration")
			figure.AtMost(stdout, "close-blackhole-"+tc.name, took.Seconds(), "s", tc.target, "oracle=clock", fmt.Sprintf("goroutines_left=%d", left))

			p.Cut()
			p.Thaw()
			testvault.Poll(t, 20*time.Second, func() bool { return w.liveTokens("approle-"+role) == 0 }, "the token to end by itself")
			w.nothingLeft(t, role)
		})
	}
}

// ofClient counts the goroutines in the library's own code, and those that net/http keeps
// for a connection.
func ofClient() (n int) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "leasehold/internal/session") || strings.Contains(stack, "leasehold/lease") ||
			strings.Contains(stack, "net/http.(*persistConn)") {
			n++
		}
	}
	return n
}
