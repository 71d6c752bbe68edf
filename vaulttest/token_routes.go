package vaulttest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// tokenMethod answers auth/token/; the tokens are the server's own.
type tokenMethod struct{}

// serve implements engine.
func (tokenMethod) serve(c *call, _ *mount, rest string) reply {
	read := c.method == http.MethodGet || c.method == http.MethodHead
	switch rest {
	case "lookup-self":
		if !read && !c.write {
			return unsupportedOperation()
		}
		return c.token.lookup(c.now, true)
	case "lookup":
		if !read && !c.write {
			return unsupportedOperation()
		}
		id := textField(c.params, "token")
		if id == "" {
			id = c.token.id
		}
		t := c.s.tokens[id]
		if t == nil {
			return fail(http.StatusForbidden, "bad token")
		}
		return t.lookup(c.now, true)
	case "renew-self", "renew", "revoke-self", "revoke", "lookup-accessor", "renew-accessor", "revoke-accessor", "create", "create-orphan":
		if !c.write {
			return unsupportedOperation()
		}
	default:
		return unmodelled("auth/token/" + rest)
	}

	switch rest {
	case "renew-self":
		return c.renewToken(c.token, true)
	case "revoke-self":
		return c.revoke(c.token)
	case "create":
		return c.createToken(boolField(c.params, "no_parent", false))
	case "create-orphan":
		return c.createToken(true)
	case "renew", "revoke":
		id := textField(c.params, "token")
		if id == "" {
			return fail(http.StatusBadRequest, "missing token ID")
		}
		if rest == "renew" {
			return c.renewToken(c.s.tokens[id], true)
		}
		return c.revoke(c.s.tokens[id])
	}

	accessor := textField(c.params, "accessor")
	if accessor == "" {
		return failList(http.StatusBadRequest, "missing accessor")
	}
	t := c.s.byAccessor(accessor)
	switch {
	case t == nil && rest == "revoke-accessor":
		return answer(http.StatusOK, envelope{Warnings: []string{"No token found with this accessor"}, MountType: "token"})
	case t == nil:
		return failList(http.StatusBadRequest, "invalid accessor")
	case rest == "revoke-accessor":
		return c.revoke(t)
	case rest == "renew-accessor":
		return c.renewToken(t, false)
	}
	return t.lookup(c.now, false)
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

// createToken makes a child of the caller's token.
func (c *call) createToken(orphan bool) reply {
	parent := c.token
	root := slices.Contains(parent.policies, "root")
	switch {
	case parent.batch:
		return fail(http.StatusBadRequest, "batch tokens cannot create more tokens")
	case parent.limited:
		return fail(http.StatusBadRequest, "restricted use token cannot generate child tokens")
	case orphan && !root && c.path != "auth/token/create-orphan":
		return fail(http.StatusBadRequest, "root or sudo privileges required to create orphan token")
	case c.params["id"] != nil:
		return unmodelled("tokens with a chosen id")
	}
	t, bad := c.askedToken()
	if bad == nil {
		t.policies, bad = c.askedPolicies(root)
	}
	switch {
	case bad != nil:
		return *bad
	case t.period > 0 && !root:
		return fail(http.StatusBadRequest, "root or sudo privileges required to create periodic token")
	case t.batch && slices.Contains(t.policies, "root"):
		return fail(http.StatusBadRequest, "batch tokens cannot be root tokens")
	}
	if !orphan {
		t.parent, t.entityID = parent, parent.entityID
	}
	warnings := c.s.addToken(t)
	for _, p := range t.policies {
		if c.s.policies[p] == nil && p != "root" {
			warnings = append(warnings, fmt.Sprintf("Policy %q does not exist", p))
		}
	}
	return answer(http.StatusOK, envelope{Warnings: warnings, Auth: t.auth(t.creationTTL), MountType: "token"})
}

// askedToken reads the kind of token that a creation asks for.
func (c *call) askedToken() (*token, *reply) {
	bad := func(message string) (*token, *reply) {
		r := fail(http.StatusBadRequest, message)
		return nil, &r
	}
	t := &token{
		path: c.path, display: "token",
		renewable: boolField(c.params, "renewable", true), uses: max(intField(c.params, "num_uses"), 0),
	}
	if name := textField(c.params, "display_name"); name != "" {
		t.display = "token-" + name
	}
	if meta, isMap := c.params["meta"].(map[string]any); isMap {
		t.meta = map[string]string{}
		for k := range meta {
			t.meta[k] = textField(meta, k)
		}
	}
	switch kind := textField(c.params, "type"); kind {
	case "", "service":
	case "batch":
		t.batch = true
	default:
		return bad("invalid 'token_type' value")
	}
	for _, f := range []struct {
		name string
		d    *time.Duration
	}{{"explicit_max_ttl", &t.explicitMax}, {"period", &t.period}, {"ttl", &t.ttl}} {
		var err error
		if *f.d, err = parseSeconds(c.params[f.name]); errors.Is(err, errNegative) {
			return bad(f.name + " must be positive")
		} else if err != nil {
			return bad(err.Error())
		}
	}
	if reason := t.notForBatch(); t.batch && reason != "" {
		return bad(fmt.Sprintf("batch tokens cannot have %q set", reason))
	}
	return t, nil
}

// notForBatch names what a batch token cannot have, having nowhere to store it; empty: nothing.
func (t *token) notForBatch() string {
	switch {
	case t.explicitMax != 0:
		return "explicit_max_ttl"
	case t.uses != 0:
		return "num_uses"
	case t.period != 0:
		return "period"
	}
	return ""
}

// askedPolicies reads the policies that a creation asks for: the parent's if it names none, and
// none beyond the parent's.
func (c *call) askedPolicies(root bool) ([]string, *reply) {
	parent := c.token
	asked := listField(c.params, "policies")
	noDefault := boolField(c.params, "no_default_policy", false)
	if len(asked) == 0 {
		asked, noDefault = parent.policies, noDefault || !slices.Contains(parent.policies, "default")
	}
	policies := policySet(asked, noDefault)
	for _, p := range policies {
		if !root && p != "default" && !slices.Contains(parent.policies, p) {
			r := fail(http.StatusBadRequest, "child policies must be subset of parent")
			return nil, &r
		}
	}
	return policies, nil
}
