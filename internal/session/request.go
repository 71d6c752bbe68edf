package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// Request is one request to Vault. Path has no leading /v1/.
type Request struct {
	Op        string
	Method    string
	Path      string
	Query     url.Values
	Body      any
	Namespace string
	Private   string // a part of the body that Vault may repeat in an error: a lease ID
	// Create marks what makes something new at each call, whatever its method: it
	// goes out on a connection of its own, and is never repeated blindly (law 7).
	Create bool
	Quiet  bool // the caller reports failed attempts
	// Failing, if set, is told of each attempt of a Read that is repeated.
	Failing func(error)
}

// Response is Vault's answer.
type Response struct {
	Status int
	Body   []byte
	Sent   lease.Instant // when the request was
	Token  *lease.Grant  // that it was made with: the parent of what it created
	Cached bool          // by a Vault Proxy, which asked Vault at some time before
}

// Timeouts of one attempt, and of all of them where the caller set none.
const (
	attemptTimeout = 15 * time.Second
	createTimeout  = 60 * time.Second // some engines are slow, and an answer that is not waited for is an orphan
	readTimeout    = 60 * time.Second
)

// upkeepTimeout bounds a renewal, so that a hanging one leaves time for others, and a slow
// server time to answer.
func upkeepTimeout(g *lease.Grant, now lease.Instant) time.Duration {
	return min(max(g.Left(now)/2, time.Second), attemptTimeout)
}

// UpkeepTimeout bounds a renewal of g.
func (s *Session) UpkeepTimeout(g *lease.Grant) time.Duration { return upkeepTimeout(g, s.clock()) }

// Limited returns ctx with the deadline that it gets where the caller set none. Who shares a
// request with others does so before that, so that they know for how long it is tried.
func Limited(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, readTimeout)
}

// Read sends a request that changes nothing, and repeats it within ctx while what
// fails may pass. At most Config.Requests are under way at once.
func (s *Session) Read(ctx context.Context, r Request) (*Response, error) {
	if err := s.check(r); err != nil {
		return nil, err
	}
	ctx, cancel := Limited(ctx)
	defer cancel()
	var last error
	for attempt := 0; ; attempt++ {
		select {
		case s.slots <- struct{}{}:
		case <-ctx.Done():
			return nil, s.gaveUp(ctx, r, last)
		case <-s.ctx.Done():
			return nil, ErrClosed
		}
		resp, err := s.Once(ctx, r)
		<-s.slots // a pause holds up nobody else
		if err == nil {
			return resp, nil
		}
		if ctx.Err() == nil || last == nil { // an attempt that ctx has cut off says nothing
			last = err
		}
		if !MayPass(err) {
			return nil, err
		}
		if s.closed.Load() {
			return nil, ErrClosed
		}
		if !r.Quiet {
			s.Report(lease.ReadFailed, r.Path, err)
		}
		if r.Failing != nil {
			r.Failing(err)
		}
		switch pauseErr := pause(ctx, retryPause(attempt, err), s.ctx.Done()); {
		case errors.Is(pauseErr, ErrClosed):
			return nil, ErrClosed
		case pauseErr != nil:
			return nil, s.gaveUp(ctx, r, last)
		}
	}
}

// Once sends a request one time. It is repeated once only where the first one
// certainly did nothing: its token turned out to be dead, or to have old policies,
// and there is a new one.
func (s *Session) Once(ctx context.Context, r Request) (*Response, error) {
	if err := s.check(r); err != nil {
		return nil, err
	}
	release, err := s.slot(ctx, r)
	if err != nil {
		return nil, err
	}
	defer release()
	for again := false; ; again = true {
		t, err := s.acquire(waiting(ctx))
		if err != nil {
			return nil, s.tokenless(waiting(ctx), r, err)
		}
		resp, err := s.attempt(ctx, r, t)
		waiting := waiting(ctx) // what follows a refusal is not the request
		var le *lease.Error
		if err == nil || again || !errors.As(err, &le) {
			return resp, err
		}
		switch le.Class {
		case lease.ParentDead:
			if !s.believe(waiting, t) {
				return resp, err
			}
			s.tokens.Invalidate(t.grant, err)
			if loginErr := s.tokens.Ensure(waiting, t.grant); loginErr != nil {
				return nil, s.tokenless(waiting, r, loginErr)
			}
		case lease.Refused:
			if !s.refused(waiting, t) {
				return resp, err
			}
		default:
			return resp, err
		}
	}
}

