package likeness

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// leaseIDs is for messages: the leases themselves hold passwords.
func leaseIDs(s *vaulttest.Server) []string {
	var ids []string
	for _, l := range s.Leases() {
		ids = append(ids, l.ID)
	}
	return ids
}

func TestTheCommandLineHoldsLeases(t *testing.T) {
	t.Parallel()
	databases, _ := newDatabasePair(t)
	p := databases.terminals()
	leases := func(want int, why string) func() {
		return func() { assert.Len(t, leaseIDs(p.fake), want, why) }
	}
	p.run(
		line{as: "app", run: "read database/creds/app", want: "lease_duration 1h\nlease_renewable true\nusername", then: leases(1, "one was asked for")},
		line{as: "app", run: "read -field=lease_id database/creds/short", save: "lease"},
		line{as: "app", run: "lease lookup {lease}", want: "id {lease}\nrenewable true\nttl 10m"},
		line{as: "app", run: "lease renew {lease}", want: "lease_id {lease}\nlease_duration 10m"},
		line{as: "app", run: "lease renew -increment=100 {lease}", want: "lease_duration 1m40s", then: func() {
			all := p.fake.Leases()
			assert.InDelta(t, 100, all[len(all)-1].Expires.Sub(p.fake.Now()).Seconds(), 10)
		}},
		line{as: "app", run: "lease renew -increment=10h {lease}", want: `TTL of "10h" exceeded the effective max_ttl`},
		line{as: "app", run: "lease renew -format=json {lease}", want: `"renewable": true`},
		line{as: "app", run: "lease lookup database/creds/app/none", exit: 2, want: "invalid lease"},
		line{as: "app", run: "lease renew database/creds/app/none", exit: 2, want: "lease not found"},
		line{as: "bare", run: "lease renew {lease}", want: "lease_duration 10m"},
		line{as: "bare", run: "lease revoke {lease}", exit: 2, want: "permission denied", then: leases(2, "the policy forbids it")},
		line{as: "app", run: "lease revoke {lease}", want: "All revocation operations queued successfully!"},
		line{as: "app", run: "lease revoke -sync {lease}", want: "Success! Revoked lease: {lease}", then: leases(1, "the other one")},
		line{as: "app", run: "lease lookup {lease}", exit: 2, want: "invalid lease"},

		line{as: "app", run: "read -field=lease_id database/creds/short", save: "second"},
		line{as: "app", run: "lease revoke -prefix -sync database/creds/app", exit: 2, want: "permission denied", then: leases(2, "a prefix needs sudo")},
		line{as: "admin", run: "list sys/leases/lookup/database/creds", want: "app/\nshort/"},
		line{as: "app", run: "list sys/leases/lookup/database/creds", exit: 2, want: "permission denied"},
		line{as: "admin", run: "lease revoke -prefix -sync database/creds/app", want: "Success! Revoked any leases with prefix: database/creds/app", then: leases(1, "that of the other role")},
		line{as: "admin", run: "lease revoke -prefix database/creds", want: "All revocation operations queued successfully!"},
		line{as: "admin", run: "lease revoke -prefix -force database/creds", want: "Force revoked any leases with prefix", then: leases(0, "all are under the prefix")},

		line{as: "app", run: "read -field=lease_id database/creds/app", save: "third", then: leases(1, "a new one")},
		line{as: "app", run: "token revoke -self", want: "Success! Revoked token (if it existed)", then: leases(0, "they die with the token")},
		line{as: "app", run: "lease renew {third}", exit: 2, want: "invalid token"},
		line{as: "bare", run: "read database/creds/app", exit: 2, want: "permission denied"},
		line{as: "root", run: "read database/creds/nobody", exit: 2, want: "unknown role: nobody"},
		line{as: "root", run: "lease lookup", exit: 1, want: "Missing ID!"},
	)
}
