package lease_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func at(d time.Duration) lease.Instant { return lease.Instant{Mono: d, Wall: epoch.Add(d)} }

func granted(ttl, sent time.Duration, parent *lease.Grant) *lease.Grant {
	return lease.NewGrant(lease.Lease{TTL: ttl, Sent: at(sent), Renewable: true}, parent)
}

// TestLaw02ADeadlineIsTheMinimumOfOwnAndParents holds a lease that says an hour to
// its eight-second token (F1). Mutation: in Grant.deadline leave out the parent.
func TestLaw02ADeadlineIsTheMinimumOfOwnAndParents(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name         string
		token, own   time.Duration // 0: does not end
		left         time.Duration
		life         time.Duration
		expiresAfter time.Duration // 0: never
	}{
		{name: "the token dies first", token: 8 * sec, own: time.Hour, left: 6 * sec, life: 8 * sec, expiresAfter: 8 * sec},
		{name: "the lease dies first", token: time.Hour, own: 8 * sec, left: 7 * sec, life: 8 * sec, expiresAfter: 9 * sec},
		{name: "the token does not end", own: 8 * sec, left: 7 * sec, life: 8 * sec, expiresAfter: 9 * sec},
		{name: "the lease does not end", token: 8 * sec, left: 6 * sec, life: 8 * sec, expiresAfter: 8 * sec},
		{name: "nothing ends", left: math.MaxInt64},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := granted(tt.own, sec, granted(tt.token, 0, nil))
			assert.Equal(t, tt.left, g.Left(at(2*sec)))
			assert.Equal(t, tt.life, g.Life())
			var want time.Time
			if tt.expiresAfter > 0 {
				want = epoch.Add(tt.expiresAfter)
				assert.True(t, g.Valid(at(tt.expiresAfter-1)))
				assert.False(t, g.Valid(at(tt.expiresAfter)))
			}
			assert.Equal(t, want, g.Expires())
			assert.True(t, g.Valid(at(2*sec)))
		})
	}
}

func TestAGrantEndsWithItsParent(t *testing.T) {
	t.Parallel()
	root := granted(0, 0, nil)
	token := granted(time.Hour, 0, root)
	g := granted(time.Minute, 0, token)
	sibling := granted(time.Minute, 0, root)
	assert.False(t, g.Ended())
	token.End()
	assert.True(t, g.Ended())
	assert.False(t, g.Valid(at(sec)))
	assert.Zero(t, g.Left(at(sec)))
	assert.Equal(t, epoch.Add(time.Minute), g.Expires(), "what it would have been")
	assert.True(t, sibling.Valid(at(sec)))
	assert.Same(t, token, g.Parent())
}

func TestAnEndlessTTLDoesNotOverflow(t *testing.T) {
	t.Parallel()
	g := granted(math.MaxInt64, time.Hour, nil)
	assert.True(t, g.Valid(at(2*time.Hour)))
}

func TestAnErrorKeepsItsCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	err := fmt.Errorf("more: %w", &lease.Error{Class: lease.Dead, Err: cause})
	var le *lease.Error
	require.ErrorAs(t, err, &le)
	assert.Equal(t, lease.Dead, le.Class)
	require.ErrorIs(t, err, cause)
	assert.Equal(t, "more: cause", err.Error())
}

func TestAClassHasAName(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "parent dead", lease.ParentDead.String())
	assert.Equal(t, "unknown", lease.Unknown.String())
	assert.Equal(t, "class 77", lease.Class(77).String())
	assert.Equal(t, "class -1", lease.Class(-1).String())
}
