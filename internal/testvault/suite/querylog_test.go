package suite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"time"
)

// queryLog is the application: it queries, and writes down what came of it.
type queryLog struct {
	w    world
	role string

	mu        sync.Mutex
	done      int
	user      string // of the newest credential seen
	seen      []string
	changes   int
	late      []string  // first used when the predecessor's database user was gone
	failed    []failure // queries
	revokedAt time.Time
}

type failure struct {
	at  time.Time
	err string
}

// work queries until ctx ends.
func (l *queryLog) work(ctx context.Context, db *sql.DB) {
	tick := time.NewTicker(queries)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		var user string
		var n int
		limited, cancel := uncut(ctx)
		err := db.QueryRowContext(limited, "SELECT current_user, (SELECT count(*) FROM ledger)").Scan(&user, &n)
		cancel()
		l.note(user, err)
	}
}

// uncut is for what begins before the end of a test and must succeed after it: what ctx cuts
// off would look like a failure (a dial times out a moment before ctx has an Err), or hide one.
func uncut(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
}

func (l *queryLog) note(user string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done++
	if err != nil {
		l.failed = append(l.failed, failure{time.Now(), err.Error()})
		return
	}
	if slices.Contains(l.seen, user) {
		return // also of a connection that is still dialled with an older one
	}
	l.seen = append(l.seen, user)
	if old := l.user; old != "" {
		l.changes++
		// The old token's death takes its database user along: while that is in
		// pg_roles, the token lives.
		if l.revokedAt.IsZero() && !slices.Contains(l.w.pg.Roles(), old) {
			l.late = append(l.late, fmt.Sprintf("%s after %s", user, old))
		}
	}
	l.user = user
}

// revoke revokes the leases of the role from outside.
func (l *queryLog) revoke() {
	l.mu.Lock()
	l.revokedAt = time.Now()
	l.mu.Unlock()
	l.w.v.RevokeLeases("database/creds/" + l.role)
}

// recovery is the time from the first to the last failed query.
func (l *queryLog) recovery() time.Duration {
	if len(l.failed) == 0 {
		return 0
	}
	return l.failed[len(l.failed)-1].at.Sub(l.failed[0].at)
}

func (l *queryLog) failedBefore() (bad []string) {
	for _, f := range l.failed {
		if f.at.Before(l.revokedAt) {
			bad = append(bad, f.err)
		}
	}
	return bad
}

func (l *queryLog) failedAfter(d time.Duration) (bad []string) {
	for _, f := range l.failed {
		if f.at.After(l.revokedAt.Add(d)) {
			bad = append(bad, f.err)
		}
	}
	return bad
}
