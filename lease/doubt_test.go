package lease_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// TestLaw09OneUnansweredLookupDoesNotStopTheUpkeepOfLeases: of a token that cannot be
// renewed, by a network that is not back yet. Mutation: wait for a question that
// nobody is going to ask.
func TestLaw09OneUnansweredLookupDoesNotStopTheUpkeepOfLeases(t *testing.T) {
	for _, how := range []string{"not renewable", "ending"} {
		t.Run(how, func(t *testing.T) {
			inBubble(t, lease.Config{}, func(w *world) {
				t := w.t
				tokens := &checker{keeper: w.keeper(24 * time.Hour), onCheck: func(*lease.Grant) (lease.Lease, error) {
					return lease.Lease{}, errOf(lease.Transient) // the network is not back yet
				}}
				tokens.onReplace = replaceFails(lease.Permanent)
				l := w.lease(24 * time.Hour)
				l.Renewable = how != "not renewable"
				token := w.m.Add("token", tokens, lease.NewGrant(l, nil))
				if how == "ending" {
					token.Supersede(token.Grant())
				}
				k := w.keeper(time.Hour)
				child := w.add("db/creds/app", k, token.Grant())
				pass(sec)
				w.sleep(10 * time.Second)
				pass(2 * time.Hour)
				require.Len(t, tokens.checks, 1)
				require.True(t, token.Grant().Valid(w.clock()))
				renews, _, _ := k.calls()
				assert.NotEmpty(t, renews)
				assert.True(t, child.Grant().Valid(w.clock()))
				assert.Empty(t, w.told("db/creds/app", lease.Expired))
			})
		})
	}
}

// TestLaw09WhatIsAdoptedDuringALookupIsKept. Mutation: an overtaken lookup
// decides nothing.
func TestLaw09WhatIsAdoptedDuringALookupIsKept(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		c := &checker{keeper: w.keeper(time.Hour)}
		c.onCheck = func(*lease.Grant) (lease.Lease, error) {
			time.Sleep(5 * sec)
			return lease.Lease{TTL: time.Hour, Sent: w.clock(), Renewable: true}, nil
		}
		e := w.m.Add("token", c, w.grant(time.Hour, nil))
		w.sleep(10 * sec)
		pass(33 * sec)
		require.Len(t, c.checks, 1)
		e.Adopt(w.grant(time.Hour, nil))
		pass(2 * time.Hour)
		renews, _, _ := c.calls()
		assert.NotEmpty(t, renews)
		assert.True(t, e.Grant().Valid(w.clock()))
		assert.Empty(t, w.told("token", lease.Expired))
	})
}

// TestLaw09WhoWaitsForALeaseHearsOfItsTokensOutage. Mutation: only those who
// wait for the token do.
func TestLaw09WhoWaitsForALeaseHearsOfItsTokensOutage(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f, _ := w.sleepers(2*time.Hour, 1, func(*lease.Grant) (lease.Lease, error) { return lease.Lease{}, errOf(lease.Transient) })
		f.tokens.set(func() { f.tokens.onRenew = renewFails(lease.Transient) })
		w.sleep(24 * time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := f.children[0].Ensure(ctx, f.children[0].Grant())
		require.Error(t, err)
		require.NotErrorIs(t, err, context.DeadlineExceeded)
		assert.Less(t, w.now(), time.Minute)
	})
}

// TestLaw09WhoWaitsForALeaseDoesNotWaitForItsTokensSpread. Mutation: a token is spread
// like others.
func TestLaw09WhoWaitsForALeaseDoesNotWaitForItsTokensSpread(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		for range 5 {
			f, _ := w.sleepers(24*time.Hour, 1, func(*lease.Grant) (lease.Lease, error) { return lease.Lease{}, errOf(lease.Refused) })
			w.sleep(48 * time.Hour)
			at := w.now()
			require.NoError(t, f.children[0].Ensure(t.Context(), f.children[0].Grant()))
			assert.LessOrEqual(t, w.now()-at, 3*sec)
		}
	})
}

// TestLaw09WhoWaitsForAnotherAfterASleepGetsOne: whatever the renewal brought. Mutation:
// nobody is in a hurry for it.
func TestLaw09WhoWaitsForAnotherAfterASleepGetsOne(t *testing.T) {
	for _, class := range []lease.Class{lease.Refused, lease.Unknown, lease.Permanent} {
		t.Run(class.String(), func(t *testing.T) {
			inBubble(t, lease.Config{}, func(w *world) {
				t := w.t
				k := w.keeper(24 * time.Hour)
				k.onRenew = renewFails(class)
				e := w.add("db", k, nil)
				w.sleep(time.Hour)
				pass(30*sec + ms)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				require.NoError(t, e.Ensure(ctx, e.Grant()))
			})
		})
	}
}

