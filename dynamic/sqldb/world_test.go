package sqldb_test

import (
	"context"
	"database/sql"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// world is a program with a Vault and a database, in a bubble of its own time.
type world struct {
	*testing.T

	vault  *vaulttest.Server
	client *leasehold.Client
	creds  *dynamic.Credential[dynamic.UserPass]
	base   *database
	dialer *sqldb.Dialer
	db     *sql.DB
}

// life is of the credentials, which are not renewable: each is replaced before its end.
const life = 10 * time.Minute

// inWorld runs f in a bubble, and then closes everything in the order of a program.
func inWorld(t *testing.T, f func(w *world), opts ...sqldb.Option) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, vault: vaulttest.New(t)}
		w.vault.Policy("app", vaulttest.Rule{Path: "database/creds/app", Capabilities: []string{"read"}})
		w.vault.DynamicRole("database", "app", vaulttest.RoleSpec{DefaultTTL: life, MaxTTL: life, NotRenewable: true})
		roleID, secretID := w.vault.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"app"}})
		var err error
		w.client, err = leasehold.New(t.Context(), leasehold.Config{
			Address:    "http://vault.test",
			Auth:       approle.New(roleID, approle.SecretIDString(secretID)),
			HTTPClient: w.vault.Client(),
		})
		require.NoError(t, err)
		w.creds, err = dynamic.Database(t.Context(), w.client, "app")
		require.NoError(t, err)
		w.base = newDatabase(w.vault.Alive)
		w.dialer = sqldb.Connector(w.creds, w.base.connector, opts...)
		w.db = sql.OpenDB(w.dialer)
		t.Cleanup(func() {
			assert.NoError(t, w.db.Close())
			assert.NoError(t, w.client.Close(context.WithoutCancel(t.Context())))
			assert.Empty(t, w.base.users(), "sessions left behind")
		})
		f(w)
	})
}

// user runs a query and returns the user that it ran as.
func (w *world) user() (string, error) {
	var user string
	err := w.db.QueryRowContext(w.Context(), "SELECT current_user").Scan(&user)
	return user, err
}

func (w *world) mustUser() string {
	w.Helper()
	user, err := w.user()
	require.NoError(w, err)
	return user
}

// fill makes n connections that then lie idle in the pool.
func (w *world) fill(n int) {
	w.Helper()
	w.db.SetMaxIdleConns(n)
	conns := make([]*sql.Conn, n)
	for i := range conns {
		conns[i] = w.hold()
	}
	for _, c := range conns {
		require.NoError(w, c.Close())
	}
	require.Len(w, w.base.users(), n)
}

// hold takes a connection that has run a statement.
func (w *world) hold() *sql.Conn {
	w.Helper()
	c, err := w.db.Conn(w.Context())
	require.NoError(w, err)
	_, err = c.ExecContext(w.Context(), "SELECT 1")
	require.NoError(w, err)
	return c
}

// replaced waits for the next generation and returns the older one's snapshot.
func (w *world) replaced() dynamic.Snapshot[dynamic.UserPass] {
	w.Helper()
	old := w.creds.Snapshot()
	_, err := w.creds.Wait(w.Context(), old.Generation)
	require.NoError(w, err)
	synctest.Wait()
	return old
}

// closing closes c when the test ends.
func closing(t *testing.T, c io.Closer) {
	t.Helper()
	t.Cleanup(func() { assert.NoError(t, c.Close()) })
}

// nap is for goroutines of a test, in its bubble.
func nap(d time.Duration) { time.Sleep(d) }

// pass lets time go by, and what was due then be done.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
