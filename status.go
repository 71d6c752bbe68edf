package leasehold

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// Status is the state of a client at one moment.
type Status struct {
	Token   TokenStatus
	Leases  []LeaseStatus // credentials, by name
	Values  []LeaseStatus // watched values, by name
	Dropped uint64        // events that OnEvent was too slow for
	// Overdue is how many connections of all pools are in use past the end of their
	// credential: they are left to their users, and go when they are returned.
	Overdue int
	// Cache is what became of the reads of KV secrets.
	Cache CacheStatus
}

// CacheStatus counts the reads of KV secrets: those that memory answered, and those that
// Vault was asked for.
type CacheStatus = kv.CacheStatus

// LeaseStatus is how one credential or watched value is. Its Condition is fresh,
// stale (still good, but the latest upkeep failed: see Err) or expired.
type LeaseStatus = lease.Status

// TokenStatus is how the token is.
type TokenStatus struct {
	LeaseStatus
	Accessor string // names the token in Vault's audit log, and is no secret
	Type     string // service or batch
	Policies []string
}

// Status returns the state of everything that the client keeps. It asks Vault
// nothing. After Close it is empty but for what was counted, and what the token was: its
// Condition is then empty as well.
func (c *Client) Status() Status {
	st := Status{Dropped: c.events.dropped(), Overdue: c.session.Overdue(), Cache: c.reads.Status()}
	if t, ok := c.session.Token(); ok {
		st.Token.Accessor, st.Token.Type, st.Token.Policies = t.Accessor, t.Type, slices.Clone(t.Policies)
		st.Token.Expires = t.Expires
	}
	for _, s := range c.session.Manager().Entries() {
		switch {
		case s.Polled:
			st.Values = append(st.Values, s)
		case s.Name == "token":
			st.Token.LeaseStatus = s
		default:
			st.Leases = append(st.Leases, s)
		}
	}
	byName := func(a, b LeaseStatus) int { return cmp.Compare(a.Name, b.Name) }
	slices.SortStableFunc(st.Leases, byName)
	slices.SortStableFunc(st.Values, byName)
	return st
}

// Ready returns nil if all that the application holds is valid: the token and every
// credential within their true deadlines. It does not mean that Vault answers. The
// error names what is not valid, since when and why; it is [ErrClosed] after Close.
func (c *Client) Ready() error {
	if c.session.Closed() {
		return ErrClosed
	}
	st := c.Status()
	var errs []error
	for _, s := range append([]LeaseStatus{st.Token.LeaseStatus}, st.Leases...) {
		if s.Condition != lease.ExpiredAt {
			continue
		}
		err := fmt.Errorf("leasehold: %s expired at %s", s.Name, s.Expires.UTC().Format(time.RFC3339))
		if s.Err != nil {
			err = fmt.Errorf("%w: %w", err, s.Err)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
