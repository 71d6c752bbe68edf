package vaulttest

import (
	"fmt"
	"net/http"
	"strings"
	"time"
)

// RoleSpec describes a dynamic role. Its zero value makes up users that live for 32 days.
type RoleSpec struct {
	// DefaultTTL is a lease's life at first and after a renewal that names no increment; MaxTTL
	// bounds all of it. Zero: 32 days.
	DefaultTTL, MaxTTL time.Duration
	NotRenewable       bool
	// RenewErr is asked at each renewal. Its error makes Vault answer 400, as with a role whose
	// renew_statements fail in the database.
	RenewErr func() error
	// Create makes a credential, for instance in a real database; nil: a random username and
	// password. A nil map makes the request fail with status 500.
	Create func() map[string]any
	// Revoke is called with what Create returned when the lease has ended. The server has no
	// goroutine that waits for ends: it is called by the next request or inspection after.
	Revoke func(data map[string]any)
}

// DynamicRole defines a role of a database engine, which is mounted at mount if need be. Leases made
// before a change keep the role as it was.
func (s *Server) DynamicRole(mount, role string, spec RoleSpec) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mount(mount, "database"); m != nil {
		m.engine.(*databaseEngine).roles[role] = &spec
	}
}

// databaseEngine hands out credentials by role.
type databaseEngine struct{ roles map[string]*RoleSpec }

// serve implements engine.
func (e *databaseEngine) serve(c *call, m *mount, rest string) reply {
	name, found := strings.CutPrefix(rest, "creds/")
	if !found || name == "" {
		return unmodelled(m.path + rest)
	}
	if c.method != http.MethodGet {
		return unsupportedOperation()
	}
	role := e.roles[name]
	if role == nil {
		return fail(http.StatusBadRequest, "unknown role: "+name)
	}
	var data map[string]any
	if role.Create == nil {
		data = map[string]any{"username": c.username(name), "password": randomText(20)}
	} else {
		c.s.outside(func() { data = role.Create() })
	}
	if data == nil {
		return failList(http.StatusInternalServerError, "failed to create the credential")
	}
	if c.s.tokens[c.token.id] != c.token {
		// The token has died during Create; without it nobody would ever end the credential.
		if role.Revoke != nil {
			c.s.after = append(c.s.after, func() { role.Revoke(data) })
		}
		return deadToken()
	}
	c.now = c.s.now()
	terms := leaseTerms{ttl: role.DefaultTTL, max: role.MaxTTL, renewable: !role.NotRenewable, renew: role.RenewErr}
	if role.Revoke != nil {
		terms.revoke = func() { role.Revoke(data) }
	}
	l, granted, warnings := c.addLease(terms, data)
	if c.token.spent {
		return fail(http.StatusBadRequest, "Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.")
	}
	return answer(http.StatusOK, envelope{
		LeaseID: l.id, Renewable: l.terms.renewable, LeaseDuration: int64(granted.Seconds()),
		Data: cloneMap(data), Warnings: warnings, MountType: "database",
	})
}

// username makes up a name in the form of Vault's database plugins.
func (c *call) username(role string) string {
	cut := func(s string) string { return s[:min(len(s), 8)] }
	return fmt.Sprintf("v-%s-%s-%s-%d", cut(c.token.display), cut(role), randomText(20), c.now.Unix())
}
