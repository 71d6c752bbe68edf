package vaulttest_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestTokenLivesByTTLAndMaximum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		id, secret := s.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: 8 * time.Second, TokenMaxTTL: 12 * time.Second})
		tok := c.login(id, secret)

		time.Sleep(7 * time.Second)
		a := c.want(200, `["TTL of \"8s\" exceeded the effective max_ttl of \"5s\"; TTL value is capped accordingly"]`, tok, "POST", "auth/token/renew-self", "")
		if d := a.secret.Auth.LeaseDuration; d != 5 {
			t.Fatalf("renewed for %d s, want 5", d)
		}
		time.Sleep(5*time.Second - time.Nanosecond)
		c.want(200, `"ttl":`, tok, "GET", "auth/token/lookup-self", "")
		time.Sleep(time.Nanosecond)
		c.want(403, tokenDead, tok, "GET", "auth/token/lookup-self", "")
		if n := len(s.Tokens()); n != 0 {
			t.Fatalf("%d tokens left", n)
		}
	})
}

func TestF13IncrementShortens(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	tok := s.CreateToken(vaulttest.TokenSpec{TTL: time.Hour})
	a := c.want(200, `"warnings":null`, tok, "POST", "auth/token/renew-self", `{"increment":"5s"}`)
	if a.secret.Auth.LeaseDuration != 5 {
		t.Fatalf("renewed for %d s", a.secret.Auth.LeaseDuration)
	}
	s.Advance(6 * time.Second)
	c.want(403, tokenDead, tok, "POST", "auth/token/renew-self", "")
}

func TestTokenKinds(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)

	periodic := s.CreateToken(vaulttest.TokenSpec{Period: 10 * time.Second})
	for range 5 {
		s.Advance(9 * time.Second)
		c.want(200, `"lease_duration":10,`, periodic, "POST", "auth/token/renew-self", `{"increment":500}`)
	}
	fixed := s.CreateToken(vaulttest.TokenSpec{NotRenewable: true})
	c.want(400, `{"errors":["lease is not renewable"]}`, fixed, "POST", "auth/token/renew-self", "")
	batch := s.CreateToken(vaulttest.TokenSpec{Batch: true, TTL: time.Minute})
	c.want(400, `{"errors":["batch tokens cannot be renewed"]}`, batch, "POST", "auth/token/renew-self", "")
	c.want(400, `{"errors":["batch tokens cannot be revoked"]}`, batch, "POST", "auth/token/revoke-self", "")
	c.want(200, `"type":"batch"`, batch, "GET", "auth/token/lookup-self", "")
	bare := s.CreateToken(vaulttest.TokenSpec{NoDefaultPolicy: true, Policies: []string{"x"}})
	c.want(403, policyDenied, bare, "POST", "auth/token/renew-self", "")
	c.want(400, `{"errors":["lease is not renewable"]}`, s.RootToken(), "POST", "auth/token/renew-self", "")
}

func TestA10LastUseIsAllowedAndThenTheTokenDies(t *testing.T) {
	s := vaulttest.New(t)
	s.DynamicRole("database", "app", vaulttest.RoleSpec{})
	s.Policy("db", vaulttest.Rule{Path: "database/creds/+", Capabilities: []string{"read"}})
	c := inProcess(t, s)
	tok := s.CreateToken(vaulttest.TokenSpec{NumUses: 3, Policies: []string{"db"}})
	c.want(200, `"num_uses":2`, tok, "GET", "auth/token/lookup-self", "")
	c.want(200, "lease_id", tok, "GET", "database/creds/app", "")
	if len(s.Leases()) != 1 {
		t.Fatal("no lease")
	}
	c.want(400, "Secret cannot be returned; token had one use left", tok, "GET", "database/creds/app", "")
	c.want(403, tokenDead, tok, "GET", "auth/token/lookup-self", "")
	if n := len(s.Leases()); n != 0 {
		t.Fatalf("%d leases outlived the token", n)
	}

	// A refused request is a use, too.
	tok = s.CreateToken(vaulttest.TokenSpec{NumUses: 1})
	c.want(403, policyDenied, tok, "GET", "secret/data/x", "")
	c.want(403, tokenDead, tok, "GET", "secret/data/x", "")
}

