package vaulttest

import (
	"fmt"
	"net/http"
	"time"
)

// RoleSpec describes a dynamic role. Its zero value makes up users that live for 32 days.
type RoleSpec struct {
	// DefaultTTL is a lease's life at first and after a renewal that names no increment; MaxTTL
	// bounds all of it. Zero: 32 days.
	DefaultTTL, MaxTTL time.Duration
	NotRenewable       bool
	// Create makes a credential, for instance in a real database; nil: a random username and
	// password. Its error makes Vault answer 500 with the error's text.
	Create func() (data map[string]any, err error)
	// RenewErr is asked at each renewal. Its error makes Vault answer 400, as with a role whose
	// renew_statements fail in the database.
	RenewErr func() error
	// Revoke is called with what Create returned when the lease has ended. The server has no
	// goroutine that waits for ends: it is called by the next request or inspection after.
	Revoke func(data map[string]any)
}

// dynamicRole is a role that makes a credential for each request.
type dynamicRole struct {
	spec  RoleSpec
	terms leaseTerms
}

// DynamicRole defines a role of a database engine, which is mounted at mount if need be, or changes
// one: the next renewals of its leases go by the new TTLs, as in Vault.
func (s *Server) DynamicRole(mount, role string, spec RoleSpec) {
	s.tb.Helper()
	if !pathName.MatchString(role) {
		s.tb.Fatalf("vaulttest: DynamicRole: Vault has no role %q", role)
		return
	}
	if why := unfit(term{"DefaultTTL", spec.DefaultTTL}, term{"MaxTTL", spec.MaxTTL}); why != "" {
		s.tb.Fatalf("vaulttest: DynamicRole %q: %s", role, why)
		return
	}
	s.lock()
	defer s.unlock()
	e := s.databaseEngineAt(mount)
	if e == nil {
		return
	}
	if e.roles[role] == nil {
		e.roles[role] = &dynamicRole{}
	}
	terms := leaseTerms{ttl: spec.DefaultTTL, max: spec.MaxTTL}
	if spec.RenewErr != nil {
		terms.renew = func() error {
			if err := spec.RenewErr(); err != nil {
				return pluginError{err}
			}
			return nil
		}
	}
	*e.roles[role] = dynamicRole{spec, terms}
}

// credentials makes a credential under a lease.
func (e *databaseEngine) credentials(c *call, name string, f fields) reply {
	role := e.roles[name]
	if role == nil {
		return fail(http.StatusBadRequest, "unknown role: "+name)
	}
	spec := role.spec
	data := map[string]any{"username": c.username(name), "password": randomText(20)}
	if spec.Create != nil {
		var err error
		c.s.outside(func() { data, err = spec.Create() })
		if err != nil {
			return failList(http.StatusInternalServerError, err.Error())
		}
	}
	revoke := func() {}
	if spec.Revoke != nil {
		revoke = func() { spec.Revoke(data) }
	}
	if c.s.tokens[c.token.id] != c.token {
		// The token has died during Create; without it nobody would ever end the credential.
		c.s.after = append(c.s.after, revoke)
		return deadToken()
	}
	c.now = c.s.now()
	l, granted, warnings := c.addLease(&role.terms, data)
	l.renewable, l.revoke = !spec.NotRenewable, revoke
	if c.token.spent {
		return fail(http.StatusBadRequest, "Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.")
	}
	return answer(http.StatusOK, envelope{
		LeaseID: l.id, Renewable: l.renewable, LeaseDuration: int64(granted.Seconds()),
		Data: cloneMap(data), Warnings: append(f.warnings, warnings...), MountType: "database",
	})
}

// username makes up a name in the form of Vault's database plugins.
func (c *call) username(role string) string {
	cut := func(s string) string { return s[:min(len(s), 8)] }
	return fmt.Sprintf("v-%s-%s-%s-%d", cut(c.token.display), cut(role), randomText(20), c.now.Unix())
}
