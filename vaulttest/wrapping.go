package vaulttest

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// wrappingPolicy is the one policy of a wrapping token, by which Vault knows it.
const wrappingPolicy = "response-wrapping"

// wrapped is what a wrapping token holds.
type wrapped struct {
	answer  reply
	path    string // of the request that was answered
	created time.Time
	ttl     time.Duration
}

// Wrap puts data away as sys/wrapping/wrap does, and returns the wrapping token, which unwraps it
// once and dies after ttl.
func (s *Server) Wrap(data map[string]any, ttl time.Duration) string {
	s.tb.Helper()
	if why := unfitWrapping(ttl); why != "" {
		s.tb.Fatalf("vaulttest: Wrap: %s", why)
		return ""
	}
	kept, err := exactNumbers(data)
	if err != nil {
		s.tb.Fatalf("vaulttest: Wrap: %v", err)
		return ""
	}
	s.lock()
	defer s.unlock()
	return s.wrap(ok("system", kept), "sys/wrapping/wrap", ttl).id
}

// unfitWrapping tells why a wrapping token cannot live for ttl; empty: it can.
func unfitWrapping(ttl time.Duration) string {
	if ttl == 0 {
		return "a wrapping token needs a TTL"
	}
	return unfit(term{"ttl", ttl})
}

// exactNumbers takes data through JSON, as a client's would go.
func exactNumbers(data map[string]any) (map[string]any, error) {
	text, err := json.Marshal(data)
	if err != nil {
		return nil, err
	}
	return decodeObject(text)
}

// wrap keeps an answer under a new token that is good for one use. The caller holds mu.
func (s *Server) wrap(r reply, path string, ttl time.Duration) *token {
	now := s.now()
	t := &token{
		id: "hvs." + randomText(90), accessor: randomText(24), path: path, policies: []string{wrappingPolicy},
		issued: now, expires: now.Add(ttl), ttl: ttl, creationTTL: ttl, explicitMax: ttl, uses: 1, limited: true,
		leases:  map[string]*lease{},
		wrapped: &wrapped{r, path, now, ttl},
		cubbyhole: map[string]map[string]any{
			"response": {"response": strings.TrimSuffix(string(r.body), "\n")},
			"wrapinfo": {"creation_path": path, "creation_time": timeText(now), "creation_ttl": int64(ttl)},
		},
	}
	t.made = s.number()
	s.tokens[t.id] = t
	s.soon(t.expires)
	return t
}

// wrapReply puts a wrapping token in the place of an answer, if the request asked for that and the
// answer is one that Vault wraps: not an error, and not empty.
func (c *call) wrapReply(r reply) reply {
	ttl := c.wrapTTL
	rewrapping := c.rewrapped != nil
	if rewrapping && (ttl == 0 || c.rewrapped.ttl < ttl) {
		ttl = c.rewrapped.ttl
	}
	switch {
	case ttl == 0:
		return r
	case c.method == "LIST" && r.bare404():
		return fail(http.StatusNotFound, "unsupported path") // an empty list is not wrapped
	case !r.holdsSecret():
		return r
	}
	path := c.aclPath()
	if rewrapping {
		path = c.rewrapped.path
	}
	t := c.s.wrap(r, path, ttl)
	info := map[string]any{
		"token": t.id, "accessor": t.accessor, "ttl": int64(ttl.Seconds()), "creation_time": timeText(t.issued),
		"creation_path": path,
	}
	var held struct {
		Data struct {
			SecretIDAccessor string `json:"secret_id_accessor"`
		} `json:"data"`
		Auth *struct {
			Accessor string `json:"accessor"`
		} `json:"auth"`
	}
	_ = json.Unmarshal(r.body, &held) // what is no such object has no accessor
	switch {
	case rewrapping:
	case held.Auth != nil && held.Auth.Accessor != "":
		info["wrapped_accessor"] = held.Auth.Accessor
	case held.Auth == nil && held.Data.SecretIDAccessor != "" && strings.HasPrefix(c.path, "auth/"):
		info["wrapped_accessor"] = held.Data.SecretIDAccessor
	}
	return jsonReply(http.StatusOK, envelope{WrapInfo: info})
}

// bare404 tells whether the answer is Vault's 404 without a word.
func (r reply) bare404() bool {
	return r.status == http.StatusNotFound && bytes.Equal(r.body, fail(http.StatusNotFound).body)
}

// holdsSecret tells whether Vault would wrap the answer. KV's 404 of a deleted version is such a one,
// since it has data.
func (r reply) holdsSecret() bool {
	failed := r.status != http.StatusOK && (r.status != http.StatusNotFound || bytes.HasPrefix(r.body, []byte(`{"errors"`)))
	return r.err == nil && !failed
}

// checkWrapping finds the wrapping token of a request to lookup, unwrap or rewrap: in the body, or
// else the one in the header. Vault does so before it looks at the caller's own token.
func (c *call) checkWrapping() *reply {
	bad := func(why string) *reply {
		r := fail(http.StatusForbidden, "error validating wrapping token: "+why)
		return &r
	}
	id := c.tokenID
	if given := c.params["token"]; given != nil {
		text, isText := given.(string)
		switch {
		case !isText:
			return bad("could not decode token in request body")
		case text == "":
			return bad("empty token in request body")
		}
		id = text
	}
	if id == "" {
		return bad("token is empty")
	}
	c.wrapping = c.s.tokens[id]
	if c.wrapping == nil || c.wrapping.wrapped == nil || !slices.Equal(c.wrapping.policies, []string{wrappingPolicy}) {
		r := fail(http.StatusBadRequest, "wrapping token is not valid or does not exist")
		return &r
	}
	return nil
}

var wrappingFields = schema{"token": asText}

// wrappingRoute answers sys/wrapping/REST.
func (c *call) wrappingRoute(rest string) reply {
	switch rest {
	case "wrap", "unwrap", "rewrap", "lookup":
	default:
		return unmodelled("sys/wrapping/" + rest)
	}
	switch {
	case c.method == "LIST":
		return unsupportedPath()
	case c.write, rest == "lookup" && c.method == http.MethodGet:
	case rest == "lookup":
		return fail(http.StatusMethodNotAllowed, "unsupported operation") // so on paths without a token
	default:
		return unsupportedOperation()
	}
	if rest == "wrap" {
		if c.wrapTTL == 0 {
			return fail(http.StatusBadRequest, "endpoint requires response wrapping to be used")
		}
		return ok("system", c.params)
	}
	f, bad := c.fields(wrappingFields)
	if bad != nil {
		return *bad
	}
	w := c.wrapping.wrapped
	if rest == "lookup" {
		return answer(http.StatusOK, envelope{Warnings: f.warnings, Data: map[string]any{
			"creation_path": w.path, "creation_time": timeText(w.created), "creation_ttl": w.ttl.Seconds(),
		}})
	}
	if c.wrapping != c.token { // one's own is spent already
		c.s.revokeToken(c.wrapping)
	}
	if rest == "rewrap" {
		c.rewrapped = w
	}
	return w.answer
}
