package vaulttest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

var createFields = schema{
	"display_name": asText, "explicit_max_ttl": asText, "entity_alias": asText, "num_uses": asInt, "period": asText,
	"renewable": asBool, "ttl": asText, "lease": asText, "type": asText, "no_default_policy": asBool, "id": asText,
	"meta": asPairs, "no_parent": asBool, "policies": asList,
}

// createToken makes a child of the caller's token, or an orphan. The checks are in Vault's order,
// since a client sees the first that fails.
func (c *call) createToken(f fields, orphan bool) reply {
	parent := c.token
	switch {
	case parent.batch:
		return fail(http.StatusBadRequest, "batch tokens cannot create more tokens")
	case parent.spent:
		return fail(http.StatusBadRequest, "parent token lookup failed: no parent found")
	case parent.limited:
		return fail(http.StatusBadRequest, "restricted use token cannot generate child tokens")
	}
	sudo := c.s.hasSudo(parent, c.path)
	t := &token{
		path: c.path, display: displayName(f.text("display_name")), uses: f.int("num_uses"),
		renewable: f.bool("renewable") || !f.has("renewable"),
	}
	if f.has("meta") {
		t.meta, _ = f.values["meta"].(map[string]string)
	}
	bad := t.askKind(f)
	switch {
	case bad != nil:
	case t.uses < 0:
		bad = refused(http.StatusBadRequest, "number of uses cannot be negative")
	case f.text("entity_alias") != "":
		bad = refused(http.StatusBadRequest, "'entity_alias' is only allowed in combination with token role")
	case f.text("id") != "" && !sudo:
		bad = refused(http.StatusBadRequest, "root or sudo privileges required to specify token id")
	}
	if bad == nil {
		bad = t.askPolicies(f, parent, sudo)
	}
	if bad == nil && f.bool("no_parent") {
		orphan = true
		if !sudo {
			bad = refused(http.StatusBadRequest, "root or sudo privileges required to create orphan token")
		}
	}
	if bad == nil {
		bad = t.askTimes(f, sudo)
	}
	if bad == nil && t.forever() && !parent.expires.IsZero() {
		bad = refused(http.StatusBadRequest, "expiring root tokens cannot create non-expiring root tokens")
	}
	if bad == nil {
		bad = c.askID(t, f.text("id"))
	}
	if bad != nil {
		return *bad
	}
	if !orphan {
		t.parent, t.entityID = parent, parent.entityID
	}
	warnings := c.s.addToken(t)
	if f.text("id") != "" {
		warnings = append(warnings, "Supplying a custom ID for the token uses the weaker SHA1 hashing instead of the more secure SHA2-256 HMAC for token obfuscation. SHA1 hashed tokens on the wire leads to less secure lookups.")
	}
	for _, p := range t.policies {
		if c.s.policies[p] == nil && p != "root" {
			warnings = append(warnings, fmt.Sprintf("Policy %q does not exist", p))
		}
	}
	return answer(http.StatusOK, envelope{Warnings: append(warnings, f.warnings...), Auth: t.auth(t.creationTTL), MountType: "token"})
}

var notInDisplayName = regexp.MustCompile("[^a-zA-Z0-9-]")

func displayName(asked string) string {
	if asked == "" {
		return "token"
	}
	return strings.TrimSuffix(notInDisplayName.ReplaceAllString("token-"+asked, "-"), "-")
}

// askKind reads the type of token, and refuses a batch token what it has nowhere to store.
func (t *token) askKind(f fields) *reply {
	switch f.text("type") {
	case "", "service":
		return nil
	case "batch":
	default:
		return refused(http.StatusBadRequest, "invalid 'token_type' value")
	}
	t.batch = true
	for _, name := range []string{"explicit_max_ttl", "num_uses", "period"} {
		if name == "num_uses" {
			if t.uses != 0 {
				return refused(http.StatusBadRequest, `batch tokens cannot have "num_uses" set`)
			}
			continue
		}
		d, err := durationOf(f.text(name))
		if err != nil {
			return refused(http.StatusBadRequest, fmt.Sprintf("%q value could not be parsed", name))
		}
		if d != 0 {
			return refused(http.StatusBadRequest, fmt.Sprintf("batch tokens cannot have %q set", name))
		}
		if f.text(name) != "" {
			break // the first that is given is the only one that Vault looks at
		}
	}
	return nil
}

// askPolicies reads the policies: the parent's if none are named, and none beyond the parent's
// without sudo.
func (t *token) askPolicies(f fields, parent *token, sudo bool) *reply {
	noDefault := f.bool("no_default_policy")
	asked, withDefault := f.texts("policies"), false
	switch {
	case len(asked) == 0:
		asked = parent.policies
	case sudo:
		withDefault = true
	default:
		for _, p := range policySet(asked, true) {
			if !slices.Contains(parent.policies, p) {
				return refused(http.StatusBadRequest, "child policies must be subset of parent")
			}
		}
		withDefault = slices.Contains(parent.policies, "default")
	}
	t.policies = policySet(asked, noDefault || !withDefault)
	if noDefault {
		t.policies = slices.DeleteFunc(t.policies, func(p string) bool { return p == "default" })
	}
	for _, p := range t.policies {
		if p == wrappingPolicy || p == "control-group" {
			return refused(http.StatusBadRequest, fmt.Sprintf("cannot assign policy %q", p))
		}
	}
	switch {
	case !slices.Contains(t.policies, "root"):
	case !slices.Contains(parent.policies, "root"):
		return refused(http.StatusBadRequest, "root tokens may not be created without parent token being root")
	case t.batch:
		return refused(http.StatusBadRequest, "batch tokens cannot be root tokens")
	}
	return nil
}

// askTimes reads how long the token is to live.
func (t *token) askTimes(f fields, sudo bool) *reply {
	ttlName := "ttl"
	if f.text("ttl") == "" {
		ttlName = "lease" // of old clients
	}
	for _, a := range []struct {
		name string
		d    *time.Duration
	}{{"explicit_max_ttl", &t.explicitMax}, {"period", &t.period}, {ttlName, &t.ttl}} {
		d, err := durationOf(f.text(a.name))
		switch {
		case err != nil:
			return refused(http.StatusBadRequest, err.Error())
		case d < 0:
			return refused(http.StatusBadRequest, a.name+" must be positive")
		case a.name == "period" && d > 0 && !sudo:
			return refused(http.StatusBadRequest, "root or sudo privileges required to create periodic token")
		}
		*a.d = d
	}
	return nil
}

// askID gives a service token the ID that was asked for.
func (c *call) askID(t *token, id string) *reply {
	switch {
	case id == "" || t.batch:
		return nil
	case strings.HasPrefix(id, "hvs."):
		return refused(http.StatusBadRequest, "custom token ID cannot have the 'hvs.' prefix")
	case strings.HasPrefix(id, "s."):
		return refused(http.StatusBadRequest, "custom token ID cannot have the 's.' prefix")
	case strings.Contains(id, "."):
		return refused(http.StatusBadRequest, "custom token ID cannot have a '.' in the value")
	case c.s.tokens[id] != nil:
		return refused(http.StatusBadRequest, "cannot create a token with a duplicate ID")
	}
	t.id = id
	return nil
}