// attempt sends r with a deadline of its own and ends with the session.
func (s *Session) attempt(ctx context.Context, r Request, t *token) (*Response, error) {
	timeout := attemptTimeout
	if r.Create {
		timeout = createTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	resp, err := s.send(ctx, r, t)
	if err != nil && s.closed.Load() && resp == nil {
		return nil, ErrClosed
	}
	return resp, err
}

// send sends r with the token t and reads the answer. With a 4xx or 5xx the
// response is returned beside the error.
func (s *Session) send(ctx context.Context, r Request, t *token) (*Response, error) {
	req := s.api.NewRequest(r.Method, "/v1/"+r.Path)
	if r.Query != nil {
		req.Params = r.Query
	}
	if r.Body != nil {
		if err := req.SetJSONBody(r.Body); err != nil {
			return nil, fmt.Errorf("leasehold: %s %s: %w", r.Op, r.Path, err)
		}
	}
	if r.Method == http.MethodPatch {
		req.Headers.Set("Content-Type", "application/merge-patch+json") // Vault takes no other
	}
	c := &call{token: t.value.Reveal(), namespace: r.Namespace, create: r.Create}
	raw, err := s.api.RawRequestWithContext(context.WithValue(ctx, callKey{}, c), req) //nolint:staticcheck // the only entry that returns the raw body of an error as well
	if raw == nil {
		return nil, s.failure(r, c, nil, err)
	}
	body, readErr := readBody(raw.Response)
	resp := &Response{Status: raw.StatusCode, Body: body, Sent: c.sent, Token: t.grant, Cached: c.cached}
	switch {
	case err != nil:
		failure := s.failure(r, c, raw, err)
		var e *Error
		if raw.StatusCode == http.StatusNotFound && errors.As(failure, &e) {
			e.body = body
		}
		return resp, failure
	case readErr != nil:
		c.answered = false
		return nil, s.failure(r, c, nil, readErr)
	case raw.StatusCode >= 300:
		return resp, s.failure(r, c, raw, fmt.Errorf("unexpected redirect to %q", raw.Header.Get("Location")))
	}
	return resp, nil
}

// check refuses what must not be sent.
func (s *Session) check(r Request) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if err := CheckPath(r.Path); err != nil {
		return fmt.Errorf("leasehold: %s: %w", r.Op, err)
	}
	return nil
}

// CheckPath refuses a path that is empty, or whose segments would make it another
// one: "..", "." and empty ones are resolved by path.Join in the official client, so
// that "../../sys/x" would leave its mount (law 21).
func CheckPath(path string) error {
	if path == "" {
		return errors.New("the path is empty")
	}
	for seg := range strings.SplitSeq(path, "/") {
		switch seg {
		case "":
			return fmt.Errorf("path %q has an empty segment: remove the leading, trailing or double slash", path)
		case ".", "..":
			return fmt.Errorf("path %q has a %q segment", path, seg)
		}
		for _, c := range seg {
			if c < ' ' || c == 0x7f {
				return fmt.Errorf("path %q has a control character", path)
			}
		}
	}
	return nil
}

// tokenless says that r was not sent because there is no token.
func (s *Session) tokenless(ctx context.Context, r Request, err error) error {
	if errors.Is(err, ErrClosed) {
		return ErrClosed
	}
	if ctx.Err() != nil {
		if st := s.tokens.Status(); st.Err != nil {
			err = fmt.Errorf("%w; the latest login failed: %w", err, st.Err)
		}
	}
	return &unsentError{fmt.Errorf("leasehold: %s %s: no valid token: %w", r.Op, r.Path, err)}
}

// unsentError is the failure of a request that was not sent.
type unsentError struct{ error }

func (e *unsentError) Unwrap() error { return e.error }

