package vaulttest

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// call is one request on its way through the server.
type call struct {
	s       *Server
	index   int // in the log
	method  string
	write   bool // POST or PUT, which Vault does not tell apart
	api     bool // the path was under /v1/
	path    string
	query   url.Values
	header  http.Header
	tokenID string
	body    []byte
	params  map[string]any // the body's, or the query's where the method has no body
	token   *token         // nil on the routes that need none
	now     time.Time

	wrapTTL   time.Duration // asked for by X-Vault-Wrap-TTL
	wrapping  *token        // the wrapping token that the request is about
	rewrapped *wrapped      // what is answered is to be wrapped as this was
}

// handle answers a request that no fault has stopped.
func (s *Server) handle(c *call, bad *reply) reply {
	if !c.api {
		return unmodelled("paths outside /v1/")
	}
	if bad != nil {
		return *bad
	}
	s.lock()
	defer s.unlock()
	c.now = s.now()
	r := c.route()
	if ns := c.header.Get("X-Vault-Namespace"); ns != "" {
		if r.header = r.header.Clone(); r.header == nil {
			r.header = http.Header{}
		}
		r.header.Set("X-Vault-Namespace", ns) // of which Vault says no more
	}
	return r
}

// route sends the call to its handler. The caller holds mu.
func (c *call) route() reply {
	bad := c.parse()
	switch {
	case sealRoutes[c.path].serve != nil:
		return c.sealRoute(bad)
	case bad != nil:
		return *bad
	case c.method == "HELP", c.query.Get("help") != "":
		return unmodelled("the help for a path")
	case c.s.sealed:
		return fail(http.StatusServiceUnavailable, "Vault is sealed")
	}
	return c.wrapReply(c.serve())
}

// serve takes the call through Vault's checks, in their order: the routes without a token, the
// token, its policies, the mount.
func (c *call) serve() reply {
	m := c.s.mountOf(c.path)
	rest := ""
	if m != nil {
		if below, inside := strings.CutPrefix(c.path, m.path); inside {
			rest = below // of the mount itself, without its slash: nothing
		}
	}
	if r := c.serveWithoutToken(m, rest); r != nil {
		return *r
	}
	if c.tokenID == "" {
		return fail(http.StatusForbidden, "permission denied")
	}
	t := c.s.tokens[c.tokenID]
	if t == nil || t.spent {
		return deadToken()
	}
	c.token = t
	// The use counts whatever comes of it, as a denied request does in Vault.
	if t.uses > 0 {
		t.uses--
		if t.uses == 0 {
			t.spent = true
			defer c.s.revokeToken(t)
		}
	}
	if bad := c.misfit(m, rest); bad != nil {
		return *bad
	}
	if !c.s.allowed(t, c.operation(m), c.aclPath()) || c.lacksSudo() {
		return deniedByPolicy()
	}
	switch {
	case strings.HasPrefix(c.path, "sys/"):
		return c.sys(strings.TrimPrefix(c.path, "sys/"))
	case m == nil && strings.HasPrefix(c.path, "identity/"):
		return unmodelled(c.path)
	case m == nil:
		return fail(http.StatusNotFound, `no handler for route "`+c.aclPath()+`". route entry not found.`)
	case c.method == http.MethodHead || c.method == http.MethodOptions:
		return unsupportedOperation()
	}
	return m.engine.serve(c, m, rest)
}

// serveWithoutToken answers what asks no policy and costs no use: what is refused for its form, and
// the paths that are open to all. Nil: the call goes on.
func (c *call) serveWithoutToken(m *mount, rest string) *reply {
	if strings.HasSuffix(c.path, "/") && (c.write || c.method == http.MethodPatch) {
		return refused(http.StatusBadRequest, "cannot write to a path ending in '/'")
	}
	var r reply
	switch path := c.aclPath(); path {
	case "sys/wrapping/lookup", "sys/wrapping/unwrap", "sys/wrapping/rewrap":
		if bad := c.checkWrapping(); bad != nil || path != "sys/wrapping/lookup" {
			return bad
		}
		r = c.wrappingRoute("lookup")
		return &r
	case "auth/token/lookup", "auth/token/renew", "auth/token/revoke", "auth/token/revoke-orphan":
		if id, given := c.params["token"]; given && id == nil {
			return refused(http.StatusForbidden, "invalid token")
		}
	}
	if m == nil && (unmodelledMethod(c.path) || openUnmodelled.MatchString(c.path)) {
		r = unmodelled(c.path)
		return &r
	}
	if below, found := strings.CutPrefix(c.path, "sys/internal/ui/mounts"); found && (below == "" || below[0] == '/') {
		r = c.uiMounts(below)
		return &r
	}
	if m != nil {
		if e, isOpener := m.engine.(opener); isOpener && e.opens(rest) {
			r = m.engine.serve(c, m, rest)
			return &r
		}
	}
	return nil
}

// aclPath is the path as Vault's policies and messages have it: that of a list ends in a slash.
func (c *call) aclPath() string {
	if c.method == "LIST" && !strings.HasSuffix(c.path, "/") {
		return c.path + "/"
	}
	return c.path
}

// misfit is the refusal of a write that the policies are not even asked about.
func (c *call) misfit(m *mount, rest string) *reply {
	if c.write && m != nil {
		if e, isValidator := m.engine.(validator); isValidator {
			return e.validate(c, rest)
		}
	}
	return nil
}

// operation is the capability that the call needs. A write is a creation where the engine can tell
// that there is nothing yet, else an update. No policy but root's allows the rest, such as HEAD.
func (c *call) operation(m *mount) string {
	switch c.method {
	case http.MethodGet:
		return "read"
	case "LIST":
		return "list"
	case http.MethodDelete:
		return "delete"
	case http.MethodPatch:
		return "patch"
	case http.MethodPost, http.MethodPut:
		if m != nil {
			if e, isFinder := m.engine.(finder); isFinder && e.lacks(c, strings.TrimPrefix(c.path, m.path)) {
				return "create"
			}
		}
		return "update"
	}
	return "none"
}

// openUnmodelled are paths that Vault opens to all, and that are not modelled.
var openUnmodelled = regexp.MustCompile(`^(sys/(generate-root/attempt|rekey/init|rekey-recovery-key/init|replication/status|mfa/validate|internal/specs/openapi|internal/ui/(feature-flags|unauthenticated-messages)|storage/raft/bootstrap/challenge)|identity/oidc/(provider/[^/]+/)?\.well-known/.*)$`)

// unmodelledMethod recognises the logins of Vault's other auth methods. Vault would say "permission
// denied" where they are not mounted, which would send the reader looking for a policy.
func unmodelledMethod(path string) bool {
	name, found := strings.CutPrefix(path, "auth/")
	if !found {
		return false
	}
	name, _, _ = strings.Cut(name, "/")
	switch name {
	case "oidc", "azure", "gcp", "ldap", "cert", "github", "kerberos", "okta", "radius":
		return true
	}
	return false
}
