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
	m := s.mount(slashed(mount), "database")
	if m == nil {
		s.tb.Fatalf("vaulttest: DynamicRole: another engine is mounted at %q", mount)
		return
	}
	m.roles[role] = &spec
}

// databaseRoute answers MOUNT/REST of a database engine.
func (c *call) databaseRoute(m *mount, rest string) reply {
	name, found := strings.CutPrefix(rest, "creds/")
	if !found || name == "" {
		return unmodelled(m.path + rest)
	}
	if c.method != http.MethodGet {
		return unsupportedOperation()
	}
	role := m.roles[name]
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
	l, granted, warnings := c.addLease(role, data)
	if c.token.spent {
		return fail(http.StatusBadRequest, "Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.")
	}
	return answer(http.StatusOK, envelope{
		LeaseID: l.id, Renewable: l.renewable, LeaseDuration: int64(granted.Seconds()),
		Data: cloneMap(data), Warnings: warnings, MountType: "database",
	})
}

// username makes up a name in the form of Vault's database plugins.
func (c *call) username(role string) string {
	cut := func(s string) string { return s[:min(len(s), 8)] }
	return fmt.Sprintf("v-%s-%s-%s-%d", cut(c.token.display), cut(role), randomText(20), c.now.Unix())
}
