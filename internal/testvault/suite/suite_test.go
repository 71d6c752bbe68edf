// Package suite is the integration suite: the library against real Vault and real
// PostgreSQL. What happened is judged by oracles outside the library: Vault's audit
// log and lease table, pg_roles, and the application's own query log.
package suite

import (
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(sharing{m}) }

// canaryValue is written to KV and must never come out but by Reveal.
const canaryValue = "canary-5c1b9e-kv"

// world is a Vault with a PostgreSQL behind it.
type world struct {
	v  *testvault.Server
	pg *testvault.PG
}

func newWorld(t *testing.T) world {
	t.Helper()
	w := world{v: testvault.Vault(t), pg: testvault.Postgres(t)}
	w.pg.Exec("CREATE TABLE ledger (id int); INSERT INTO ledger VALUES (1)")
	w.v.Database(w.pg, "database")
	w.v.Policy("app", `
		path "secret/data/*"    { capabilities = ["read"] }
		path "database/creds/*" { capabilities = ["read"] }`)
	w.v.Write("secret/data/payments/stripe", map[string]any{"data": map[string]any{"api_key": canaryValue, "retries": 3}})
	return w
}

// in returns the world for a subtest.
func (w world) in(t *testing.T) world {
	t.Helper()
	return world{v: w.v.For(t), pg: w.pg}
}

// app is a client with an identity of its own, and all that it said.
type app struct {
	*leasehold.Client

	said *buffer
}

// start logs in by an AppRole mount of its own, so that the audit log tells apps apart.
func (w world) start(t *testing.T, mount string, role map[string]any, change ...func(*leasehold.Config)) *app {
	t.Helper()
	role["token_policies"] = "app"
	roleID, secretID := w.v.AppRole(mount, "app", role)
	a := &app{said: &buffer{}}
	cfg := leasehold.Config{
		Address: w.v.Addr(),
		Auth:    approle.New(roleID, approle.SecretIDString(secretID), approle.Mount(mount)),
		Logger:  slog.New(slog.NewTextHandler(a.said, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnEvent: func(e leasehold.Event) { _, _ = fmt.Fprintf(a.said, "%+v %v\n", e, e.Err) },
	}
	for _, f := range change {
		f(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var err error
	a.Client, err = leasehold.New(ctx, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	return a
}

// open returns a pool whose connections dial with the credential of the moment.
func (w world) open(t *testing.T, creds *dynamic.Credential[dynamic.UserPass]) *sql.DB {
	t.Helper()
	db := sql.OpenDB(sqldb.Connector(creds, func(up dynamic.UserPass) (driver.Connector, error) {
		cfg, err := pgx.ParseConfig(w.pg.DSN(up.Username, up.Password.Reveal()))
		if err != nil {
			return nil, err
		}
		return stdlib.GetConnector(*cfg), nil
	}))
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(8)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// roles returns PostgreSQL's roles that were made for a Vault role.
func (w world) roles(name string) []string {
	// Vault puts the first eight characters of the role into the user's name.
	return slices.DeleteFunc(w.pg.Roles(), func(r string) bool {
		return !strings.Contains(r, "-"+name[:min(len(name), 8)]+"-")
	})
}

// nothingLeft asserts that a role's leases and database users are gone. Vault
// revokes the leases of a revoked token in the background.
func (w world) nothingLeft(t *testing.T, role string) {
	t.Helper()
	testvault.Poll(t, 10*time.Second, func() bool {
		return len(w.v.Leases("database/creds/"+role)) == 0 && len(w.roles(role)) == 0
	}, "leases or database users of "+role+" left after Close")
}

// buffer is a bytes.Buffer for many writers.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

var stdout = os.Stdout
