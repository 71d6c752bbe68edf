// Package session is one client's life with Vault: the token from login to
// revocation, and every request made with it.
//
// The token is itself a lease, kept by the same lease.Manager as all that is
// obtained with it, and the parent of those. The transport puts the token into
// each request, so that nothing else ever holds it. What an error means is
// decided at one place, in classify.go.
package session

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// ErrClosed is returned for every use after Close.
var ErrClosed = lease.ErrClosed

// Config is what a Session needs. All fields have been validated.
type Config struct {
	Address       string
	Namespace     string // of secrets
	AuthNamespace string // of the token
	Auth          auth.Method
	Base          *http.Client // plain or user-supplied client; nil: our own transport with TLS
	TLS           TLS
	RedirectHosts []string
	Policy        lease.Policy
	Requests      int // foreground requests at once
	OnEvent       func(lease.Event)
	KeepOnClose   bool
	Clock         lease.Clock // nil: the system's
}

// Session is safe for concurrent use.
type Session struct {
	cfg     Config
	clock   lease.Clock
	manager *lease.Manager
	api     *api.Client // immutable: carries a sentinel for a token
	wire    *transport
	slots   chan struct{} // foreground requests
	budget  creations

	tokens  *lease.Entry  // the token's life, which says which token is used; set once by New
	login   chan struct{} // one login at a time: holds the permit
	looking chan struct{} // one lookup-self of a doubted token at a time
	missed  chan struct{} // a held token is needed and was not obtained: see watchHeld

	rereading chan struct{} // one look at a held token's source for the sake of policies at a time

	mu    sync.Mutex // guards the next five, and that nothing is begun after Close
	known []*token   // the current token, and others that may still be alive
	next  probe

	refusal    refusal // of logins
	sourceMark string  // of a held token, when it was read last; empty: never
	sourceErr  error   // why it could not be

	closers registry[func()]     // told at Close
	overdue registry[func() int] // counted in Status

	running sync.WaitGroup // of Go
	logins  sync.WaitGroup // under way, also those that nobody waits for

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	closed atomic.Bool
}

// New logs in. It retries what may pass until ctx ends; ctx is not kept.
func New(ctx context.Context, cfg Config) (*Session, error) {
	clock := cfg.Clock
	if clock == nil {
		clock = lease.SystemClock()
	}
	s := &Session{
		cfg:     cfg,
		clock:   clock,
		slots:   make(chan struct{}, cfg.Requests),
		login:   make(chan struct{}, 1),
		looking: make(chan struct{}, 1),
		missed:  make(chan struct{}, 1),

		rereading: make(chan struct{}, 1),
	}
	s.budget.clock = clock
	wire, err := newTransport(s)
	if err != nil {
		return nil, err
	}
	s.wire = wire
	if s.api, err = newAPI(cfg.Address, wire.client(wire)); err != nil {
		return nil, err
	}
	s.api.SetToken(sentinel)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.manager = lease.NewManager(lease.Config{Policy: cfg.Policy, Clock: clock, OnEvent: cfg.OnEvent})
	first, err := s.firstLogin(ctx)
	if err != nil {
		s.giveUp(ctx)
		return nil, err
	}
	s.mu.Lock() // its keeper may be called before Add returns, and looks at the tokens first
	s.tokens = s.manager.Add("token", tokenKeeper{s}, first.grant)
	s.mu.Unlock()
	if _, ok := cfg.Auth.(auth.Fingerprinter); ok && s.held() {
		s.Go(s.watchHeld)
	}
	return s, nil
}

// lateLogin is how long New, when it is told to stop, waits for the answer to a login.
const lateLogin = time.Second

// giveUp ends a session that has no token. It waits no longer than ctx's deadline: a login
// that is still on its way is dealt with behind its back. Where ctx was cancelled the
// program is about to end, and nobody would revoke that login's token (failure code S1):
// there it waits a little longer.
func (s *Session) giveUp(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*abandonedLogin)
		defer cancel()
		_ = s.Close(limited)
	}()
	select {
	case <-done:
		return
	case <-ctx.Done():
	}
	if !errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	select {
	case <-done:
	case <-time.After(lateLogin):
	}
}

