package likeness

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// newDatabasePair starts both with a database engine that has the roles app and short, and saves the
// tokens app, which may use them, bare, which may not, and admin, which has sudo on leases.
func newDatabasePair(t *testing.T) (*pair, *testvault.PG) {
	t.Helper()
	p, pg := newPair(t), testvault.Postgres(t)
	p.real.Database(pg, "database")
	for name, ttls := range map[string][2]time.Duration{
		"app": {time.Hour, 24 * time.Hour}, "short": {10 * time.Minute, 15 * time.Minute}, "plain": {},
	} {
		p.real.DatabaseRole("database", name, map[string]any{"default_ttl": ttls[0].String(), "max_ttl": ttls[1].String()})
		p.fake.DynamicRole("database", name, vaulttest.RoleSpec{DefaultTTL: ttls[0], MaxTTL: ttls[1]})
	}
	p.policy("app", vaulttest.Rule{Path: "database/*", Capabilities: []string{"read", "list", "update", "delete"}},
		vaulttest.Rule{Path: "sys/leases/*", Capabilities: []string{"read", "list", "update", "delete"}})
	p.policy("admin", vaulttest.Rule{Path: "sys/leases/*", Capabilities: []string{"read", "list", "update", "sudo"}})
	for _, name := range []string{"app", "bare", "admin"} {
		p.play(step{as: "root", do: "POST auth/token/create", body: `{"policies":["` + name + `"]}`, save: name + "=auth.client_token"})
	}
	return p, pg
}

// policy writes the same policy on both sides.
func (p *pair) policy(name string, rules ...vaulttest.Rule) {
	p.t.Helper()
	hcl := ""
	for _, r := range rules {
		hcl += fmt.Sprintf("path %q {\n  capabilities = [", r.Path)
		for _, c := range r.Capabilities {
			hcl += fmt.Sprintf("%q, ", c)
		}
		hcl += "]\n}\n"
	}
	p.real.Policy(name, hcl)
	p.fake.Policy(name, rules...)
}

const (
	ofUser  = "username password"
	byLease = `{"lease_id":"{lease}"}`
)

