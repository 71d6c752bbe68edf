package likeness

import (
	"testing"
	"time"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

var inAMinute = map[string]string{"X-Vault-Wrap-TTL": "60"}

// wrapped is a step that wraps {"a":1}; w is then the wrapping token.
var wrapped = step{as: "root", do: "POST sys/wrapping/wrap", body: `{"a":1}`, header: inAMinute, save: "w=wrap_info.token"}

func TestWrapping(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.real.Write("auth/token/create", map[string]any{"id": "hvs-app", "policies": "default", "ttl": "10m"})
	p.know("app", "hvs-app", p.fake.CreateToken(vaulttest.TokenSpec{TTL: 10 * time.Minute}))

	p.play(
		step{as: "app", do: "POST sys/wrapping/wrap", body: `{"a":{"b":[1,null,1.50]},"wrap_info":5,"data":{"x":1}}`, header: map[string]string{"X-Vault-Wrap-TTL": "2m"}, save: "w=wrap_info.token"},
		step{as: "w", do: "POST sys/wrapping/lookup"},
		step{as: "w", do: "GET sys/wrapping/lookup"},
		step{do: "GET sys/wrapping/lookup?token={w}"},
		step{do: "POST sys/wrapping/lookup", body: `{"token":"{w}","x":1}`},
		step{as: "app", do: "POST sys/wrapping/lookup", body: `{"token":"{w}"}`},
		step{do: "LIST sys/wrapping/lookup", body: `{"token":"{w}"}`},
		step{as: "w", do: "DELETE sys/wrapping/lookup"},
		step{as: "root", do: "POST auth/token/lookup", body: `{"token":"{w}"}`},
		step{as: "root", do: "POST auth/token/renew", body: `{"token":"{w}"}`},
		step{as: "w", do: "PUT sys/wrapping/unwrap"},
		step{as: "w", do: "PUT sys/wrapping/unwrap"},
		step{as: "app", do: "PUT sys/wrapping/unwrap", body: `{"token":"{w}"}`},
		step{as: "root", do: "POST auth/token/lookup", body: `{"token":"{w}"}`},
	)
	// By another's token, and by one that may not.
	p.play(
		wrapped,
		step{do: "POST sys/wrapping/unwrap", body: `{"token":"{w}"}`},
		step{as: "app", do: "POST sys/wrapping/unwrap", body: `{"token":"{w}","x":1}`},
		step{as: "app", do: "POST sys/wrapping/unwrap", body: `{"token":"{w}"}`},
		wrapped,
		step{as: "w", do: "GET auth/token/lookup-self"},
		step{as: "w", do: "POST sys/wrapping/unwrap"},
		wrapped,
		step{as: "w", do: "POST sys/wrapping/rewrap"},
		wrapped,
		step{as: "w", do: "GET sys/wrapping/unwrap"},
		step{as: "app", do: "GET sys/wrapping/unwrap"},
		step{as: "app", do: "POST sys/wrapping/unwrap"},
		step{as: "app", do: "POST sys/wrapping/rewrap"},
	)
	// What is no wrapping token.
	for _, body := range []string{
		`{"token":"x"}`, `{"token":5}`, `{"token":""}`, `{"token":null}`, `{"token":[1]}`, `{"token":"hvs.gone"}`, `{"token":"{app}"}`, ``,
	} {
		p.play(
			step{as: "root", do: "POST sys/wrapping/unwrap", body: body},
			step{do: "POST sys/wrapping/lookup", body: body},
			step{do: "PUT sys/wrapping/rewrap", body: body},
		)
	}
	// Rewrapping keeps the path and the TTL, or has a shorter one.
	p.play(
		wrapped,
		step{as: "root", do: "POST sys/wrapping/rewrap", body: `{"token":"{w}"}`, save: "w2=wrap_info.token"},
		step{do: "POST sys/wrapping/lookup", body: `{"token":"{w}"}`},
		step{do: "POST sys/wrapping/lookup", body: `{"token":"{w2}"}`},
		step{as: "root", do: "POST sys/wrapping/rewrap", body: `{"token":"{w2}"}`, header: map[string]string{"X-Vault-Wrap-TTL": "30"}, save: "w=wrap_info.token"},
		step{do: "POST sys/wrapping/lookup", body: `{"token":"{w}"}`},
		step{as: "root", do: "POST sys/wrapping/rewrap", body: `{"token":"{w}"}`, header: map[string]string{"X-Vault-Wrap-TTL": "90"}, save: "w=wrap_info.token"},
		step{as: "root", do: "GET sys/wrapping/rewrap"},
		step{as: "app", do: "POST sys/wrapping/rewrap", body: `{"token":"{w}"}`},
		step{as: "w", do: "POST sys/wrapping/unwrap", header: inAMinute, save: "w=wrap_info.token"},
		step{do: "POST sys/wrapping/lookup", body: `{"token":"{w}"}`},
		step{as: "w", do: "POST sys/wrapping/unwrap"},
	)
}

func TestWhatIsWrapped(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	roleParams := map[string]any{"token_policies": "default", "token_ttl": "1h"}
	id, secret := p.real.AppRole("approle", "app", roleParams)
	fakeID, fakeSecret := p.fake.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	p.know("role", id, fakeID)
	p.know("secret", secret, fakeSecret)

	p.play(
		step{do: "POST auth/approle/login", body: `{"role_id":"{role}","secret_id":"{secret}"}`, header: inAMinute, save: "w=wrap_info.token acc=wrap_info.wrapped_accessor"},
		step{do: "POST sys/wrapping/lookup", body: `{"token":"{w}"}`},
		step{as: "w", do: "POST sys/wrapping/unwrap", save: "t=auth.client_token"},
		step{as: "t", do: "GET auth/token/lookup-self"},
		step{as: "t", do: "GET auth/token/lookup-self", header: inAMinute, save: "w=wrap_info.token"},
		step{as: "t", do: "PUT sys/wrapping/unwrap", body: `{"token":"{w}"}`},
		step{do: "POST auth/approle/login", body: `{"role_id":"{role}","secret_id":"bad"}`, header: inAMinute},
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["default"],"ttl":"1h"}`, header: inAMinute, save: "w=wrap_info.token acc=wrap_info.wrapped_accessor"},
		step{as: "w", do: "POST sys/wrapping/unwrap", save: "t2=auth.client_token"},
		step{as: "t2", do: "POST auth/token/renew-self", header: inAMinute, save: "w=wrap_info.token"},
		step{as: "w", do: "POST sys/wrapping/unwrap"},
		step{as: "t2", do: "POST auth/token/revoke-self", header: inAMinute},
		step{as: "root", do: "GET secret/data/nothing", header: inAMinute},
		step{as: "root", do: "LIST secret/metadata/", header: inAMinute},
		step{as: "root", do: "LIST secret/metadata/"},
		step{as: "t", do: "GET secret/data/nothing", header: inAMinute},
		step{as: "root", do: "POST secret/data/a/b", body: `{"data":{"x":1}}`, header: inAMinute, save: "w=wrap_info.token"},
		step{as: "w", do: "POST sys/wrapping/unwrap"},
		step{as: "root", do: "LIST secret/metadata/a", header: inAMinute, save: "w=wrap_info.token"},
		step{as: "w", do: "POST sys/wrapping/unwrap"},
		step{as: "root", do: "DELETE secret/data/a/b", header: inAMinute},
		step{as: "root", do: "GET secret/data/a/b", header: inAMinute, save: "w=wrap_info.token"},
		step{as: "w", do: "POST sys/wrapping/unwrap"},
		step{as: "root", do: "GET sys/health", header: map[string]string{"X-Vault-Wrap-TTL": "what"}},
		step{as: "root", do: "POST sys/wrapping/wrap", body: `{"a":1}`},
		step{as: "root", do: "GET sys/wrapping/wrap", header: inAMinute},
		step{as: "root", do: "POST sys/wrapping/wrap", header: inAMinute, save: "w=wrap_info.token"},
		step{as: "w", do: "GET cubbyhole/response"},
	)
	for _, ttl := range []string{"0", "0s", "-1", "-1m", "abc", "1.5", "1.5h", "90m", "1d", "xd", "1000h", "99999999999999", "999999999d", ""} {
		p.play(step{as: "root", do: "POST sys/wrapping/wrap", body: `{"a":1}`, header: map[string]string{"X-Vault-Wrap-TTL": ttl}})
	}
}

func TestCubbyhole(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.real.Policy("none", `path "x" { capabilities = ["read"] }`)
	p.fake.Policy("none", vaulttest.Rule{Path: "x", Capabilities: []string{"read"}})
	p.play(
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["default"],"ttl":"1h"}`, save: "t=auth.client_token"},
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["none"],"no_default_policy":true,"ttl":"1h"}`, save: "none=auth.client_token"},
		step{as: "t", do: "GET cubbyhole/a"},
		step{as: "t", do: "LIST cubbyhole"},
		step{as: "t", do: "POST cubbyhole/a", body: `{"n":12345678901234567890,"x":null,"l":[{}]}`},
		step{as: "t", do: "GET cubbyhole/a"},
		step{as: "root", do: "GET cubbyhole/a"},
		step{as: "none", do: "GET cubbyhole/a"},
		step{do: "GET cubbyhole/a"},
		step{as: "t", do: "PUT cubbyhole/a", body: `{"other":"1"}`},
		step{as: "t", do: "GET cubbyhole/a"},
		step{as: "t", do: "POST cubbyhole/d/e/f", body: `{"x":1}`},
		step{as: "t", do: "POST cubbyhole/d/e", body: `{"x":1}`},
		step{as: "t", do: "LIST cubbyhole"},
		step{as: "t", do: "LIST cubbyhole/"},
		step{as: "t", do: "LIST cubbyhole/d"},
		step{as: "t", do: "GET cubbyhole/d/?list=true"},
		step{as: "t", do: "LIST cubbyhole/a"},
		step{as: "t", do: "GET cubbyhole/d/"},
		step{as: "t", do: "POST cubbyhole/a"},
		step{as: "t", do: "POST cubbyhole/a", body: `{}`},
		step{as: "t", do: "POST cubbyhole/", body: `{"x":1}`},
		step{as: "root", do: "POST cubbyhole", body: `{"x":1}`},
		step{as: "root", do: "GET cubbyhole/"},
		step{as: "t", do: "PATCH cubbyhole/a", body: `{"x":1}`, header: map[string]string{"Content-Type": "application/merge-patch+json"}},
		step{as: "root", do: "PATCH cubbyhole/a", body: `{"x":1}`, header: map[string]string{"Content-Type": "application/merge-patch+json"}},
		step{as: "t", do: "GET cubbyhole/a", header: inAMinute, save: "w=wrap_info.token"},
		step{as: "t", do: "DELETE cubbyhole/a"},
		step{as: "t", do: "DELETE cubbyhole/a"},
		step{as: "t", do: "GET cubbyhole/a"},
		step{as: "t", do: "POST sys/wrapping/unwrap", body: `{"token":"{w}"}`},
		step{as: "t", do: "DELETE cubbyhole/"},
		step{as: "t", do: "LIST cubbyhole/d/e"},
	)
}