// firstLogin logs in, retrying what may pass within ctx. Each failure is an
// event, and the last one is in the error.
func (s *Session) firstLogin(ctx context.Context) (*token, error) {
	refused := time.Now() // since when a proxy has answered and not logged in
	var last error
	for attempt := 0; ; attempt++ {
		t, err := s.logIn(ctx)
		if err == nil {
			if !s.adopt(ctx, t) {
				return nil, ErrClosed
			}
			return t, nil
		}
		if ctx.Err() == nil || attempt == 0 {
			last = err
			s.Report(lease.ObtainFailed, "token", err)
		}
		if !s.withoutToken(err) {
			refused = time.Now()
		}
		soon := s.withoutToken(err) && time.Since(refused) < proxyLogin
		if isRefused(classOf(err)) && !soon {
			return nil, err
		}
		if err := pause(ctx, retryPause(attempt, err), nil); err != nil {
			return nil, fmt.Errorf("leasehold: no token after %d attempts: %w; last: %w", attempt+1, err, last)
		}
	}
}

// Clock returns the clock that all grants of this session count on.
func (s *Session) Clock() lease.Clock { return s.clock }

// Manager returns what keeps the leases of this session.
func (s *Session) Manager() *lease.Manager { return s.manager }

// API returns the official client, which always uses the current token.
func (s *Session) API() *api.Client { return s.api }

// Token returns the status of the token.
func (s *Session) Token() (TokenInfo, bool) {
	t := s.current()
	if t == nil {
		return TokenInfo{}, false
	}
	return TokenInfo{Accessor: t.accessor, Type: t.kind, Policies: t.policies, Expires: t.grant.Expires()}, true
}

// TokenInfo describes the token without being it.
type TokenInfo struct {
	Accessor string
	Type     string
	Policies []string
	Expires  time.Time
}

// OnClose has f called at Close, unless undone before; after Close, at once.
func (s *Session) OnClose(f func()) (undo func()) {
	undo, ok := s.closers.add(f)
	if !ok {
		f()
	}
	return undo
}

// CountOverdue has f counted by Overdue, until undone.
func (s *Session) CountOverdue(f func() int) (undo func()) {
	undo, _ = s.overdue.add(f)
	return undo
}

// Overdue returns how many connections are in use past their credential's end.
func (s *Session) Overdue() (n int) {
	for _, f := range s.overdue.list() {
		n += f()
	}
	return n
}

// Go runs f in a goroutine that Close cancels and waits for. After Close it reports false.
func (s *Session) Go(f func(ctx context.Context)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return false
	}
	s.running.Go(func() { f(s.ctx) })
	return true
}

// Close ends all requests and upkeep, waits for them, and revokes what is ours.
// It is bounded by ctx. The second call returns nil at once.
func (s *Session) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed.Swap(true) {
		s.mu.Unlock()
		return nil
	}
	s.mu.Unlock()
	s.cancel()
	for _, f := range s.closers.end() {
		f()
	}
	errs := []error{s.wait(ctx)}
	if !s.cfg.KeepOnClose {
		errs = append(errs, s.revoke(ctx))
	}
	if len(s.login) > 0 {
		errs = append(errs, waitFor(ctx, &s.logins, "a login"))
	}
	s.wire.closeIdle()
	return errors.Join(errs...)
}

// wait waits for all goroutines, but leaves a good part of ctx's time for revoking: a
// callback that hangs must not keep tokens alive.
func (s *Session) wait(ctx context.Context) error {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, time.Until(end)*6/10, errors.New("a callback or a request has not returned"))
		defer cancel()
	}
	if err := s.manager.Close(ctx); err != nil {
		return err
	}
	return waitFor(ctx, &s.running, "a request")
}

// waitFor waits for what g counts, within ctx.
func waitFor(ctx context.Context, g *sync.WaitGroup, what string) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Wait()
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s is still under way: %w", what, context.Cause(ctx))
	}
}

// Report makes an event of a failure that no lease has.
func (s *Session) Report(kind lease.EventKind, name string, err error) {
	if s.cfg.OnEvent != nil {
		s.cfg.OnEvent(lease.Event{Time: s.clock().Wall, Kind: kind, Name: name, Err: err})
	}
}

// View is a session seen from one namespace: what kv and dynamic work with.
type View struct {
	*Session
	Namespace string
}

// Closed reports whether Close was called.
func (s *Session) Closed() bool { return s.closed.Load() }
