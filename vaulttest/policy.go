package vaulttest

import (
	"slices"
	"strings"
)

// Rule grants capabilities on a path: create, read, update, delete, list, patch, sudo or deny. The
// path may end in "*", which stands for any rest, and "+" stands for one segment.
type Rule struct {
	Path         string
	Capabilities []string
}

var capabilityNames = []string{"create", "delete", "deny", "list", "patch", "read", "recover", "subscribe", "sudo", "update"}

// policy is a named list of rules, with the text that shows it.
type policy struct {
	rules []Rule
	text  string
}

// fixedPolicies cannot be changed or deleted.
var fixedPolicies = []string{"root", wrappingPolicy, "control-group"}

func builtinPolicies() map[string]*policy {
	return map[string]*policy{
		"default":      {defaultPolicy, policyText(defaultPolicy)},
		wrappingPolicy: {wrappingRules, policyText(wrappingRules)},
	}
}

// defaultPolicy is what Vault gives to every token unless told not to, as far as it is modelled.
var defaultPolicy = []Rule{
	{"auth/token/lookup-self", []string{"read"}},
	{"auth/token/renew-self", []string{"update"}},
	{"auth/token/revoke-self", []string{"update"}},
	{"sys/capabilities-self", []string{"update"}},
	{"sys/internal/ui/resultant-acl", []string{"read"}},
	{"sys/renew", []string{"update"}},
	{"sys/leases/renew", []string{"update"}},
	{"sys/leases/lookup", []string{"update"}},
	{"cubbyhole/*", []string{"create", "read", "update", "delete", "list"}},
	{"sys/wrapping/wrap", []string{"update"}},
	{"sys/wrapping/lookup", []string{"update"}},
	{"sys/wrapping/unwrap", []string{"update"}},
	{"sys/tools/hash", []string{"update"}},
	{"sys/tools/hash/*", []string{"update"}},
	{"sys/control-group/request", []string{"update"}},
	{"identity/oidc/provider/+/authorize", []string{"read", "update"}},
}

// wrappingRules are the policy of wrapping tokens.
var wrappingRules = []Rule{
	{"cubbyhole/response", []string{"create", "read"}},
	{"sys/wrapping/unwrap", []string{"update"}},
}