// TestLaw09ARenewalThatWasUnderWayIsNotGivenUpForANewOne. Mutation: a message is
// heeded before the sleep is noticed.
func TestLaw09ARenewalThatWasUnderWayIsNotGivenUpForANewOne(t *testing.T) {
	for _, class := range []lease.Class{lease.Unknown, lease.Transient} {
		t.Run(class.String(), func(t *testing.T) {
			inBubble(t, lease.Config{}, func(w *world) {
				t := w.t
				k := w.keeper(time.Hour)
				n := 0
				k.onRenew = func(ctx context.Context, _ *lease.Grant) (lease.Lease, error) {
					if n++; n > 1 {
						return w.lease(time.Hour), nil
					}
					select {
					case <-ctx.Done():
						return lease.Lease{}, &lease.Error{Class: class, Err: ctx.Err()}
					case <-time.After(5 * sec):
						return w.lease(time.Hour), nil
					}
				}
				e := w.add("db", k, nil)
				for len(field(k, &k.renews)) == 0 {
					pass(sec)
				}
				w.sleep(3 * time.Hour)
				require.NoError(t, e.Ensure(t.Context(), e.Grant()))
				_, replaces, _ := k.calls()
				assert.Empty(t, replaces)
			})
		})
	}
}

// TestLaw09AnAnswerFromBeforeTheSleepSaysNothingOfAfterIt. Mutation: it does.
func TestLaw09AnAnswerFromBeforeTheSleepSaysNothingOfAfterIt(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Hour)
		k.onRenew = func(context.Context, *lease.Grant) (lease.Lease, error) {
			l := w.lease(time.Hour)
			time.Sleep(40 * sec)
			return l, nil
		}
		w.add("db", k, nil)
		for len(field(k, &k.renews)) == 0 {
			pass(sec)
		}
		w.sleep(3 * time.Hour)
		pass(5 * time.Minute)
		renews, replaces, _ := k.calls()
		assert.Empty(t, replaces)
		assert.Len(t, renews, 2)
	})
}

// TestLaw09ALookupThatHangsDoesNotHoldUpALogin: for a token that is dead. Mutation: it is
// waited for.
func TestLaw09ALookupThatHangsDoesNotHoldUpALogin(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		c := &slowChecker{keeper: w.keeper(time.Hour)}
		e := w.m.Add("token", c, w.grant(time.Hour, nil))
		w.sleep(10 * sec)
		pass(33 * sec)
		at := w.now()
		g := e.Grant()
		e.Invalidate(g, nil)
		err := e.Ensure(t.Context(), g)
		require.NoError(t, err)
		assert.LessOrEqual(t, w.now()-at, sec)
		synctest.Wait()
	})
}

type slowChecker struct{ *keeper }

func (c *slowChecker) Check(ctx context.Context, _ *lease.Grant) (lease.Lease, error) {
	select {
	case <-ctx.Done():
	case <-time.After(15 * sec):
	}
	return lease.Lease{}, errOf(lease.Transient)
}

// TestLaw09WhatWasGrantedBeforeTheSleepAndIsAddedAfterItIsAskedAbout. Mutation: it
// is taken for fresh.
func TestLaw09WhatWasGrantedBeforeTheSleepAndIsAddedAfterItIsAskedAbout(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Hour)
		g := w.grant(time.Hour, nil)
		w.sleep(3 * time.Hour)
		pass(31 * sec) // noticed
		e := w.m.Add("db", k, g)
		pass(2 * time.Minute)
		renews, replaces, _ := k.calls()
		assert.Empty(t, replaces)
		assert.Len(t, renews, 1)
		assert.Same(t, g, e.Grant())
	})
}

func TestLaw09LeasesOfATokenThatIsRemovedAreKept(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		f, _ := w.sleepers(24*time.Hour, 1, func(*lease.Grant) (lease.Lease, error) {
			time.Sleep(5 * sec)
			return lease.Lease{}, errOf(lease.Transient)
		})
		w.sleep(10 * sec)
		pass(33 * sec)
		f.token.Remove()
		pass(2 * time.Hour)
		renews, _, _ := f.keepers[0].calls()
		assert.NotEmpty(t, renews)
	})
}

func TestLaw09WhatIsObtainedWhileTheMachineSleepsIsNotStillborn(t *testing.T) {
	inBubble(t, lease.Config{}, func(w *world) {
		t := w.t
		k := w.keeper(time.Hour)
		k.onReplace = func(context.Context) (*lease.Grant, error) {
			g := w.grant(time.Hour, nil)
			time.Sleep(5 * sec)
			return g, nil
		}
		e := w.add("db", k, nil)
		e.Invalidate(e.Grant(), nil)
		pass(sec)
		w.sleep(3 * time.Hour)
		pass(2 * time.Minute)
		renews, replaces, _ := k.calls()
		assert.Len(t, replaces, 1)
		assert.Len(t, renews, 1)
		assert.True(t, e.Grant().Valid(w.clock()))
	})
}
