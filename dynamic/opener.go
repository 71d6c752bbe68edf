package dynamic

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
)

// Opener is every *[Credential], a nil one too. Who knows T only at run time, as
// leasehold.Load does, opens credentials of a field's type through it.
type Opener interface {
	// Target returns a new *T, for who wants to know what it is.
	Target() any
	// OpenAny is Open for a T that is read from the answer's data as JSON, or is a UserPass.
	// It returns a *Credential[T], and its Close.
	OpenAny(ctx context.Context, b Backend, r Request) (credential any, closeIt func(context.Context) error, err error)
}

// Target implements [Opener].
func (*Credential[T]) Target() any { return new(T) }

// OpenAny implements [Opener].
func (*Credential[T]) OpenAny(ctx context.Context, b Backend, r Request) (credential any, closeIt func(context.Context) error, err error) {
	c, err := Open(ctx, b, r, decodeAny[T])
	if err != nil {
		return nil, nil, err
	}
	return c, c.Close, nil
}

// decodeAny reads the data of an answer. Its error names types alone: others' texts may
// quote the credential.
func decodeAny[T any](g *Grant) (value T, err error) {
	if up, ok := any(&value).(*UserPass); ok {
		*up, err = decodeUserPass(g)
		return value, err
	}
	if err := json.Unmarshal(g.Data.Reveal(), &value); err != nil {
		return value, fmt.Errorf("the answer's data does not make a %s", reflect.TypeFor[T]())
	}
	return value, nil
}
