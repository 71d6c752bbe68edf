package suite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// recoverWithin is how long what was revoked from outside may be missed, from when Vault
// and the database answer again.
const recoverWithin = 2 * time.Second

// soak is a Vault and a database with faults before them, and the applications that live
// with those.
type soak struct {
	t       *testing.T
	w       world
	p       *testvault.Proxy
	seed    uint64
	began   time.Time
	dead    *graves
	apps    []*app
	lodgers []*lodger
	flags   *cache.Value[limits]
	written int // the script's alone, as windows is until the load has ended
	windows []window

	mu       sync.Mutex
	past     []event
	reads    int
	badReads []sight

	complaints int // of the test itself
}

// event is a step that has happened.
type event struct {
	step
	began, ended time.Time
}

// window is when a role's queries may fail.
type window struct {
	roles    []string
	from     time.Time
	answered time.Time // when Vault and the database answered again
	database bool      // only connections were lost: the credentials are as good as before
}

// open tells whether a failure is within a window, and how long after the answers came
// back it was.
func (s *soak) open(role string, at time.Time, query bool) (open bool, since time.Duration) {
	for _, w := range s.windows {
		if slices.Contains(w.roles, role) && (query || !w.database) && !at.Before(w.from) && at.Before(w.answered.Add(recoverWithin)) {
			return true, max(0, at.Sub(w.answered))
		}
	}
	return false, 0
}

// blame fails the test for one thing that somebody saw.
func (s *soak) blame(what sight, role, title string) {
	s.t.Helper()
	if s.complaints++; s.complaints > 20 {
		return // the figures say how many there are
	}
	assert.Fail(s.t, title, "%s: %s: %s", role, s.tell(title, what.at), what.what)
}

// tell says when something was, and what had happened before.
func (s *soak) tell(what string, at time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var last []string
	for _, e := range s.past {
		if e.began.Before(at) {
			last = append(last, e.String())
		}
	}
	return fmt.Sprintf("%s: seed %d, at %v, after [%s]", what, s.seed, at.Sub(s.began).Round(time.Millisecond), strings.Join(last[max(0, len(last)-4):], "; "))
}

// lodger is one credential, its pool, and those who use both.
type lodger struct {
	role string
	app  int
	held *holder
	db   *sql.DB

	mu      sync.Mutex
	queries int
	slowest time.Duration
	failed  []sight
}

// move starts an application with credentials of some roles.
func (s *soak) move(mount string, token map[string]any, through func(*leasehold.Config), roles ...string) {
	a := s.w.start(s.t, mount, token, through)
	for _, role := range roles {
		creds, err := dynamic.Database(s.t.Context(), a, role)
		require.NoError(s.t, err)
		s.lodgers = append(s.lodgers, &lodger{role: role, app: len(s.apps), held: &holder{graves: s.dead, creds: creds}, db: s.w.open(s.t, creds)})
	}
	s.apps = append(s.apps, a)
}

// live uses the credential until ctx ends.
func (l *lodger) live(ctx context.Context, wg *sync.WaitGroup) {
	wg.Go(func() { every(ctx, 20*time.Millisecond, func() { l.held.look(ctx) }) })
	for range 2 {
		wg.Go(func() { every(ctx, 50*time.Millisecond, func() { l.query(ctx) }) })
	}
}

func (l *lodger) query(ctx context.Context) {
	began := time.Now()
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	var n int
	err := l.db.QueryRowContext(limited, "SELECT count(*) FROM ledger").Scan(&n)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queries++
	l.slowest = max(l.slowest, time.Since(began))
	if err != nil {
		l.failed = append(l.failed, sight{time.Now(), err.Error()})
	}
}

// watch holds a value of KV, by the last application.
func (s *soak) watch() {
	var err error
	s.flags, err = kv.Watch[limits](s.t.Context(), s.apps[len(s.apps)-1].KV("secret"), "limits", kv.Every(time.Second))
	require.NoError(s.t, err)
}

// read reads the value until ctx ends: what is held never goes back, and what is asked
// for is answered, if late.
func (s *soak) read(ctx context.Context) {
	store, last := s.apps[0].KV("secret"), 0
	every(ctx, 50*time.Millisecond, func() {
		at := time.Now()
		held := s.flags.Get().N
		limited, cancel := uncut(ctx)
		_, err := kv.Get[limits](limited, store, "limits")
		cancel()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reads++
		if err != nil {
			s.badReads = append(s.badReads, sight{at, err.Error()})
		}
		if held < last {
			s.badReads = append(s.badReads, sight{at, fmt.Sprintf("the watched value was %d and is %d", last, held)})
		}
		last = held
	})
}

func (s *soak) write() {
	s.written++
	s.w.v.Write("secret/data/limits", map[string]any{"data": map[string]any{"n": s.written}})
}

// revokeLeases revokes all leases of a role. Vault answers again after back.
func (s *soak) revokeLeases(whom int, back func()) {
	role := s.lodgers[whom%len(s.lodgers)].role
	w := window{roles: []string{role}, from: time.Now()}
	s.w.v.RevokeLeases("database/creds/" + role)
	back()
	w.answered = time.Now()
	s.windows = append(s.windows, w)
}

// revokeToken revokes an application's token, and waits a moment for Vault to revoke what
// hangs on it, which it does in its own time.
func (s *soak) revokeToken(whom int, back func()) {
	app := whom % len(s.apps)
	w := window{from: time.Now()}
	for _, l := range s.lodgers {
		if l.app == app && !slices.Contains(w.roles, l.role) {
			w.roles = append(w.roles, l.role)
		}
	}
	var users []string
	for _, role := range w.roles {
		users = append(users, s.w.roles(role)...)
	}
	s.w.v.RevokeAccessor(s.apps[app].Status().Token.Accessor)
	for range 20 { // some may be of an earlier token, which goes on
		<-time.After(50 * time.Millisecond)
		now := s.w.pg.Roles()
		if !slices.ContainsFunc(users, func(u string) bool { return slices.Contains(now, u) }) {
			break
		}
	}
	back()
	w.answered = time.Now()
	s.windows = append(s.windows, w)
}

// killConnections ends all connections of a role's users.
func (s *soak) killConnections(whom int) {
	role := s.lodgers[whom%len(s.lodgers)].role
	w := window{roles: []string{role}, from: time.Now(), database: true}
	s.w.pg.Exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename LIKE 'v-%-" + role + "-%'")
	w.answered = time.Now()
	s.windows = append(s.windows, w)
}
