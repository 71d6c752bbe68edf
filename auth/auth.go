// Package auth says what a way of logging in to Vault is.
//
// A [Method] is the official client's api.AuthMethod, so that every method
// written for that client plugs in; one that keeps what it was built with goes into
// [Fresh]. Login is called with a private client that carries no token, at most once at a
// time by one leasehold.Client, and for every login anew: a method reads its inputs afresh
// each time, since secret-ids, projected tokens and keys rotate (failure codes A7 to A9
// and A11 of docs/failure-modes.md).
//
// What a client must know beyond a login are optional interfaces, found by type
// assertion: [Owner], [Holder], [Limiter] and [Fingerprinter]. Package auth/authtest checks
// a method of your own.
package auth

import (
	"context"
	"fmt"
	"strings"

	"github.com/hashicorp/vault/api"
)

// Method logs in. It may implement the other interfaces of this package, too.
//
// An error that comes from the official client, wrapped or not, is classed by what Vault
// answered: an outage is retried, a refusal slowly. Where the method asks somebody else first, a network
// that fails is an outage, and so is an error with a method HTTPStatusCode() int, as those of SDKs have it,
// that says 429 or 5xx. Any other error counts as one of the method's inputs, which somebody must change.
// None may contain the credential.
type Method = api.AuthMethod

// Owner is an optional interface of a Method. A method that does not have it
// makes tokens of its own at each login, which the client revokes at Close.
type Owner interface {
	// Owned reports whether the token was made by the login. One that was given to
	// us is never revoked: others may be using it (failure code S2).
	Owned() bool
}

// Holder is an optional interface of a Method whose token somebody else keeps alive, and
// replaces, such as Vault Agent. It is never renewed by us: near its end it is looked up
// again, to see whether it has been.
type Holder interface {
	Held() bool
}

// Limiter is an optional interface of a Method.
type Limiter interface {
	// Limited reports whether logins are scarce, such as with a secret-id that is good for
	// a few. The client then renews for as long as it can, and never logs in on a mere
	// suspicion. It is asked after each login.
	Limited() bool
}

// Fingerprinter is an optional interface of a Method. After a login was refused, the client
// asks for the fingerprint about every 10 s and logs in again as soon as it changes,
// rather than when a slow back-off says so. A token that is held by others is replaced when it
// changes.
type Fingerprinter interface {
	// Fingerprint returns a hash of what the next login would be made with, without asking
	// Vault. It never leaves the process.
	Fingerprint(ctx context.Context) (string, error)
}

// CheckMount refuses a path for an auth method's mount that is empty or would lead
// elsewhere: the official client resolves ".." and would send a credential there.
func CheckMount(path string) error {
	for seg := range strings.SplitSeq(path, "/") {
		if seg == "" || seg == "." || seg == ".." {
			return fmt.Errorf("the mount %q has an empty, \".\" or \"..\" segment", path)
		}
	}
	return nil
}
