package likeness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestTheCommandLineLogsIn(t *testing.T) {
	t.Parallel()
	p := newPair(t).terminals()
	p.know("wrong", "hvs.wrong", "hvs.wrong")
	p.policy("app", vaulttest.Rule{Path: "secret/data/*", Capabilities: []string{"read"}})
	realRole, realSecret := p.real.AppRole("approle", "app", map[string]any{"token_policies": "app", "token_ttl": "1h", "token_max_ttl": "4h"})
	fakeRole, fakeSecret := p.fake.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"app"}, TokenTTL: time.Hour, TokenMaxTTL: 4 * time.Hour})
	p.know("role", realRole, fakeRole)
	p.know("secret", realSecret, fakeSecret)
	tokens := func(want int, why string) func() {
		return func() { assert.Len(t, p.fake.Tokens(), want, why) }
	}
	p.run(
		// The program has no helper for AppRole: its users write to the login's path.
		line{run: "login -method=approle role_id={role} secret_id={secret}", exit: 1, want: "Unknown auth method: approle", then: tokens(0, "nothing was sent")},
		line{run: "write auth/approle/login role_id={role} secret_id={secret}", want: "token_duration 1h\ntoken_renewable true\ntoken_meta_role_name app", then: tokens(1, "of the login")},
		line{run: "write auth/approle/login role_id={role} secret_id=wrong", exit: 2, want: "invalid role or secret ID"},
		line{run: "write auth/approle/login secret_id={secret}", exit: 2},
		line{run: "write auth/approle/login role_id={role}", exit: 2, want: "missing secret_id"},
		line{run: "write -field=token auth/approle/login role_id={role} secret_id={secret}", save: "app"},

		line{run: "login {app}", want: "Success! You are now authenticated.\ntoken_policies [\"app\" \"default\"]"},
		line{run: "token lookup", want: "display_name approle\npath auth/approle/login\nmeta map[role_name:app]"},
		line{run: "token lookup -format=json", want: `"orphan": true`},
		line{run: "token renew", want: "token_duration 1h\ntoken_policies [\"app\" \"default\"]"},
		line{run: "token renew -increment=2h", want: "token_duration 2h"},
		line{run: "token renew -increment=10h", want: `TTL of "10h" exceeded the effective max_ttl of`},
		line{run: "token capabilities secret/data/a", want: "read"},
		line{run: "token capabilities nothing", want: "deny"},
		line{run: "token revoke -self", want: "Success! Revoked token (if it existed)", then: tokens(1, "of the first login alone")},
		line{run: "token lookup", exit: 2, want: "invalid token"},
		line{run: "login wrong", exit: 2, want: "Error authenticating: error looking up token"},
		line{run: "login -no-store {root}", want: "The token was not stored"},
		line{run: "login -token-only {root}", want: "{root}"},
		line{run: "login -", stdin: "{root}", want: "Success!"},
		line{run: "read -field=policies auth/token/lookup-self", want: "[root]"},
	)
}

func TestTheCommandLineLogsInWithAPassword(t *testing.T) {
	t.Parallel()
	p := newPair(t).terminals()
	p.real.Write("sys/auth/userpass", map[string]any{"type": "userpass"})
	p.real.Write("auth/userpass/users/ann", map[string]any{"password": "pass-word", "token_policies": "app", "token_ttl": "1h"})
	p.fake.Userpass("ann", "pass-word", vaulttest.UserpassSpec{Policies: []string{"app"}, TokenTTL: time.Hour})
	p.run(
		line{run: "login -method=userpass username=ann password=pass-word", want: "Success! You are now authenticated.\ntoken_meta_username ann"},
		line{run: "token lookup", want: "display_name userpass-ann\npath auth/userpass/login/ann"},
		line{run: "login -method=userpass username=ann password=wrong", exit: 2, want: "invalid username or password"},
		line{run: "login -method=userpass username=bob password=wrong", exit: 2, want: "invalid username or password"},
		line{run: "login -method=userpass -path=other username=ann password=pass-word", exit: 2, want: "Code: 403"},
	)
}

