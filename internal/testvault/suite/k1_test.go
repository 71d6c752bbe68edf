package suite

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// sleeperEnv makes TestSleeper do something.
const sleeperEnv = "LEASEHOLD_TEST_SLEEPER"

// orders are what the sleeper is told on its standard input, which other processes of
// the machine cannot read, unlike its environment.
type orders struct {
	Vault, Mount, RoleID, SecretID, Role string
	Database                             string // a URL without a user
}

// told is what the sleeper says: what became of one read of the credential, or of one
// query. It never says a password.
type told struct {
	What  string // "get" or "query"
	Began time.Time
	Ended time.Time
	User  string
	Err   string
}

// TestSleeper does nothing in an ordinary run. TestK1 runs it alone in another process,
// where it is an application until its standard input ends.
func TestSleeper(t *testing.T) {
	if os.Getenv(sleeperEnv) == "" {
		return
	}
	in := bufio.NewReader(os.Stdin)
	line, err := in.ReadBytes('\n')
	require.NoError(t, err)
	var o orders
	require.NoError(t, json.Unmarshal(line, &o))
	a, err := leasehold.New(t.Context(), leasehold.Config{
		Address: o.Vault,
		Auth:    approle.New(o.RoleID, approle.SecretIDString(o.SecretID), approle.Mount(o.Mount)),
	})
	require.NoError(t, err)
	creds, err := dynamic.Database(t.Context(), a, o.Role)
	require.NoError(t, err)
	db := sql.OpenDB(sqldb.Connector(creds, func(up dynamic.UserPass) (driver.Connector, error) {
		cfg, err := pgx.ParseConfig(o.Database)
		if err != nil {
			return nil, err
		}
		cfg.User, cfg.Password = up.Username, up.Password.Reveal()
		return stdlib.GetConnector(*cfg), nil
	}))
	var mu sync.Mutex
	out := json.NewEncoder(os.Stdout)
	tell := func(what string, began time.Time, user string, err error) {
		said := told{What: what, Began: began, Ended: time.Now(), User: user}
		if err != nil {
			said.Err = err.Error()
		}
		if errors.Is(err, dynamic.ErrExpired) {
			said.Err = "expired"
		}
		mu.Lock()
		defer mu.Unlock()
		assert.NoError(t, out.Encode(said))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		every(ctx, 20*time.Millisecond, func() {
			began := time.Now()
			up, err := creds.Get()
			tell("get", began, up.Username, err)
		})
	})
	wg.Go(func() {
		every(ctx, 50*time.Millisecond, func() {
			var user string
			var n int
			began := time.Now()
			limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			err := db.QueryRowContext(limited, "SELECT current_user, (SELECT count(*) FROM ledger)").Scan(&user, &n)
			tell("query", began, user, err)
		})
	})
	_, _ = io.Copy(io.Discard, in) // until the parent has seen enough, or has died
	cancel()
	wg.Wait()
	require.NoError(t, db.Close())
	require.NoError(t, a.Close(context.Background()))
}

// sleeper is the application's process, seen from its parent.
type sleeper struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{} // closed when it has said all

	mu   sync.Mutex
	told []told
	rest bytes.Buffer // what the testing package says
}

func startSleeper(t *testing.T, o orders) *sleeper {
	t.Helper()
	// Its context kills it when the test ends, stopped or not.
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSleeper$")
	cmd.Env = append(os.Environ(), sleeperEnv+"=1")
	stdin, err := cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	s := &sleeper{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	go func() {
		defer close(s.done)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			var said told
			s.mu.Lock()
			if json.Unmarshal(lines.Bytes(), &said) == nil {
				s.told = append(s.told, said)
			} else {
				fmt.Fprintln(&s.rest, lines.Text())
			}
			s.mu.Unlock()
		}
	}()
	t.Cleanup(func() { <-s.done })
	require.NoError(t, json.NewEncoder(stdin).Encode(o))
	return s
}

