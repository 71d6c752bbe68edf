package vaulttest

import (
	"crypto"
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scripts are the seeds of FuzzRequests, a few requests for each family of routes. A line is
//
//	WHO METHOD PATH [BODY]
//
// where WHO is one of fuzzServer's tokens, a method with "!" asks for a wrapped answer, and the words
// in capitals stand for what a test has at hand: see fuzzServer.send. A line of a number lets as many
// seconds pass.
var scripts = []string{
	// tokens
	"1 POST auth/token/create {\"ttl\":\"5s\",\"num_uses\":2,\"type\":\"service\"}\nL GET auth/token/lookup-self\n5\nL GET auth/token/lookup-self",
	"0 POST auth/token/create-orphan {\"period\":\"1h\",\"explicit_max_ttl\":7200}\n3600\n0 POST auth/token/renew {\"token\":\"LAST\",\"increment\":1e99}",
	"0 POST auth/token/create {\"type\":\"batch\",\"ttl\":60,\"policies\":[\"all\"]}\nL GET database/creds/app\nL POST auth/token/renew-self\n60\n0 PUT sys/leases/renew {\"lease_id\":\"LEASE\"}",
	"0 POST auth/token/lookup-accessor {\"accessor\":\"ACCESSOR\"}\n0 POST auth/token/renew-accessor {\"accessor\":\"ACCESSOR\"}\n0 POST auth/token/revoke-accessor {\"accessor\":\"ACCESSOR\"}",
	"0 POST auth/token/revoke-orphan {\"token\":\"TOKEN\"}\n1 POST auth/token/revoke-self\n0 LIST auth/token/accessors",
	"4 POST auth/token/create\n4 GET auth/token/lookup-self\n5 POST auth/token/create",
	// leases
	"1 GET database/creds/app\n0 PUT sys/leases/renew {\"lease_id\":\"LEASE\",\"increment\":\"1d\"}\n0 PUT sys/leases/lookup {\"lease_id\":\"LEASE\"}\n3600",
	"1 GET database/creds/app\n5 GET database/creds/app\n0 LIST sys/leases/lookup/database/creds/app\n0 PUT sys/leases/revoke-prefix/database/creds",
	"1 GET database/creds/app\n0 PUT sys/leases/revoke {\"lease_id\":\"LEASE\",\"sync\":true}\n0 POST sys/revoke-force/database\n0 PUT sys/renew/LEASE",
	"0 PUT sys/leases/revoke-prefix/auth/token\n0 LIST sys/leases/lookup/auth/\n0 PUT sys/leases/tidy",
	// a database's static roles
	"0 GET database/static-creds/fixed\n86399\n0 GET database/static-creds/fixed\n1\n0 GET database/static-creds/fixed\n0 POST database/rotate-role/fixed",
	"0 LIST database/roles\n0 LIST database/static-roles\n0 GET database/roles/app\n0 POST database/roles/new {\"default_ttl\":-1}\n0 DELETE database/roles/app",
	// KV version 2
	"1 POST secret/data/a/b {\"data\":{\"x\":[1,{\"y\":null}]},\"options\":{\"cas\":1e99}}\n1 LIST secret/metadata/a/\n1 GET secret/data/a?version=-1",
	"1 PATCH secret/data/a {\"data\":{\"x\":null,\"z\":{\"y\":1}},\"options\":{\"cas\":1}}\n1 GET secret/data/a?version=2\n1 GET secret/subkeys/a?depth=1",
	"1 POST secret/metadata/a {\"max_versions\":1,\"cas_required\":true,\"delete_version_after\":\"5s\",\"custom_metadata\":{\"k\":\"v\"}}\n1 POST secret/data/a {\"data\":{}}\n5\n1 GET secret/data/a\n1 PATCH secret/metadata/a {\"custom_metadata\":null}",
	"1 DELETE secret/data/a\n1 POST secret/undelete/a {\"versions\":[1,\"2\",-3,{}]}\n1 POST secret/destroy/a {\"versions\":\"1\"}\n1 DELETE secret/metadata/a",
	"0 POST secret/config {\"max_versions\":-1,\"delete_version_after\":\"1s\"}\n0 GET secret/config\n1 POST secret/data/n {\"data\":{\"n\":1}}\n2\n1 GET secret/metadata/n",
	// KV version 1
	"1 PUT old/a {\"x\":1,\"ttl\":\"1h\"}\n1 GET old/a\n1 LIST old/\n1 DELETE old/a\n1 GET old/a",
	// wrapping and cubbyholes
	"0 POST! sys/wrapping/wrap {\"a\":1}\n3 POST sys/wrapping/lookup {\"token\":\"LAST\"}\n0 POST sys/wrapping/rewrap {\"token\":\"LAST\"}\nL POST sys/wrapping/unwrap\nL POST sys/wrapping/unwrap",
	"1 GET! database/creds/app\n60\nL POST sys/wrapping/unwrap",
	"2 POST! auth/approle/login {\"role_id\":\"ROLE\",\"secret_id\":\"SECRET\"}\nL GET cubbyhole/response\n1 GET! secret/data/none",
	"1 POST sys/wrapping/unwrap {\"token\":\"WRAPPED\"}\n0 GET! sys/wrapping/lookup {\"token\":7}",
	"1 POST cubbyhole/a/b {\"x\":1}\n1 LIST cubbyhole/\n1 GET cubbyhole/a/b\n1 DELETE cubbyhole/a/b\n4 POST cubbyhole/c {\"x\":1}",
	// logins
	"2 POST auth/approle/login {\"role_id\":\"ROLE\",\"secret_id\":\"SECRET\"}\nL POST auth/token/renew-self {\"increment\":\"1h\"}\n60\nL GET auth/token/lookup-self",
	"0 POST auth/approle/role/app/secret-id {\"ttl\":5,\"num_uses\":1,\"metadata\":\"{}\",\"cidr_list\":\"1.2.3.4/32\"}\n0 LIST auth/approle/role/app/secret-id\n0 POST auth/approle/role/app/secret-id/lookup {\"secret_id\":\"LAST\"}\n6\n0 POST auth/approle/role/app/secret-id/destroy {\"secret_id\":\"LAST\"}",
	"0 GET auth/approle/role/app/role-id\n0 POST auth/approle/role/new {\"token_ttl\":\"-1\"}\n0 POST auth/approle/role/app/custom-secret-id {\"secret_id\":\"x\"}\n0 DELETE auth/approle/role/app",
	"2 POST auth/userpass/login/mitchell {\"password\":\"right\"}\n2 POST auth/userpass/login/mitchell {\"password\":[]}\nL POST auth/token/renew-self\n0 POST auth/userpass/users/mitchell/password {\"password\":\"\"}\n0 DELETE auth/userpass/users/mitchell\nL POST auth/token/renew-self",
	"2 POST auth/jwt/login {\"role\":\"app\",\"jwt\":\"a.b.c\"}\n2 POST auth/jwt/login {\"role\":\"app\",\"jwt\":\"JWT\"}\nL POST auth/token/renew-self\n0 GET auth/jwt/config",
	"2 POST auth/kubernetes/login {\"role\":\"app\",\"jwt\":\"KUBE\"}\nL GET database/creds/app\n2 POST auth/kubernetes/login {\"jwt\":7}",
	"2 POST auth/aws/login {\"role\":\"app\",\"iam_http_request_method\":\"POST\",\"iam_request_url\":\"aHR0cHM6Ly9zdHMuYW1hem9uYXdzLmNvbS8=\",\"iam_request_body\":\"QWN0aW9uPUdldENhbGxlcklkZW50aXR5\",\"iam_request_headers\":\"e30=\"}\n0 GET auth/aws/role/app",
	// transit
	"1 POST transit/encrypt/k {\"plaintext\":\"aGk=\"}\n1 POST transit/decrypt/k {\"ciphertext\":\"LAST\"}\n0 POST transit/keys/k/rotate\n1 POST transit/rewrap/k {\"ciphertext\":\"LAST\"}\n1 POST transit/keys/k/config {\"min_decryption_version\":2}",
	"1 POST transit/encrypt/k {\"batch_input\":[{\"plaintext\":\"aGk=\"}]}\n1 POST transit/encrypt/k {\"batch_input\":[{\"plaintext\":\"aGk=\"},{\"plaintext\":1},{}]}\n1 POST transit/decrypt/k {\"batch_input\":[{\"ciphertext\":\"vault:v1:AAAA\"},{\"ciphertext\":\"vault:v99:\"}]}",
	"1 POST transit/sign/e {\"input\":\"aGk=\"}\n1 POST transit/verify/e {\"input\":\"aGk=\",\"signature\":\"LAST\"}\n1 POST transit/hmac/k/sha2-512 {\"input\":\"aGk=\"}\n1 POST transit/sign/e/none {\"input\":\"aGk=\",\"prehashed\":true}",
	"0 POST transit/keys/new {\"type\":\"ed25519\",\"derived\":true}\n0 POST transit/keys/new/config {\"deletion_allowed\":true,\"min_encryption_version\":-1}\n0 GET transit/keys/new\n0 DELETE transit/keys/new\n0 POST transit/random/7 {\"format\":\"hex\"}\n0 POST transit/hash/sha2-256 {\"input\":\"\"}",
	"0 POST transit/datakey/plaintext/k {\"bits\":128}\n0 GET transit/export/encryption-key/k/latest\n0 POST transit/keys/k/trim {\"min_available_version\":2}",
	// PKI
	"0 POST pki/issue/web {\"common_name\":\"a.example.test\",\"ttl\":\"1h\",\"alt_names\":\"*.example.test,@\",\"ip_sans\":\"::1\"}\n0 LIST pki/certs\n0 GET pki/cert/ca\n0 GET pki/ca/pem\n3600",
	"0 POST! pki/issue/web {\"common_name\":\"localhost\"}\n0 POST pki/sign/web {\"csr\":\"-----BEGIN\"}\n0 POST pki/revoke {\"serial_number\":\"00:11\"}\n0 GET pki/crl\n0 GET pki/cert/00",
	// policies, mounts and the seal
	"1 POST sys/capabilities-self {\"paths\":[\"+\",\"*\",\"\"]}\n0 POST sys/capabilities {\"token\":\"TOKEN\",\"paths\":\"secret/data/x\"}\n0 PUT sys/policies/acl/p {\"policy\":\"path \\\"a\\\" {}\"}\n0 LIST sys/policies/acl",
	"1 GET sys/internal/ui/mounts/secret/a\n2 GET sys/internal/ui/mounts\n0 GET sys/mounts/secret/tune\n0 GET sys/auth\n0 POST sys/mounts/x {\"type\":\"kv\"}",
	"0 PUT sys/seal\n1 GET secret/data/a\n2 GET sys/health?standbyok=true&sealedcode=99\n60\n2 PUT sys/unseal {\"key\":\"UNSEAL\"}\n2 PUT sys/unseal {\"reset\":true}\n1 GET secret/data/a",
	"2 GET sys/seal-status\n2 GET sys/leader\n2 HEAD sys/health\n2 GET sys/init\n2 OPTIONS ..//%2e\n0 GET v1/../sys",
}

// FuzzRequests sends a few requests, and checks after each that nothing panics and that the books
// agree.
func FuzzRequests(f *testing.F) {
	for _, script := range scripts {
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script string) {
		s := newFuzzServer(t)
		for n, line := range strings.Split(script, "\n") {
			if n == 12 {
				break
			}
			if seconds, err := strconv.ParseUint(line, 10, 24); err == nil {
				s.Advance(time.Duration(seconds) * time.Second)
				s.checkBooks(t)
				continue
			}
			s.send(line)
			s.checkBooks(t)
		}
		s.Advance(2 * systemTTL)
		s.checkBooks(t)
		for _, l := range s.Leases() {
			t.Errorf("lease %s is immortal", l.Path)
		}
	})
}

