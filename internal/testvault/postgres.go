package testvault

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver
)

// The names in the cluster. Vault gets a role of its own, so that rotating its
// password locks nobody else out.
const (
	adminRole  = "admin"
	vaultRole  = "vault"
	pgDatabase = "app"
)

// PG is a PostgreSQL cluster with a database "app". Passwords are asked for on
// every connection.
type PG struct {
	tb            testing.TB
	port          int
	adminPassword string
	vaultPassword string
	db            *sql.DB
	process       *process
}

// PGOption changes how PostgreSQL is started.
type PGOption func(*pgOptions)

type pgOptions struct{ settings []string }

// MaxConnections limits the connections that the server accepts.
func MaxConnections(n int) PGOption {
	return Setting("max_connections", strconv.Itoa(n))
}

// Setting sets a parameter of postgresql.conf.
func Setting(name, value string) PGOption {
	return func(o *pgOptions) { o.settings = append(o.settings, "-c", name+"="+value) }
}

// Postgres starts a PostgreSQL that lives as long as the test.
func Postgres(tb testing.TB, opts ...PGOption) *PG {
	tb.Helper()
	bin, ok := pgBin()
	if !ok {
		missing(tb, "there is no PostgreSQL: install the server (initdb and postgres, on PATH or under /usr/lib/postgresql)")
	}
	cred, err := pgUser()
	if err != nil {
		missing(tb, err.Error())
	}
	var o pgOptions
	for _, opt := range opts {
		opt(&o)
	}
	pg := &PG{tb: tb, adminPassword: rand.Text(), vaultPassword: rand.Text()}
	var port int
	pg.process, port, err = launch(tb.Context(), "postgres",
		func(dir string, port int) (command, error) { return pg.command(bin, dir, port, cred, o) },
		func(ctx context.Context, port int) error {
			pg.port = port
			return pg.ready(ctx)
		})
	if err != nil {
		tb.Fatalf("testvault: %v", err)
	}
	tb.Cleanup(pg.process.end)
	pg.port = port
	pg.create()
	return pg
}

// initAndServe makes a cluster and becomes its server. It is one command, so
// that the supervisor watches over initdb too.
const initAndServe = `
bin=$1
shift
"$bin/initdb" -D data -U ` + adminRole + ` -A scram-sha-256 --pwfile=password -E UTF8 --no-locale --no-sync &&
rm password &&
exec "$bin/postgres" -D data "$@"
`

func (pg *PG) command(bin, dir string, port int, cred *syscall.Credential, o pgOptions) (command, error) {
	password := filepath.Join(dir, "password")
	if err := os.WriteFile(password, []byte(pg.adminPassword+"\n"), 0o600); err != nil {
		return command{}, err
	}
	if cred != nil {
		for _, path := range []string{dir, password} {
			if err := os.Chown(path, int(cred.Uid), int(cred.Gid)); err != nil {
				return command{}, err
			}
		}
	}
	args := []string{
		"/bin/sh", "-c", initAndServe, "postgres", bin,
		"-p", strconv.Itoa(port),
		"-c", "listen_addresses=127.0.0.1",
		"-k", dir,
		"-c", "fsync=off",
	}
	return command{
		dir:  dir,
		args: append(args, o.settings...),
		env:  append(scrubbed(os.Environ()), "HOME="+dir),
		// TERM ends the shell while initdb runs; a shell in the background
		// ignores QUIT. QUIT is the server's immediate shutdown: nobody will
		// read this cluster again.
		stop: "TERM QUIT",
		cred: cred, grace: 10,
	}, nil
}

func (pg *PG) ready(ctx context.Context) error {
	db, err := sql.Open("pgx", pg.dsn(adminRole, pg.adminPassword, "postgres"))
	if err != nil {
		return err
	}
	return errors.Join(db.PingContext(ctx), db.Close())
}