func TestLeasesAreRenewedAlike(t *testing.T) {
	t.Parallel()
	p, _ := newDatabasePair(t)
	renew := func(fields string) step {
		return step{as: "app", do: "PUT sys/leases/renew", body: `{"lease_id":"{lease}"` + fields + `}`}
	}
	p.play(
		step{as: "app", do: "GET database/creds/app", save: "lease=lease_id", loose: ofUser},
		renew(``), renew(`,"increment":60`), renew(`,"increment":"90"`), renew(`,"increment":"2m"`), renew(`,"increment":"1h30m"`),
		renew(`,"increment":0`), renew(`,"increment":""`), renew(`,"increment":null`), renew(`,"increment":1.9`), renew(`,"increment":"1.5"`),
		renew(`,"increment":"1.5h"`), renew(`,"increment":"1d"`), renew(`,"increment":"300ms"`), renew(`,"increment":"1.9s"`),
		renew(`,"increment":-5`), renew(`,"increment":"-5"`), renew(`,"increment":"-5s"`), renew(`,"increment":"soon"`),
		renew(`,"increment":true`), renew(`,"increment":[]`), renew(`,"increment":[5]`), renew(`,"increment":{}`), renew(`,"increment":1e3`),
		renew(`,"increment":86400`), renew(`,"increment":"1000h"`), renew(`,"increment":999999999999`), renew(`,"increment":"99999999999999999999"`),
		renew(`,"other":"field"`),
		step{as: "app", do: "POST sys/leases/renew", body: byLease},
		step{as: "bare", do: "POST sys/leases/renew", body: byLease},
		step{as: "app", do: "PUT sys/leases/renew/{lease}"},
		step{as: "app", do: "PUT sys/leases/renew/{lease}", body: `{"increment":30}`},
		step{as: "app", do: "PUT sys/leases/renew/nobody", body: byLease},
		step{as: "root", do: "PUT sys/renew", body: byLease},
		step{as: "root", do: "PUT sys/renew/{lease}", body: `{"increment":"40s"}`},
		step{as: "bare", do: "PUT sys/renew", body: byLease},
		step{as: "bare", do: "PUT sys/renew/{lease}"},
		step{as: "bare", do: "PUT sys/leases/renew/{lease}"},
		step{as: "app", do: "PUT sys/leases/renew"},
		step{as: "app", do: "PUT sys/leases/renew/"},
		step{as: "app", do: "PUT sys/leases/renew", body: `{}`},
		step{as: "app", do: "PUT sys/leases/renew", body: `{"lease_id":""}`},
		step{as: "app", do: "PUT sys/leases/renew", body: `{"lease_id":null}`},
		step{as: "app", do: "PUT sys/leases/renew", body: `{"lease_id":`},
		step{as: "app", do: "PUT sys/leases/renew", body: `[]`},
		step{as: "app", do: "PUT sys/leases/renew", body: `{"lease_id":"database/creds/app/nosuchlease"}`},
		step{as: "app", do: "PUT sys/leases/renew", body: `{"lease_id":"/{lease}"}`},
		step{as: "app", do: "PUT sys/leases/renew", body: `{"lease_id":"{lease}/"}`},
		step{as: "app", do: "GET sys/leases/renew"},
		step{as: "app", do: "GET sys/leases/renew/{lease}"},
		step{as: "app", do: "DELETE sys/leases/renew"},
		step{as: "root", do: "LIST sys/leases/renew"},
		step{as: "root", do: "PATCH sys/leases/renew", body: byLease},
		step{do: "PUT sys/leases/renew", body: byLease},
		step{do: "PUT sys/leases/renew"},
		step{as: "app", do: "PUT sys/leases/lookup", body: byLease},

		step{as: "app", do: "GET database/creds/short", save: "lease=lease_id", loose: ofUser},
		renew(``), renew(`,"increment":"14m"`), renew(`,"increment":"16m"`), renew(`,"increment":901`), renew(`,"increment":5`), renew(``),
		step{as: "app", do: "PUT sys/leases/lookup", body: byLease},

		step{as: "app", do: "GET database/creds/plain", save: "lease=lease_id", loose: ofUser},
		renew(``), renew(`,"increment":"1h"`), renew(`,"increment":"769h"`), renew(`,"increment":"800h"`), renew(`,"increment":"100d"`),
	)
}

func TestLeasesAreLookedUpAlike(t *testing.T) {
	t.Parallel()
	p, _ := newDatabasePair(t)
	lookup := func(body string) step { return step{as: "app", do: "PUT sys/leases/lookup", body: body} }
	p.play(
		step{as: "app", do: "GET database/creds/app", save: "lease=lease_id", loose: ofUser},
		lookup(byLease), lookup(``), lookup(`{}`), lookup(`{"lease_id":""}`),
		lookup(`{"lease_id":"none"}`), lookup(`{"lease_id":"{lease}x"}`),
		step{as: "app", do: "POST sys/leases/lookup", body: byLease},
		step{as: "bare", do: "PUT sys/leases/lookup", body: byLease},
		step{do: "PUT sys/leases/lookup", body: byLease},
		step{as: "app", do: "GET sys/leases/lookup", body: byLease},
		step{as: "app", do: "DELETE sys/leases/lookup"},
		step{as: "root", do: "PATCH sys/leases/lookup", body: byLease},
		step{as: "root", do: "PUT sys/leases/lookup/{lease}"},
		step{as: "root", do: "GET sys/leases/lookup/{lease}"},
		step{as: "app", do: "PUT sys/leases/renew", body: byLease},
		lookup(byLease),

		step{as: "root", do: "LIST sys/leases/lookup/database/creds/app"},
		step{as: "root", do: "LIST sys/leases/lookup/database/creds/app/"},
		step{as: "root", do: "GET sys/leases/lookup/database/creds/app/?list=true"},
		step{as: "root", do: "GET sys/leases/lookup/database/creds/app?list=true"},
		step{as: "root", do: "LIST sys/leases/lookup/database/creds"},
		step{as: "root", do: "LIST sys/leases/lookup/database/"},
		step{as: "root", do: "LIST sys/leases/lookup/database"},
		step{as: "root", do: "LIST sys/leases/lookup/data"},
		step{as: "root", do: "LIST sys/leases/lookup/"},
		step{as: "root", do: "LIST sys/leases/lookup"},
		step{as: "root", do: "LIST sys/leases/lookup/auth"},
		step{as: "root", do: "LIST sys/leases/lookup/auth/token"},
		step{as: "root", do: "LIST sys/leases/lookup/nothing"},
		step{as: "root", do: "LIST sys/leases/lookup/{lease}"},
		step{as: "admin", do: "LIST sys/leases/lookup/database/creds/app"},
		step{as: "app", do: "LIST sys/leases/lookup/database/creds/app"},
		step{as: "bare", do: "LIST sys/leases/lookup/database/creds/app"},
		step{do: "LIST sys/leases/lookup/database/creds/app"},
		step{as: "root", do: "LIST sys/leases"},
		step{as: "root", do: "GET sys/leases"},
		step{as: "root", do: "GET sys/leases?type=irrevocable"},
		step{as: "root", do: "GET sys/leases/count"},
		step{as: "root", do: "GET sys/leases/count?type=irrevocable"},
		step{as: "root", do: "POST sys/leases/tidy"},
		step{as: "root", do: "GET sys/leases/tidy"},
		step{as: "bare", do: "POST sys/leases/tidy"},
		step{as: "app", do: "GET sys/leases?type=irrevocable"},
		step{as: "app", do: "GET sys/leases/count?type=irrevocable"},
		step{as: "root", do: "PUT sys/leases/nothing"},
		step{as: "root", do: "PUT sys/leases"},
	)
}

