package likeness

import (
	"errors"
	"testing"
	"time"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestDatabaseRolesAreAlike(t *testing.T) {
	t.Parallel()
	p, _ := newDatabasePair(t)
	p.play(
		step{as: "app", do: "GET database/creds/app", loose: ofUser},
		step{as: "app", do: "GET database/creds/short", loose: ofUser},
		step{as: "app", do: "GET database/creds/plain", loose: ofUser},
		step{as: "app", do: "GET database/creds/app?list=false", loose: ofUser},
		step{as: "app", do: "GET database/creds/nobody"},
		step{as: "app", do: "GET database/creds/app/"},
		step{as: "app", do: "GET database/creds/app/more"},
		step{as: "app", do: "GET database/creds/"},
		step{as: "app", do: "GET database/creds"},
		step{as: "app", do: "GET database/creds/no%20name"},
		step{as: "app", do: "GET database/creds/-x"},
		step{as: "app", do: "GET database/nothing"},
		step{as: "app", do: "GET database/"},
		step{as: "app", do: "GET database"},
		step{as: "app", do: "PUT database/creds/app", body: `{}`},
		step{as: "app", do: "POST database/creds/nobody", body: `{}`},
		step{as: "app", do: "DELETE database/creds/app"},
		step{as: "app", do: "LIST database/creds/app"},
		step{as: "app", do: "LIST database/creds"},
		step{as: "root", do: "PATCH database/creds/app", body: `{}`},
		step{as: "bare", do: "GET database/creds/app"},
		step{as: "bare", do: "GET database/creds/nobody"},
		step{do: "GET database/creds/app"},
		step{as: "app", do: "LIST database/roles"},
		step{as: "app", do: "LIST database/roles/"},
		step{as: "app", do: "GET database/roles?list=true"},
		step{as: "app", do: "GET database/roles"},
		step{as: "app", do: "GET database/roles/nobody"},
		step{as: "bare", do: "LIST database/roles"},
		step{as: "app", do: "LIST database/static-roles"},
		step{as: "app", do: "GET database/static-creds/nobody"},
		step{as: "app", do: "POST database/rotate-role/nobody"},
	)
}

func TestFewUsesAndBatchTokensGetLeasesAlike(t *testing.T) {
	t.Parallel()
	p, _ := newDatabasePair(t)
	create := func(name, fields string) step {
		return step{as: "root", do: "POST auth/token/create", body: `{"policies":["app"],` + fields + `}`, save: name + "=auth.client_token"}
	}
	p.play(
		create("few", `"num_uses":4`),
		step{as: "few", do: "GET database/creds/app", save: "lease=lease_id", loose: ofUser},
		step{as: "few", do: "PUT sys/leases/renew", body: byLease},
		step{as: "few", do: "PUT sys/leases/lookup", body: byLease},
		step{as: "few", do: "GET database/creds/app"},
		step{as: "few", do: "GET database/creds/app"},

		create("batch", `"type":"batch","ttl":"5m"`),
		step{as: "batch", do: "GET database/creds/app", save: "lease=lease_id", loose: ofUser + " lease_duration"},
		step{as: "batch", do: "PUT sys/leases/lookup", body: byLease},
		step{as: "batch", do: "PUT sys/leases/renew", body: byLease, loose: "lease_duration"},
		step{as: "app", do: "PUT sys/leases/renew", body: `{"lease_id":"{lease}","increment":60}`},
		step{as: "app", do: "PUT sys/leases/renew", body: `{"lease_id":"{lease}","increment":"30h"}`, loose: "lease_duration"},
		step{as: "batch", do: "PUT sys/leases/lookup", body: byLease},
		step{as: "batch", do: "PUT sys/leases/revoke", body: `{"lease_id":"{lease}","sync":true}`},
		step{as: "batch", do: "PUT sys/leases/renew", body: byLease},
	)
}

func TestStaticRolesAreAlike(t *testing.T) {
	t.Parallel()
	p, pg := newDatabasePair(t)
	pg.Exec(`CREATE ROLE billing LOGIN PASSWORD 'first'`)
	p.real.Write("database/static-roles/billing", map[string]any{"db_name": "app", "username": "billing", "rotation_period": "1h"})
	var broken error
	p.fake.StaticRole("database", "billing", vaulttest.StaticSpec{
		Username: "billing", RotationPeriod: time.Hour, Rotate: func(string, string) error { return broken },
	})
	read := step{as: "app", do: "GET database/static-creds/billing", loose: "last_vault_rotation"}
	first := read
	first.loose, first.save = "last_vault_rotation password", "password=data.password"
	p.play(
		first, read,
		step{as: "app", do: "GET database/static-creds/billing?x=1", loose: "last_vault_rotation"},
		step{as: "app", do: "GET database/static-creds/nobody"},
		step{as: "app", do: "GET database/static-creds/app"},
		step{as: "app", do: "GET database/creds/billing"},
		step{as: "app", do: "GET database/static-creds/"},
		step{as: "app", do: "GET database/static-creds"},
		step{as: "app", do: "LIST database/static-creds"},
		step{as: "app", do: "LIST database/static-creds/billing"},
		step{as: "app", do: "PUT database/static-creds/billing", body: `{}`},
		step{as: "app", do: "DELETE database/static-creds/billing"},
		step{as: "bare", do: "GET database/static-creds/billing"},
		step{do: "GET database/static-creds/billing"},
		step{as: "app", do: "LIST database/static-roles"},
		step{as: "app", do: "GET database/static-roles"},
		step{as: "app", do: "GET database/static-roles/nobody"},
		step{as: "app", do: "GET database/rotate-role/billing"},
		step{as: "app", do: "LIST database/rotate-role/billing"},
		step{as: "app", do: "POST database/rotate-role/nobody"},
		step{as: "app", do: "POST database/rotate-role/app"},
		step{as: "app", do: "POST database/rotate-role"},
		step{as: "bare", do: "POST database/rotate-role/billing"},
		step{do: "POST database/rotate-role/billing"},
		read,
		step{as: "app", do: "POST database/rotate-role/billing"},
		first, read,
		step{as: "app", do: "PUT database/rotate-role/billing", body: `{"x":1}`},
		first,
	)
	pg.Exec(`DROP ROLE billing`)
	broken = errors.New(`failed to execute query: ERROR: role "billing" does not exist (SQLSTATE 42704)`)
	p.play(
		step{as: "app", do: "POST database/rotate-role/billing"},
		step{as: "app", do: "GET database/static-creds/billing", loose: "last_vault_rotation ttl"},
	)
}

func TestDatabasesThatFailAreAlike(t *testing.T) {
	t.Parallel()
	p, _ := newDatabasePair(t)
	p.real.DatabaseRole("database", "broken", map[string]any{"creation_statements": []string{"garbage"}})
	p.fake.DynamicRole("database", "broken", vaulttest.RoleSpec{Create: func() (map[string]any, error) {
		return nil, errors.New(`failed to execute query: ERROR: syntax error at or near "garbage" (SQLSTATE 42601)`)
	}})
	p.real.DatabaseRole("database", "fixed", map[string]any{"renew_statements": []string{"garbage"}})
	p.fake.DynamicRole("database", "fixed", vaulttest.RoleSpec{RenewErr: func() error {
		return errors.New(`ERROR: syntax error at or near "garbage" (SQLSTATE 42601)`)
	}})
	p.play(
		step{as: "app", do: "GET database/creds/broken"},
		step{as: "app", do: "GET database/creds/fixed", save: "lease=lease_id", loose: ofUser},
		step{as: "app", do: "PUT sys/leases/renew", body: byLease},
		step{as: "app", do: "PUT sys/leases/lookup", body: byLease},
	)

	// What a role is now is what its older leases are renewed by.
	p.play(step{as: "app", do: "GET database/creds/app", save: "lease=lease_id", loose: ofUser})
	p.real.DatabaseRole("database", "app", map[string]any{"default_ttl": "20m", "max_ttl": "30m"})
	p.fake.DynamicRole("database", "app", vaulttest.RoleSpec{DefaultTTL: 20 * time.Minute, MaxTTL: 30 * time.Minute})
	p.play(
		step{as: "app", do: "PUT sys/leases/renew", body: byLease},
		step{as: "app", do: "PUT sys/leases/renew", body: `{"lease_id":"{lease}","increment":"2h"}`},
	)
}
