package lease

import "time"

// EventKind says what happened to a lease. More kinds may be added.
type EventKind string

// The kinds of events.
const (
	Obtained      EventKind = "obtained"       // the first one
	Renewed       EventKind = "renewed"        // has more time
	Replaced      EventKind = "replaced"       // another one is in use
	RenewFailed   EventKind = "renew_failed"   // will be tried again
	RenewRefused  EventKind = "renew_refused"  // may not be renewed; will be replaced instead, told once
	ReplaceFailed EventKind = "replace_failed" // will be tried again
	ObtainFailed  EventKind = "obtain_failed"  // there is no first one yet; will be tried again if that may help
	Lost          EventKind = "lost"           // found dead before its deadline, as by an outside revocation; is being replaced
	Expired       EventKind = "expired"        // past its true deadline and not replaced
	ReadFailed    EventKind = "read_failed"    // a polled value could not be read; the last one is kept

	CallbackFailed EventKind = "callback_failed" // what was to be told of a change has panicked
)

// Event is something that happened to a lease.
type Event struct {
	Time    time.Time
	Kind    EventKind
	Name    string    // of the entry; never an ID
	Expires time.Time // the current grant's true deadline; zero if it has none
	Err     error     // nil for what went well
}

func (m *Manager) event(e *Entry, kind EventKind, err error) {
	ev := Event{Time: m.clock().Wall, Kind: kind, Name: e.name, Err: err}
	if g := e.cur.Load(); g != nil {
		ev.Expires = g.Expires()
	}
	m.onEvent(ev)
}

// Condition is how a kept thing is.
type Condition string

// The conditions.
const (
	Fresh     Condition = "fresh"   // valid, and the latest upkeep went well
	Stale     Condition = "stale"   // valid or last known good, but the latest upkeep failed
	ExpiredAt Condition = "expired" // past its true deadline, or found dead
)

// Status is the state of an entry at one moment.
type Status struct {
	Name       string
	Condition  Condition
	Expires    time.Time // the true deadline; zero if there is none
	Renewable  bool
	Generation uint64    // 1 for the first grant, one more with each replacement; of a polled value always 1
	Failures   int       // in a row
	Since      time.Time // of the first of these failures
	Err        error     // the latest of them
	Polled     bool      // a value that is read again at an interval, and has no lease
}

// Status returns how the entry is now.
func (e *Entry) Status() Status {
	s := *e.status.Load()
	g := e.cur.Load()
	if g == nil {
		return s
	}
	s.Expires = g.Expires()
	s.Renewable = g.Lease().Renewable
	if !g.Valid(e.m.clock()) {
		s.Condition = ExpiredAt
	}
	return s
}

// publish makes what the manager's goroutine knows visible to others.
func (e *Entry) publish() {
	s := Status{Name: e.name, Condition: Fresh, Generation: e.generation, Failures: e.failures, Polled: e.read != nil}
	if e.failures > 0 {
		s.Condition, s.Since, s.Err = Stale, e.since, e.err
	}
	e.status.Store(&s)
}