// Policy sets a policy, also one that living tokens have: the next request obeys it.
func (s *Server) Policy(name string, rules ...Rule) {
	s.tb.Helper()
	name = strings.ToLower(name)
	if slices.Contains(fixedPolicies, name) {
		s.tb.Fatalf("vaulttest: the policy %q cannot be changed", name)
		return
	}
	kept := make([]Rule, len(rules))
	for i, r := range rules {
		if path := apiPath(r.Path); path != strings.TrimPrefix(r.Path, "/") {
			s.tb.Fatalf("vaulttest: policy %q: Vault knows no path %q: write %q", name, r.Path, path)
			return
		}
		if i := strings.Index(r.Path, "*"); i >= 0 && i < len(r.Path)-1 {
			s.tb.Fatalf(`vaulttest: policy %q, path %q: "*" stands at the end only; "+" is for one segment`, name, r.Path)
			return
		}
		for _, c := range r.Capabilities {
			if !slices.Contains(capabilityNames, c) {
				s.tb.Fatalf("vaulttest: policy %q, path %q: no capability %q in Vault", name, r.Path, c)
				return
			}
		}
		kept[i] = Rule{strings.TrimPrefix(r.Path, "/"), slices.Clone(r.Capabilities)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policies[name] = &policy{kept, policyText(kept)}
}

// allowed tells whether the token may do operation on path.
func (s *Server) allowed(t *token, operation, path string) bool {
	caps := s.capabilities(t, operation, path)
	return slices.Contains(caps, "root") || slices.Contains(caps, operation)
}

// hasSudo tells whether the token has sudo on path, as root has everywhere.
func (s *Server) hasSudo(t *token, path string) bool {
	caps := s.capabilities(t, "read", path)
	return slices.Contains(caps, "root") || slices.Contains(caps, "sudo")
}

// capabilities returns what the token may do on path, sorted: ["root"], ["deny"] or a list. A list
// is also allowed by a rule without the path's final slash.
func (s *Server) capabilities(t *token, operation, path string) []string {
	if slices.Contains(t.policies, "root") {
		return []string{"root"}
	}
	folder := strings.TrimSuffix(path, "/")
	list := operation == "list"
	best := s.bestRule(t, func(rule string) bool { return !hasWildcard(rule) && rule == path })
	if best == "" && list {
		best = s.bestRule(t, func(rule string) bool { return !hasWildcard(rule) && rule == folder })
	}
	if best == "" && list {
		best = s.bestRule(t, func(rule string) bool { return hasWildcard(rule) && ruleFits(rule, folder) })
	}
	if best == "" {
		best = s.bestRule(t, func(rule string) bool { return hasWildcard(rule) && ruleFits(rule, path) })
	}
	// Rules for the same path, in several policies, add up.
	caps := map[string]bool{}
	for _, name := range t.policies {
		for _, r := range s.rules(name) {
			if r.Path == best {
				for _, c := range r.Capabilities {
					caps[c] = true
				}
			}
		}
	}
	if best == "" || len(caps) == 0 || caps["deny"] {
		return []string{"deny"}
	}
	return sortedKeys(caps)
}

func (s *Server) rules(policy string) []Rule {
	if p := s.policies[policy]; p != nil {
		return p.rules
	}
	return nil
}

// bestRule returns the path of the rule that goes before all others that fit; empty: none fits.
func (s *Server) bestRule(t *token, fits func(rule string) bool) string {
	best := ""
	for _, name := range t.policies {
		for _, r := range s.rules(name) {
			if fits(r.Path) && (best == "" || beats(r.Path, best)) {
				best = r.Path
			}
		}
	}
	return best
}

// hasSegments tells whether a rule has a "+" that stands for a segment.
func hasSegments(rule string) bool {
	return rule == "+" || strings.HasPrefix(rule, "+/") || strings.Contains(rule, "/+")
}

func hasWildcard(rule string) bool { return strings.HasSuffix(rule, "*") || hasSegments(rule) }

// ruleFits tells whether a rule with a wildcard is one for path.
func ruleFits(rule, path string) bool {
	prefix, glob := strings.CutSuffix(rule, "*")
	if !hasSegments(rule) {
		return strings.HasPrefix(path, prefix)
	}
	want, have := strings.Split(prefix, "/"), strings.Split(path, "/")
	if len(have) < len(want) || len(have) > len(want) && !glob {
		return false
	}
	for i, w := range want {
		begins := glob && i == len(want)-1 && strings.HasPrefix(have[i], w)
		if w != "+" && w != have[i] && !begins {
			return false
		}
	}
	return true
}

// beats tells whether rule a goes before rule b where both fit, by the order that Vault documents.
func beats(a, b string) bool {
	if a == b {
		return false
	}
	if i, j := firstWildcard(a), firstWildcard(b); i != j {
		return i > j
	}
	globA, globB := strings.HasSuffix(a, "*"), strings.HasSuffix(b, "*")
	if globA != globB {
		return globB
	}
	if n, m := strings.Count(a, "+"), strings.Count(b, "+"); n != m {
		return n < m
	}
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return a > b
}

func firstWildcard(rule string) int {
	if hasSegments(rule) {
		return strings.Index(rule, "+")
	}
	return len(strings.TrimSuffix(rule, "*"))
}

// reaches tells whether the token has any right below prefix, which is what Vault asks before it
// tells a mount's type.
func (s *Server) reaches(t *token, prefix string) bool {
	if slices.Contains(t.policies, "root") {
		return true
	}
	for _, name := range t.policies {
		for _, r := range s.rules(name) {
			if len(r.Capabilities) == 0 || slices.Contains(r.Capabilities, "deny") {
				continue
			}
			fixed := r.Path
			if i := strings.IndexAny(fixed, "+*"); i >= 0 {
				fixed = fixed[:i]
				if strings.HasPrefix(prefix, fixed) {
					return true
				}
			}
			if strings.HasPrefix(fixed, prefix) {
				return true
			}
		}
	}
	return false
}
