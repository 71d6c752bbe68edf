package suite

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
)

// every calls f again and again until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			f()
		}
	}
}

// graves knows which of the users that Vault made are gone from the database, by asking
// pg_roles all the time.
type graves struct {
	w world

	mu    sync.Mutex
	alive []string
	since map[string]time.Time // a user was gone by then
}

// dig asks until ctx ends.
func (g *graves) dig(ctx context.Context) {
	every(ctx, 50*time.Millisecond, func() {
		now := g.w.pg.Roles()
		answered := time.Now()
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.since == nil {
			g.since = map[string]time.Time{}
		}
		for _, user := range g.alive {
			if !slices.Contains(now, user) {
				g.since[user] = answered
			}
		}
		g.alive = now
	})
}

// gone tells whether user was gone at that time for sure. A user that went in the moment
// of the question is none that could have been told.
func (g *graves) gone(user string, at time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	since, ok := g.since[user]
	return ok && since.Before(at)
}

// holder is an application that looks at the credential that it holds all the time.
type holder struct {
	graves *graves
	creds  *dynamic.Credential[dynamic.UserPass]

	mu      sync.Mutex
	reads   int
	corpses []sight // credentials handed out whose user was gone
	misses  []sight // there was none
}

// sight is what somebody saw, and when.
type sight struct {
	at   time.Time
	what string
}

// look reads the credential as both of its readers do, which must not wait for Vault.
func (h *holder) look(ctx context.Context) {
	at := time.Now()
	up, err := h.creds.Get()
	if err == nil {
		h.note(at, up.Username, nil)
		at = time.Now()
		ctx, cancel := context.WithTimeout(ctx, 2*time.Second) // it may have ended in between
		defer cancel()
		up, err = h.creds.Current(ctx)
	}
	if ctx.Err() == nil {
		h.note(at, up.Username, err)
	}
}

func (h *holder) note(at time.Time, user string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads++
	switch {
	case err != nil:
		h.misses = append(h.misses, sight{at, err.Error()})
	case h.graves.gone(user, at):
		h.corpses = append(h.corpses, sight{at, user})
	}
}