// TestEachScriptIsUnderstood: a seed that no route knows would fuzz nothing.
func TestEachScriptIsUnderstood(t *testing.T) {
	for _, script := range scripts {
		s, good := newFuzzServer(t), 0
		for line := range strings.SplitSeq(script, "\n") {
			if seconds, err := strconv.Atoi(line); err == nil {
				s.Advance(time.Duration(seconds) * time.Second)
			} else if status := s.send(line); status >= 200 && status < 300 {
				good++
			}
		}
		if good == 0 {
			t.Errorf("no request of this script succeeds:\n%s", script)
		}
	}
}

// fuzzServer has something of everything.
type fuzzServer struct {
	*Server

	t      *testing.T
	client *http.Client
	tokens []string
	words  map[string]string
}

func newFuzzServer(t *testing.T) *fuzzServer {
	t.Helper()
	s := New(t)
	s.DynamicRole("database", "app", RoleSpec{DefaultTTL: time.Minute, MaxTTL: time.Hour})
	s.StaticRole("database", "fixed", StaticSpec{Username: "fixed", Rotate: func(string, string) error { s.Leases(); return nil }})
	s.PutKV("secret", "a", map[string]any{"x": 1})
	s.MountKV1("old")
	s.TransitKey("transit", "k", TransitKeySpec{})
	s.TransitKey("transit", "e", TransitKeySpec{Type: "ed25519"})
	s.Policy("all",
		Rule{Path: "*", Capabilities: []string{"create", "read", "update", "patch", "delete", "list"}},
		Rule{Path: "+/data/+", Capabilities: []string{"deny"}},
		Rule{Path: "secret/data/a", Capabilities: []string{"create", "read", "update", "patch", "delete"}})
	s.Userpass("mitchell", "right", UserpassSpec{Policies: []string{"all"}, TokenTTL: time.Minute})
	s.PKIRole("pki", "web", PKIRoleSpec{AllowedDomains: []string{"example.test"}, AllowSubdomains: true, GenerateLease: true, TTL: time.Minute})
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	s.JWT(JWTSpec{Keys: []crypto.PublicKey{key.Public()}})
	s.JWTRole("app", JWTRoleSpec{BoundSubject: "app", Policies: []string{"all"}, TokenTTL: time.Minute})
	s.KubernetesRole("app", KubernetesRoleSpec{
		BoundServiceAccountNames: []string{"app"}, BoundServiceAccountNamespaces: []string{"*"}, Policies: []string{"all"}, TokenType: "batch",
	})
	s.AWSRole("app", AWSRoleSpec{BoundIAMPrincipalARNs: []string{"arn:aws:iam::123456789012:user/app"}})
	roleID, secretID := s.AppRole("app", AppRoleSpec{Policies: []string{"all"}, TokenTTL: time.Minute})
	parent := s.CreateToken(TokenSpec{Policies: []string{"all"}, TTL: time.Hour})
	child := s.CreateToken(TokenSpec{Policies: []string{"all"}, NumUses: 2, Parent: parent})
	return &fuzzServer{
		Server: s, t: t, client: s.Client(),
		tokens: []string{
			s.RootToken(), parent, "", "hvs.unknown", child,
			s.CreateToken(TokenSpec{Policies: []string{"all"}, Batch: true, TTL: time.Minute, Parent: parent}),
		},
		words: map[string]string{
			"LAST": "none", "ROLE": roleID, "SECRET": secretID, "TOKEN": parent, "ACCESSOR": s.tokens[parent].accessor,
			"UNSEAL": s.UnsealKey(), "WRAPPED": s.Wrap(map[string]any{"a": 1}, time.Minute),
			"KUBE": s.ServiceAccountToken("default", "app", time.Hour),
			"JWT":  s.SignJWT(key, map[string]any{"sub": "app", "iat": s.Now().Unix(), "exp": s.Now().Add(time.Hour).Unix()}),
		},
	}
}

