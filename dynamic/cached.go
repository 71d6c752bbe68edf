package dynamic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// A Vault Proxy with a cache keeps the leases that it has passed on, for as long as its token
// lives. It renews each by itself, at about two thirds, and answers whoever asks for the same
// credential, or for the same renewal, with what Vault said the first time. Only Vault knows what
// is left of such a lease, and it is asked for that rather than for more.

var (
	errSame = &lease.Error{Class: lease.Transient, Err: errors.New(
		"leasehold: the proxy's cache still has the same credential")}
	errNotRenewed = &lease.Error{Class: lease.Transient, Err: errors.New(
		"leasehold: the proxy that keeps the lease has not renewed it yet")}
)

// cached is what is left of a lease that was found in a cache; told is what that says.
func cached(ctx context.Context, v session.View, path, id string, told lease.Lease) (lease.Lease, error) {
	l, err := lookUp(ctx, v, path, id)
	var le *lease.Error
	switch {
	case err == nil:
		return l, nil
	case errors.As(err, &le) && le.Class == lease.Dead:
		return l, &lease.Error{Class: lease.Transient, Err: fmt.Errorf("leasehold: obtain %s: the proxy's cache has one that is gone: %w", path, err)}
	}
	return told, nil // without permission to look, say: by its age it ends no later
}

// lookAgain is the renewal of a lease that a proxy keeps: it sees whether that was done. Where it
// was not known that one does, nothing was late.
func lookAgain(ctx context.Context, v session.View, path, id string, g *lease.Grant) (lease.Lease, error) {
	l, err := lookUp(ctx, v, path, id)
	if err != nil {
		return lease.Lease{}, err
	}
	was := g.Lease()
	if was.Held && l.Sent.Mono+l.TTL <= was.Sent.Mono+was.TTL+time.Second {
		return lease.Lease{}, errNotRenewed
	}
	return session.Within(was.TTL, l), nil
}

// lookUp asks Vault what is left of a lease that somebody else renews.
func lookUp(ctx context.Context, v session.View, path, id string) (lease.Lease, error) {
	resp, err := v.Once(ctx, session.Request{
		Op: "look up the lease of " + path + " with", Method: "PUT", Path: "sys/leases/lookup",
		Body: map[string]string{"lease_id": id}, Namespace: v.Namespace, Private: id,
	})
	if err != nil {
		return lease.Lease{}, err
	}
	var answer struct {
		Data struct {
			TTL       *int64 `json:"ttl"`
			Renewable bool   `json:"renewable"`
		} `json:"data"`
	}
	if err := json.Unmarshal(resp.Body, &answer); err != nil || answer.Data.TTL == nil || *answer.Data.TTL <= 0 {
		return lease.Lease{}, fmt.Errorf("leasehold: look up the lease of %s: %w", path, errMalformed)
	}
	return lease.Lease{
		TTL:       session.Rounded(session.Seconds(*answer.Data.TTL)),
		Sent:      resp.Sent,
		Renewable: answer.Data.Renewable,
		Held:      true,
	}, nil
}
