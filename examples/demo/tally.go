package main

import (
	"fmt"
	"sync"
)

// tally counts what the service did, and judges it by what the servers said at
// that moment.
//
// When a credential is revoked from outside, nobody can know before being told.
// What the service does with such a credential until it works with a new one is
// counted apart: those users are excused for that long, and no others.
type tally struct {
	mu sync.Mutex // guards all

	queries, failed int // failed but for the excused
	dials           int
	reads, without  int // reads of the credential, and those that found none
	dead            int // credentials held or dialled with while the servers said that they are dead

	excused      map[string]bool // nil outside of the revocation
	failedTold   int             // failed queries while the service was finding out
	deadTold     int             // dead credentials held or dialled with in that time
	withoutTold  int             // reads that found none in that time
	user         string          // who the last good query ran as
	failure      error           // the first failed query that is not excused
	deadCulprits []string        // users
}

// excuse begins the time in which these users are known to be revoked to
// everybody but the service.
func (t *tally) excuse(users []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.excused = make(map[string]bool)
	for _, u := range users {
		t.excused[u] = true
	}
}

// excuseOver ends it: the service has had its time to find out.
func (t *tally) excuseOver() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.excused = nil
}

// read notes a read of the credential. dead means that the servers had declared
// the user dead before it was read.
func (t *tally) read(user string, dead bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads++
	t.judge(user, dead)
}

// dialled notes an attempt to log in to the database.
func (t *tally) dialled(user string, dead bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dials++
	t.judge(user, dead)
}

func (t *tally) judge(user string, dead bool) {
	switch {
	case !dead:
	case t.excused[user]:
		t.deadTold++
	default:
		t.dead++
		t.deadCulprits = append(t.deadCulprits, user)
	}
}

// none notes that a read of the credential was refused because there was no valid
// one.
func (t *tally) none() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.reads++
	if t.excused != nil {
		t.withoutTold++
		return
	}
	t.without++
}

// answered notes a good query and reports whether it ran as another user than the
// one before.
func (t *tally) answered(user string) (changed bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queries++
	changed = t.user != user
	t.user = user
	return changed
}

// refused notes a failed query and reports whether it is excused.
func (t *tally) refused(err error) (excused bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.queries++
	if t.excused != nil {
		t.failedTold++
		return true
	}
	t.failed++
	if t.failure == nil {
		t.failure = err
	}
	return false
}

// recovered reports whether the last good query ran as a user who was not revoked.
func (t *tally) recovered() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.user != "" && !t.excused[t.user]
}

// counts returns the queries and the failed ones, excused or not.
func (t *tally) counts() (queries, failed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.queries, t.failed + t.failedTold
}

// complaints returns what must not have happened.
func (t *tally) complaints(behind left) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var bad []string
	if t.dead > 0 {
		bad = append(bad, fmt.Sprintf("expired credentials were held or used %d times, such as %s", t.dead, t.deadCulprits[0]))
	}
	if t.failed > 0 {
		bad = append(bad, fmt.Sprintf("%d queries failed, the first with: %v", t.failed, t.failure))
	}
	if t.without > 0 {
		bad = append(bad, fmt.Sprintf("the service stood without a credential at %d reads", t.without))
	}
	if t.queries == 0 {
		bad = append(bad, "no query was made")
	}
	if behind.count() > 0 {
		bad = append(bad, "left behind: "+behind.String())
	}
	return bad
}

// print shows the counts.
func (t *tally) print(s *screen, from stage, behind left) {
	t.mu.Lock()
	defer t.mu.Unlock()
	row := func(what string, n int, note string) {
		if note != "" {
			note = "  " + note
		}
		s.textf("  %-26s %4d%s", what, n, note)
	}
	told := func(n int) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprintf("and %d before the service could know of the revocation", n)
	}
	row("queries", t.queries, "")
	row("failed queries", t.failed, told(t.failedTold))
	row("connections dialled", t.dials, "")
	row("logins", from.Logins(), "")
	row("credentials created", from.Created(), "")
	row("expired credentials held", t.dead, told(t.deadTold))
	row("reads without a credential", t.without, told(t.withoutTold))
	row("leases left", behind.leases, "")
	row("tokens left", behind.tokens, "")
	row("database users left", behind.users, "")
}
