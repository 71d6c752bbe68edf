package testvault

import (
	"database/sql"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func query(t *testing.T, dsn string) error {
	t.Helper()
	db, err := sql.Open("pgx", dsn)
	require.NoError(t, err)
	defer func() { _ = db.Close() }()
	var n int
	return db.QueryRowContext(t.Context(), "SELECT n FROM numbers").Scan(&n)
}

func TestDynamicCredentials(t *testing.T) {
	pg := Postgres(t, MaxConnections(20))
	pg.Exec("CREATE TABLE numbers AS SELECT 7 AS n")
	var limit string
	require.NoError(t, pg.DB().QueryRow("SHOW max_connections").Scan(&limit))
	assert.Equal(t, "20", limit)
	require.Error(t, query(t, pg.DSN(adminRole, "wrong")), "a wrong password should be refused")
	require.NoError(t, query(t, pg.AdminDSN()))

	s := Vault(t)
	s.Database(pg, "database")
	s.DatabaseRole("database", "app", map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
	assert.Empty(t, s.Leases("database/creds"))
	assert.Empty(t, pg.Roles())

	var leases []string
	for range 3 {
		creds := request(t, s, s.RootToken(), http.MethodGet, "database/creds/app", "")
		user, password := s.field(creds, "data", "username"), s.field(creds, "data", "password")
		require.NoError(t, query(t, pg.DSN(user, password)))
		assert.Contains(t, pg.Roles(), user)
		leases = append(leases, s.field(creds, "lease_id"))
	}
	assert.Equal(t, 3, s.Audit().Count("read", "database/creds/"), "the root token of the code under test should count")
	assert.ElementsMatch(t, leases, s.Leases("database/creds"))
	assert.ElementsMatch(t, leases, s.Leases("database/creds/app/"))
	assert.Subset(t, s.Leases(""), leases)

	s.RevokeLease(leases[0])
	assert.Len(t, s.Leases("database"), 2)
	assert.Len(t, pg.Roles(), 2)
	s.RevokeLeases("database/creds/app")
	Poll(t, 10*time.Second, func() bool { return len(s.Leases("database")) == 0 && len(pg.Roles()) == 0 }, "no lease and no role left")

	pg.Stop()
	require.Error(t, query(t, pg.AdminDSN()))
}

func TestAPostgresThatCannotStartSaysWhy(t *testing.T) {
	r := &recorder{TB: t}
	assert.Panics(t, func() { Postgres(r, Setting("no_such_setting", "1")) })
	assert.Contains(t, r.failed, "no_such_setting")
}

func TestThePackagedVersionsAreComparedAsNumbers(t *testing.T) {
	assert.Less(t, pgVersion("/usr/lib/postgresql/9.6/bin"), pgVersion("/usr/lib/postgresql/15/bin"))
}
