package vaulttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"path"
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
	tokenID string
	wrapTTL string
	params  map[string]any
	token   *token // nil on the routes that need none
	now     time.Time
}

// newCall notes the request in the log. The caller holds mu.
func newCall(s *Server, req *http.Request) *call {
	c := &call{s: s, method: req.Method, query: req.URL.Query()}
	c.path, c.api = strings.CutPrefix(req.URL.Path, "/v1/")
	c.path = strings.TrimPrefix(c.path, "/")
	if c.method == http.MethodGet && boolText(c.query.Get("list")) {
		c.method = "LIST"
	}
	c.write = c.method == http.MethodPost || c.method == http.MethodPut
	c.tokenID = req.Header.Get("X-Vault-Token")
	if c.tokenID == "" {
		c.tokenID, _ = strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	}
	c.wrapTTL = req.Header.Get("X-Vault-Wrap-Ttl")
	entry := Request{
		Method: c.method, Path: c.path, Time: s.now(),
		Namespace: strings.Trim(req.Header.Get("X-Vault-Namespace"), "/"),
	}
	if t := s.tokens[c.tokenID]; t != nil {
		entry.Accessor = t.accessor
	}
	c.index = len(s.log)
	s.log = append(s.log, entry)
	return c
}

func boolText(s string) bool { return s == "true" || s == "1" }

// handle answers a request that no fault has stopped.
func (s *Server) handle(c *call, req *http.Request) reply {
	if !c.api {
		return unmodelled("paths outside /v1/")
	}
	// The body first: reading it may block, and the lock must not.
	if bad := c.readBody(req); bad != nil {
		return *bad
	}
	s.lock()
	defer s.unlock()
	c.now = s.now()
	return c.route()
}

func (c *call) readBody(req *http.Request) *reply {
	c.params = map[string]any{}
	if req.Body == nil {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(req.Body, maxBody+1))
	if err != nil {
		return &reply{err: err}
	}
	if len(body) > maxBody {
		r := fail(http.StatusRequestEntityTooLarge, "http: request body too large")
		return &r
	}
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return nil
	}
	// Vault takes a form from clients that send one, and JSON whatever its declared type.
	if body[0] != '{' && body[0] != '[' && strings.HasPrefix(req.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, _ := url.ParseQuery(string(body))
		for k := range form {
			c.params[k] = form.Get(k)
		}
		return nil
	}
	params, err := decodeObject(body)
	if err != nil {
		r := fail(http.StatusBadRequest, "error parsing JSON: failed to parse JSON input: "+err.Error())
		return &r
	}
	c.params = params
	return nil
}

// decodeObject reads one JSON object and keeps its numbers as written: a float64 would spoil those
// above 2^53.
func decodeObject(body []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var out map[string]any
	if err := d.Decode(&out); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("data after the top-level value")
	}
	if out == nil {
		out = map[string]any{}
	}
	return out, nil
}

// route sends the call to its handler, in Vault's order: seal, routes without a token, the token,
// its policies, the mount. The caller holds mu.
func (c *call) route() reply {
	switch {
	case hasDotSegment(c.path):
		return reply{status: http.StatusTemporaryRedirect, header: http.Header{"Location": {path.Clean("/v1/" + c.path)}}}
	case c.operation(nil) == "":
		return fail(http.StatusMethodNotAllowed)
	case c.path == "sys/health":
		return c.health()
	case c.path == "sys/seal-status":
		return c.sealStatus()
	case c.s.sealed:
		return fail(http.StatusServiceUnavailable, "Vault is sealed")
	case c.wrapTTL != "":
		return unmodelled("response wrapping")
	}
	m := c.s.mountOf(c.path)
	rest := ""
	if m != nil {
		if below, inside := strings.CutPrefix(c.path, m.path); inside {
			rest = below // of the mount itself, without its slash: nothing
		}
		if e, isOpener := m.engine.(opener); isOpener && e.opens(rest) {
			return m.engine.serve(c, m, rest)
		}
	}
	if m == nil && unmodelledMethod(c.path) {
		return unmodelled(c.path)
	}
	if c.tokenID == "" {
		return fail(http.StatusForbidden, "permission denied")
	}
	t := c.s.tokens[c.tokenID]
	if t == nil || t.spent {
		return deadToken()
	}
	c.token = t
	if below, found := strings.CutPrefix(c.path, "sys/internal/ui/mounts/"); found {
		return c.mountInfo(below) // asks no policy and costs no use
	}
	// The use counts whatever comes of it, as a denied request does in Vault.
	if t.uses > 0 {
		t.uses--
		if t.uses == 0 {
			t.spent = true
			defer c.s.revokeToken(t)
		}
	}
	if !c.s.allowed(t, c.operation(m), c.path) {
		return deniedByPolicy()
	}
	switch {
	case strings.HasPrefix(c.path, "sys/"):
		return c.sys(strings.TrimPrefix(c.path, "sys/"))
	case m == nil && (strings.HasPrefix(c.path, "identity/") || strings.HasPrefix(c.path, "cubbyhole/")):
		return unmodelled(c.path)
	case m == nil:
		return fail(http.StatusNotFound, `no handler for route "`+c.path+`". route entry not found.`)
	}
	return m.engine.serve(c, m, rest)
}

// operation is the capability that the call needs. A write is a creation where the engine can tell
// that there is nothing yet, else an update.
func (c *call) operation(m *mount) string {
	switch c.method {
	case http.MethodGet, http.MethodHead:
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
	return "" // no method of Vault's
}

func hasDotSegment(path string) bool {
	for seg := range strings.SplitSeq(path, "/") {
		if seg == "." || seg == ".." {
			return true
		}
	}
	return false
}

// unmodelledMethod recognises the logins of Vault's other auth methods. Vault would say "permission
// denied" where they are not mounted, which would send the reader looking for a policy.
func unmodelledMethod(path string) bool {
	name, found := strings.CutPrefix(path, "auth/")
	if !found {
		return false
	}
	name, _, _ = strings.Cut(name, "/")
	switch name {
	case "kubernetes", "jwt", "oidc", "aws", "azure", "gcp", "userpass", "ldap", "cert", "github", "kerberos", "okta", "radius":
		return true
	}
	return false
}
