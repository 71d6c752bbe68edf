package vaulttest

import (
	"fmt"
	"net/http"
	"time"
)

// rotateAgain is how long Vault waits after a rotation that failed.
const rotateAgain = 10 * time.Second

// StaticSpec describes a static role: one account whose password the server changes.
type StaticSpec struct {
	// Username of the account; it must not be empty.
	Username string
	// RotationPeriod is how long a password lasts, five seconds at least; zero: 24 hours.
	RotationPeriod time.Duration
	// Rotate sets a new password, for instance in a real database; nil: there is nothing to do. The
	// server has no goroutine that waits for rotations: the next request or inspection calls it,
	// before it looks at anything else, and once for all periods that have gone by. A server that is
	// sealed or closed rotates when it is back. After an error the old password is still the one
	// that readers get, and ten seconds later there is another attempt. It may be called at the
	// same time by requests to rotate-role.
	Rotate func(username, password string) error
}

// staticRole is an account that has one password at a time.
type staticRole struct {
	spec      StaticSpec
	password  string
	attempted string // the password of an attempt that failed, which the next one repeats
	rotated   time.Time
	next      time.Time
	rotating  bool // the test's Rotate is under way
}

// StaticRole defines a static role of a database engine, which is mounted at mount if need be. The
// account gets its first password at once. A role of this name that is there already is replaced.
func (s *Server) StaticRole(mount, role string, spec StaticSpec) {
	s.tb.Helper()
	if spec.RotationPeriod == 0 {
		spec.RotationPeriod = 24 * time.Hour
	}
	why := unfit(term{"RotationPeriod", spec.RotationPeriod})
	switch {
	case !pathName.MatchString(role):
		why = "Vault takes no name like this"
	case spec.Username == "":
		why = "Username is empty"
	case why == "" && spec.RotationPeriod < 5*time.Second:
		why = fmt.Sprintf("RotationPeriod %v is less than Vault's 5 s", spec.RotationPeriod)
	}
	if why != "" {
		s.tb.Fatalf("vaulttest: StaticRole %q: %s", role, why)
		return
	}
	s.lock()
	defer s.unlock()
	e := s.databaseEngineAt(mount)
	if e == nil {
		return
	}
	r := &staticRole{spec: spec, rotating: true}
	if err := s.rotate(r, s.now()); err != nil {
		s.tb.Fatalf("vaulttest: StaticRole %q: %v", role, err)
		return
	}
	e.static[role] = r
}

// rotate gives the account a new password as of a time. It leaves mu while the test's code runs.
func (s *Server) rotate(r *staticRole, now time.Time) error {
	password, repeated := r.attempted, r.attempted != ""
	if !repeated {
		password = randomText(20)
	}
	r.rotating = true
	r.next = s.now().Add(rotateAgain) // unless it succeeds, or if Rotate does not return
	defer func() {
		r.rotating = false
		s.soon(r.next)
	}()
	var err error
	if r.spec.Rotate != nil {
		s.outside(func() { err = r.spec.Rotate(r.spec.Username, password) })
	}
	if err != nil {
		r.attempted = password
		if repeated {
			r.attempted = ""
		}
		r.next = s.now().Add(rotateAgain)
		return fmt.Errorf("error setting credentials: %w", pluginError{err})
	}
	r.password, r.attempted, r.rotated, r.next = password, "", now, now.Add(r.spec.RotationPeriod)
	return nil
}

// pass implements clocked.
func (e *databaseEngine) pass(s *Server, now time.Time) (next time.Time) {
	if s.sealed || s.closed {
		return time.Time{} // a Vault that is down rotates nothing
	}
	for _, name := range sortedKeys(e.static) {
		r := e.static[name]
		switch {
		case r.rotating:
		case !now.Before(r.next):
			// Once for all periods that have gone by, as of the last, or of when the server came
			// back: a short period and a long Advance must not take for ever.
			at := now.Add(-(now.Sub(r.next) % r.spec.RotationPeriod))
			if at.Before(s.opened) {
				at = s.opened
			}
			r.rotating = true
			s.before = append(s.before, func() {
				if e.static[name] == r {
					_ = s.rotate(r, at) // Vault, too, tells nobody: readers go on with the old password
				}
			})
		case next.IsZero() || r.next.Before(next):
			next = r.next
		}
	}
	return next
}

// staticCredentials answers with the current password.
func (e *databaseEngine) staticCredentials(c *call, name string, f fields) reply {
	r := e.static[name]
	if r == nil {
		return fail(http.StatusBadRequest, "unknown role: "+name)
	}
	left := max(r.next.Sub(c.now).Round(time.Second), 0)
	return answer(http.StatusOK, envelope{MountType: "database", Warnings: f.warnings, Data: map[string]any{
		"username": r.spec.Username, "password": r.password, "last_vault_rotation": timeText(r.rotated),
		"rotation_period": int64(r.spec.RotationPeriod.Seconds()), "ttl": int64(left.Seconds()),
	}})
}

// rotateNow answers a request for a rotation before its time.
func (e *databaseEngine) rotateNow(c *call, name string) reply {
	r := e.static[name]
	if r == nil {
		return fail(http.StatusBadRequest, "no static role found for role name")
	}
	if err := c.s.rotate(r, c.now); err != nil {
		return failList(http.StatusInternalServerError, "unable to finish rotating credentials; retries will continue in the background but it is also safe to retry manually: "+err.Error())
	}
	return noContent()
}
