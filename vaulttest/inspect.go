package vaulttest

import (
	"slices"
	"strings"
	"time"
)

// Request is one request as the server saw it. Neither the token nor the body is kept; of the token,
// its accessor. What a request has changed is seen in Leases, Tokens and in the engines themselves.
type Request struct {
	Method    string    // LIST also where it came as GET with list=true
	Path      string    // without /v1/
	Status    int       // zero: not answered, or not yet; it may have taken effect all the same
	Namespace string    // the X-Vault-Namespace header; the server has no namespaces and ignores it
	Time      time.Time // when it came; what a fault holds is answered later
	Accessor  string    // of the token sent, if it was alive
}

// LeaseInfo is a living lease.
type LeaseInfo struct {
	ID, Path string
	Data     map[string]any
	// Expires is the lease's own end, the one that Vault tells. Ends is the true one as things
	// stand, no later than that of the token.
	Expires, Ends time.Time
	TokenAccessor string
}

// TokenInfo is a living token.
type TokenInfo struct {
	Accessor string // empty for a batch token
	Policies []string
	Type     string    // service or batch
	Path     string    // where it was obtained, such as auth/approle/login
	Expires  time.Time // zero: never
	NumUses  int       // left; zero: without limit
}

// Requests returns all requests that reached the server, the oldest first, those stopped by a fault
// included. While the server is closed nothing reaches it.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

// Count counts the requests with this method and a path that begins with pathPrefix, which may have
// /v1/ before it. An empty method counts all; PUT and POST, which are the same to Vault, count for
// each other.
func (s *Server) Count(method, pathPrefix string) int {
	method, pathPrefix = strings.ToUpper(method), apiPath(pathPrefix)
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, r := range s.log {
		if (method == "" || sameMethod(method, r.Method)) && strings.HasPrefix(r.Path, pathPrefix) {
			n++
		}
	}
	return n
}

// apiPath is a path without what may stand before it in a URL: taken as it is, it would fit nothing,
// and a test that counts nothing would be content.
func apiPath(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, "/"), "v1/") }

func sameMethod(a, b string) bool {
	if a == "PUT" {
		a = "POST"
	}
	if b == "PUT" {
		b = "POST"
	}
	return a == b
}

// Leases returns the living leases, the oldest first: none at the end of a test means that nothing
// was left behind.
func (s *Server) Leases() []LeaseInfo {
	s.lock()
	defer s.unlock()
	living := byAge(s.leases)
	out := make([]LeaseInfo, len(living))
	for i, l := range living {
		out[i] = LeaseInfo{l.id, l.path, cloneMap(l.data), l.expires, l.end(), l.via.accessor}
	}
	return out
}

// Alive tells whether a living lease's data holds this username: whether a database would still let
// the user in.
func (s *Server) Alive(username string) bool {
	s.lock()
	defer s.unlock()
	for _, l := range s.leases {
		if name, isText := l.data["username"].(string); isText && name == username {
			return true
		}
	}
	return false
}

// Tokens returns the living tokens, the oldest first, without the server's own root token.
func (s *Server) Tokens() []TokenInfo {
	s.lock()
	defer s.unlock()
	var out []TokenInfo
	for _, t := range byAge(s.tokens) {
		if t.id != s.rootID && !t.spent { // a spent one dies with the request that is under way
			out = append(out, TokenInfo{t.accessor, slices.Clone(t.policies), t.kind(), t.path, t.expires, t.uses})
		}
	}
	return out
}

// RevokeLease ends a lease, as an administrator would, and tells whether it was alive.
func (s *Server) RevokeLease(id string) bool {
	s.lock()
	defer s.unlock()
	l := s.leases[id]
	if l != nil {
		s.revokeLease(l)
	}
	return l != nil
}

// RevokeToken ends a token with its leases and children, as an administrator would, and tells
// whether it was alive. It takes the accessor, which Tokens and logins tell: a batch token has none.
func (s *Server) RevokeToken(accessor string) bool {
	s.tb.Helper()
	if strings.HasPrefix(accessor, "hvs.") || strings.HasPrefix(accessor, "hvb.") {
		s.tb.Fatalf("vaulttest: RevokeToken takes a token's accessor, and was given the token")
		return false
	}
	s.lock()
	defer s.unlock()
	t := s.byAccessor(accessor)
	if t != nil {
		s.revokeToken(t)
	}
	return t != nil
}
