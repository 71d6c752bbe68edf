package main

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// database is as much of a PostgreSQL as the service needs: it lets in whom Vault
// made, for as long as the lease lives, and refuses with PostgreSQL's own codes.
type database struct{ vault *vaulttest.Server }

// pgError is an error with PostgreSQL's code, as drivers return it.
type pgError struct{ code, text string }

func (e *pgError) Error() string    { return e.text + " (SQLSTATE " + e.code + ")" }
func (e *pgError) SQLState() string { return e.code }

// connector dials with one user and password.
type connector struct {
	db *database
	up dynamic.UserPass
}

// Connect implements driver.Connector.
func (c *connector) Connect(context.Context) (driver.Conn, error) {
	for _, l := range c.db.vault.Leases() {
		if l.Data["username"] == c.up.Username && l.Data["password"] == c.up.Password.Reveal() {
			return &conn{db: c.db, user: c.up.Username}, nil
		}
	}
	return nil, &pgError{"28P01", `password authentication failed for user "` + short(c.up.Username) + `"`}
}

// Driver implements driver.Connector.
func (c *connector) Driver() driver.Driver { return noDriver{} }

type noDriver struct{}

var errUnsupported = errors.New("the demo's database does not do this")

func (noDriver) Open(string) (driver.Conn, error) { return nil, errUnsupported }

// conn is a connection. Like PostgreSQL's it survives its user, who may then see
// nothing any more.
type conn struct {
	db   *database
	user string
}

func (c *conn) Prepare(string) (driver.Stmt, error) { return nil, errUnsupported }
func (c *conn) Begin() (driver.Tx, error)           { return nil, errUnsupported }
func (c *conn) Close() error                        { return nil }

// QueryContext implements driver.QueryerContext. Whatever was asked, the answer is
// the user and a count.
func (c *conn) QueryContext(context.Context, string, []driver.NamedValue) (driver.Rows, error) {
	if !c.db.vault.Alive(c.user) {
		return nil, &pgError{"42501", "permission denied for table payments"}
	}
	return &rows{user: c.user}, nil
}

type rows struct {
	user string
	done bool
}

func (r *rows) Columns() []string { return []string{"current_user", "count"} }
func (r *rows) Close() error      { return nil }

func (r *rows) Next(dest []driver.Value) error {
	if r.done {
		return io.EOF
	}
	r.done = true
	dest[0], dest[1] = r.user, int64(3)
	return nil
}
