package vaulttest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestSealByAPI(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.DynamicRole("database", "app", vaulttest.RoleSpec{DefaultTTL: time.Minute})
	tok := dbToken(s, vaulttest.TokenSpec{})
	c.want(200, "lease_id", tok, "GET", "database/creds/app", "")
	c.want(403, policyDenied, tok, "PUT", "sys/seal", "")
	s.Policy("db", vaulttest.Rule{Path: "sys/seal", Capabilities: []string{"update"}})
	c.want(403, policyDenied, tok, "PUT", "sys/seal", "")
	s.Policy("db", vaulttest.Rule{Path: "sys/seal", Capabilities: []string{"update", "sudo"}})
	c.want(204, "", tok, "PUT", "sys/seal", "")

	c.want(503, "Vault is sealed", tok, "GET", "auth/token/lookup-self", "")
	c.want(200, `"sealed":true`, "", "GET", "sys/seal-status", "")
	c.want(400, "invalid key", "", "PUT", "sys/unseal", `{"key":"c2hvcnQ="}`)
	s.Advance(time.Minute)
	assert.Empty(t, s.Leases(), "time goes on behind the seal")
	c.want(200, `"sealed":false`, "", "PUT", "sys/unseal", `{"key":"`+s.UnsealKey()+`"}`)
	c.want(200, `"ttl":`, tok, "GET", "auth/token/lookup-self", "")
}

func TestMountsAreTold(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.DynamicRole("team/db", "app", vaulttest.RoleSpec{})
	s.Policy("app", vaulttest.Rule{Path: "team/db/creds/app", Capabilities: []string{"read"}})
	tok := s.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}, NumUses: 1})
	for range 2 { // it costs no use
		a := c.want(200, `"team/db/":{`, tok, "GET", "sys/internal/ui/mounts", "")
		assert.NotContains(t, a.text, `"secret/"`)
		c.want(200, `"path":"team/db/"`, tok, "GET", "sys/internal/ui/mounts/team/db/creds/app", "")
	}
	c.want(403, policyDenied, tok, "GET", "sys/mounts", "")
	c.want(200, `"auth":{},"secret":{}`, "", "GET", "sys/internal/ui/mounts", "")
	c.want(200, `"type":"database"`, s.RootToken(), "GET", "sys/mounts/team/db", "")
	c.want(501, "does not model", s.RootToken(), "POST", "sys/mounts/other", `{"type":"kv"}`)
	c.want(501, "does not model", s.RootToken(), "GET", "sys/host-info", "")
	for _, path := range []string{"sys/replication/status", "sys/rekey/init", "identity/oidc/.well-known/keys"} {
		c.want(501, "does not model", "", "GET", path, "") // open to all, so that a 403 would mislead
	}
}
