package vaulttest_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

const (
	invalidAppRole = `{"errors":["invalid role or secret ID"]}`
	lockedOut      = `{"errors":["permission denied"]}`
)

func appRoleBody(roleID, secretID string) string {
	return `{"role_id":"` + roleID + `","secret_id":"` + secretID + `"}`
}

func TestSecretIDDiesAtItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		role, secret := s.AppRole("app", vaulttest.AppRoleSpec{SecretIDTTL: 10 * time.Second})
		time.Sleep(5 * time.Second)
		later := s.NewSecretID(role)
		time.Sleep(5*time.Second - time.Nanosecond)
		tok := c.login(role, secret)
		time.Sleep(time.Nanosecond)
		c.want(400, invalidAppRole, "", "POST", "auth/approle/login", appRoleBody(role, secret))
		c.want(204, "", s.RootToken(), "POST", "auth/approle/role/app/secret-id/lookup", `{"secret_id":"`+secret+`"}`)
		c.want(200, `"id"`, tok, "GET", "auth/token/lookup-self", "")
		a := c.want(200, `"keys"`, s.RootToken(), "LIST", "auth/approle/role/app/secret-id", "")
		assert.Len(t, a.secret.Data["keys"], 1)
		c.login(role, later)
	})
}

func TestSecretIDUsesCountDown(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	role, secret := s.AppRole("app", vaulttest.AppRoleSpec{SecretIDNumUses: 2})
	c.login(role, secret)
	c.want(200, `"secret_id_num_uses":1`, s.RootToken(), "POST", "auth/approle/role/app/secret-id/lookup", `{"secret_id":"`+secret+`"}`)
	c.login(role, secret)
	c.want(400, invalidAppRole, "", "POST", "auth/approle/login", appRoleBody(role, secret))
	other, ofOther := s.AppRole("other", vaulttest.AppRoleSpec{})
	s.DestroySecretID(ofOther)
	c.want(400, invalidAppRole, "", "POST", "auth/approle/login", appRoleBody(other, ofOther))
}

func TestWrappedSecretIDIsGoodOnceWithinItsTTL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		role, _ := s.AppRole("app", vaulttest.AppRoleSpec{SecretIDNumUses: 1})
		wrapped, late := s.WrappedSecretID(role, time.Minute), s.WrappedSecretID(role, time.Minute)
		a := c.want(200, `"creation_path":"auth/approle/role/app/secret-id"`, "", "POST", "sys/wrapping/lookup", `{"token":"`+wrapped+`"}`)
		assert.EqualValues(t, 60, a.secret.Data["creation_ttl"])
		a = c.want(200, `"secret_id_num_uses":1`, wrapped, "POST", "sys/wrapping/unwrap", "")
		c.login(role, a.secret.Data["secret_id"].(string))
		c.want(400, "wrapping token is not valid or does not exist", wrapped, "POST", "sys/wrapping/unwrap", "")
		time.Sleep(time.Minute)
		c.want(400, "wrapping token is not valid or does not exist", late, "POST", "sys/wrapping/unwrap", "")
	})
}

func TestAppRoleRedefined(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	id, first := s.AppRole("App", vaulttest.AppRoleSpec{RoleID: "chosen", TokenTTL: time.Hour})
	require.Equal(t, "chosen", id)
	tok := c.login(id, first)
	again, second := s.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Minute})
	require.Equal(t, id, again, "the role ID stays")
	c.login(id, first)
	c.login(id, second)
	a := c.want(200, "lease_duration", tok, "POST", "auth/token/renew-self", "")
	assert.Equal(t, 60, a.secret.Auth.LeaseDuration, "a renewal goes by the role of now")

	moved, _ := s.AppRole("app", vaulttest.AppRoleSpec{RoleID: "elsewhere"})
	require.Equal(t, "elsewhere", moved)
	c.want(400, invalidAppRole, "", "POST", "auth/approle/login", appRoleBody(id, second))
	c.login(moved, second)
}

func TestAppRoleWithoutSecretID(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	id, secret := s.AppRole("open", vaulttest.AppRoleSpec{NoBindSecretID: true})
	assert.Empty(t, secret)
	c.login(id, "")
	c.want(400, "bind_secret_id is not set on the role", s.RootToken(), "POST", "auth/approle/role/open/secret-id", "")
}

func TestUsersAreLockedOutForAQuarterOfAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := vaulttest.New(t)
		c := inProcess(t, s)
		role, secret := s.AppRole("app", vaulttest.AppRoleSpec{})
		s.Userpass("bob", "pw", vaulttest.UserpassSpec{})
		for _, method := range []struct{ path, right, wrong string }{
			{"auth/approle/login", appRoleBody(role, secret), appRoleBody(role, "wrong")},
			{"auth/userpass/login/bob", `{"password":"pw"}`, `{"password":"wrong"}`},
		} {
			wrong := func(n int) {
				for range n {
					c.want(400, "invalid", "", "POST", method.path, method.wrong)
				}
			}
			wrong(4)
			time.Sleep(15*time.Minute + 2*time.Second) // after which they no longer count
			wrong(5)
			c.want(403, lockedOut, "", "POST", method.path, method.right)
			time.Sleep(15*time.Minute - 2*time.Second)
			c.want(403, lockedOut, "", "POST", method.path, method.wrong)
			time.Sleep(2 * time.Second)
			c.want(200, "client_token", "", "POST", method.path, method.right)
			wrong(4)
			c.want(200, "client_token", "", "POST", method.path, method.right)
		}
	})
}