// send sends one line's request and returns its status; zero if it is no request at all.
func (s *fuzzServer) send(line string) int {
	part := append(strings.SplitN(line, " ", 4), "", "", "", "")
	token := s.words["LAST"]
	if who, err := strconv.ParseUint(part[0], 10, 8); err == nil {
		token = s.tokens[who%uint64(len(s.tokens))]
	}
	s.words["LEASE"] = "none"
	if leases := s.Leases(); len(leases) > 0 {
		s.words["LEASE"] = leases[0].ID
	}
	path, body := part[2], part[3]
	for word, means := range s.words {
		path, body = strings.ReplaceAll(path, word, means), strings.ReplaceAll(body, word, means)
	}
	method, wrap := strings.CutSuffix(part[1], "!")
	req, err := http.NewRequestWithContext(s.t.Context(), method, "http://vault/v1/"+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("X-Vault-Token", token)
	if wrap {
		req.Header.Set("X-Vault-Wrap-Ttl", "60")
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatalf("%q: %v", line, err)
	}
	defer resp.Body.Close()
	var got struct {
		Auth struct {
			Token string `json:"client_token"`
		} `json:"auth"`
		Wrap struct{ Token string } `json:"wrap_info"`
		Data struct {
			Ciphertext, Signature string
			SecretID              string `json:"secret_id"`
		} `json:"data"`
	}
	_ = json.NewDecoder(resp.Body).Decode(&got) // what is no such answer has none of these
	for _, last := range []string{got.Auth.Token, got.Wrap.Token, got.Data.Ciphertext, got.Data.Signature, got.Data.SecretID} {
		if last != "" {
			s.words["LAST"] = last
		}
	}
	return resp.StatusCode
}

// checkBooks checks that every lease and token hangs on a living one, from both sides, and that
// nothing is overdue.
func (s *fuzzServer) checkBooks(t *testing.T) {
	t.Helper()
	s.lock()
	defer s.unlock()
	now := s.now()
	for id, l := range s.leases {
		if id != l.id || !now.Before(l.end()) {
			t.Errorf("lease %s is past its end", id)
		}
		if l.owner != nil && (s.Server.tokens[l.owner.id] != l.owner || l.owner.leases[id] != l) {
			t.Errorf("lease %s hangs on a dead token", id)
		}
		if l.owner == nil && !l.via.batch {
			t.Errorf("lease %s hangs on nothing", id)
		}
	}
	accessors := map[string]bool{}
	for id, tok := range s.Server.tokens {
		tok.check(t, s.Server, now)
		if id != tok.id || tok.accessor != "" && accessors[tok.accessor] {
			t.Errorf("token %s is there twice", tok.accessor)
		}
		accessors[tok.accessor] = true
	}
	for path, m := range s.mounts {
		switch e := m.engine.(type) {
		case *databaseEngine:
			for name, r := range e.static {
				if r.rotating || !now.Before(r.next) || r.rotated.After(now) {
					t.Errorf("static role %s should have rotated", name)
				}
			}
		case *kv2Engine:
			for name, key := range e.keys {
				if key.current < len(key.versions) || len(key.versions) > 0 && key.versions[key.current] == nil {
					t.Errorf("secret %s has versions that it never had", name)
				}
			}
		case *transitEngine:
			for name, key := range e.keys {
				if key.latest() == 0 || key.minDecryption > key.latest() || key.minEncryption > key.latest() {
					t.Errorf("transit key %s has no version to work with", name)
				}
			}
		}
		if path != m.path {
			t.Errorf("mount %s is at %s", m.path, path)
		}
	}
	if len(s.before) > 0 || s.next.Before(now) {
		t.Error("something is overdue")
	}
}

func (tok *token) check(t *testing.T, s *Server, now time.Time) {
	t.Helper()
	switch {
	case tok.expired(now) || tok.spent || tok.parent != nil && s.tokens[tok.parent.id] != tok.parent:
		t.Errorf("token %s should be dead", tok.accessor)
	case tok.batch && (tok.accessor != "" || len(tok.leases)+len(tok.children)+len(tok.cubbyhole) > 0):
		t.Error("something is stored for a batch token")
	case tok.limited && tok.uses < 1:
		t.Errorf("token %s is used up", tok.accessor)
	case tok.wrapped != nil && (tok.uses != 1 || tok.expires.IsZero() || len(tok.policies) != 1):
		t.Errorf("wrapping token %s is good for more than unwrapping", tok.accessor)
	}
	for id, l := range tok.leases {
		if s.leases[id] != l {
			t.Errorf("token %s keeps the dead lease %s", tok.accessor, id)
		}
	}
	for _, child := range tok.children {
		if s.tokens[child.id] != child || child.parent != tok {
			t.Errorf("token %s keeps a dead child", tok.accessor)
		}
	}
}
