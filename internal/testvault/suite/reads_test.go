package suite

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-f5e1ac40/leasehold/kv"
)

// fetch asks Vault for a secret.
func (a *app) fetch(ctx context.Context) error {
	got, err := kv.Get[stripe](ctx, a.KV("secret"), "payments/stripe")
	if err == nil && got.Value.APIKey.Reveal() != canaryValue {
		err = errors.New("another value than was written")
	}
	return err
}

// reads is what came of the requests of a service under load.
type reads struct {
	mu     sync.Mutex
	done   int
	failed []error
	began  []time.Time // of each that failed
}

// since counts the failed requests that began after at.
func (r *reads) since(at time.Time) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, began := range r.began {
		if began.After(at) {
			n++
		}
	}
	return n
}

// load reads with several workers until stop is called, which waits for them.
func (a *app) load(ctx context.Context) (r *reads, stop func()) {
	r = &reads{}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			tick := time.NewTicker(queries)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				limited, cancel := uncut(ctx)
				began := time.Now()
				err := a.fetch(limited)
				cancel()
				r.mu.Lock()
				r.done++
				if err != nil {
					r.failed, r.began = append(r.failed, err), append(r.began, began)
				}
				r.mu.Unlock()
			}
		})
	}
	return r, func() { cancel(); wg.Wait() }
}