func TestLeasesAreRevokedAlike(t *testing.T) {
	t.Parallel()
	p, _ := newDatabasePair(t)
	creds := step{as: "app", do: "GET database/creds/app", save: "lease=lease_id", loose: ofUser}
	p.play(
		creds,
		step{as: "bare", do: "PUT sys/leases/revoke", body: byLease},
		step{do: "PUT sys/leases/revoke", body: byLease},
		step{as: "app", do: "PUT sys/leases/revoke"},
		step{as: "app", do: "PUT sys/leases/revoke", body: `{"lease_id":""}`},
		step{as: "app", do: "PUT sys/leases/revoke", body: `{"lease_id":"none"}`},
		step{as: "app", do: "PUT sys/leases/revoke", body: `{"lease_id":"none","sync":true}`},
		step{as: "app", do: "PUT sys/leases/revoke", body: `{"lease_id":"none","sync":"perhaps"}`},
		step{as: "app", do: "PUT sys/leases/revoke", body: `{"lease_id":"none","sync":"true"}`},
		step{as: "app", do: "PUT sys/leases/revoke", body: `{"lease_id":"none","sync":1}`},
		step{as: "app", do: "PUT sys/leases/revoke", body: `{"lease_id":"none","sync":[]}`},
		step{as: "app", do: "GET sys/leases/revoke/{lease}"},
		step{as: "app", do: "DELETE sys/leases/revoke/{lease}"},
		step{as: "app", do: "PUT sys/leases/lookup", body: byLease},
		step{as: "app", do: "PUT sys/leases/revoke", body: `{"lease_id":"{lease}","sync":true}`},
		step{as: "app", do: "PUT sys/leases/revoke", body: `{"lease_id":"{lease}","sync":true}`},
		step{as: "app", do: "PUT sys/leases/renew", body: byLease},
		step{as: "app", do: "PUT sys/leases/lookup", body: byLease},
		creds,
		step{as: "app", do: "PUT sys/leases/revoke/{lease}", body: `{"sync":true}`},
		step{as: "app", do: "PUT sys/leases/renew/{lease}"},
		creds,
		step{as: "root", do: "PUT sys/revoke", body: `{"lease_id":"{lease}","sync":true}`},
		step{as: "root", do: "PUT sys/renew", body: byLease},
		creds,
		step{as: "root", do: "PUT sys/revoke/{lease}", body: `{"sync":true}`},
		step{as: "root", do: "PUT sys/renew/{lease}"},
		creds,
		step{as: "app", do: "POST sys/leases/revoke", body: byLease},

		creds,
		step{as: "app", do: "PUT sys/leases/revoke-prefix/database/creds/app", body: `{"sync":true}`},
		step{as: "bare", do: "PUT sys/leases/revoke-prefix/database/creds/app", body: `{"sync":true}`},
		step{do: "PUT sys/leases/revoke-prefix/database/creds/app"},
		step{as: "root", do: "PUT sys/leases/revoke-prefix/database/creds/ap", body: `{"sync":true}`},
		step{as: "root", do: "PUT sys/leases/revoke-prefix/nothing", body: `{"sync":true}`},
		step{as: "root", do: "PUT sys/leases/revoke-prefix", body: `{"sync":true}`},
		step{as: "root", do: "PUT sys/leases/revoke-prefix/", body: `{"sync":true}`},
		step{as: "root", do: "PUT sys/leases/revoke-prefix/x", body: `{"sync":"perhaps"}`},
		step{as: "root", do: "PUT sys/leases/revoke-prefix", body: `{"prefix":"database/creds/app","sync":true}`},
		step{as: "root", do: "GET sys/leases/revoke-prefix/database/creds/app"},
		step{as: "app", do: "PUT sys/leases/lookup", body: byLease},
		step{as: "admin", do: "PUT sys/leases/revoke-prefix/database/creds/app", body: `{"sync":true}`},
		step{as: "app", do: "PUT sys/leases/lookup", body: byLease},
		creds,
		step{as: "root", do: "PUT sys/leases/revoke-prefix/{lease}", body: `{"sync":true}`},
		step{as: "app", do: "PUT sys/leases/lookup", body: byLease},
		creds,
		step{as: "root", do: "PUT sys/revoke-prefix/database", body: `{"sync":true}`},
		step{as: "app", do: "PUT sys/leases/lookup", body: byLease},
		creds,
		step{as: "admin", do: "PUT sys/leases/revoke-force/database"},
		step{as: "app", do: "PUT sys/leases/lookup", body: byLease},
		creds,
		step{as: "root", do: "PUT sys/revoke-force/database/creds"},
		step{as: "app", do: "PUT sys/leases/lookup", body: byLease},
		step{as: "root", do: "PUT sys/leases/revoke-prefix/database/creds/app"},
		step{as: "bare", do: "PUT sys/leases/revoke-force/database"},
		step{as: "root", do: "GET sys/leases/revoke-force/database"},
	)
}

