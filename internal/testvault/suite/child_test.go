package suite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// childEnv tells a process that it is a child, and what it is to do.
const childEnv = "LEASEHOLD_SUITE_CHILD"

// atWork is what a child prints when it has queried the database.
const atWork = "child: at work"

// order is what a child needs to know.
type order struct {
	Vault, Mount, RoleID, SecretID string
	Database, Role                 string
}

// report is what a child has to say at its end.
type report struct {
	Queries, Failed int
	Error           string
}

// TestS1Child does nothing in an ordinary run. The tests of S1 run it alone in another
// process, which is a service like the one in examples, until it is told to end.
func TestS1Child(t *testing.T) {
	text := os.Getenv(childEnv)
	if text == "" {
		return
	}
	var o order
	require.NoError(t, json.Unmarshal([]byte(text), &o))
	var r report
	if err := o.serve(&r); err != nil {
		r.Error = err.Error()
	}
	require.NoError(t, json.NewEncoder(os.Stdout).Encode(r))
	os.Exit(0) // as when main returns: what is still under way ends with it
}

func (o order) serve(r *report) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	client, err := leasehold.New(ctx, leasehold.Config{
		Address: o.Vault,
		Auth:    approle.New(o.RoleID, approle.SecretIDString(o.SecretID), approle.Mount(o.Mount)),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close(context.Background())) }()
	var cfg struct {
		APIKey secret.String `vault:"secret:payments/stripe#api_key"`
	}
	if err := client.Load(ctx, &cfg); err != nil {
		return err
	}
	creds, err := dynamic.Database(ctx, client, o.Role)
	if err != nil {
		return err
	}
	db := sql.OpenDB(sqldb.Connector(creds, o.connect))
	defer func() { err = errors.Join(err, db.Close()) }()
	o.work(ctx, db, r)
	return nil
}

// work queries until ctx ends. A query that has begun is brought to its end: what the
// shutdown does to it counts.
func (o order) work(ctx context.Context, db *sql.DB, r *report) {
	var mu sync.Mutex
	var once sync.Once
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				var n int
				err := db.QueryRowContext(context.WithoutCancel(ctx), "SELECT count(*), pg_sleep(0.01)::text FROM ledger").Scan(&n, new(string))
				mu.Lock()
				r.Queries++
				if err != nil {
					r.Failed++
				}
				mu.Unlock()
				once.Do(func() { _, _ = fmt.Fprintln(os.Stdout, atWork) })
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
	wg.Wait()
}

func (o order) connect(up dynamic.UserPass) (driver.Connector, error) {
	cfg, err := pgx.ParseConfig(o.Database)
	if err != nil {
		return nil, err
	}
	cfg.User, cfg.Password = up.Username, up.Password.Reveal()
	return stdlib.GetConnector(*cfg), nil
}

// child is a service in a process of its own.
type child struct {
	cmd   *exec.Cmd
	out   buffer
	ended chan struct{}
	err   error // of the process, when it has ended
}

// child starts a service that reaches Vault through p.
func (w world) child(t *testing.T, p *testvault.Proxy, mount, role string, params map[string]any) *child {
	t.Helper()
	params["token_policies"] = "app"
	roleID, secretID := w.v.AppRole(mount, "app", params)
	text, err := json.Marshal(order{
		Vault: p.Addr(), Mount: mount, RoleID: roleID, SecretID: secretID,
		Database: w.pg.DSN("nobody", "nothing"), Role: role,
	})
	require.NoError(t, err)
	c := &child{ended: make(chan struct{})}
	c.cmd = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestS1Child$")
	// The race detector would sleep for a second at the exit, and let the child finish in
	// it what a real program would not.
	c.cmd.Env = append(os.Environ(), childEnv+"="+string(text), "GORACE=atexit_sleep_ms=0")
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	require.NoError(t, c.cmd.Start())
	go func() {
		defer close(c.ended)
		c.err = c.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.ended
	})
	return c
}

// awaitWork returns when the child queries its database.
func (c *child) awaitWork(t *testing.T) {
	t.Helper()
	testvault.Poll(t, 20*time.Second, func() bool { return strings.Contains(c.out.String(), atWork) }, "the child to work")
}

// terminate tells the child to end, waits until it has, and returns its last words and
// how long it took.
func (c *child) terminate(t *testing.T) (report, time.Duration) {
	t.Helper()
	select {
	case <-c.ended:
		require.Fail(t, "the child ended before it was told to", "%s", c.out.String())
	default:
	}
	began := time.Now()
	require.NoError(t, c.cmd.Process.Signal(syscall.SIGTERM))
	select {
	case <-c.ended:
	case <-time.After(30 * time.Second):
		require.Fail(t, "the child does not end")
	}
	took := time.Since(began)
	require.NoError(t, c.err, "%s", c.out.String())
	for line := range strings.Lines(c.out.String()) {
		var r report
		if strings.HasPrefix(line, "{") && json.Unmarshal([]byte(line), &r) == nil {
			return r, took
		}
	}
	require.Fail(t, "the child said nothing at its end", "%s", c.out.String())
	return report{}, took
}
