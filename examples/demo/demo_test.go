package main

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// inBubble is the stage without its port, in a bubble's time: ten seconds pass at once.
type inBubble struct{ *fake }

func (b inBubble) Connect(cfg *leasehold.Config) {
	cfg.Address, cfg.HTTPClient = "http://vault.test", b.vault.Client()
}

func TestThePlayEndsWell(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := inBubble{newFake(t)}
		var out bytes.Buffer
		p := newPlay(&out, s)
		code := p.run(t.Context())
		if code != 0 {
			t.Errorf("exit code %d", code)
		}
		if p.tally.queries < 50 || p.tally.failed != 0 || p.tally.dead != 0 || p.tally.without != 0 {
			t.Errorf("%d queries, %d failed, %d dead credentials held, %d reads without one",
				p.tally.queries, p.tally.failed, p.tally.dead, p.tally.without)
		}
		// The first login and the one after the revocation; the first credential, the one
		// at the maximum and the one after the revocation.
		if s.Logins() != 2 || s.Created() < 3 {
			t.Errorf("%d logins, %d credentials created", s.Logins(), s.Created())
		}
		if p.left.count() != 0 {
			t.Error(p.left)
		}
		if strings.Contains(out.String(), "do-not-print") {
			t.Error("a secret was printed")
		}
		if t.Failed() {
			t.Log(out.String())
		}
	})
}

// saboteur revokes the service's leases in the first act, of which the tally is not
// told.
type saboteur struct{ inBubble }

func (s saboteur) PutSecret(path string, data map[string]any) {
	s.inBubble.PutSecret(path, data)
	for _, l := range s.vault.Leases() {
		s.vault.RevokeLease(l.ID)
	}
}

// A service that holds a dead credential must not pass: here one is revoked behind
// everybody's back, so that the service holds and uses it until it is refused.
func TestADeadCredentialIsNoticed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p := newPlay(&out, saboteur{inBubble{newFake(t)}})
		if code := p.run(t.Context()); code != 1 {
			t.Errorf("exit code %d", code)
		}
		if p.tally.dead == 0 || !strings.Contains(out.String(), "NOT GOOD: expired credentials were held") {
			t.Errorf("it was not noticed:\n%s", out.String())
		}
	})
}

// Ctrl-C ends the play, also during the outage, and the service still tidies up.
func TestAnInterruptLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, after := range []time.Duration{500 * time.Millisecond, 6 * time.Second} {
		t.Run(after.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { interrupted(t, after, inBubble{newFake(t)}) })
		})
	}
	// As the program is run: over a port, and in real time.
	t.Run("over a port", func(t *testing.T) {
		t.Parallel()
		interrupted(t, 500*time.Millisecond, newFake(t))
	})
}

func interrupted(t *testing.T, after time.Duration, s stage) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), after)
	defer cancel()
	var out bytes.Buffer
	p := newPlay(&out, s)
	if code := p.run(ctx); code != 1 || !strings.Contains(out.String(), "interrupted") {
		t.Errorf("exit code %d\n%s", code, out.String())
	}
	if p.left.count() != 0 || p.tally.dead != 0 || p.tally.failed != 0 {
		t.Errorf("%v\n%s", p.left, out.String())
	}
}

func TestTheTallyComplains(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	for name, c := range map[string]struct {
		happen func(*tally)
		left   left
		want   []string
	}{
		"nothing wrong":                 {happen: func(t *tally) { t.read("a", false); t.dialled("a", false) }},
		"a dead credential read":        {happen: func(t *tally) { t.read("a", true) }, want: []string{"expired credentials"}},
		"a dial with a dead credential": {happen: func(t *tally) { t.dialled("a", true) }, want: []string{"expired credentials"}},
		"a failed query":                {happen: func(t *tally) { t.refused(refused) }, want: []string{"1 queries failed"}},
		"no credential":                 {happen: func(t *tally) { t.none() }, want: []string{"without a credential"}},
		"a lease left":                  {left: left{leases: 1}, want: []string{"left behind: 1 leases"}},
		"a user left":                   {left: left{users: 1}, want: []string{"left behind"}},
		"while the service finds out": {happen: func(t *tally) {
			t.excuse([]string{"a"})
			t.read("a", true)
			t.dialled("a", true)
			t.refused(refused)
			t.none()
		}},
		"another than the revoked one": {
			happen: func(t *tally) { t.excuse([]string{"a"}); t.read("b", true) },
			want:   []string{"expired credentials"},
		},
		"after the service has found out": {
			happen: func(t *tally) { t.excuse([]string{"a"}); t.excuseOver(); t.read("a", true); t.refused(refused) },
			want:   []string{"expired credentials", "1 queries failed"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counted := &tally{}
			counted.answered("a")
			if c.happen != nil {
				c.happen(counted)
			}
			got := counted.complaints(c.left)
			if !slices.EqualFunc(got, c.want, strings.Contains) {
				t.Errorf("complaints %q, want %q", got, c.want)
			}
		})
	}
}

func TestNoQueryIsNoProof(t *testing.T) {
	t.Parallel()
	if len((&tally{}).complaints(left{})) == 0 {
		t.Error("a play without a query passes")
	}
}
