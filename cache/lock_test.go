package cache

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestLaw11ReadsTakeNoLock reads while the lock is held. Mutation: take it in Get.
func TestLaw11ReadsTakeNoLock(t *testing.T) {
	t.Parallel()
	v := Fixed("a")
	v.mu.Lock()
	defer v.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		assert.Equal(t, "a", v.Get())
		assert.Equal(t, "a", v.Snapshot().Value)
		assert.NoError(t, v.Err())
	}()
	select {
	case <-done:
	case <-time.After(5 * time.Second):
		t.Error("a reader waits for the lock")
	}
}
