package testvault

import (
	"os"
	"testing"
)

// missing ends a test that lacks a component which it cannot do without. On a
// developer's machine that is a skip. Where CI is set it is a failure: a suite
// that quietly skips its real servers proves nothing, and stays green.
//
// It is the only place in this module that may skip.
func missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") != "" {
		tb.Fatalf("testvault: %s (a failure, not a skip, because CI is set)", what)
	}
	tb.Skipf("testvault: %s", what)
}
