package session

import "context"

type slottedKey struct{}

// Slotted returns a context for creations that somebody waits for beside reads: each
// request takes one of the slots that reads share (law 23). Upkeep never has it. With until,
// which comes from ctx, everything ends but a request that is under way: cut off, it would
// leave behind what nobody knows of (failure code B11).
func Slotted(ctx, until context.Context) context.Context {
	return context.WithValue(ctx, slottedKey{}, until)
}

// waiting is the context for what is not a request.
func waiting(ctx context.Context) context.Context {
	if until, ok := ctx.Value(slottedKey{}).(context.Context); ok {
		return until
	}
	return ctx
}

// slot waits for a slot where ctx asks for one, and returns what gives it back.
func (s *Session) slot(ctx context.Context, r Request) (release func(), err error) {
	if !r.Create || ctx.Value(slottedKey{}) == nil {
		return func() {}, nil
	}
	ctx = waiting(ctx)
	if ctx.Err() != nil { // or it is sent, perhaps, and nobody knows what it did
		return nil, s.gaveUp(ctx, r, nil)
	}
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	case <-ctx.Done():
		return nil, s.gaveUp(ctx, r, nil)
	case <-s.ctx.Done():
		return nil, ErrClosed
	}
}
