package vaulttest

import (
	"net/http"
	"slices"
	"strings"
)

// tokenMethod answers auth/token/; the tokens are the server's own.
type tokenMethod struct{}

var (
	tokenFields    = schema{"token": asText}
	accessorFields = schema{"accessor": asText}
	// tokenRoutes are the paths below auth/token/, with the fields that each takes.
	tokenRoutes = map[string]schema{
		"lookup-self": tokenFields, "lookup": tokenFields, "lookup-accessor": accessorFields,
		"renew-self": renewFields, "renew": renewFields, "renew-accessor": {"accessor": asText, "increment": asSeconds},
		"revoke-self": {}, "revoke": tokenFields, "revoke-orphan": tokenFields, "revoke-accessor": accessorFields,
		"create": createFields, "create-orphan": createFields,
		"accessors": {},
	}
)

// serve implements engine.
func (tokenMethod) serve(c *call, _ *mount, rest string) reply {
	if rest == "tidy" || strings.HasPrefix(rest, "roles") || strings.HasPrefix(rest, "create/") {
		return unmodelled("auth/token/" + rest)
	}
	route := strings.TrimSuffix(rest, "/")
	known, found := tokenRoutes[route]
	if !found || (c.aclPath() != c.path || route != rest) && route != "accessors" {
		return unsupportedPath()
	}
	switch {
	case route == "accessors" && c.method == "LIST":
	case route != "accessors" && c.write:
	case (route == "lookup" || route == "lookup-self") && c.method == http.MethodGet:
	default:
		return unsupportedOperation()
	}
	f, bad := c.fields(known)
	if bad != nil {
		return *bad
	}
	switch route {
	case "accessors":
		return c.listAccessors()
	case "create":
		return c.createToken(f, false)
	case "create-orphan":
		return c.createToken(f, true)
	case "lookup-self":
		return c.token.lookup(c.now, f, true)
	case "renew-self":
		return c.renewToken(c.token, f, true)
	case "revoke-self":
		return c.revoke(c.token)
	case "lookup", "renew", "revoke", "revoke-orphan":
		return c.tokenByID(route, f)
	}
	return c.tokenByAccessor(route, f)
}

func (c *call) tokenByID(route string, f fields) reply {
	id := f.text("token")
	if id == "" && route == "lookup" {
		id = c.token.id
	}
	if id == "" {
		return fail(http.StatusBadRequest, "missing token ID")
	}
	t := c.s.tokens[id]
	switch {
	case route == "renew":
		return c.renewToken(t, f, true)
	case route == "revoke":
		return c.revoke(t)
	case t == nil && route == "lookup":
		return fail(http.StatusForbidden, "bad token")
	case route == "lookup":
		return t.lookup(c.now, f, true)
	case t == nil:
		return fail(http.StatusBadRequest, "token to revoke not found")
	}
	// The children live on, as orphans.
	for _, child := range t.children {
		if !child.batch {
			child.parent = nil
		}
	}
	t.children = slices.DeleteFunc(t.children, func(child *token) bool { return !child.batch })
	return c.revoke(t)
}

func (c *call) tokenByAccessor(route string, f fields) reply {
	if f.text("accessor") == "" {
		return failList(http.StatusBadRequest, "missing accessor")
	}
	t := c.s.byAccessor(f.text("accessor"))
	switch {
	case t == nil && route == "revoke-accessor":
		return answer(http.StatusOK, envelope{Warnings: append([]string{"No token found with this accessor"}, f.warnings...), MountType: "token"})
	case t == nil:
		return failList(http.StatusBadRequest, "invalid accessor")
	case route == "revoke-accessor":
		return c.revoke(t)
	case route == "renew-accessor":
		return c.renewToken(t, f, false)
	}
	return t.lookup(c.now, f, false)
}

// listAccessors lists the living tokens' accessors.
func (c *call) listAccessors() reply {
	var keys []string
	for _, t := range c.s.tokens {
		if t.accessor != "" {
			keys = append(keys, t.accessor)
		}
	}
	slices.Sort(keys)
	return ok("token", map[string]any{"keys": keys})
}

// byAccessor returns the living token with that accessor, or nil. The caller holds mu.
func (s *Server) byAccessor(accessor string) *token {
	if accessor == "" { // that of batch tokens
		return nil
	}
	for _, t := range s.tokens {
		if t.accessor == accessor {
			return t
		}
	}
	return nil
}

// revoke ends a token by request. One that is dead already is no error to Vault.
func (c *call) revoke(t *token) reply {
	if t != nil && t.batch {
		return fail(http.StatusBadRequest, "batch tokens cannot be revoked")
	}
	if t != nil {
		c.s.revokeToken(t)
	}
	return noContent()
}
