package session

import (
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// unreachable is how long the servers may refuse requests for a state that they do not
// have before it is forgotten: it may be from a cluster that was replaced.
const unreachable = 30 * time.Second

// states are the replication states that our own writes and logins brought about. Vault
// Enterprise tells them, and a node that has not got that far yet answers 412 to who asks
// for them, in place of an old value or "invalid token" (failure code E1). A server that
// never told one is never asked.
type states struct {
	mu      sync.Mutex // guards the rest
	known   []string
	refused lease.Instant // since when; zero: not
}

// require asks for the known states, unless the caller asks for others himself.
func (s *states) require(h http.Header) (asked bool) {
	if len(h[api.HeaderIndex]) > 0 {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) > 0 {
		h[api.HeaderIndex] = slices.Clone(s.known)
	}
	return len(s.known) > 0
}

// answered takes note of an answer: changed says that the request wrote, asked that it
// asked for the known states.
func (s *states) answered(resp *http.Response, changed, asked bool, now lease.Instant) {
	state := resp.Header.Get(api.HeaderIndex)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !asked:
	case resp.StatusCode != http.StatusPreconditionFailed:
		s.refused = lease.Instant{}
	case s.refused == (lease.Instant{}):
		s.refused = now
	case passed(s.refused, now, unreachable):
		s.known, s.refused = nil, lease.Instant{}
	}
	if state == "" || !changed || resp.StatusCode >= http.StatusBadRequest {
		return
	}
	if _, err := api.ParseReplicationState(state, nil); err == nil { // else it is not Vault's
		s.known = api.MergeReplicationStates(s.known, state)
	}
}
