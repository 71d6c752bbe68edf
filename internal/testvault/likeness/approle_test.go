package likeness

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// approle defines a role on both sides and saves its role ID and a secret ID as NAME-role and
// NAME-secret.
func (p *pair) approle(name string, params map[string]any, spec vaulttest.AppRoleSpec) {
	p.t.Helper()
	if spec.Mount == "" {
		spec.Mount = "approle"
	}
	realRole, realSecret := p.real.AppRole(spec.Mount, name, params)
	fakeRole, fakeSecret := p.fake.AppRole(name, spec)
	p.know(name+"-role", realRole, fakeRole)
	p.know(name+"-secret", realSecret, fakeSecret)
}

const (
	web    = `{"role_id":"{web-role}","secret_id":"{web-secret}"}`
	login  = "POST auth/approle/login"
	lookup = "GET auth/token/lookup-self"
	renew  = "POST auth/token/renew-self"
)

func TestAppRoleLogin(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.approle("web", map[string]any{"token_policies": "b,a", "token_ttl": "1h", "token_max_ttl": "2h", "secret_id_num_uses": 3},
		vaulttest.AppRoleSpec{Policies: []string{"b", "a"}, TokenTTL: time.Hour, TokenMaxTTL: 2 * time.Hour, SecretIDNumUses: 3})
	p.approle("other", nil, vaulttest.AppRoleSpec{})
	p.play(
		// The role ID.
		step{do: login},
		step{do: login, body: `{}`},
		step{do: login, body: `{"secret_id":"{web-secret}"}`},
		step{do: login, body: `{"role_id":"","secret_id":"{web-secret}"}`},
		step{do: login, body: `{"role_id":null,"secret_id":"{web-secret}"}`},
		step{do: login, body: `{"role_id":"  ","secret_id":"{web-secret}"}`},
		step{do: login, body: `{"role_id":"nobody"}`},
		step{do: login, body: `{"role_id":"nobody","secret_id":"{web-secret}"}`},
		step{do: login, body: `{"role_id":5,"secret_id":"{web-secret}"}`},
		step{do: login, body: `{"role_id":true}`},
		step{do: login, body: `{"role_id":"{web-secret}","secret_id":"{web-role}"}`},
		// The secret ID.
		step{do: login, body: `{"role_id":"{web-role}"}`},
		step{do: login, body: `{"role_id":"{web-role}","secret_id":""}`},
		step{do: login, body: `{"role_id":"{web-role}","secret_id":null}`},
		step{do: login, body: `{"role_id":"{web-role}","secret_id":"  "}`},
		step{do: login, body: `{"role_id":"{web-role}","secret_id":"wrong"}`},
		step{do: login, body: `{"role_id":"{web-role}","secret_id":"{other-secret}"}`},
		step{do: login, body: `{"role_id":"{other-role}","secret_id":"{web-secret}"}`},
		// The request.
		step{do: login, body: `[]`},
		step{do: login, body: `{"role_id":`},
		step{do: "GET auth/approle/login"},
		step{do: "GET auth/approle/login?role_id={web-role}&secret_id={web-secret}"},
		step{do: "DELETE auth/approle/login"},
		step{do: "DELETE auth/approle/login?role_id={web-role}"},
		step{do: "LIST auth/approle/login"},
		step{do: "POST auth/approle/login/"},
		step{do: "POST auth/approle/login/x", body: web},
		step{do: "POST auth/approle", body: web},
		step{do: "POST auth/nothere/login", body: web},
		step{as: "root", do: "POST auth/nothere/login", body: web},
		// The three uses.
		step{do: login, body: web, save: "first=auth.client_token"},
		step{as: "root", do: "POST auth/approle/role/web/secret-id/lookup", body: `{"secret_id":"{web-secret}"}`, loose: "last_updated_time"},
		step{do: "PUT auth/approle/login", body: `{"role_id":" {web-role} ","secret_id":" {web-secret}\n","more":1,"and":2}`, save: "second=auth.client_token"},
		step{as: "first", do: login, body: web, save: "third=auth.client_token"},
		step{do: login, body: web},
		step{as: "root", do: "POST auth/approle/role/web/secret-id/lookup", body: `{"secret_id":"{web-secret}"}`},
		// The token.
		step{as: "first", do: lookup},
		step{as: "first", do: renew},
		step{as: "first", do: renew, body: `{"increment":"100m"}`},
		step{as: "second", do: "POST auth/token/create"},
		step{as: "first", do: "GET auth/approle/role/web"},
		step{as: "first", do: "POST auth/approle/role/web/secret-id"},
		step{do: "POST auth/approle/role/web/secret-id"},
	)
}

