// Package authtest checks that a way of logging in does what leasehold.Client, and whoever
// uses it, relies on. A test of a method of your own is
//
//	func TestConformance(t *testing.T) {
//		authtest.Run(t, func(t *testing.T) authtest.Harness {
//			server := vaulttest.New(t) // or a real Vault
//			...
//			return authtest.Harness{Method: method, Transport: server.Client().Transport, Rotate: ..., Spoil: ..., Secrets: ...}
//		})
//	}
//
// Run it with the race detector.
package authtest

import (
	"net/http"
	"testing"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// Harness is a method together with the Vault that it logs in to and the source of its
// credential. Each check has one of its own.
type Harness struct {
	// Method is what is checked. Its source holds a good credential, good for at least 20
	// logins.
	Method auth.Method
	// Transport leads to Vault, such as vaulttest's Client().Transport, or
	// http.DefaultTransport.
	Transport http.RoundTripper
	// Address is Vault's URL. Default "http://vault.test", for a Transport that needs none.
	Address string

	// Rotate puts another good credential into the source and makes the earlier one
	// worthless. nil if that cannot be: the checks for it are then left out.
	Rotate func(t *testing.T)
	// Spoil puts a credential into the source that Vault refuses. nil if that cannot be.
	Spoil func(t *testing.T)
	// Secrets returns all texts that must not show anywhere: the credentials so far, good and
	// bad. Tokens need not be among them. Required; a method without any returns nil.
	Secrets func() []string
}

// Run checks a method. Each check is a subtest with a harness from setUp, which may use the
// subtest's Cleanup.
func Run(t *testing.T, setUp func(t *testing.T) Harness) {
	t.Helper()
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			h := setUp(t)
			if err := c.run(t, h); err != nil {
				t.Fatalf("%s: %v", c.what, err)
			}
		})
	}
}

// check is one thing that is relied upon.
type check struct {
	name string
	what string
	run  func(t *testing.T, h Harness) error
}

var checks = []check{
	{"LogsIn", "a login gives a token, once more a second time", logsIn},
	{"ReadsItsSourceAfresh", "a login uses what the source holds then (failure codes A7 to A9)", readsAfresh},
	{"HeedsItsContext", "a login ends with its context", heedsContext},
	{"SaysThatVaultRefused", "a refusal can be told from an outage, and is not repeated", saysRefused},
	{"SaysThatVaultIsAway", "an outage can be told from a refusal, and a request is not repeated", saysAway},
	{"HasAFingerprintOfItsSource", "the fingerprint changes with the source, and only then", hasFingerprint},
	{"ShowsNoSecret", "no text shows the credential", showsNoSecret},
	{"LogsInConcurrently", "logins of several clients at once do not disturb each other", concurrently},
	{"LeavesNothingRunning", "no goroutine is left", leavesNothing},
}