// Unsent reports whether what failed with err was not sent, for want of a token. Nobody was
// asked then, and nothing is done.
func Unsent(err error) bool {
	var e *unsentError
	return errors.As(err, &e)
}

// FailureOf returns what became of the request that failed with err; nil where it was not
// sent: the Error that err then wraps is the login's, and its status says nothing of what
// was asked for.
func FailureOf(err error) *Error {
	var e *Error
	if Unsent(err) || !errors.As(err, &e) {
		return nil
	}
	return e
}

// gaveUp is the error of a request whose ctx ended while it waited or was repeated.
func (s *Session) gaveUp(ctx context.Context, r Request, last error) error {
	if last == nil {
		return fmt.Errorf("leasehold: %s %s: %w while waiting for other requests", r.Op, r.Path, context.Cause(ctx))
	}
	cause := context.Cause(ctx)
	if cause == nil { // it would end before the next attempt
		cause = context.DeadlineExceeded
	}
	if errors.Is(last, cause) {
		return last
	}
	return fmt.Errorf("%w; given up: %w", last, cause)
}

// retryPause is the pause before a read or a first login is repeated.
func retryPause(attempt int, err error) time.Duration {
	d := min(100*time.Millisecond<<min(attempt, 6), 5*time.Second)
	d = d/2 + time.Duration(rand.Float64()*float64(d/2)) //nolint:gosec // jitter, not a secret
	var le *lease.Error
	if errors.As(err, &le) {
		d = max(d, le.RetryAfter)
	}
	return d
}

// pause waits for d, or returns at once if ctx ends before that would be over. A Close,
// which closed tells of, ends it.
func pause(ctx context.Context, d time.Duration, closed <-chan struct{}) error {
	if end, ok := ctx.Deadline(); ok && time.Until(end) < d {
		return context.DeadlineExceeded
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-closed:
		return ErrClosed
	}
}

// Revoke sends a request that gives something back, once. A use of a limited token is
// counted like any other, or the last one would be spent unawares (failure code A10).
// While closing there is no other token to wait for: the reserved uses are spent then, but
// for the last, which revokes the token. Behind a Vault Proxy it does nothing: a proxy that
// caches may have given the same to others.
func (s *Session) Revoke(ctx context.Context, r Request) error {
	if auth.IsNone(s.cfg.Auth) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	t, err := s.acquire(ctx)
	if errors.Is(err, ErrClosed) {
		if t, err = s.current(), nil; t != nil && t.limited && t.uses.Add(-1) < 1 {
			err = errors.New("its last use is kept")
		}
	}
	if err != nil || t == nil {
		return s.tokenless(ctx, r, cmp.Or(err, ErrClosed))
	}
	_, err = s.send(ctx, r, t)
	return err
}

// MayPass reports whether it makes sense to repeat what failed with err while somebody
// waits for it. A redirect to a stranger, and what a firewall forbids, most likely do not pass: he
// is told at once.
func MayPass(err error) bool {
	var le *lease.Error
	var redirect *redirectError
	e := FailureOf(err)
	forbidden := e != nil && e.Status == http.StatusForbidden
	return errors.As(err, &le) && le.Class == lease.Transient && !errors.As(err, &redirect) && !forbidden
}

// Ambiguous reports whether a creation that failed with err may have happened all
// the same: it was sent, and the answer was lost or came from in between. An error with
// Vault's own list of reasons is Vault saying that it has failed, and cleaned up.
func Ambiguous(err error) bool {
	e := FailureOf(err)
	if e == nil {
		return false
	}
	var dial *net.OpError
	var redirect *redirectError
	switch e.Status {
	case 0:
		dialling := errors.As(e.Err, &dial) && dial.Op == "dial"
		return !dialling && !errors.As(e.Err, &redirect) && !isNotSent(e.Err)
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	case http.StatusServiceUnavailable: // sealed or overloaded: nobody took it
		return false
	}
	return e.Status >= http.StatusInternalServerError && !e.listed
}

// Pause waits before attempt+1, or says at once that ctx does not last that long.
func (s *Session) Pause(ctx context.Context, attempt int, err error) error {
	return pause(waiting(ctx), retryPause(attempt, err), s.ctx.Done())
}