func TestCreateAndRevokeByAPI(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	root := s.RootToken()
	parent := c.want(200, `"policies":["default","p"]`, root, "POST", "auth/token/create", `{"policies":["p"],"ttl":"1h"}`)
	s.Policy("p", vaulttest.Rule{Path: "auth/token/create", Capabilities: []string{"update"}})
	child := c.want(200, `"orphan":false`, parent.secret.Auth.ClientToken, "PUT", "auth/token/create", `{"ttl":"10m"}`)
	c.want(400, "child policies must be subset of parent", parent.secret.Auth.ClientToken, "POST", "auth/token/create", `{"policies":["q"]}`)
	c.want(200, `"id":""`, root, "POST", "auth/token/lookup-accessor", `{"accessor":"`+child.secret.Auth.Accessor+`"}`)
	c.want(204, "", root, "POST", "auth/token/revoke-accessor", `{"accessor":"`+parent.secret.Auth.Accessor+`"}`)
	c.want(403, tokenDead, child.secret.Auth.ClientToken, "GET", "auth/token/lookup-self", "")
	c.want(403, `{"errors":["bad token"]}`, root, "POST", "auth/token/lookup", `{"token":"gone"}`)
	c.want(204, "", root, "POST", "auth/token/revoke", `{"token":"gone"}`)
	c.want(405, "unsupported operation", root, "GET", "auth/token/create", "")
	if s.RevokeToken("gone") {
		t.Fatal("revoked nothing")
	}
}

func TestAppRoleLogin(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	id, secret := s.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"b", "a"}, SecretIDNumUses: 1, TokenType: "batch", TokenTTL: time.Minute})
	const invalid = `{"errors":["invalid role or secret ID"]}`
	c.want(400, invalid, "", "POST", "auth/approle/login", `{"role_id":"`+id+`","secret_id":"bad"}`)
	c.want(400, invalid, "", "POST", "auth/approle/login", `{"role_id":"bad","secret_id":"`+secret+`"}`)
	c.want(400, "missing secret_id", "", "POST", "auth/approle/login", `{"role_id":"`+id+`"}`)
	a := c.want(200, `"policies":["a","b","default"]`, "hvs.stale", "PUT", "auth/approle/login", `{"role_id":"`+id+`","secret_id":"`+secret+`"}`)
	if a.secret.Auth.TokenType != "batch" || a.secret.Auth.Renewable || a.secret.Auth.LeaseDuration != 60 {
		t.Fatal(a.text)
	}
	c.want(400, invalid, "", "POST", "auth/approle/login", `{"role_id":"`+id+`","secret_id":"`+secret+`"}`)
	c.login(id, s.NewSecretID(id))
	kept := s.NewSecretID(id)
	s.DestroySecretID(kept)
	c.want(400, invalid, "", "POST", "auth/approle/login", `{"role_id":"`+id+`","secret_id":"`+kept+`"}`)
}

func TestPolicies(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.Policy("p",
		vaulttest.Rule{Path: "secret/*", Capabilities: []string{"list", "read"}},
		vaulttest.Rule{Path: "secret/data/d*", Capabilities: []string{"deny"}},
		vaulttest.Rule{Path: "+/data/dd", Capabilities: []string{"read"}},
		vaulttest.Rule{Path: "secret/data/new", Capabilities: []string{"create"}},
		vaulttest.Rule{Path: "secret/data/team/+/key", Capabilities: []string{"update", "read", "create"}},
	)
	s.Policy("q", vaulttest.Rule{Path: "secret/data/new", Capabilities: []string{"read"}})
	tok := s.CreateToken(vaulttest.TokenSpec{Policies: []string{"p", "q"}})
	c.want(403, policyDenied, tok, "GET", "secret/data/dd", "")
	c.want(404, `{"errors":[]}`, tok, "GET", "secret/data/zzz", "")
	c.want(403, policyDenied, tok, "PUT", "secret/data/zzz", `{"data":{}}`)
	c.want(200, `"version":1`, tok, "PUT", "secret/data/new", `{"data":{}}`)
	c.want(403, policyDenied, tok, "PUT", "secret/data/new", `{"data":{}}`)
	c.want(200, `"data":{}`, tok, "GET", "secret/data/new", "")
	c.want(200, `"version":1`, tok, "POST", "secret/data/team/blue/key", `{"data":{}}`)
	c.want(403, policyDenied, tok, "POST", "secret/data/team/blue/deeper/key", `{"data":{}}`)
	// F16: what root gets as 404, an application gets as 403.
	c.want(403, policyDenied, tok, "GET", "nomount/x", "")
	c.want(404, `no handler for route \"nomount/x\". route entry not found.`, s.RootToken(), "GET", "nomount/x", "")
	c.want(404, "Invalid path for a versioned K/V secrets engine", s.RootToken(), "GET", "secret/foo", "")

	a := c.want(200, `"mount_type":"system"`, tok, "POST", "sys/capabilities-self", `{"paths":["secret/data/new","secret/data/d","x"]}`)
	if got := a.secret.Data["secret/data/new"]; !slices.Equal(got.([]any), []any{"create", "read"}) {
		t.Fatalf("capabilities %v", got)
	}
	if got := a.body["x"]; !slices.Equal(got.([]any), []any{"deny"}) {
		t.Fatalf("capabilities %v", got)
	}
	c.want(200, `"options":{"version":"2"}`, tok, "GET", "sys/internal/ui/mounts/secret/team/x", "")
	none := s.CreateToken(vaulttest.TokenSpec{})
	c.want(403, "preflight capability check returned 403", none, "GET", "sys/internal/ui/mounts/secret/team/x", "")
}
