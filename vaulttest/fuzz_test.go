package vaulttest

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// FuzzRequests sends a few requests made from the input, and checks after each that nothing panics
// and that the books of tokens and leases agree.
func FuzzRequests(f *testing.F) {
	f.Add("POST", "auth/token/create", `{"ttl":"5s","num_uses":2}`, uint16(7))
	f.Add("GET", "database/creds/app", ``, uint16(3600))
	f.Add("PUT", "sys/leases/renew", `{"lease_id":"LEASE","increment":"1d"}`, uint16(0))
	f.Add("PUT", "sys/leases/revoke", `{"lease_id":"LEASE"}`, uint16(0))
	f.Add("LIST", "secret/metadata/a/", ``, uint16(1))
	f.Add("POST", "secret/data/a/b", `{"data":{"x":[1,{"y":null}]},"options":{"cas":1e99}}`, uint16(1))
	f.Add("POST", "secret/destroy/a", `{"versions":[1,"2",-3,{}]}`, uint16(1))
	f.Add("POST", "sys/capabilities-self", `{"paths":["+","*",""]}`, uint16(1))
	f.Add("POST", "auth/approle/login", `{"role_id":"ROLE","secret_id":"SECRET"}`, uint16(1))
	f.Add("POST", "auth/token/revoke-self", ``, uint16(1))
	f.Fuzz(func(t *testing.T, method, path, body string, seconds uint16) {
		s := New(t)
		s.DynamicRole("database", "app", RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Hour})
		s.PutKV("secret", "a", map[string]any{"x": 1})
		s.Policy("all", Rule{"*", []string{"create", "read", "update", "delete", "list"}}, Rule{"+/data/+", []string{"deny"}})
		roleID, secretID := s.AppRole("app", AppRoleSpec{Policies: []string{"all"}, TokenTTL: time.Minute})
		parent := s.CreateToken(TokenSpec{Policies: []string{"all"}, TTL: time.Hour})
		tokens := []string{
			s.RootToken(), parent, "", "hvs.unknown",
			s.CreateToken(TokenSpec{Policies: []string{"all"}, NumUses: 2, Parent: parent}),
			s.CreateToken(TokenSpec{Policies: []string{"all"}, Batch: true, TTL: time.Minute, Parent: parent}),
		}
		client := s.Client()
		send := func(token, method, path, body string) {
			body = strings.NewReplacer("LEASE", anyLease(s), "ROLE", roleID, "SECRET", secretID).Replace(body)
			req, err := http.NewRequest(method, "http://vault/v1/x", strings.NewReader(body))
			if err != nil {
				return // no HTTP request at all
			}
			req.URL.Path, req.URL.RawQuery, _ = strings.Cut("/v1/"+path, "?")
			req.Header.Set("X-Vault-Token", token)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatalf("%s %q: %v", method, path, err)
			}
			resp.Body.Close()
			if resp.StatusCode < 200 || resp.StatusCode > 599 {
				t.Fatalf("%s %q: status %d", method, path, resp.StatusCode)
			}
			s.checkBooks(t)
		}
		for _, token := range tokens {
			send(token, "GET", "database/creds/app", "")
			send(token, method, path, body)
			s.Advance(time.Duration(seconds) * time.Second)
			s.checkBooks(t)
		}
		s.Advance(2 * systemTTL)
		for _, l := range s.Leases() {
			t.Errorf("lease %s is immortal", l.Path)
		}
	})
}

func anyLease(s *Server) string {
	for _, l := range s.Leases() {
		return l.ID
	}
	return "none"
}

// checkBooks checks that every lease and token hangs on a living one, from both sides.
func (s *Server) checkBooks(t *testing.T) {
	t.Helper()
	s.lock()
	defer s.unlock()
	now := s.now()
	for id, l := range s.leases {
		if !now.Before(l.end()) {
			t.Errorf("lease %s is past its end", id)
		}
		if l.owner != nil && (s.tokens[l.owner.id] != l.owner || l.owner.leases[id] != l) {
			t.Errorf("lease %s hangs on a dead token", id)
		}
	}
	for _, tok := range s.tokens {
		if tok.expired(now) || tok.parent != nil && s.tokens[tok.parent.id] != tok.parent {
			t.Errorf("token %s should be dead", tok.accessor)
		}
		for id, l := range tok.leases {
			if s.leases[id] != l {
				t.Errorf("token %s keeps the dead lease %s", tok.accessor, id)
			}
		}
		for _, child := range tok.children {
			if s.tokens[child.id] != child {
				t.Errorf("token %s keeps a dead child", tok.accessor)
			}
		}
	}
}