// since returns what was told of what began after a time.
func (s *sleeper) since(what string, at time.Time) []told {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(s.told), func(e told) bool { return e.What != what || e.Began.Before(at) })
}

// end has the application close what it holds.
func (s *sleeper) end(t *testing.T) {
	t.Helper()
	require.NoError(t, s.stdin.Close())
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NoError(t, s.cmd.Wait(), "the sleeper says:\n%s", s.rest.String())
}

func works(e told) bool { return e.Err == "" }

// TestK1AProcessThatWasStoppedHandsOutNothingThatEnded stops an application for 30 s in
// the midst of its lease of 20 s, under a token of 20 s, and lets it go on: no timer of
// its has fired, and its clock may be read before any does. Who goes by timers hands out
// the dead credential until the first has fired, and its pool queries with it.
func TestK1AProcessThatWasStoppedHandsOutNothingThatEnded(t *testing.T) {
	t.Parallel()
	const role, mount = "k1", "approle-k1"
	w := newWorld(t)
	w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "20s", "max_ttl": "1h"})
	roleID, secretID := w.v.AppRole(mount, "app", map[string]any{"token_ttl": "20s", "token_policies": "app"})
	s := startSleeper(t, orders{
		Vault: w.v.Addr(), Mount: mount, RoleID: roleID, SecretID: secretID, Role: role,
		Database: fmt.Sprintf("postgres://127.0.0.1:%d/app?sslmode=disable", w.pg.Port()),
	})
	testvault.Poll(t, 30*time.Second, func() bool { return len(s.since("query", time.Time{})) > 40 }, "the application works")
	before := s.since("query", time.Time{})
	old := before[0].User
	require.True(t, slices.ContainsFunc(before, works))

	require.NoError(t, s.cmd.Process.Signal(syscall.SIGSTOP))
	<-time.After(30 * time.Second)
	testvault.Poll(t, 10*time.Second, func() bool { return len(w.roles(role)) == 0 }, "the old user's end")
	awake := time.Now()
	require.NoError(t, s.cmd.Process.Signal(syscall.SIGCONT))
	testvault.Poll(t, 20*time.Second, func() bool { return slices.ContainsFunc(s.since("query", awake), works) }, "a query after the sleep")
	<-time.After(3 * time.Second)
	s.end(t)

	gets, queries := s.since("get", awake), s.since("query", awake)
	require.NotEmpty(t, gets)
	assert.NotEqual(t, old, gets[0].User, "the first read hands out the credential that has ended")
	corpses := 0
	for _, e := range gets {
		switch e.User {
		case old:
			corpses++
		case "":
			assert.Equal(t, "expired", e.Err)
		}
	}
	assert.Zero(t, corpses, "reads that hand out what has ended")
	assert.Empty(t, queries[0].Err, "the first query fails")
	for _, e := range s.since("query", time.Time{}) {
		if asleep := e.Began.Before(awake) && e.Ended.After(awake); !asleep { // else it was stopped between two packets
			assert.Empty(t, e.Err, "a query that began %v after the sleep", e.Began.Sub(awake))
			assert.Equal(t, e.Began.Before(awake), e.User == old, "the old user's or not, %v after the sleep", e.Began.Sub(awake))
		}
	}
	logins, creations := w.v.Audit().Count("", "auth/"+mount+"/login"), w.v.Audit().Count("read", "database/creds/"+role)
	assert.Equal(t, 2, logins, "logins in the audit log: one before and one after")
	assert.Equal(t, 2, creations, "creations in the audit log: one before and one after")
	figure.AtMost(stdout, "k1-expired-handed-out", float64(corpses), "credentials", 0, "oracle=pg_roles", fmt.Sprintf("reads=%d", len(gets)))
	figure.AtMost(stdout, "k1-first-query", queries[0].Ended.Sub(awake).Seconds(), "s", 1, "oracle=query-log",
		fmt.Sprintf("logins=%d", logins-1), fmt.Sprintf("creations=%d", creations-1))
	w.nothingLeft(t, role)
}
