package testvault

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestPollReturnsAsSoonAsTheConditionHolds(t *testing.T) {
	n := 0
	Poll(t, time.Minute, func() bool { n++; return n == 3 }, "three calls")
	assert.Equal(t, 3, n)
}

func TestPollFailsWithItsMessage(t *testing.T) {
	r := &recorder{TB: t}
	assert.Panics(t, func() { Poll(r, time.Millisecond, func() bool { return false }, "the impossible") })
	assert.Contains(t, r.failed, "the impossible")
}
