package leasehold_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestStress has clients start and stop while many goroutines open, use, invalidate and
// close credentials, the server fails in every way it can, and somebody revokes tokens and
// leases. No credential is handed out past the end that the server has in its books, and
// nothing is left.
func TestStress(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { stress(t, seed) })
		})
	}
}

// turmoil is a world in which things die.
type turmoil struct {
	*world

	killed sync.Map // user names of what was revoked from outside
}

func stress(t *testing.T, seed uint64) {
	t.Helper()
	w := &turmoil{world: newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 20 * time.Second, TokenMaxTTL: time.Minute})}
	if seed%2 == 0 {
		w.database(vaulttest.RoleSpec{DefaultTTL: 15 * time.Second, MaxTTL: 40 * time.Second})
	} // else leases of an hour, which end with their token
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var outside sync.WaitGroup
	outside.Go(func() { w.trouble(ctx, rand.New(rand.NewPCG(seed, 0))) })

	var users sync.WaitGroup
	for life := range 3 {
		users.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(life)+1))
			for ctx.Err() == nil {
				w.live(ctx, r)
			}
		})
	}
	users.Wait()
	outside.Wait()
	w.ClearFaults()
	// What a Close could not revoke while the server failed ends by itself.
	time.Sleep(2 * time.Minute)
	w.nothingLeft()
}

// live is one life of a client.
func (w *turmoil) live(ctx context.Context, r *rand.Rand) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(30+r.IntN(120))*time.Second)
	defer cancel()
	c, err := leasehold.New(ctx, w.config())
	if err != nil {
		return
	}
	defer func() {
		limited, cancel := context.WithTimeout(context.Background(), time.Duration(r.IntN(6000))*time.Millisecond)
		defer cancel()
		_ = c.Close(limited)
	}()
	if v, err := kv.Watch[settings](ctx, c.KV("secret"), "app/config", kv.Every(5*time.Second)); err == nil {
		defer func() { _ = v.Close() }()
	}
	var wg sync.WaitGroup
	for range 8 {
		r := rand.New(rand.NewPCG(r.Uint64(), r.Uint64()))
		wg.Go(func() {
			for ctx.Err() == nil {
				w.use(ctx, c, r)
			}
		})
	}
	wg.Wait()
}

// use opens a credential and does with it what applications do.
func (w *turmoil) use(ctx context.Context, c dynamic.Backend, r *rand.Rand) {
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	creds, err := dynamic.Database(limited, c, "app")
	if err != nil {
		time.Sleep(time.Second)
		return
	}
	for range r.IntN(40) {
		time.Sleep(time.Duration(r.IntN(2000)) * time.Millisecond)
		switch s := creds.Snapshot(); r.IntN(8) {
		case 0:
			creds.Invalidate(s.Generation)
		case 1:
			creds.Suspect(s.Generation)
		case 2:
			limited, cancel := context.WithTimeout(ctx, 2*time.Second)
			_, _ = creds.Current(limited)
			cancel()
		default:
			w.get(creds)
		}
	}
	if r.IntN(3) > 0 {
		limited, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = creds.Close(limited)
	}
}

// get asserts that what Get hands out lives, unless it was revoked from outside.
func (w *turmoil) get(creds *dynamic.Credential[dynamic.UserPass]) {
	if up, err := creds.Get(); err == nil && !w.Alive(up.Username) {
		_, revoked := w.killed.Load(up.Username)
		assert.True(w.t, revoked, "%s was handed out and is dead, %s before its end", up.Username, time.Until(creds.Snapshot().Expires()))
	}
}

// trouble has the server fail, and revokes what is in use, until ctx ends.
func (w *turmoil) trouble(ctx context.Context, r *rand.Rand) {
	paths := []string{"", loginPath, credsPath, renewLease, renewToken, lookupSelf, configPath, revokeSelf, "sys/leases/"}
	for ctx.Err() == nil {
		time.Sleep(time.Duration(r.IntN(5000)) * time.Millisecond)
		f := vaulttest.Fault{Path: paths[r.IntN(len(paths))], Count: 1 + r.IntN(20)}
		switch r.IntN(9) {
		case 0:
			f.Status, f.Header = http.StatusTooManyRequests, http.Header{"Retry-After": {"3"}}
		case 1:
			f.Status = []int{400, 403, 404, 412, 500, 502, 503, 504, 473}[r.IntN(9)]
		case 2:
			f.Status, f.After = http.StatusBadGateway, true
		case 3:
			f.DropBefore = true
		case 4:
			f.DropAfter = true
		case 5:
			f.Refuse = true
		case 6:
			f.Hang = true
		case 7:
			f.Delay, f.After = 3*time.Second, r.IntN(2) == 0
		default:
			w.revokeSomething(r)
			continue
		}
		w.Fail(f)
		time.Sleep(time.Duration(r.IntN(4000)) * time.Millisecond)
		w.ClearFaults()
	}
}

// revokeSomething revokes a lease or a token, as an administrator would.
func (w *turmoil) revokeSomething(r *rand.Rand) {
	leases, tokens := w.Leases(), w.Tokens()
	if len(leases) == 0 || len(tokens) == 0 {
		return
	}
	if r.IntN(2) == 0 {
		l := leases[r.IntN(len(leases))]
		w.killed.Store(l.Data["username"], true)
		w.RevokeLease(l.ID)
		return
	}
	accessor := tokens[r.IntN(len(tokens))].Accessor
	for _, l := range leases {
		if l.TokenAccessor == accessor {
			w.killed.Store(l.Data["username"], true)
		}
	}
	w.RevokeToken(accessor)
}
