package vaulttest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// wrapped asks for a wrapped answer and returns the wrapping token.
func (c caller) wrapped(token, method, path, body, ttl string) string {
	c.t.Helper()
	c.header = map[string]string{"X-Vault-Wrap-TTL": ttl}
	a := c.want(200, `"wrap_info":{`, token, method, path, body)
	info, _ := a.body["wrap_info"].(map[string]any)
	id, _ := info["token"].(string)
	return id
}

func TestWrappedOnce(t *testing.T) {
	t.Parallel()
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.PutKV("secret", "a", map[string]any{"n": uint64(1<<63 + 1)})

	w := c.wrapped(s.RootToken(), "GET", "secret/data/a", "", "60")
	c.want(200, `"creation_path":"secret/data/a"`, "", "POST", "sys/wrapping/lookup", `{"token":"`+w+`"}`)
	c.want(200, `"n":9223372036854775809`, w, "POST", "sys/wrapping/unwrap", "")
	c.want(400, "wrapping token is not valid or does not exist", w, "POST", "sys/wrapping/unwrap", "")
	c.want(400, "wrapping token is not valid or does not exist", s.RootToken(), "POST", "sys/wrapping/unwrap", `{"token":"`+w+`"}`)
	assert.Empty(t, s.Tokens())
}

func TestWrappingTokenDies(t *testing.T) {
	t.Parallel()
	s := vaulttest.New(t)
	c := inProcess(t, s)
	w := s.Wrap(map[string]any{"a": 1}, time.Minute)
	s.Advance(time.Minute - time.Second)
	c.want(200, `"creation_ttl":60`, w, "GET", "sys/wrapping/lookup", "")
	s.Advance(time.Second)
	c.want(400, "wrapping token is not valid", w, "POST", "sys/wrapping/unwrap", "")
}

func TestWrapUnwraps(t *testing.T) {
	t.Parallel()
	s := vaulttest.New(t)
	c := inProcess(t, s)
	c.want(200, `"data":{"a":1}`, s.Wrap(map[string]any{"a": 1}, time.Minute), "POST", "sys/wrapping/unwrap", "")
	w := c.wrapped(s.RootToken(), "POST", "sys/wrapping/rewrap", `{"token":"`+s.Wrap(map[string]any{"a": 2}, time.Minute)+`"}`, "")
	c.want(200, `"data":{"a":2}`, w, "POST", "sys/wrapping/unwrap", "")
}

// A token that is wrapped is not handed out twice, nor is its lease lost.
func TestWrappedLoginAndLease(t *testing.T) {
	t.Parallel()
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.DynamicRole("database", "app", vaulttest.RoleSpec{DefaultTTL: time.Hour})
	s.Policy("db", vaulttest.Rule{Path: "database/creds/app", Capabilities: []string{"read"}})
	id, secret := s.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"db"}})
	w := c.wrapped("", "POST", "auth/approle/login", `{"role_id":"`+id+`","secret_id":"`+secret+`"}`, "1m")
	tok := c.want(200, "client_token", w, "POST", "sys/wrapping/unwrap", "").secret.Auth.ClientToken

	w = c.wrapped(tok, "GET", "database/creds/app", "", "1m")
	lease := c.want(200, "lease_id", w, "POST", "sys/wrapping/unwrap", "").secret.LeaseID
	leases := s.Leases()
	if assert.Len(t, leases, 1) {
		assert.Equal(t, leases[0].ID, lease)
	}
	c.want(204, "", tok, "POST", "auth/token/revoke-self", "")
	assert.Empty(t, s.Leases())
}

func TestCubbyholeDiesWithItsToken(t *testing.T) {
	t.Parallel()
	s := vaulttest.New(t)
	c := inProcess(t, s)
	tok := s.CreateToken(vaulttest.TokenSpec{TTL: time.Hour})
	c.want(204, "", tok, "POST", "cubbyhole/a/b", `{"x":1}`)
	c.want(200, `"data":{"x":1}`, tok, "GET", "cubbyhole/a/b", "")
	c.want(404, `{"errors":[]}`, s.RootToken(), "GET", "cubbyhole/a/b", "")
	s.Advance(time.Hour)
	c.want(403, tokenDead, tok, "GET", "cubbyhole/a/b", "")
}
