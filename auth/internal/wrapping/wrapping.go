// Package wrapping unwraps wrapping tokens, for methods that are given their credential in one.
package wrapping

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// Once unwraps each wrapping token once, and keeps what the last one held: Vault gives it out
// one time (failure code A8). It is safe for concurrent use.
type Once struct {
	permit chan struct{} // one unwrapping at a time: a second one would find the token spent
	sent   string        // the last token that Vault was asked to unwrap; guarded by permit
	kept   atomic.Pointer[Kept]
}

// New returns one that keeps nothing yet.
func New() *Once { return &Once{permit: make(chan struct{}, 1)} }

// Kept is what was unwrapped.
type Kept struct {
	Of      string // the hash of the wrapping token
	Value   secret.String
	Limited bool
}

// Kept returns what was unwrapped last, or nil.
func (o *Once) Kept() *Kept { return o.kept.Load() }

// Kind is what is expected of a wrapping token.
type Kind struct {
	Name string // of what it holds, with its article
	// Made reports whether a token that was made at this path may be unwrapped.
	Made func(path string) bool
	// Take finds the credential in what was unwrapped.
	Take func(*api.Secret) Kept
}

// Open returns what the wrapping token holds. It asks Vault unless it is kept.
func (o *Once) Open(ctx context.Context, client *api.Client, t Text, kind Kind) (*Kept, error) {
	of := auth.Hash(t.Token)
	select {
	case o.permit <- struct{}{}:
		defer func() { <-o.permit }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if k := o.Kept(); k != nil && k.Of == of {
		return k, nil
	}
	before := client.Token()
	client.SetToken(t.Token)
	defer client.SetToken(before)
	again := o.sent == of
	if err := made(ctx, client, t.Path, kind); err != nil {
		return nil, explain(err, again, kind)
	}
	o.sent = of
	answer, err := client.Logical().UnwrapWithContext(ctx, "")
	if err != nil {
		if !again && didNothing(err) {
			o.sent = ""
		}
		return nil, explain(err, again, kind)
	}
	var k Kept
	if answer != nil {
		k = kind.Take(answer)
	}
	if k.Value.IsZero() {
		return nil, fmt.Errorf("the wrapping token, which is spent now, did not hold %s: supply another one", kind.Name)
	}
	k.Of = of
	o.kept.Store(&k)
	return &k, nil
}

// made checks where the wrapping token was made. Whoever intercepts one can put another in its place,
// which holds what he likes; but he cannot choose this path.
func made(ctx context.Context, client *api.Client, said string, kind Kind) error {
	answer, err := client.Logical().ReadWithContext(ctx, "sys/wrapping/lookup")
	if err != nil {
		return err
	}
	if answer == nil {
		return errors.New("nothing is at sys/wrapping/lookup, which tells where the wrapping token was made: it was not unwrapped")
	}
	path, _ := answer.Data["creation_path"].(string)
	if !kind.Made(path) || said != "" && said != path {
		return fmt.Errorf("the wrapping token was made at %q, where %s is not made: "+
			"it was not unwrapped; find out who has put it there", path, kind.Name)
	}
	return nil
}

// didNothing reports whether an unwrapping that failed so has certainly not spent the token.
func didNothing(err error) bool {
	var re *api.ResponseError
	if errors.As(err, &re) {
		return re.StatusCode == http.StatusPreconditionFailed || re.StatusCode == http.StatusTooManyRequests || re.StatusCode == http.StatusServiceUnavailable
	}
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial"
}

// explain says what it means that Vault does not know the wrapping token. That is no error of
// Vault's any more, but one of the source's.
func explain(err error, again bool, kind Kind) error {
	var re *api.ResponseError
	if !errors.As(err, &re) || re.StatusCode != http.StatusBadRequest || re.RawError {
		return err // also a page of what stands in between
	}
	said := fmt.Sprintf("%d: %s", re.StatusCode, strings.Join(re.Errors, "; "))
	if again {
		return fmt.Errorf("the wrapping token is spent: we have unwrapped it before, "+
			"and the answer was lost or was of no use: supply a new one (Vault: %s)", said)
	}
	return fmt.Errorf("the wrapping token has expired, is none, or was unwrapped by somebody else: "+
		"unless that was another instance of yours, %s is in strange hands: "+
		"revoke it, find out who, and supply a new one (Vault: %s)", kind.Name, said)
}