func TestAuthSetUpThatIsWrong(t *testing.T) {
	approle := func(spec vaulttest.AppRoleSpec) func(*vaulttest.Server) {
		return func(s *vaulttest.Server) { s.AppRole("app", spec) }
	}
	for name, c := range map[string]struct {
		wrong func(*vaulttest.Server)
		says  string
	}{
		"token type":     {approle(vaulttest.AppRoleSpec{TokenType: "periodic"}), `invalid 'token_type' value "periodic"`},
		"batch uses":     {approle(vaulttest.AppRoleSpec{TokenType: "batch", TokenNumUses: 1}), "limited use count"},
		"batch period":   {approle(vaulttest.AppRoleSpec{TokenType: "batch", TokenPeriod: time.Second}), "periodic tokens"},
		"TTL over max":   {approle(vaulttest.AppRoleSpec{TokenTTL: 2 * time.Second, TokenMaxTTL: time.Second}), "cannot be greater than 'token_max_ttl'"},
		"negative TTL":   {approle(vaulttest.AppRoleSpec{TokenTTL: -1}), "TokenTTL -1ns is negative"},
		"negative max":   {approle(vaulttest.AppRoleSpec{TokenMaxTTL: -1}), "TokenMaxTTL -1ns is negative"},
		"negative bound": {approle(vaulttest.AppRoleSpec{TokenExplicitMaxTTL: -1}), "TokenExplicitMaxTTL -1ns is negative"},
		"negative uses":  {approle(vaulttest.AppRoleSpec{TokenNumUses: -1}), "'token_num_uses' cannot be negative"},
		"no period":      {approle(vaulttest.AppRoleSpec{TokenPeriod: -1}), "TokenPeriod -1ns is negative"},
		"secret ID uses": {approle(vaulttest.AppRoleSpec{SecretIDNumUses: -1}), "secret_id_num_uses cannot be negative"},
		"secret ID TTL":  {approle(vaulttest.AppRoleSpec{SecretIDTTL: -1}), "SecretIDTTL -1ns is negative"},
		"other mount":    {approle(vaulttest.AppRoleSpec{Mount: "token"}), "which is no approle"},
		"role name":      {func(s *vaulttest.Server) { s.AppRole("a b", vaulttest.AppRoleSpec{}) }, `no name like "a b"`},
		"role ID in use": {func(s *vaulttest.Server) {
			s.AppRole("a", vaulttest.AppRoleSpec{RoleID: "x"})
			s.AppRole("b", vaulttest.AppRoleSpec{RoleID: "x"})
		}, "role_id already in use"},
		"no such role":     {func(s *vaulttest.Server) { s.NewSecretID("nobody") }, "no role has this role ID"},
		"wrapped for none": {func(s *vaulttest.Server) { s.WrappedSecretID("nobody", time.Second) }, "no role has this role ID"},
		"wrapped no TTL":   {func(s *vaulttest.Server) { s.WrappedSecretID("nobody", 0) }, "needs a TTL"},
		"unbound role": {func(s *vaulttest.Server) {
			id, _ := s.AppRole("a", vaulttest.AppRoleSpec{NoBindSecretID: true})
			s.NewSecretID(id)
		}, "bind_secret_id is not set"},
		"user name":   {func(s *vaulttest.Server) { s.Userpass("-", "x", vaulttest.UserpassSpec{}) }, `no name like "-"`},
		"no password": {func(s *vaulttest.Server) { s.Userpass("bob", "", vaulttest.UserpassSpec{}) }, "the password is empty"},
		"user's TTL": {
			func(s *vaulttest.Server) { s.Userpass("bob", "x", vaulttest.UserpassSpec{TokenTTL: -1}) }, "TokenTTL -1ns is negative",
		},
		"user elsewhere": {
			func(s *vaulttest.Server) { s.Userpass("bob", "x", vaulttest.UserpassSpec{Mount: "approle"}) }, "which is no userpass",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tb := &notingTB{TB: t}
			c.wrong(vaulttest.New(tb))
			require.Len(t, tb.fatal, 1)
			assert.Contains(t, tb.fatal[0], c.says)
		})
	}
}

// What is left out of a method says so.
func TestAuthThatIsNotModelled(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	role, _ := s.AppRole("app", vaulttest.AppRoleSpec{})
	s.Userpass("bob", "pw", vaulttest.UserpassSpec{})
	for _, r := range []struct{ method, path, body string }{
		{"POST", "auth/approle/role/app", `{"token_ttl":"1h"}`},
		{"POST", "auth/approle/role/app/role-id", `{"role_id":"x"}`},
		{"GET", "auth/approle/role/app/token-ttl", ""},
		{"POST", "auth/approle/role/app/secret-id", `{"cidr_list":"10.0.0.0/8"}`},
		{"POST", "auth/approle/role/app/secret-id", `{"token_bound_cidrs":["10.0.0.0/8"]}`},
		{"POST", "auth/approle/tidy/secret-id", ""},
		{"POST", "auth/approle/login", `{"role_id":["` + role + `"]}`},
		{"POST", "auth/userpass/login/bob", `{"password":["pw"]}`},
		{"POST", "auth/userpass/users/bob", `{"password":"x"}`},
		{"POST", "auth/userpass/users/bob/policies", `{"token_policies":"x"}`},
		{"POST", "auth/userpass/users/bob/password", `{"password_hash":"x"}`},
		{"POST", "auth/userpass/users/BOB/password", `{"password":"x"}`},
	} {
		c.want(501, "vaulttest does not model", s.RootToken(), r.method, r.path, r.body)
	}
	c.want(200, "client_token", "", "POST", "auth/userpass/login/bob", `{"password":"pw"}`)
}