func TestAppRoleTokens(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.approle("plain", nil, vaulttest.AppRoleSpec{})
	p.approle("batch", map[string]any{"token_type": "batch", "token_ttl": 60, "token_policies": "Caps, spaced "},
		vaulttest.AppRoleSpec{TokenType: "batch", TokenTTL: time.Minute, Policies: []string{"Caps", "spaced"}})
	p.approle("service", map[string]any{"token_type": "service", "token_num_uses": 2, "token_no_default_policy": true, "token_policies": "x"},
		vaulttest.AppRoleSpec{TokenType: "service", TokenNumUses: 2, NoDefaultPolicy: true, Policies: []string{"x"}})
	p.approle("none", map[string]any{"token_type": "default", "token_no_default_policy": true},
		vaulttest.AppRoleSpec{TokenType: "default", NoDefaultPolicy: true})
	p.approle("periodic", map[string]any{"token_period": "100s", "token_max_ttl": "60s"},
		vaulttest.AppRoleSpec{TokenPeriod: 100 * time.Second, TokenMaxTTL: time.Minute})
	p.approle("explicit", map[string]any{"token_explicit_max_ttl": "60s", "token_ttl": "2m"},
		vaulttest.AppRoleSpec{TokenExplicitMaxTTL: time.Minute, TokenTTL: 2 * time.Minute})
	p.approle("both", map[string]any{"token_explicit_max_ttl": "60s", "token_period": "50s"},
		vaulttest.AppRoleSpec{TokenExplicitMaxTTL: time.Minute, TokenPeriod: 50 * time.Second})
	p.approle("long", map[string]any{"token_ttl": "2000h"}, vaulttest.AppRoleSpec{TokenTTL: 2000 * time.Hour})
	p.approle("rooted", map[string]any{"token_policies": "root"}, vaulttest.AppRoleSpec{Policies: []string{"root"}})
	p.approle("there", nil, vaulttest.AppRoleSpec{Mount: "my/app"})
	for _, name := range []string{"plain", "batch", "service", "none", "periodic", "explicit", "both", "long"} {
		p.play(
			step{as: "root", do: "GET auth/approle/role/" + name},
			step{do: login, body: `{"role_id":"{` + name + `-role}","secret_id":"{` + name + `-secret}"}`, save: name + "=auth.client_token"},
			step{as: name, do: lookup, loose: "explicit_max_ttl"},
			step{as: name, do: "POST auth/token/revoke-self"},
		)
	}
	p.play(
		step{do: login, body: `{"role_id":"{periodic-role}","secret_id":"{periodic-secret}"}`, save: "p=auth.client_token"},
		step{as: "p", do: renew},
		step{do: login, body: `{"role_id":"{both-role}","secret_id":"{both-secret}"}`, save: "q=auth.client_token"},
		step{as: "q", do: renew},
		step{do: login, body: `{"role_id":"{batch-role}","secret_id":"{batch-secret}"}`, save: "r=auth.client_token"},
		step{as: "r", do: renew},
		step{do: login, body: `{"role_id":"{rooted-role}","secret_id":"{rooted-secret}"}`},
		step{do: login, body: `{"role_id":"{there-role}","secret_id":"{there-secret}"}`},
		step{do: "POST auth/my/app/login", body: `{"role_id":"{there-role}","secret_id":"{there-secret}"}`, save: "there=auth.client_token"},
		step{as: "there", do: lookup},
		step{as: "root", do: "LIST auth/my/app/role"},
	)
}

