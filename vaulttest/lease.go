package vaulttest

import (
	"errors"
	"fmt"
	"time"
)

// lease is a living lease: a dead one is not in Server.leases.
type lease struct {
	made

	id, path        string
	terms           *leaseTerms // of its role, which may change while the lease lives
	renewable       bool
	revoke          func() // called without the lock when the lease has ended; nil: nothing to do
	data            map[string]any
	owner           *token // dies with it; nil for an orphan batch token's
	via             *token // the token that it was made with
	issued, renewed time.Time
	expires         time.Time // its own end, which the owner's may precede
}

// leaseTerms are what a role grants its leases. Zero durations: the mount's, 32 days.
type leaseTerms struct {
	ttl, max time.Duration
	renew    func() error // asked at each renewal, without the lock; nil: granted
}

// end is when the lease dies as things stand.
func (l *lease) end() time.Time {
	if l.owner != nil {
		if end := l.owner.end(); !end.IsZero() && end.Before(l.expires) {
			return end
		}
	}
	return l.expires
}

// addLease makes a lease under the caller's token and returns what Vault says it lasts. That is the
// role's TTL however soon the token dies, unless it is a batch token, to which leases are fitted.
func (c *call) addLease(terms *leaseTerms, data map[string]any) (l *lease, granted time.Duration, warnings []string) {
	granted, warnings, _ = grantTTL(c.now, time.Time{}, 0, terms.ttl, 0, terms.max, 0)
	l = &lease{
		id: c.path + "/" + randomText(24), path: c.path, terms: terms, data: data, owner: c.token, via: c.token,
		issued: c.now, expires: c.now.Add(granted), made: c.s.number(),
	}
	if c.token.batch {
		l.owner = c.token.parent // a batch token is stored nowhere, so nothing hangs on it
		granted = l.fitBatch(c.now, granted)
	}
	if l.owner != nil {
		l.owner.leases[l.id] = l
	}
	c.s.leases[l.id] = l
	c.s.soon(l.expires)
	return l, granted, warnings
}

// fitBatch cuts a lease to the end of the batch token that it was made with.
func (l *lease) fitBatch(now time.Time, granted time.Duration) time.Duration {
	if end := l.via.expires; l.via.batch && !end.IsZero() && l.expires.After(end) {
		l.expires = end
		return end.Sub(now)
	}
	return granted
}

// renew extends a lease. The role's answer may take time, in which the lease can die.
func (c *call) renew(l *lease, increment time.Duration) (granted time.Duration, warnings []string, err error) {
	if l.via.batch && l.via.expired(c.now) {
		return 0, nil, errors.New("cannot renew lease, no valid associated token")
	}
	granted, warnings, err = grantTTL(c.now, l.issued, increment, l.terms.ttl, 0, l.terms.max, 0)
	if err == nil && l.terms.renew != nil {
		renew := l.terms.renew
		if c.s.outside(func() { err = renew() }); err == nil {
			c.now = c.s.now()
			granted, warnings, err = grantTTL(c.now, l.issued, increment, l.terms.ttl, 0, l.terms.max, 0)
		}
	}
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("failed to renew entry: resp: (*logical.Response)(nil) err: %w", err)
	case c.s.leases[l.id] != l:
		return 0, nil, errLeaseNotFound
	}
	l.renewed, l.expires = c.now, c.now.Add(granted)
	granted = l.fitBatch(c.now, granted)
	c.s.soon(l.expires)
	return granted, warnings, nil
}

// revokeLease ends a lease and has its end told once mu is free. The caller holds mu.
func (s *Server) revokeLease(l *lease) {
	if s.leases[l.id] != l {
		return
	}
	delete(s.leases, l.id)
	if l.owner != nil {
		delete(l.owner.leases, l.id)
	}
	if l.revoke != nil {
		s.after = append(s.after, l.revoke)
	}
}
