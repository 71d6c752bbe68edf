package vaulttest

import (
	"net/http"
	"strings"
	"time"
)

// lease is a living lease: a dead one is not in Server.leases.
type lease struct {
	id, path        string
	terms           leaseTerms
	data            map[string]any
	owner           *token // dies with it; nil for an orphan batch token's
	via             *token // the token that it was made with
	issued, renewed time.Time
	expires         time.Time // its own end, which the owner's may precede
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

// leaseTerms are what an engine grants a lease. Zero durations: the mount's, 32 days.
type leaseTerms struct {
	ttl, max  time.Duration
	renewable bool
	renew     func() error // asked at each renewal, without the lock; nil: granted
	revoke    func()       // called without the lock when the lease has ended; nil: nothing to do
}

// addLease makes a lease under the caller's token and returns what Vault says it lasts. That is the
// role's TTL however soon the token dies, unless it is a batch token, to which leases are fitted.
func (c *call) addLease(terms leaseTerms, data map[string]any) (l *lease, granted time.Duration, warnings []string) {
	granted, warnings, _ = grantTTL(c.now, time.Time{}, 0, terms.ttl, 0, terms.max, 0)
	l = &lease{
		id: c.path + "/" + randomText(24), path: c.path, terms: terms, data: data, owner: c.token, via: c.token,
		issued: c.now, expires: c.now.Add(granted),
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

// revokeLease ends a lease and has its end told once mu is free. The caller holds mu.
func (s *Server) revokeLease(l *lease) {
	if s.leases[l.id] != l {
		return
	}
	delete(s.leases, l.id)
	if l.owner != nil {
		delete(l.owner.leases, l.id)
	}
	if l.terms.revoke != nil {
		s.after = append(s.after, l.terms.revoke)
	}
}

// leaseRoute answers sys/leases/REST and the older sys/renew and sys/revoke.
func (c *call) leaseRoute(rest string) reply {
	action, id, _ := strings.Cut(rest, "/")
	switch action {
	case "renew", "revoke", "lookup":
	default:
		return unmodelled("sys/leases/" + rest)
	}
	if action == "lookup" && id != "" || c.method == "LIST" {
		return unmodelled("listing leases by prefix; see Server.Leases")
	}
	if !c.write {
		return unsupportedOperation()
	}
	if fromBody := textField(c.params, "lease_id"); fromBody != "" {
		id = fromBody
	}
	if id == "" {
		return fail(http.StatusBadRequest, "lease_id must be specified")
	}
	l := c.s.leases[id]
	switch action {
	case "renew":
		return c.renewLease(l)
	case "revoke":
		if l != nil {
			c.s.revokeLease(l)
		}
		return noContent()
	}
	if l == nil {
		return fail(http.StatusBadRequest, "invalid lease")
	}
	return ok("system", map[string]any{
		"id": l.id, "issue_time": timeText(l.issued), "expire_time": timeText(l.expires),
		"last_renewal": timeOrNull(l.renewed), "renewable": l.terms.renewable, "ttl": remaining(c.now, l.expires),
	})
}

func (c *call) renewLease(l *lease) reply {
	if l == nil {
		return fail(http.StatusBadRequest, "lease not found")
	}
	if !l.terms.renewable {
		return fail(http.StatusBadRequest, "lease is not renewable")
	}
	increment, bad := secondsField(c.params, "increment")
	if bad != nil {
		return *bad
	}
	granted, warnings, err := grantTTL(c.now, l.issued, increment, l.terms.ttl, 0, l.terms.max, 0)
	if err != nil {
		return fail(http.StatusBadRequest, "failed to renew entry: "+err.Error())
	}
	if l.terms.renew != nil {
		c.s.outside(func() { err = l.terms.renew() })
		if err != nil {
			return fail(http.StatusBadRequest, "failed to renew entry: "+err.Error())
		}
		if c.s.leases[l.id] != l {
			return fail(http.StatusBadRequest, "lease not found")
		}
	}
	l.renewed, l.expires = c.now, c.now.Add(granted)
	granted = l.fitBatch(c.now, granted)
	c.s.soon(l.expires)
	return answer(http.StatusOK, envelope{
		LeaseID: l.id, Renewable: true, LeaseDuration: int64(granted.Seconds()), Warnings: warnings,
	})
}