// create makes Vault's role and the database, and opens the test's own pool.
func (pg *PG) create() {
	pg.tb.Helper()
	db, err := sql.Open("pgx", pg.dsn(adminRole, pg.adminPassword, "postgres"))
	if err != nil {
		pg.tb.Fatalf("testvault: postgres: %v", err)
	}
	defer func() { _ = db.Close() }()
	for _, statement := range []string{
		"CREATE ROLE " + vaultRole + " SUPERUSER LOGIN PASSWORD '" + pg.vaultPassword + "'",
		"CREATE DATABASE " + pgDatabase,
	} {
		if _, err := db.ExecContext(pg.tb.Context(), statement); err != nil {
			pg.tb.Fatalf("testvault: postgres: %v", err)
		}
	}
	pg.db, err = sql.Open("pgx", pg.AdminDSN())
	if err != nil {
		pg.tb.Fatalf("testvault: postgres: %v", err)
	}
	pg.tb.Cleanup(func() { _ = pg.db.Close() })
}

// DSN is the URL of the database for a user.
func (pg *PG) DSN(user, password string) string { return pg.dsn(user, password, pgDatabase) }

// AdminDSN is the URL of the database for its superuser.
func (pg *PG) AdminDSN() string { return pg.DSN(adminRole, pg.adminPassword) }

func (pg *PG) dsn(user, password, database string) string {
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(user, password),
		Host:     fmt.Sprintf("127.0.0.1:%d", pg.port),
		Path:     database,
		RawQuery: "sslmode=disable",
	}
	return u.String()
}

// Port is where the server listens, on 127.0.0.1.
func (pg *PG) Port() int { return pg.port }

// DB is a pool of the superuser's connections. The test's end closes it.
func (pg *PG) DB() *sql.DB { return pg.db }

// Exec runs a statement as the superuser.
func (pg *PG) Exec(statement string) {
	pg.tb.Helper()
	if _, err := pg.db.ExecContext(pg.tb.Context(), statement); err != nil {
		pg.tb.Fatalf("testvault: postgres: %v", err)
	}
}

// Roles returns the roles that Vault has made and not yet dropped.
func (pg *PG) Roles() []string {
	pg.tb.Helper()
	// Asked in cleanup functions too, when the test's own context has ended.
	rows, err := pg.db.QueryContext(context.WithoutCancel(pg.tb.Context()),
		`SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%' ORDER BY rolname`)
	if err != nil {
		pg.tb.Fatalf("testvault: postgres: %v", err)
	}
	defer func() { _ = rows.Close() }()
	var roles []string
	for rows.Next() {
		var role string
		if err := rows.Scan(&role); err != nil {
			pg.tb.Fatalf("testvault: postgres: %v", err)
		}
		roles = append(roles, role)
	}
	if err := rows.Err(); err != nil {
		pg.tb.Fatalf("testvault: postgres: %v", err)
	}
	return roles
}

// Stop ends the server before the test does.
func (pg *PG) Stop() { pg.process.end() }

// pgBin returns the folder that holds both initdb and postgres. Packages put it
// outside PATH, one for each version; the newest is taken.
func pgBin() (string, bool) {
	dirs := filepath.SplitList(os.Getenv("PATH"))
	packaged, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(packaged, func(a, b string) int { return cmp.Compare(pgVersion(b), pgVersion(a)) })
	for _, dir := range append(dirs, packaged...) {
		if isFile(filepath.Join(dir, "initdb")) && isFile(filepath.Join(dir, "postgres")) {
			return dir, true
		}
	}
	return "", false
}

func pgVersion(bin string) float64 {
	version, _ := strconv.ParseFloat(filepath.Base(filepath.Dir(bin)), 64)
	return version
}

// pgUser says whom to run PostgreSQL as: it refuses to run as root.
func pgUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nobody else than who we are
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL does not run as root, and there is no other user for it: %w", err)
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return nil, err
	}
	// No supplementary groups: root's would go with it.
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}
