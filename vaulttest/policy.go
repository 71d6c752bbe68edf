package vaulttest

import (
	"net/http"
	"slices"
	"strings"
)

// Rule grants capabilities on a path: create, read, update, delete, list, patch, sudo or deny. The
// path may end in "*", which stands for any rest, and "+" stands for one segment.
type Rule struct {
	Path         string
	Capabilities []string
}

var capabilityNames = []string{"create", "delete", "deny", "list", "patch", "read", "sudo", "update"}

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

// Policy sets a policy, also one that living tokens have: the next request obeys it.
func (s *Server) Policy(name string, rules ...Rule) {
	s.tb.Helper()
	if name == "root" {
		s.tb.Fatalf("vaulttest: the root policy cannot be changed")
		return
	}
	kept := make([]Rule, len(rules))
	for i, r := range rules {
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
	s.policies[name] = kept
}

// allowed tells whether the token may do operation on path.
func (s *Server) allowed(t *token, operation, path string) bool {
	caps := s.capabilities(t, operation, path)
	return slices.Contains(caps, "root") || slices.Contains(caps, operation)
}

// capabilities returns what the token may do on path, sorted: ["root"], ["deny"] or a list. The
// operation matters for lists only, which Vault also allows by a rule without the final slash.
func (s *Server) capabilities(t *token, operation, path string) []string {
	if slices.Contains(t.policies, "root") {
		return []string{"root"}
	}
	var best string
	found := false
	caps := map[string]bool{}
	for _, name := range t.policies {
		for _, r := range s.policies[name] {
			fits := ruleFits(r.Path, path) ||
				operation == "list" && r.Path == strings.TrimSuffix(path, "/")
			if !fits {
				continue
			}
			switch {
			case !found || beats(r.Path, best):
				best, found = r.Path, true
				clear(caps)
			case r.Path != best:
				continue
			}
			// Rules for the same path, in several policies, add up.
			for _, c := range r.Capabilities {
				caps[c] = true
			}
		}
	}
	if len(caps) == 0 || caps["deny"] {
		return []string{"deny"}
	}
	return sortedKeys(caps)
}

func ruleFits(rule, path string) bool {
	prefix, glob := strings.CutSuffix(rule, "*")
	if !strings.Contains(prefix, "+") {
		if glob {
			return strings.HasPrefix(path, prefix)
		}
		return rule == path
	}
	want, have := strings.Split(prefix, "/"), strings.Split(path, "/")
	if len(have) < len(want) || len(have) > len(want) && !glob {
		return false
	}
	for i, w := range want {
		last := i == len(want)-1
		switch {
		case w == "+":
		case last && glob:
			if !strings.HasPrefix(have[i], w) {
				return false
			}
		case w != have[i]:
			return false
		}
	}
	return true
}

// beats tells whether rule a goes before rule b where both fit: the exact path first, and then by
// the order that Vault documents for wildcards.
func beats(a, b string) bool {
	if a == b {
		return false
	}
	wildA, wildB := strings.IndexAny(a, "+*"), strings.IndexAny(b, "+*")
	if (wildA < 0) != (wildB < 0) {
		return wildA < 0
	}
	if wildA != wildB {
		return wildA > wildB
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

// reaches tells whether the token has any right below prefix, which is what Vault asks before it
// tells a mount's type.
func (s *Server) reaches(t *token, prefix string) bool {
	if slices.Contains(t.policies, "root") {
		return true
	}
	for _, name := range t.policies {
		for _, r := range s.policies[name] {
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

// capabilitiesSelf answers as Vault does, with each path twice: in data, and beside it for old
// clients.
func (c *call) capabilitiesSelf() reply {
	if !c.write {
		return unsupportedOperation()
	}
	paths := listField(c.params, "paths")
	if len(paths) == 0 {
		paths = listField(c.params, "path")
	}
	if len(paths) == 0 {
		return fail(http.StatusBadRequest, "paths must be supplied")
	}
	data := map[string]any{}
	for _, p := range paths {
		data[p] = c.s.capabilities(c.token, "", strings.TrimPrefix(p, "/"))
	}
	if len(paths) == 1 {
		data["capabilities"] = data[paths[0]]
	}
	out := map[string]any{
		"request_id": newUUID(), "lease_id": "", "renewable": false, "lease_duration": 0, "data": data,
		"wrap_info": nil, "warnings": nil, "auth": nil, "mount_type": "system",
	}
	for k, v := range data {
		if _, taken := out[k]; !taken {
			out[k] = v
		}
	}
	return jsonReply(http.StatusOK, out)
}
