package vaulttest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestUserpass(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	c.want(403, lockedOut, "", "POST", "auth/userpass/login/bob", `{"password":"pw"}`) // nothing is mounted there
	s.Userpass("Bob", "pw", vaulttest.UserpassSpec{Policies: []string{"b", "a"}, TokenTTL: time.Hour})
	s.Userpass("bob", "other", vaulttest.UserpassSpec{Mount: "team/users", TokenType: "batch", TokenTTL: time.Minute})

	a := c.want(200, `"policies":["a","b","default"]`, "", "PUT", "auth/userpass/login/BOB", `{"password":"pw"}`)
	assert.Equal(t, 3600, a.secret.Auth.LeaseDuration)
	c.want(200, `"display_name":"userpass-bob"`, a.secret.Auth.ClientToken, "GET", "auth/token/lookup-self", "")
	a = c.want(200, `"token_type":"batch"`, "", "POST", "auth/team/users/login/bob", `{"password":"other"}`)
	c.want(200, `"display_name":"team-users-bob"`, a.secret.Auth.ClientToken, "GET", "auth/token/lookup-self", "")

	const wrong = `{"errors":["invalid username or password"]}`
	c.want(400, wrong, "", "POST", "auth/userpass/login/bob", `{"password":"other"}`)
	c.want(400, wrong, "", "POST", "auth/userpass/login/ann", `{"password":"pw"}`)
	c.want(400, `{"errors":["invalid credentials"]}`, "", "POST", "auth/userpass/login/bob", "")
}

func TestUserpassUserChanges(t *testing.T) {
	s := vaulttest.New(t)
	c := inProcess(t, s)
	s.Userpass("bob", "pw", vaulttest.UserpassSpec{Policies: []string{"a"}, TokenTTL: time.Hour})
	tok := c.want(200, "client_token", "", "POST", "auth/userpass/login/bob", `{"password":"pw"}`).secret.Auth.ClientToken

	s.Userpass("bob", "new", vaulttest.UserpassSpec{Policies: []string{"default", "A"}, TokenTTL: time.Minute})
	c.want(400, "invalid username or password", "", "POST", "auth/userpass/login/bob", `{"password":"pw"}`)
	a := c.want(200, "lease_duration", tok, "POST", "auth/token/renew-self", "")
	assert.Equal(t, 60, a.secret.Auth.LeaseDuration, "a renewal goes by the user of now")

	s.Userpass("bob", "new", vaulttest.UserpassSpec{Policies: []string{"more"}})
	c.want(500, "policies have changed, not renewing", tok, "POST", "auth/token/renew-self", "")
	c.want(204, "", s.RootToken(), "DELETE", "auth/userpass/users/BOB", "")
	c.want(204, "", tok, "POST", "auth/token/renew-self", "")
}
