package vaulttest

import (
	"encoding/base64"
	"errors"
	"net/http"
	"slices"
	"strings"
)

// PolicyHCL sets a policy from its text, as Policy does from rules. The text is HCL or JSON and may
// say the capabilities of paths; anything else in it ends the test.
func (s *Server) PolicyHCL(name, text string) {
	s.tb.Helper()
	rules, err := parsePolicy(text)
	if err != nil {
		s.tb.Fatalf("vaulttest: PolicyHCL %q: %v", name, err)
		return
	}
	if slices.Contains(fixedPolicies, strings.ToLower(name)) {
		s.tb.Fatalf("vaulttest: the policy %q cannot be changed", name)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policies[strings.ToLower(name)] = &policy{rules, text}
}

// policyRoute answers sys/policies/acl and the older sys/policy, which differ in the names of
// fields and in that the older shows its data twice.
func (c *call) policyRoute(given string, old bool) reply {
	given = strings.Trim(given, "/")
	name := strings.ToLower(given)
	reading := c.method == http.MethodGet
	switch {
	case name == "" && (c.method == "LIST" || reading && old):
		return c.listPolicies(old)
	case name == "" || c.method == "LIST":
		return unsupportedOperation()
	case reading:
		return c.readPolicy(name, old)
	case c.write:
		return c.writePolicy(given, name, old)
	case c.method != http.MethodDelete:
		return unsupportedOperation()
	case slices.Contains(fixedPolicies, name):
		return fail(http.StatusBadRequest, `cannot delete "`+name+`" policy`)
	case name == "default":
		return fail(http.StatusBadRequest, "cannot delete default policy")
	}
	delete(c.s.policies, name)
	return noContent()
}

func (c *call) listPolicies(old bool) reply {
	names := []string{}
	for _, name := range sortedKeys(c.s.policies) {
		if name != wrappingPolicy {
			names = append(names, name)
		}
	}
	names = append(names, "root")
	if old {
		return injected(map[string]any{"keys": names, "policies": names})
	}
	return ok("system", map[string]any{"keys": names})
}

func (c *call) readPolicy(name string, old bool) reply {
	p := c.s.policies[name]
	if name == "root" {
		p = &policy{}
	}
	if p == nil {
		return fail(http.StatusNotFound)
	}
	if old {
		return injected(map[string]any{"name": name, "rules": p.text})
	}
	return ok("system", map[string]any{"name": name, "policy": p.text})
}

func (c *call) writePolicy(given, name string, old bool) reply {
	known := schema{"name": inPath, "policy": asText}
	if old {
		known["rules"] = asText
	}
	f, bad := c.fields(known)
	if bad != nil {
		return *bad
	}
	var warnings []string
	if given != name {
		warnings = append(warnings, "policy name was converted to "+name)
	}
	text := f.text("policy")
	if text == "" && old {
		text = f.text("rules")
		warnings = append(warnings, "'rules' is deprecated, please use 'policy' instead")
	}
	if text == "" {
		return fail(http.StatusBadRequest, "'policy' parameter not supplied or empty")
	}
	if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
		text = string(plain)
	}
	rules, err := parsePolicy(text)
	var beyond unmodelledError
	switch {
	case errors.As(err, &beyond):
		return unmodelled(string(beyond))
	case err != nil:
		return fail(http.StatusBadRequest, "failed to parse policy: "+err.Error())
	case slices.Contains(fixedPolicies, name):
		return fail(http.StatusBadRequest, `cannot update "`+name+`" policy`)
	}
	c.s.policies[name] = &policy{rules, text}
	if warnings == nil {
		return noContent()
	}
	return answer(http.StatusOK, envelope{Warnings: append(warnings, f.warnings...), MountType: "system"})
}