func TestAppRoleOfARenewal(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.approle("web", map[string]any{"token_ttl": "1h"}, vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	p.play(step{do: login, body: web, save: "t=auth.client_token"})
	p.approle("web", map[string]any{"token_ttl": "2h", "token_max_ttl": "3h", "token_policies": "more"},
		vaulttest.AppRoleSpec{TokenTTL: 2 * time.Hour, TokenMaxTTL: 3 * time.Hour, Policies: []string{"more"}})
	// By how much the maximum cuts a TTL depends on the second of the login: the text of the warning,
	// which is the list's element 0, may differ.
	p.play(step{as: "t", do: renew}, step{as: "t", do: renew, body: `{"increment":"4h"}`, loose: "lease_duration 0"}, step{as: "t", do: lookup})
	p.approle("web", map[string]any{"token_period": "5m"}, vaulttest.AppRoleSpec{TokenPeriod: 5 * time.Minute})
	p.play(
		step{as: "t", do: renew},
		step{as: "root", do: "DELETE auth/approle/role/WEB"},
		step{as: "t", do: renew},
		step{as: "t", do: lookup},
		step{do: login, body: web},
		step{as: "root", do: "GET auth/approle/role/web"},
		step{as: "root", do: "DELETE auth/approle/role/web"},
		step{as: "root", do: "LIST auth/approle/role"},
	)
}

func TestAppRoleWithoutSecretIDs(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.real.Write("sys/auth/approle", map[string]any{"type": "approle"})
	p.real.Write("auth/approle/role/open", map[string]any{"bind_secret_id": false, "token_bound_cidrs": "127.0.0.0/8", "role_id": "chosen", "token_ttl": "1h"})
	p.fake.AppRole("open", vaulttest.AppRoleSpec{NoBindSecretID: true, RoleID: "chosen", TokenTTL: time.Hour})
	p.play(
		step{do: login, body: `{"role_id":"chosen"}`, save: "t=auth.client_token"},
		step{do: login, body: `{"role_id":"chosen","secret_id":"whatever"}`},
		step{as: "t", do: lookup, like: "Addresses are not looked at"},
		step{as: "t", do: renew},
		step{as: "root", do: "GET auth/approle/role/open/role-id"},
		step{as: "root", do: "POST auth/approle/role/open/secret-id"},
		step{as: "root", do: "POST auth/approle/role/open/custom-secret-id", body: `{"secret_id":"x"}`},
		step{as: "root", do: "LIST auth/approle/role/open/secret-id"},
	)
}

func TestAppRoleSecretIDs(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.approle("web", map[string]any{"secret_id_num_uses": 3, "secret_id_ttl": "10m"}, vaulttest.AppRoleSpec{SecretIDNumUses: 3, SecretIDTTL: 10 * time.Minute})
	p.approle("free", nil, vaulttest.AppRoleSpec{})
	const (
		made   = "POST auth/approle/role/web/secret-id"
		free   = "POST auth/approle/role/free/secret-id"
		custom = "POST auth/approle/role/web/custom-secret-id"
		of     = "auth/approle/role/web/"
	)
	p.play(
		step{as: "root", do: made, save: "s=data.secret_id acc=data.secret_id_accessor"},
		step{as: "root", do: made, body: `{"num_uses":1,"ttl":"3m","role_name":"x","more":true}`},
		step{as: "root", do: "PUT auth/approle/role/WEB/secret-id", body: `{"num_uses":"2","ttl":"180"}`},
		step{as: "root", do: made, body: `{"num_uses":4}`},
		step{as: "root", do: made, body: `{"num_uses":0}`},
		step{as: "root", do: made, body: `{"num_uses":-1}`},
		step{as: "root", do: made, body: `{"num_uses":"many"}`},
		step{as: "root", do: made, body: `{"num_uses":[1]}`},
		step{as: "root", do: made, body: `{"num_uses":null}`},
		step{as: "root", do: made, body: `{"ttl":"11m"}`},
		step{as: "root", do: made, body: `{"ttl":0}`},
		step{as: "root", do: made, body: `{"ttl":"soon"}`},
		step{as: "root", do: made, body: `{"ttl":-5}`},
		step{as: "root", do: made, body: `{"ttl":null}`},
		step{as: "root", do: made, body: `{"metadata":{"a":"b"}}`},
		step{as: "root", do: made, body: `{"metadata":["a"]}`},
		step{as: "root", do: made, body: `{"metadata":"junk"}`},
		step{as: "root", do: made, body: `{"metadata":"a=b=c"}`},
		step{as: "root", do: made, body: `{"metadata":"a="}`},
		step{as: "root", do: made, body: `{"metadata":"{\"a\":1}"}`},
		step{as: "root", do: made, body: `{"metadata":"{\"a\":\"\"}"}`},
		step{as: "root", do: made, body: `{"metadata":"null"}`},
		step{as: "root", do: made, body: `{"metadata":"bnVsbA=="}`},
		step{as: "root", do: "POST auth/approle/role/nobody/secret-id"},
		step{as: "root", do: "POST auth/approle/role/nobody/secret-id", body: `{"num_uses":"many"}`},
		step{as: "root", do: "GET " + of + "secret-id"},
		step{as: "root", do: "DELETE " + of + "secret-id"},
		step{as: "root", do: made + "/"},
		step{do: made},
		// Without limits of the role's own.
		step{as: "root", do: free, body: `{"num_uses":7,"ttl":"1000h"}`, save: "long=data.secret_id"},
		step{as: "root", do: "POST auth/approle/role/free/secret-id/lookup", body: `{"secret_id":"{long}"}`, loose: "last_updated_time"},
		step{as: "root", do: free, body: `{"metadata":"{\"A\":\"B\",\"role_name\":\"x\"}"}`, save: "json=data.secret_id"},
		step{as: "root", do: "POST auth/approle/role/free/secret-id/lookup", body: `{"secret_id":"{json}"}`, loose: "last_updated_time"},
		step{do: login, body: `{"role_id":"{free-role}","secret_id":"{json}"}`, save: "t=auth.client_token"},
		step{as: "t", do: lookup},
		step{as: "root", do: free, body: `{"metadata":" A=B , c = D,,"}`, save: "pairs=data.secret_id"},
		step{as: "root", do: "POST auth/approle/role/free/secret-id/lookup", body: `{"secret_id":"{pairs}"}`, loose: "last_updated_time"},
		step{as: "root", do: free, body: `{"metadata":"YT1i"}`, save: "base64=data.secret_id"},
		step{do: login, body: `{"role_id":"{free-role}","secret_id":"{base64}"}`},
		// Chosen by the caller.
		step{as: "root", do: custom},
		step{as: "root", do: custom, body: `{"secret_id":""}`},
		step{as: "root", do: custom, body: `{"secret_id":{"a":"b"}}`},
		step{as: "root", do: custom, body: `{"secret_id":"mine to choose","num_uses":2}`},
		step{as: "root", do: custom, body: `{"secret_id":"mine to choose"}`},
		step{as: "root", do: "POST auth/approle/role/free/custom-secret-id", body: `{"secret_id":"mine to choose"}`},
		step{as: "root", do: "POST auth/approle/role/nobody/custom-secret-id", body: `{"secret_id":"mine"}`},
		step{as: "root", do: "GET " + of + "custom-secret-id"},
		step{as: "root", do: "LIST " + of + "custom-secret-id"},
		step{do: login, body: `{"role_id":"{web-role}","secret_id":"mine to choose"}`},
		step{as: "root", do: "POST " + of + "secret-id/lookup", body: `{"secret_id":"mine to choose"}`, loose: "last_updated_time"},
		// Looked up and destroyed.
		step{as: "root", do: "POST " + of + "secret-id/lookup", body: `{"secret_id":"{s}"}`, loose: "last_updated_time"},
		step{as: "root", do: "POST " + of + "secret-id/lookup", body: `{"secret_id":"{s}","more":1}`, loose: "last_updated_time"},
		step{as: "root", do: "POST " + of + "secret-id/lookup", body: `{"secret_id":"{long}"}`},
		step{as: "root", do: "POST " + of + "secret-id/lookup", body: `{}`},
		step{as: "root", do: "POST " + of + "secret-id/lookup", body: `{"secret_id":["a"]}`},
		step{as: "root", do: "POST auth/approle/role/nobody/secret-id/lookup", body: `{"secret_id":"{s}"}`},
		step{as: "root", do: "POST auth/approle/role/nobody/secret-id/lookup", body: `{}`},
		step{as: "root", do: "GET " + of + "secret-id/lookup"},
		step{as: "root", do: "LIST " + of + "secret-id/lookup"},
		step{as: "root", do: "DELETE " + of + "secret-id/lookup"},
		step{as: "root", do: "POST " + of + "secret-id-accessor/lookup", body: `{"secret_id_accessor":"{acc}"}`, loose: "last_updated_time"},
		step{as: "root", do: "POST " + of + "secret-id-accessor/lookup", body: `{"secret_id_accessor":"wrong"}`},
		step{as: "root", do: "POST " + of + "secret-id-accessor/lookup", body: `{}`},
		step{as: "root", do: "POST auth/approle/role/nobody/secret-id-accessor/lookup", body: `{"secret_id_accessor":"{acc}"}`},
		step{as: "root", do: "GET " + of + "secret-id-accessor/lookup"},
		step{as: "root", do: "POST " + of + "secret-id-accessor/destroy", body: `{"secret_id_accessor":"wrong"}`},
		step{as: "root", do: "POST " + of + "secret-id-accessor/destroy", body: `{}`},
		step{as: "root", do: "POST auth/approle/role/nobody/secret-id-accessor/destroy", body: `{"secret_id_accessor":"{acc}"}`},
		step{as: "root", do: "POST " + of + "secret-id-accessor/destroy", body: `{"secret_id_accessor":"{acc}"}`},
		step{as: "root", do: "POST " + of + "secret-id-accessor/destroy", body: `{"secret_id_accessor":"{acc}"}`},
		step{as: "root", do: "POST " + of + "secret-id-accessor/lookup", body: `{"secret_id_accessor":"{acc}"}`},
		step{do: login, body: `{"role_id":"{web-role}","secret_id":"{s}"}`},
		step{as: "root", do: "POST " + of + "secret-id/destroy", body: `{}`},
		step{as: "root", do: "POST " + of + "secret-id/destroy", body: `{"secret_id":"{s}"}`},
		step{as: "root", do: "POST " + of + "secret-id/destroy", body: `{"secret_id":"{web-secret}"}`},
		step{as: "root", do: "DELETE " + of + "secret-id/destroy?secret_id=mine+to+choose"},
		step{as: "root", do: "DELETE " + of + "secret-id/destroy"},
		step{as: "root", do: "POST auth/approle/role/nobody/secret-id/destroy", body: `{"secret_id":"{s}"}`},
		step{as: "root", do: "GET " + of + "secret-id/destroy"},
		step{do: login, body: web},
		step{do: login, body: `{"role_id":"{web-role}","secret_id":"mine to choose"}`},
		// Listed.
		step{as: "root", do: "LIST auth/approle/role/web/secret-id"},
		step{as: "root", do: "GET auth/approle/role/free/secret-id/?list=true"},
		step{as: "root", do: "LIST auth/approle/role/nobody/secret-id"},
	)
}

func TestAppRoleRoles(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.real.Write("sys/auth/approle", map[string]any{"type": "approle"})
	p.play(step{as: "root", do: "LIST auth/approle/role"})
	p.approle("web", map[string]any{
		"token_policies": "b,a", "token_ttl": "1h", "token_max_ttl": "2h", "secret_id_num_uses": 3, "secret_id_ttl": "5m",
	}, vaulttest.AppRoleSpec{
		Policies: []string{"b", "a"}, TokenTTL: time.Hour, TokenMaxTTL: 2 * time.Hour, SecretIDNumUses: 3, SecretIDTTL: 5 * time.Minute,
	})
	p.approle("Mixed.Case-1", map[string]any{"token_num_uses": 4}, vaulttest.AppRoleSpec{TokenNumUses: 4})
	p.policy("reader", vaulttest.Rule{Path: "auth/approle/role/+/role-id", Capabilities: []string{"read"}},
		vaulttest.Rule{Path: "auth/approle/role/web/secret-id", Capabilities: []string{"update"}})
	p.play(
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["reader"]}`, save: "reader=auth.client_token"},
		step{as: "root", do: "GET auth/approle/role/web"},
		step{as: "root", do: "GET auth/approle/role/mixed.case-1"},
		step{as: "root", do: "GET auth/approle/role/MIXED.CASE-1/role-id"},
		step{as: "root", do: "GET auth/approle/role/nobody"},
		step{as: "root", do: "GET auth/approle/role/nobody/role-id"},
		step{as: "root", do: "GET auth/approle/role/-web"},
		step{as: "root", do: "GET auth/approle/role/we~b"},
		step{as: "root", do: "LIST auth/approle/role"},
		step{as: "root", do: "GET auth/approle/role?list=true"},
		step{as: "root", do: "GET auth/approle/role/"},
		step{as: "root", do: "GET auth/approle/role"},
		step{as: "root", do: "LIST auth/approle/role/web"},
		step{as: "root", do: "LIST auth/approle/role/web/role-id"},
		step{as: "root", do: "DELETE auth/approle/role/web/role-id"},
		step{as: "root", do: "GET auth/approle/role/web/nothing"},
		step{as: "root", do: "GET auth/approle/nothing"},
		step{as: "root", do: "GET auth/approle/"},
		step{as: "root", do: "LIST auth/approle"},
		step{as: "reader", do: "GET auth/approle/role/web/role-id"},
		step{as: "reader", do: "POST auth/approle/role/web/secret-id", save: "s=data.secret_id"},
		step{as: "reader", do: "POST auth/approle/role/web/secret-id/lookup", body: `{"secret_id":"{s}"}`},
		step{as: "reader", do: "LIST auth/approle/role/web/secret-id"},
		step{as: "reader", do: "GET auth/approle/role/web"},
		step{do: "GET auth/approle/role/web/role-id"},
		step{do: login, body: `{"role_id":"{Mixed.Case-1-role}","secret_id":"{Mixed.Case-1-secret}"}`, save: "t=auth.client_token"},
		step{as: "t", do: lookup},
	)
}

func TestWrappedSecretID(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.approle("web", map[string]any{"secret_id_num_uses": 1}, vaulttest.AppRoleSpec{SecretIDNumUses: 1})
	wrapped := map[string]string{"X-Vault-Wrap-TTL": "5m"}
	p.play(
		step{as: "root", do: "POST auth/approle/role/web/secret-id", header: wrapped, save: "w=wrap_info.token"},
		step{as: "root", do: "POST auth/approle/role/nobody/secret-id", header: wrapped},
		step{as: "root", do: "POST sys/wrapping/lookup", body: `{"token":"{w}"}`},
		step{as: "w", do: "POST sys/wrapping/unwrap", save: "s=data.secret_id acc=data.secret_id_accessor"},
		step{as: "w", do: "POST sys/wrapping/unwrap"},
		step{do: login, header: wrapped, body: `{"role_id":"{web-role}","secret_id":"{s}"}`, save: "t=wrap_info.token"},
		step{as: "t", do: "POST sys/wrapping/unwrap", save: "token=auth.client_token"},
		step{as: "token", do: lookup},
		step{do: login, header: wrapped, body: `{"role_id":"{web-role}","secret_id":"{s}"}`},
	)
	// What the test's own method hands out is what the API does.
	handedOut := p.sides[0].send(p, step{as: "root", do: "POST auth/approle/role/web/secret-id", header: wrapped})
	p.know("given", handedOut.at("wrap_info.token"), p.fake.WrappedSecretID(p.sides[1].known["web-role"], 5*time.Minute))
	p.play(
		step{as: "root", do: "POST sys/wrapping/lookup", body: `{"token":"{given}"}`},
		step{as: "root", do: "POST sys/wrapping/unwrap", body: `{"token":"{given}"}`, save: "s2=data.secret_id acc2=data.secret_id_accessor"},
		step{do: login, body: `{"role_id":"{web-role}","secret_id":"{s2}"}`},
		step{as: "root", do: "POST sys/wrapping/unwrap", body: `{"token":"{given}"}`},
		step{do: "POST sys/wrapping/unwrap", body: `{"token":"{given}"}`},
	)
}

func TestAppRoleLockout(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	p.approle("web", nil, vaulttest.AppRoleSpec{})
	p.approle("other", map[string]any{"token_type": "batch"}, vaulttest.AppRoleSpec{TokenType: "batch"})
	wrong := func(role string) step {
		return step{do: login, body: strings.ReplaceAll(`{"role_id":"{ROLE-role}","secret_id":"wrong"}`, "ROLE", role)}
	}
	missing := step{do: login, body: `{"role_id":"{web-role}"}`}
	unknown := step{do: login, body: `{"role_id":"unknown","secret_id":"wrong"}`}
	p.play(
		wrong("web"), wrong("web"), wrong("web"), wrong("web"), missing, missing,
		step{do: login, body: web}, // counts anew
		wrong("web"), wrong("web"), wrong("web"), wrong("web"), wrong("web"),
		wrong("web"), missing,
		step{do: login, body: web},
		step{do: "GET auth/approle/login?role_id={web-role}"},
		wrong("other"), wrong("other"), wrong("other"), wrong("other"),
		step{do: login, body: `{"role_id":"{other-role}","secret_id":"{other-secret}"}`},
		wrong("other"), wrong("other"), wrong("other"), wrong("other"), wrong("other"), wrong("other"),
		unknown, unknown, unknown, unknown, unknown, unknown,
	)
}
