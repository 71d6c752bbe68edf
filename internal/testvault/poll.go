package testvault

import (
	"testing"
	"time"
)

// pollInterval is short enough to keep a test quick, and long enough not to
// fill Vault's audit log when cond is a request.
const pollInterval = 25 * time.Millisecond

// Poll calls cond until it holds, and fails the test with msg when it has not
// within the given time. Vault revokes asynchronously, so most statements about
// leases and database roles need it.
//
// Unlike testify's Eventually it calls cond on the test's own goroutine: cond
// may fail the test, and nothing outlives the call.
func Poll(tb testing.TB, within time.Duration, cond func() bool, msg string) {
	tb.Helper()
	if !holds(within, cond) {
		tb.Fatalf("testvault: not within %v: %s", within, msg)
	}
}

func holds(within time.Duration, cond func() bool) bool {
	deadline := time.Now().Add(within)
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for !cond() {
		if !time.Now().Before(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}
