package likeness

import (
	"testing"
	"time"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// userpass defines a user on both sides.
func (p *pair) userpass(mount, name string, params map[string]any, spec vaulttest.UserpassSpec) {
	p.t.Helper()
	methods, _ := p.real.Read("sys/auth")["data"].(map[string]any)
	if _, enabled := methods[mount+"/"]; !enabled {
		p.real.Write("sys/auth/"+mount, map[string]any{"type": "userpass"})
	}
	p.real.Write("auth/"+mount+"/users/"+name, params)
	spec.Mount = mount
	password, _ := params["password"].(string)
	p.fake.Userpass(name, password, spec)
}

func TestUserpassLogin(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.play(step{do: "POST auth/userpass/login/bob", body: `{"password":"pw"}`})
	p.userpass("userpass", "Bob", map[string]any{"password": "pw", "token_policies": "b,a", "token_ttl": "1h", "token_max_ttl": "2h"},
		vaulttest.UserpassSpec{Policies: []string{"b", "a"}, TokenTTL: time.Hour, TokenMaxTTL: 2 * time.Hour})
	p.userpass("userpass", "eve.h_2-x", map[string]any{"password": "5"}, vaulttest.UserpassSpec{})
	p.userpass("team/users", "bob", map[string]any{"password": "other"}, vaulttest.UserpassSpec{})
	const bob = "POST auth/userpass/login/bob"
	p.play(
		step{do: bob, body: `{"password":"pw"}`, save: "t=auth.client_token"},
		step{as: "t", do: lookup},
		step{as: "t", do: renew},
		step{as: "t", do: renew, body: `{"increment":"100m"}`},
		step{as: "t", do: "GET auth/userpass/users/bob"},
		step{do: "PUT auth/userpass/login/BoB", body: `{"password":"pw","username":"eve","more":1}`, save: "caps=auth.client_token"},
		step{as: "caps", do: lookup},
		step{as: "caps", do: bob, body: `{"password":"pw"}`},
		step{do: "POST auth/userpass/login/eve.h_2-x", body: `{"password":5}`, save: "eve=auth.client_token"},
		step{as: "eve", do: lookup},
		step{do: "POST auth/team/users/login/bob", body: `{"password":"other"}`, save: "there=auth.client_token"},
		step{as: "there", do: lookup},
		step{do: bob, body: `{"password":"other"}`},
		step{do: bob, body: `{"password":"PW"}`},
		step{do: bob, body: `{"password":" pw "}`},
		step{do: bob, body: `{"password":true}`},
		step{do: bob, body: `{"password":"pw"}`}, // counts anew
		step{do: bob},
		step{do: bob, body: `{"password":""}`},
		step{do: bob, body: `{"password":null}`},
		step{do: bob, body: `{"passwort":"pw"}`},
		step{do: bob, body: `{"password":"pw"}`},
		step{do: "POST auth/userpass/login/ann", body: `{"password":"pw"}`},
		step{do: "POST auth/userpass/login/ann"},
		step{do: "POST auth/userpass/login", body: `{"username":"bob","password":"pw"}`},
		step{do: "POST auth/userpass/login/", body: `{"username":"bob","password":"pw"}`},
		step{do: "POST auth/userpass/login/bob/x", body: `{"password":"pw"}`},
		step{do: "POST auth/userpass/login/-bob", body: `{"password":"pw"}`},
		step{do: "POST auth/userpass/login/bob.", body: `{"password":"pw"}`},
		step{do: "POST auth/userpass/login/b@b", body: `{"password":"pw"}`},
		step{do: "GET auth/userpass/login/bob"},
		step{do: "GET auth/userpass/login/bob?password=pw"},
		step{do: "DELETE auth/userpass/login/bob"},
		step{do: "LIST auth/userpass/login/bob"},
		step{do: "GET auth/userpass/login/b@b"},
		step{do: "POST auth/userpass/users/bob"},
	)
}

func TestUserpassUsers(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.userpass("userpass", "bob", map[string]any{"password": "pw", "token_policies": "A", "token_ttl": "1h"},
		vaulttest.UserpassSpec{Policies: []string{"A"}, TokenTTL: time.Hour})
	p.userpass("userpass", "Batch", map[string]any{"password": "pw", "token_type": "batch", "token_no_default_policy": true, "token_explicit_max_ttl": 60},
		vaulttest.UserpassSpec{TokenType: "batch", NoDefaultPolicy: true, TokenExplicitMaxTTL: time.Minute})
	p.userpass("userpass", "few", map[string]any{"password": "pw", "token_num_uses": 2, "token_period": "1m", "token_type": "service"},
		vaulttest.UserpassSpec{TokenNumUses: 2, TokenPeriod: time.Minute, TokenType: "service"})
	p.userpass("userpass", "rooted", map[string]any{"password": "pw", "token_policies": "root"}, vaulttest.UserpassSpec{Policies: []string{"root"}})
	const change = "POST auth/userpass/users/bob/password"
	p.play(
		step{as: "root", do: "LIST auth/userpass/users"},
		step{as: "root", do: "GET auth/userpass/users?list=true"},
		step{as: "root", do: "GET auth/userpass/users"},
		step{as: "root", do: "GET auth/userpass/users/"},
		step{as: "root", do: "GET auth/userpass/users/BOB"},
		step{as: "root", do: "GET auth/userpass/users/batch"},
		step{as: "root", do: "GET auth/userpass/users/few"},
		step{as: "root", do: "GET auth/userpass/users/ann"},
		step{as: "root", do: "GET auth/userpass/users/-ann"},
		step{as: "root", do: "GET auth/userpass/users/bob/nothing"},
		step{as: "root", do: "GET auth/userpass/users/bob/policies"},
		step{as: "root", do: "GET auth/userpass/users/bob/password"},
		step{as: "root", do: "LIST auth/userpass/users/bob"},
		step{as: "root", do: "GET auth/userpass/nothing"},
		step{do: "GET auth/userpass/users/bob"},
		step{do: "POST auth/userpass/login/batch", body: `{"password":"pw"}`, save: "batch=auth.client_token"},
		step{as: "batch", do: lookup, loose: "explicit_max_ttl"},
		step{do: "POST auth/userpass/login/few", body: `{"password":"pw"}`, save: "few=auth.client_token"},
		step{as: "few", do: renew},
		step{do: "POST auth/userpass/login/rooted", body: `{"password":"pw"}`},
		step{do: "POST auth/userpass/login/bob", body: `{"password":"pw"}`, save: "t=auth.client_token"},
		step{as: "t", do: renew},
		// Passwords.
		step{as: "root", do: change},
		step{as: "root", do: change, body: `{"password":""}`},
		step{as: "root", do: change, body: `{"password":["x"]}`},
		step{as: "root", do: change, body: `{"password":"x","password_hash":"y"}`},
		step{as: "root", do: "POST auth/userpass/users/ann/password", body: `{"password":"new"}`},
		step{do: change, body: `{"password":"new"}`},
		step{as: "root", do: change, body: `{"password":"new","username":"ann"}`},
		step{do: "POST auth/userpass/login/bob", body: `{"password":"pw"}`},
		step{do: "POST auth/userpass/login/bob", body: `{"password":"new"}`},
		step{as: "t", do: renew},
	)
	// Users that change, and go.
	p.userpass("userpass", "bob", map[string]any{"password": "pw", "token_policies": "a,default", "token_ttl": "2h", "token_max_ttl": "3h"},
		vaulttest.UserpassSpec{Policies: []string{"a", "default"}, TokenTTL: 2 * time.Hour, TokenMaxTTL: 3 * time.Hour})
	p.play(step{as: "t", do: renew}, step{as: "t", do: lookup})
	p.userpass("userpass", "bob", map[string]any{"password": "pw", "token_policies": "a,more"}, vaulttest.UserpassSpec{Policies: []string{"a", "more"}})
	p.play(
		step{as: "t", do: renew},
		step{as: "root", do: "DELETE auth/userpass/users/Bob"},
		step{as: "root", do: "DELETE auth/userpass/users/bob"},
		step{as: "t", do: renew},
		step{as: "t", do: lookup},
		step{do: "POST auth/userpass/login/bob", body: `{"password":"pw"}`},
		step{as: "root", do: "LIST auth/userpass/users"},
	)
}

func TestUserpassLockout(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	for _, name := range []string{"bob", "eve"} {
		p.userpass("userpass", name, map[string]any{"password": "pw"}, vaulttest.UserpassSpec{})
	}
	wrong := step{do: "POST auth/userpass/login/bob", body: `{"password":"wrong"}`}
	right := step{do: "POST auth/userpass/login/bob", body: `{"password":"pw"}`}
	missing := step{do: "POST auth/userpass/login/BOB"}
	unknown := step{do: "POST auth/userpass/login/ann", body: `{"password":"wrong"}`}
	nobody := step{do: "POST auth/userpass/login/ann"}
	p.play(
		wrong, wrong, missing, missing, right,
		wrong, missing, wrong, missing, wrong,
		wrong, missing, right,
		step{do: "GET auth/userpass/login/bob"},
		step{do: "POST auth/userpass/login/eve", body: `{"password":"pw"}`},
		unknown, unknown, unknown, unknown, unknown, unknown,
		nobody, nobody, nobody, nobody, nobody, nobody, unknown,
	)
}
