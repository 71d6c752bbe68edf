package session

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// Write sends a request that changes something. It goes out on a connection of its own and
// is repeated within ctx only where the attempt certainly did nothing: it was not sent, or
// Vault said that it takes no requests now (sealed, standby, overloaded, lagging behind). A
// write whose answer was lost may have happened, and a second one would not know of what
// others wrote in between (law 7). See Ambiguous.
func (s *Session) Write(ctx context.Context, r Request) (*Response, error) {
	if err := s.check(r); err != nil {
		return nil, err
	}
	ctx, cancel := Limited(ctx)
	defer cancel()
	r.Create = true
	ctx = Slotted(ctx, ctx)
	for attempt := 0; ; attempt++ {
		resp, err := s.Once(ctx, r)
		if err == nil || !mayWriteAgain(err) {
			return resp, err
		}
		switch pauseErr := s.Pause(ctx, attempt, err); {
		case errors.Is(pauseErr, ErrClosed):
			return nil, ErrClosed
		case pauseErr != nil:
			return nil, s.gaveUp(ctx, r, err)
		}
	}
}

// mayWriteAgain reports whether a write that failed with err did nothing, and might do
// better in a moment. A 500 with a list of reasons is no such case as it is for a creation:
// Raft says "leadership lost" of what it then stores all the same. Of these only the standby's
// is, that found nobody to send the request on to.
func mayWriteAgain(err error) bool {
	e := FailureOf(err)
	switch {
	case !MayPass(err):
		return false
	case e == nil: // it was not sent
		return true
	case e.Status == http.StatusInternalServerError:
		return e.listed && strings.Contains(strings.Join(e.Vault, " "), "local node not active")
	}
	return !Ambiguous(err)
}

// Glance sends a request one time with the token of the moment, and nothing follows from
// its failure: it asks for what is nice to know. It takes a slot as Read does, so whoever
// calls it must have none.
func (s *Session) Glance(ctx context.Context, r Request) (*Response, error) {
	if err := s.check(r); err != nil {
		return nil, err
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, s.gaveUp(ctx, r, nil)
	case <-s.ctx.Done():
		return nil, ErrClosed
	}
	t, err := s.acquire(ctx)
	if err != nil {
		return nil, s.tokenless(ctx, r, err)
	}
	return s.attempt(ctx, r, t)
}