func TestLeasesEndAlike(t *testing.T) {
	t.Parallel()
	p, _ := newDatabasePair(t)
	p.real.DatabaseRole("database", "brief", map[string]any{"default_ttl": "1s", "max_ttl": "1h"})
	p.fake.DynamicRole("database", "brief", vaulttest.RoleSpec{DefaultTTL: time.Second, MaxTTL: time.Hour})
	gone := []step{
		{as: "app", do: "PUT sys/leases/lookup", body: byLease},
		{as: "app", do: "PUT sys/leases/renew", body: byLease},
		{as: "app", do: "PUT sys/leases/renew/{lease}", body: `{"increment":"1h"}`},
		{as: "app", do: "PUT sys/leases/revoke", body: byLease},
		{as: "root", do: "LIST sys/leases/lookup/database"},
	}

	p.play(step{as: "app", do: "GET database/creds/brief", save: "lease=lease_id", loose: ofUser})
	p.awaitEnd()
	p.fake.Advance(time.Second)
	p.play(gone...)

	p.play(
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["app"],"ttl":"1h"}`, save: "parent=auth.client_token"},
		step{as: "parent", do: "GET database/creds/app", save: "lease=lease_id", loose: ofUser},
		step{as: "parent", do: "POST auth/token/revoke-self"},
	)
	p.awaitEnd()
	p.play(gone...)
	p.play(step{as: "parent", do: "PUT sys/leases/renew", body: byLease})

	// A lease says how long the role lets it live, however soon its token dies; and it dies with its
	// token's parent, whoever has renewed it meanwhile.
	p.play(
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["app"],"ttl":"1h"}`, save: "parent=auth.client_token"},
		step{as: "root", do: "POST auth/token/create-orphan", body: `{"policies":["app"],"ttl":"90s"}`, save: "brief=auth.client_token"},
		step{as: "brief", do: "GET database/creds/app", save: "lease=lease_id", loose: ofUser},
		step{as: "brief", do: "PUT sys/leases/lookup", body: byLease},
		step{as: "brief", do: "PUT sys/leases/renew", body: byLease},
		step{as: "app", do: "PUT sys/leases/renew", body: `{"lease_id":"{lease}","increment":"3h"}`},
		step{as: "brief", do: "PUT sys/leases/lookup", body: byLease},
		step{as: "brief", do: "PUT auth/token/renew-self", body: `{"increment":"5s"}`},
		step{as: "brief", do: "PUT sys/leases/lookup", body: byLease},
		step{as: "brief", do: "POST auth/token/revoke-self"},
	)
	p.awaitEnd()
	p.play(gone...)
	p.policy("app", vaulttest.Rule{Path: "*", Capabilities: []string{"create", "read", "list", "update", "delete"}})
	p.play(
		step{as: "parent", do: "POST auth/token/create", body: `{"ttl":"10m"}`, save: "child=auth.client_token"},
		step{as: "child", do: "GET database/creds/app", save: "lease=lease_id", loose: ofUser},
		step{as: "app", do: "PUT sys/leases/renew", body: byLease},
		step{as: "parent", do: "POST auth/token/revoke-self"},
	)
	p.awaitEnd()
	p.play(gone...)
	p.play(
		step{as: "root", do: "POST auth/token/create", body: `{"policies":["app"],"period":"1m"}`, save: "periodic=auth.client_token"},
		step{as: "periodic", do: "POST auth/token/create", body: `{"type":"batch","ttl":"30m"}`, save: "batch=auth.client_token"},
		step{as: "batch", do: "GET database/creds/app", save: "lease=lease_id", loose: ofUser + " lease_duration"},
		step{as: "batch", do: "PUT sys/leases/lookup", body: byLease},
		step{as: "periodic", do: "POST auth/token/revoke-self"},
		step{as: "batch", do: "GET database/creds/app"},
	)
	p.awaitEnd()
	p.play(gone...)
}

