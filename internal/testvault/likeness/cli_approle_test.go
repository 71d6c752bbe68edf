package likeness

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// What a deployment does to hand an application its secret ID.
func TestTheCommandLineHandsOutSecretIDs(t *testing.T) {
	t.Parallel()
	p := newPair(t).terminals()
	p.real.AppRole("approle", "app", map[string]any{"token_policies": "app", "secret_id_num_uses": 2, "secret_id_ttl": "1h", "token_type": "batch", "token_ttl": "10m"})
	p.fake.AppRole("app", vaulttest.AppRoleSpec{
		Policies: []string{"app"}, SecretIDNumUses: 2, SecretIDTTL: time.Hour, TokenType: "batch", TokenTTL: 10 * time.Minute,
	})
	p.run(
		line{as: "root", run: "list auth/approle/role", want: "app"},
		line{as: "root", run: "read auth/approle/role/nobody", exit: 2, want: "No value found"},
		line{as: "root", run: "read auth/approle/role/app", want: "secret_id_num_uses 2\nsecret_id_ttl 1h\ntoken_type batch"},
		line{as: "root", run: "read -field=role_id auth/approle/role/app/role-id", save: "role"},
		line{as: "root", run: "write -force auth/approle/role/app/secret-id", want: "secret_id_num_uses 2\nsecret_id_ttl 1h"},
		line{as: "root", run: "write -force -field=secret_id auth/approle/role/app/secret-id", save: "secret"},
		line{run: "write auth/approle/login role_id={role} secret_id={secret}", want: "token_accessor n/a\ntoken_duration 10m\ntoken_renewable false"},
		line{as: "root", run: "write auth/approle/role/app/secret-id/lookup secret_id={secret}", want: "secret_id_num_uses 1"},
		line{run: "write auth/approle/login role_id={role} secret_id={secret}", want: "token_duration 10m", then: func() {
			assert.Len(t, p.fake.Tokens(), 2)
		}},
		line{run: "write auth/approle/login role_id={role} secret_id={secret}", exit: 2, want: "invalid role or secret ID"},
		line{as: "root", run: "write -force -wrap-ttl=5m -field=wrapping_token auth/approle/role/app/secret-id", save: "wrapped"},
		line{as: "wrapped", run: "write -force sys/wrapping/lookup", want: "creation_path auth/approle/role/app/secret-id"},
		line{run: "unwrap -field=secret_id {wrapped}", save: "secret"},
		line{run: "unwrap -field=secret_id {wrapped}", exit: 2, want: "wrapping token is not valid or does not exist"},
		line{run: "write auth/approle/login role_id={role} secret_id={secret}", want: "token_policies [\"app\" \"default\"]"},
		line{as: "root", run: "write auth/approle/role/app/secret-id/destroy secret_id={secret}", want: "Success!"},
		line{run: "write auth/approle/login role_id={role} secret_id={secret}", exit: 2, want: "invalid role or secret ID"},
	)
}
