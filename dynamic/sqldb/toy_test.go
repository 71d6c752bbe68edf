package sqldb_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
)

// pgError is an error as PostgreSQL's drivers make them.
type pgError string

func (e pgError) Error() string    { return "refused (SQLSTATE " + string(e) + ")" }
func (e pgError) SQLState() string { return string(e) }

const (
	errPassword   = pgError("28P01")
	errPermission = pgError("42501")
	errNoRole     = pgError("42704") // what current_user says to a dropped role
)

// database is a toy that treats revoked users as PostgreSQL does: it lets nobody in who
// is not alive, keeps the sessions of those who were, answers their pings and refuses
// their statements (failure code F4).
type database struct {
	alive    func(user string) bool
	dialing  func(ctx context.Context, user string) error // called within each dial
	opened   func()                                       // called by each open
	maxConns int                                          // 0: no limit

	mu       sync.Mutex
	dials    []string // the users, in order
	sessions map[*session]struct{}
	closes   []time.Time
	ran      []string // statements that were carried out: the user and the text
	refused  int      // statements that were not
	most     int      // sessions at a time
}

func newDatabase(alive func(string) bool) *database {
	return &database{alive: alive, sessions: map[*session]struct{}{}}
}

// connector is the function for sqldb.Connector.
func (d *database) connector(up dynamic.UserPass) (driver.Connector, error) {
	if d.opened != nil {
		d.opened()
	}
	return &toyConnector{d, up.Username}, nil
}

// users returns the users of the open sessions, sorted.
func (d *database) users() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	var users []string
	for s := range maps.Keys(d.sessions) {
		users = append(users, s.user)
	}
	slices.Sort(users)
	return users
}

func (d *database) dialled() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.dials)
}

func (d *database) outcome() (ran, refused int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ran), d.refused
}

type toyConnector struct {
	db   *database
	user string
}

func (c *toyConnector) Driver() driver.Driver { return toyDriver{} }

func (c *toyConnector) Connect(ctx context.Context) (driver.Conn, error) {
	d := c.db
	d.mu.Lock()
	d.dials = append(d.dials, c.user)
	d.mu.Unlock()
	if d.dialing != nil {
		if err := d.dialing(ctx, c.user); err != nil {
			return nil, err
		}
	}
	if !d.alive(c.user) {
		return nil, errPassword
	}
	s := &session{db: d, user: c.user}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.maxConns > 0 && len(d.sessions) >= d.maxConns {
		return nil, pgError("53300") // too many connections
	}
	d.sessions[s] = struct{}{}
	d.most = max(d.most, len(d.sessions))
	return s, nil
}

type toyDriver struct{}

func (toyDriver) Open(string) (driver.Conn, error) { return nil, errors.New("use the connector") }

// session is a connection of a modern driver. That it is used by one goroutine at a
// time is checked by the race detector: calls is not guarded.
type session struct {
	db     *database
	user   string
	calls  int
	closed bool
}

func (s *session) run(text string) error {
	s.calls++
	alive := s.db.alive(s.user)
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	switch {
	case s.closed:
		return errors.New("the session is closed")
	case !alive || text == "FORBIDDEN":
		s.db.refused++
		return errPermission
	}
	s.db.ran = append(s.db.ran, s.user+": "+text)
	return nil
}

func (s *session) ExecContext(_ context.Context, text string, _ []driver.NamedValue) (driver.Result, error) {
	return driver.ResultNoRows, s.run(text)
}

func (s *session) QueryContext(_ context.Context, text string, _ []driver.NamedValue) (driver.Rows, error) {
	if err := s.run(text); err != nil {
		return nil, err
	}
	return &oneRow{value: s.user}, nil
}

func (s *session) Prepare(text string) (driver.Stmt, error) {
	if err := s.run("prepare " + text); err != nil {
		return nil, err
	}
	return &toyStmt{s, text}, nil
}

func (s *session) Begin() (driver.Tx, error) {
	return s.BeginTx(context.Background(), driver.TxOptions{})
}

func (s *session) BeginTx(context.Context, driver.TxOptions) (driver.Tx, error) {
	return toyTx{s}, s.run("BEGIN")
}

func (s *session) Ping(context.Context) error         { s.calls++; return nil }
func (s *session) ResetSession(context.Context) error { s.calls++; return nil }
func (s *session) IsValid() bool                      { s.calls++; return true }

func (s *session) Close() error {
	s.calls++
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	if s.closed {
		return errors.New("closed twice")
	}
	s.closed = true
	delete(s.db.sessions, s)
	s.db.closes = append(s.db.closes, time.Now())
	return nil
}

type toyTx struct{ s *session }

func (t toyTx) Commit() error   { return t.s.run("COMMIT") }
func (t toyTx) Rollback() error { return t.s.run("ROLLBACK") }

type toyStmt struct {
	s    *session
	text string
}

func (t *toyStmt) Close() error {
	t.s.calls++
	if t.s.closed {
		return errors.New("closed after its session")
	}
	return nil
}
func (t *toyStmt) NumInput() int { return -1 }
func (t *toyStmt) Exec([]driver.Value) (driver.Result, error) {
	return driver.ResultNoRows, t.s.run(t.text)
}

func (t *toyStmt) Query([]driver.Value) (driver.Rows, error) {
	if err := t.s.run(t.text); err != nil {
		return nil, err
	}
	return &oneRow{value: t.s.user}, nil
}

// oneRow is one row with one column.
type oneRow struct {
	value string
	read  bool
}

func (*oneRow) Columns() []string { return []string{"value"} }
func (*oneRow) Close() error      { return nil }

func (r *oneRow) Next(dest []driver.Value) error {
	if r.read {
		return io.EOF
	}
	r.read = true
	dest[0] = r.value
	return nil
}
