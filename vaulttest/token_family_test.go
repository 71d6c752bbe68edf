package vaulttest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// A token of auth/token/create that is renewed with an increment keeps it for the renewals that name
// none. One that comes from a login goes back to its role's TTL.
func TestAnIncrementSticksToACreatedToken(t *testing.T) {
	t.Parallel()
	s := vaulttest.New(t)
	c := inProcess(t, s)
	created := s.CreateToken(vaulttest.TokenSpec{TTL: time.Hour})
	loggedIn := c.login(s.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour}))
	for token, next := range map[string]string{created: `"lease_duration":60,`, loggedIn: `"lease_duration":3600,`} {
		c.want(200, `"lease_duration":60,`, token, "POST", "auth/token/renew-self", `{"increment":60}`)
		c.want(200, next, token, "POST", "auth/token/renew-self", "")
	}
}

func TestRevokeOrphanLeavesTheChildren(t *testing.T) {
	t.Parallel()
	s := vaulttest.New(t)
	c := inProcess(t, s)
	root := s.RootToken()
	parent := s.CreateToken(vaulttest.TokenSpec{})
	child := s.CreateToken(vaulttest.TokenSpec{Parent: parent})
	batch := s.CreateToken(vaulttest.TokenSpec{Parent: parent, Batch: true, TTL: time.Hour})
	c.want(200, `"orphan":false`, child, "GET", "auth/token/lookup-self", "")
	c.want(204, "", root, "POST", "auth/token/revoke-orphan", `{"token":"`+parent+`"}`)
	c.want(403, tokenDead, parent, "GET", "auth/token/lookup-self", "")
	c.want(200, `"orphan":true`, child, "GET", "auth/token/lookup-self", "")
	// A batch token is known by its parent alone, and dies with it all the same.
	c.want(403, tokenDead, batch, "GET", "auth/token/lookup-self", "")
	assert.Len(t, s.Tokens(), 1)
}

func TestSudo(t *testing.T) {
	t.Parallel()
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.Policy("plain", vaulttest.Rule{Path: "auth/token/*", Capabilities: []string{"update", "list"}})
	s.Policy("sudo", vaulttest.Rule{Path: "auth/token/*", Capabilities: []string{"update", "list", "sudo"}})
	plain := s.CreateToken(vaulttest.TokenSpec{Policies: []string{"plain"}})
	sudo := s.CreateToken(vaulttest.TokenSpec{Policies: []string{"sudo"}})
	c.want(403, policyDenied, plain, "LIST", "auth/token/accessors", "")
	c.want(200, `"keys":["`, sudo, "LIST", "auth/token/accessors", "")
	c.want(403, policyDenied, plain, "POST", "auth/token/revoke-orphan", `{"token":"x"}`)
	c.want(400, "token to revoke not found", sudo, "POST", "auth/token/revoke-orphan", `{"token":"x"}`)
	c.want(400, "root or sudo privileges required to create periodic token", plain, "POST", "auth/token/create", `{"period":"1h"}`)
	c.want(200, `"lease_duration":3600,`, sudo, "POST", "auth/token/create", `{"period":"1h"}`)
	c.want(400, "root tokens may not be created without parent token being root", sudo, "POST", "auth/token/create", `{"policies":["root"]}`)
	c.want(200, `"client_token":"by-name"`, sudo, "POST", "auth/token/create", `{"id":"by-name","ttl":"1h"}`)
	c.want(200, `"id":"by-name"`, "by-name", "GET", "auth/token/lookup-self", "")
}

// Vault counts in whole seconds since the issue, so that the last second of a token's longest life
// allows no renewal.
func TestNoRenewalInTheLastSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(900 * time.Millisecond)
		s := vaulttest.New(t)
		c := inProcess(t, s)
		tok := s.CreateToken(vaulttest.TokenSpec{TTL: 10 * time.Second, ExplicitMaxTTL: 10 * time.Second})
		time.Sleep(9100 * time.Millisecond)
		c.want(500, "past the max TTL, cannot renew", tok, "POST", "auth/token/renew-self", "")
		time.Sleep(900*time.Millisecond - time.Nanosecond)
		c.want(200, `"ttl":0`, tok, "GET", "auth/token/lookup-self", "")
		time.Sleep(time.Nanosecond)
		c.want(403, tokenDead, tok, "GET", "auth/token/lookup-self", "")
	})
}
