package vaulttest

import (
	"cmp"
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"
)

// TB is what New needs of a test. *testing.T, *testing.B and *testing.F have it, and so can a
// program that is no test at all.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// systemTTL is the mount's default and maximum of a server with default settings: 32 days.
const systemTTL = 768 * time.Hour

// Server is an in-memory Vault. It is ready when New returns, and safe for concurrent use.
type Server struct {
	tb        TB
	rootID    string
	unsealKey string
	hostPort  string // where the listener was, so that Restart comes back there

	// netMu guards the listener, so that starting and stopping it never holds up a request.
	netMu  sync.Mutex
	httpd  *http.Server
	served chan struct{}

	// mu guards everything below. It is held for computation only: sleeping, hanging and the
	// test's own callbacks happen outside it, since in a synctest bubble a goroutine that waits
	// for a mutex stops the bubble's clock.
	mu       sync.Mutex
	closed   bool
	closes   int // how often
	sealed   bool
	offset   time.Duration
	next     time.Time // nothing expires before it; zero: not known
	before   []func()  // what is due and may call back, before anything else; see lock
	after    []func()  // callbacks to run once mu is free
	tokens   map[string]*token
	leases   map[string]*lease
	mounts   map[string]*mount // by path with a trailing slash; auth mounts begin with "auth/"
	builtin  map[string]*mount // those that every Vault has; see mountTables
	policies map[string]*policy
	faults   []*Fault
	waiting  map[*waiter]struct{}
	cluster  cluster
	awsKeys  map[string]AWSAccessKeySpec // by ID
	opened   time.Time                   // when it last came back: unsealed, or restarted
	count    made                        // of tokens and leases
	log      []Request
}

// New returns a running server with a KV version 2 engine at secret/, an AppRole method at
// auth/approle/ and the policies "root" and "default". It opens no socket; URL does. The server
// is closed when the test ends.
func New(tb TB) *Server {
	tb.Helper()
	s := &Server{
		tb:        tb,
		rootID:    "hvs." + randomText(24),
		unsealKey: randomHex(32),
		builtin:   builtinMounts(),
		tokens:    map[string]*token{},
		leases:    map[string]*lease{},
		mounts:    map[string]*mount{},
		policies:  builtinPolicies(),
		waiting:   map[*waiter]struct{}{},
	}
	now := s.now()
	s.tokens[s.rootID] = &token{
		id: s.rootID, accessor: randomText(24), policies: []string{"root"}, path: "auth/token/root",
		display: "root", issued: now, leases: map[string]*lease{},
	}
	s.mount("secret", "kv-v2")
	s.mount("auth/approle", "approle")
	s.mount("auth/token", "token")
	s.mount("cubbyhole", "cubbyhole")
	tb.Cleanup(s.Close)
	return s
}

// RootToken returns the root token, which never expires.
func (s *Server) RootToken() string { return s.rootID }

// Advance moves the server's clock forward, as if d had passed: what expires in between is
// revoked before Advance returns. It moves this clock alone: a program with timers or deadlines of
// its own, such as one that renews, does not notice. To test that, use a testing/synctest bubble and
// time.Sleep.
func (s *Server) Advance(d time.Duration) {
	s.tb.Helper()
	if d < 0 {
		s.tb.Fatalf("vaulttest: Advance(%v): time does not go back", d)
		return
	}
	s.mu.Lock()
	tooFar := s.offset > math.MaxInt64-d
	if !tooFar {
		s.offset += d
	}
	s.mu.Unlock()
	if tooFar {
		s.tb.Fatalf("vaulttest: Advance(%v): the clock cannot be that far ahead", d)
		return
	}
	s.lock()
	s.unlock()
}

// Now returns the time by the server's clock.
func (s *Server) Now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now()
}

// MountKV2 mounts a KV version 2 engine at path, besides the one at secret/. A mount that is there
// already stays.
func (s *Server) MountKV2(path string) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mount(path, "kv-v2")
}

// now is the server's time. The caller holds mu.
func (s *Server) now() time.Time { return time.Now().Add(s.offset) }

// lock takes mu and brings tokens and leases up to date, so that who holds it sees none that has
// expired. Doing this on demand is what lets the server run without a goroutine of its own.
func (s *Server) lock() {
	s.mu.Lock()
	s.expire()
	for len(s.before) > 0 {
		f := s.before[0]
		s.before = s.before[1:]
		s.guarded(f) // may leave mu meanwhile
		s.expire()
	}
}

// guarded runs f, and releases mu if f does not return: it has the test's own code in it, which may
// panic or end its goroutine.
func (s *Server) guarded(f func()) {
	returned := false
	defer func() {
		if !returned {
			s.mu.Unlock()
		}
	}()
	f()
	returned = true
}

// unlock releases mu and then runs the callbacks that the changes called for.
func (s *Server) unlock() {
	after := s.after
	s.after = nil
	s.mu.Unlock()
	defer func() {
		if len(after) > 0 { // one did not return: the others are for who comes next
			s.mu.Lock()
			s.after = append(after, s.after...)
			s.mu.Unlock()
		}
	}()
	for len(after) > 0 {
		f := after[0]
		after = after[1:]
		f()
	}
}

// outside runs the test's code without mu, so that it may call the server's methods.
func (s *Server) outside(f func()) {
	// Also when f, or a callback that unlock runs, does not return: the caller unlocks. What is in
	// before waits for the next lock.
	defer func() {
		s.mu.Lock()
		s.expire()
	}()
	s.unlock()
	f()
}

// expire revokes what has reached its end, in the order of the ends.
func (s *Server) expire() {
	now := s.now()
	if !s.next.IsZero() && now.Before(s.next) {
		return
	}
	type end struct {
		at     time.Time
		age    made
		revoke func()
	}
	var due []end
	for _, t := range s.tokens {
		if t.expired(now) {
			due = append(due, end{t.expires, t.made, func() { s.revokeToken(t) }})
		}
	}
	for _, l := range s.leases {
		if !now.Before(l.expires) {
			due = append(due, end{l.expires, l.made, func() { s.revokeLease(l) }})
		}
	}
	slices.SortFunc(due, func(a, b end) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.age, b.age)) })
	for _, e := range due {
		e.revoke()
	}
	// With nothing left that expires, look again in a while rather than each time; what is
	// created later brings the moment forward (see soon).
	s.next = now.Add(systemTTL)
	for _, path := range sortedKeys(s.mounts) {
		if e, isClocked := s.mounts[path].engine.(clocked); isClocked {
			s.soon(e.pass(s, now))
		}
	}
	for _, t := range s.tokens {
		s.soon(t.expires)
	}
	for _, l := range s.leases {
		s.soon(l.expires)
	}
}

// soon notes that something expires at t. Without it expire would walk all leases on every request.
func (s *Server) soon(t time.Time) {
	if !t.IsZero() && t.Before(s.next) {
		s.next = t
	}
}

// made is the number of a token or lease in the order in which the server made them, where times are
// alike, as all are in a bubble that stands still.
type made int

func (n made) age() made { return n }

// byAge returns tokens or leases, the oldest first.
func byAge[V interface{ age() made }](of map[string]V) []V {
	return slices.SortedFunc(maps.Values(of), func(a, b V) int { return cmp.Compare(a.age(), b.age()) })
}

// number is the next in the order of what the server makes. The caller holds mu.
func (s *Server) number() made {
	s.count++
	return s.count
}

// sortedKeys returns a map's keys in order, for answers that must not depend on chance.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
