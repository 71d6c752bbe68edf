package session

import (
	"fmt"
	"sync"
	"time"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// creations limits how often something new is created at a path, whatever the
// reason: a bucket of three, refilled once per tenth of what a credential's life
// really is (1 s to 1 min), for each credential that is held there (law 5, failure code
// B1).
type creations struct {
	clock lease.Clock
	mu    sync.Mutex
	paths map[string]*bucket
}

type bucket struct {
	holders int
	tokens  float64
	at      time.Duration
}

const creationBurst = 3

// hold and drop count the credentials held at a path.
func (c *creations) hold(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.paths[path]
	if b == nil {
		if c.paths == nil {
			c.paths = make(map[string]*bucket)
		}
		b = &bucket{at: c.clock().Mono}
		c.paths[path] = b
	}
	b.holders++
	b.tokens += creationBurst
}

func (c *creations) drop(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.paths[path]; b != nil {
		if b.holders--; b.holders <= 0 {
			delete(c.paths, path)
		}
		b.tokens = min(b.tokens, float64(b.holders*creationBurst))
	}
}

// take takes one creation, or says how long to wait for it.
func (c *creations) take(path string, life time.Duration) error {
	every := min(max(life/10, time.Second), time.Minute)
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.paths[path]
	if b == nil {
		return nil
	}
	now := c.clock().Mono
	refill := float64(b.holders) * float64(now-b.at) / float64(every)
	b.tokens = min(b.tokens+refill, float64(b.holders*creationBurst))
	b.at = now
	if b.tokens < 1 {
		wait := time.Duration((1 - b.tokens) / float64(max(b.holders, 1)) * float64(every))
		return &lease.Error{Class: lease.Transient, RetryAfter: wait, Err: fmt.Errorf(
			"leasehold: %s: too many creations: the next one in %s", path, wait.Round(time.Millisecond))}
	}
	b.tokens--
	return nil
}

// refund gives back a creation that certainly did not happen: an outage must not leave
// an empty bucket behind.
func (c *creations) refund(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if b := c.paths[path]; b != nil {
		b.tokens++
	}
}

// Hold counts a credential held at path, until Drop.
func (s *Session) Hold(path string) { s.budget.hold(path) }

// Drop undoes a Hold.
func (s *Session) Drop(path string) { s.budget.drop(path) }

// Refund undoes an Allow after a creation that certainly failed.
func (s *Session) Refund(path string) { s.budget.refund(path) }

// Allow takes one creation at path out of its budget, for a credential that lives
// that long. Its error says when to come back.
func (s *Session) Allow(path string, life time.Duration) error { return s.budget.take(path, life) }