func TestTheCommandLineHandlesTokens(t *testing.T) {
	t.Parallel()
	p := newPair(t).terminals()
	p.real.Policy("app", "path \"secret/data/*\" {\n  capabilities = [\"read\", \"list\"]\n}\n")
	p.fake.Policy("app", vaulttest.Rule{Path: "secret/data/*", Capabilities: []string{"read", "list"}})
	alive := func(want int, why string) func() {
		return func() { assert.Len(t, p.fake.Tokens(), want, why) }
	}
	p.run(
		line{as: "root", run: "token create -policy=app -ttl=10m -display-name=batchless -metadata=a=b", want: "token_duration 10m\ntoken_renewable true", then: alive(1, "the new one")},
		line{as: "root", run: "token create -policy=app -policy=none -ttl=10m", want: `Policy "none" does not exist`},
		line{as: "root", run: "token create -type=batch -policy=app -ttl=10m", want: "token_accessor n/a\ntoken_renewable false"},
		line{as: "root", run: "token create -orphan -period=1h -policy=app", want: "token_duration 1h"},
		line{as: "root", run: "token create -use-limit=2 -policy=app -field=token", save: "two"},
		line{as: "two", run: "token lookup", want: "num_uses 1"},
		line{as: "two", run: "token lookup", want: "num_uses"},
		line{as: "two", run: "token lookup", exit: 2, want: "invalid token"},

		line{as: "root", run: "token create -ttl=10m -explicit-max-ttl=30m -policy=app -field=token", save: "app"},
		line{as: "root", run: "token lookup -format=json {app}", want: `"explicit_max_ttl": 1800`},
		line{as: "app", run: "read -field=accessor auth/token/lookup-self", save: "accessor"},
		line{as: "root", run: "token lookup -accessor {accessor}", want: "accessor {accessor}\nid n/a"},
		line{as: "root", run: "token renew {app}", want: "token_duration 10m"},
		line{as: "root", run: "token renew -accessor {accessor}", want: "token n/a"},
		line{as: "app", run: "token renew -increment=1h", want: "token_renewable true\nexceeded the effective max_ttl"},
		line{as: "root", run: "token capabilities {app} secret/data/x", want: "list, read"},
		line{as: "root", run: "token capabilities -accessor {accessor} secret/data/x", want: "list, read"},
		line{as: "root", run: "token capabilities secret/data/x", want: "root"},
		line{as: "app", run: "token create", exit: 2, want: "permission denied"},
		line{as: "app", run: "token lookup {root}", exit: 2, want: "permission denied"},
		line{as: "app", run: "policy read app", exit: 2, want: "permission denied"},
		line{as: "root", run: "token revoke -accessor {accessor}", want: "Success! Revoked token (if it existed)"},
		line{as: "root", run: "token revoke -accessor {accessor}", want: "Success!"},
		line{as: "root", run: "token revoke {app}", want: "Success!"},
		line{as: "root", run: "token lookup {app}", exit: 2, want: "bad token"},
		line{as: "root", run: "token renew {app}", exit: 2, want: "token not found"},

		line{as: "root", run: "policy list", want: "app\ndefault\nroot"},
		line{as: "root", run: "policy read app", want: `"read", "list"`},
		line{as: "root", run: "policy read default", want: "auth/token/lookup-self", like: "The default policy is shown without its comments."},
		line{as: "root", run: "policy write made -", stdin: "path \"secret/data/made\" {\n  capabilities = [\"read\"]\n}\n", want: "Success! Uploaded policy: made"},
		line{as: "root", run: "policy read made", want: `path "secret/data/made"`},
		line{as: "root", run: "token create -policy=made -field=token", save: "made"},
		line{as: "made", run: "token capabilities secret/data/made", want: "read"},
		line{as: "root", run: "policy delete made", want: "Success! Deleted policy: made"},
		line{as: "made", run: "token capabilities secret/data/made", want: "deny"},
		line{as: "root", run: "policy read none", exit: 2, want: "No policy named: none"},
	)
}

func TestTheCommandLineUnwraps(t *testing.T) {
	t.Parallel()
	p := newPair(t).terminals()
	p.policy("app", vaulttest.Rule{Path: "secret/*", Capabilities: []string{"create", "read", "update"}})
	p.run(
		line{as: "root", run: "kv put secret/app password=one", want: "version 1"},
		line{as: "root", run: "token create -policy=app -field=token", save: "app"},
		line{as: "app", run: "kv get -wrap-ttl=5m secret/app", want: "wrapping_token_ttl: 5m\nwrapping_token_creation_path: secret/data/app"},
		line{as: "app", run: "read -wrap-ttl=5m -field=wrapping_token secret/data/app", save: "wrapped"},
		line{as: "app", run: "write sys/wrapping/lookup token={wrapped}", want: "creation_path secret/data/app\ncreation_ttl 5m"},
		line{as: "app", run: "unwrap {wrapped}", want: "password:one"},
		line{as: "app", run: "unwrap {wrapped}", exit: 2, want: "wrapping token is not valid or does not exist"},
		line{as: "root", run: "token create -policy=app -wrap-ttl=60 -field=wrapping_token", save: "wrapped"},
		line{as: "wrapped", run: "unwrap", want: "token_policies [\"app\" \"default\"]"},
		line{as: "wrapped", run: "unwrap", exit: 2, want: "wrapping token is not valid or does not exist"},
		line{as: "root", run: "token create -policy=app -wrap-ttl=60 -field=wrapping_token", save: "wrapped"},
		line{run: "login {wrapped}", exit: 2},
		line{as: "root", run: "write -wrap-ttl=2m -field=wrapping_token sys/wrapping/wrap a=b", save: "wrapped"},
		line{as: "app", run: "write -field=wrapping_token sys/wrapping/rewrap token={wrapped}", exit: 2, want: "permission denied"},
		line{as: "root", run: "write -field=wrapping_token sys/wrapping/rewrap token={wrapped}", save: "again"},
		line{as: "app", run: "unwrap {wrapped}", exit: 2, want: "wrapping token is not valid"},
		line{as: "app", run: "unwrap -field=a {again}", want: "b"},
	)
	left := 0
	for _, token := range p.fake.Tokens() {
		if token.Policies[0] == "response-wrapping" {
			left++
		}
	}
	assert.Equal(t, 1, left, "the first was for nobody, and the others are used up")
}
