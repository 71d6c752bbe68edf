package dynamic

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// verifyTimeout bounds a verifier that heeds its context.
const verifyTimeout = 30 * time.Second

// keeper does for a Credential what the lease manager decides.
type keeper[T any] struct{ c *Credential[T] }

// open obtains the first credential.
func (c *Credential[T]) open(ctx context.Context) error {
	c.view.Hold(c.request.Path)
	grant, err := c.first(ctx)
	if err != nil {
		return err
	}
	c.entry = c.view.Manager().Add(c.request.Path, keeper[T]{c}, grant)
	c.undo = c.view.OnClose(func() { c.end() })
	return nil
}

func (c *Credential[T]) first(ctx context.Context) (*lease.Grant, error) {
	for attempt := 0; ; attempt++ {
		grant, err := c.obtain(ctx)
		if err == nil {
			return grant, nil
		}
		c.view.Report(lease.ObtainFailed, c.request.Path, err)
		switch {
		case session.Ambiguous(err):
			return nil, fmt.Errorf("%w; one may have been created all the same, which ends with its TTL or its token: not repeated", err)
		case !session.MayPass(err):
			return nil, err
		}
		if pauseErr := c.view.Pause(ctx, attempt, err); pauseErr != nil {
			return nil, fmt.Errorf("%w; given up: %w", err, pauseErr)
		}
	}
}

// Replace implements lease.Keeper.
func (k keeper[T]) Replace(ctx context.Context) (*lease.Grant, error) { return k.c.obtain(ctx) }

// obtain gets a credential that decodes and passes the verifier, and publishes it.
// One that does not is kept and tried again: a new one is minted only when that
// one nears its end, so that a verifier that never agrees does not fill the
// database with users (law 13).
func (c *Credential[T]) obtain(ctx context.Context) (*lease.Grant, error) {
	h := c.unpublished.Load()
	if h == nil || h.grant.Left(c.clock()) < h.grant.Life()/3 {
		if err := c.view.Allow(c.request.Path, c.life); err != nil {
			return nil, err
		}
		a, grant, err := mint(ctx, c.view, c.request.Path)
		if err != nil {
			return nil, err
		}
		if cur := c.cur.Load(); cur != nil && a.LeaseID != "" && cur.id.Reveal() == a.LeaseID {
			return nil, errSame // of a cache, whose entry ends with the lease
		}
		h = &held[T]{grant: grant, id: secret.NewString(a.LeaseID), asked: grant.Lease().Asked, data: &Grant{Data: secret.NewBytes(a.Data), TTL: grant.Lease().TTL}}
		if old := c.unpublished.Swap(h); old != nil {
			c.view.Go(func(ctx context.Context) { _ = c.release(context.WithoutCancel(ctx), old) })
		}
		c.life = grant.Life()
	}
	value, err := c.decode(h.data)
	if err != nil {
		return nil, &lease.Error{Class: lease.Permanent, Err: fmt.Errorf("leasehold: decode %s: %w", c.request.Path, err)}
	}
	limited, cancel := context.WithTimeout(ctx, verifyTimeout)
	defer cancel()
	if err := c.verify(limited, value); err != nil {
		return nil, &lease.Error{Class: lease.Transient, Err: fmt.Errorf("leasehold: %s: the new credential was not accepted: %w", c.request.Path, err)}
	}
	h.value, h.data = value, nil
	c.unpublished.Store(nil)
	c.publish(h)
	return h.grant, nil
}

// Renew implements lease.Keeper. It sends no increment, which could only shorten
// the lease (failure code F13).
func (k keeper[T]) Renew(ctx context.Context, g *lease.Grant) (lease.Lease, error) {
	c := k.c
	h := c.cur.Load()
	ctx, cancel := context.WithTimeout(ctx, c.view.UpkeepTimeout(g))
	defer cancel()
	resp, err := c.view.Once(ctx, session.Request{
		Op: "renew the lease of " + c.request.Path + " with", Method: "PUT", Path: "sys/leases/renew",
		Body: map[string]string{"lease_id": h.id.Reveal()}, Namespace: c.view.Namespace, Private: h.id.Reveal(),
	})
	if err != nil {
		return lease.Lease{}, err
	}
	if resp.Cached {
		return lookAgain(ctx, c.view, c.request.Path, h.id.Reveal(), g)
	}
	a, err := parse(resp.Body)
	if err != nil {
		return lease.Lease{}, fmt.Errorf("leasehold: renew the lease of %s: %w", c.request.Path, err)
	}
	l := lease.Lease{
		TTL:       a.ttl(),
		Asked:     h.asked,
		Sent:      resp.Sent,
		Renewable: a.Renewable,
		Capped:    session.Capped(a.Warnings),
	}
	// Vault fits what hangs on a batch token to the token's own end (fact F2), rounded to
	// seconds on both sides. That is not the lease's maximum, and another lease under the
	// same token would end no later: the token's handover replaces it.
	if p := g.Parent(); p != nil && !p.Lease().Renewable && l.TTL >= p.Left(resp.Sent)-2*time.Second {
		l.Asked, l.Capped = 0, false
	}
	return l, nil
}

// Release implements lease.Keeper: it is called at Close where revoking the token
// does not take its leases along.
func (k keeper[T]) Release(ctx context.Context, g *lease.Grant) error {
	var errs []error
	if h := k.c.unpublished.Swap(nil); h != nil {
		errs = append(errs, k.c.release(ctx, h))
	}
	if h := k.c.cur.Load(); h.grant == g && g.MayLive(k.c.clock()) {
		errs = append(errs, k.c.release(ctx, h))
	}
	return errors.Join(errs...)
}

func (c *Credential[T]) release(ctx context.Context, h *held[T]) error {
	if h.id.IsZero() {
		return nil
	}
	err := c.view.Revoke(ctx, session.Request{
		Op: "revoke the lease of " + c.request.Path + " with", Method: "PUT", Path: "sys/leases/revoke",
		Body: map[string]any{"lease_id": h.id.Reveal(), "sync": true}, Namespace: c.view.Namespace, Private: h.id.Reveal(),
	})
	var le *lease.Error
	if errors.As(err, &le) && (le.Class == lease.Dead || le.Class == lease.ParentDead) {
		return nil // gone already
	}
	return err
}