// awaitEnd waits until real Vault has ended the lease, which it does in its own time.
func (p *pair) awaitEnd() {
	p.t.Helper()
	testvault.Poll(p.t, 20*time.Second, func() bool {
		status, _, err := p.real.TryWrite("sys/leases/lookup", map[string]any{"lease_id": p.sides[0].known["lease"]})
		return err == nil && status == 400
	}, "Vault to end a lease")
}

func TestLeasesOfTokensAreAlike(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	byToken := `{"lease_id":"auth/token/create-orphan/{key}"}`
	orphan := step{as: "root", do: "POST auth/token/create-orphan", body: `{"ttl":"10m","policies":["default"]}`, save: "t=auth.client_token"}
	listed := step{as: "root", do: "LIST sys/leases/lookup/auth/token/create-orphan", save: "key=data.keys.0", loose: "0"}
	p.play(
		orphan, listed,
		step{as: "root", do: "PUT sys/leases/lookup", body: byToken},
		step{as: "root", do: "PUT sys/leases/renew", body: byToken},
		step{as: "t", do: "PUT auth/token/renew-self"},
		step{as: "root", do: "PUT sys/leases/lookup", body: byToken},
		step{as: "root", do: "PUT sys/leases/revoke", body: `{"lease_id":"auth/token/create-orphan/{key}","sync":true}`},
		step{as: "t", do: "GET auth/token/lookup-self"},
		step{as: "root", do: "PUT sys/leases/lookup", body: byToken},
		step{as: "root", do: "PUT sys/leases/renew", body: byToken},
		orphan,
		step{as: "root", do: "PUT sys/leases/revoke-prefix/auth/token/create-orphan", body: `{"sync":true}`},
		step{as: "t", do: "GET auth/token/lookup-self"},
		step{as: "root", do: "POST auth/token/create-orphan", body: `{"ttl":"10m","renewable":false}`, save: "t=auth.client_token"},
		listed,
		step{as: "root", do: "PUT sys/leases/lookup", body: byToken},
		step{as: "root", do: "PUT sys/leases/renew", body: byToken},
	)
}
