package kv

import (
	"context"
	"time"
)

// WatchOption adjusts a Watch.
type WatchOption func(*watchOptions)

type watchOptions struct {
	every    time.Duration
	maxStale time.Duration
	get      getOptions
	verify   any   // func(context.Context, T) error
	changed  []any // func(old, current T)
}

// DefaultInterval is how often a watched secret is read if Every does not say.
const DefaultInterval = time.Minute

const minInterval = time.Second

// Every sets how often the secret is read: a new version is seen within d of
// being written. Reads come a little earlier than d, with jitter. At least 1 s; the default
// is [DefaultInterval]. A secret of KV version 1 that has a ttl shorter than d is read
// as often as that says, though no more than once a second (failure code C2).
func Every(d time.Duration) WatchOption { return func(o *watchOptions) { o.every = d } }

// Reading has the secret read with options of Get: [RefuseUnknown] and [RequireAll]. What they
// refuse is treated like what does not decode.
func Reading(opts ...GetOption) WatchOption {
	return func(o *watchOptions) {
		for _, opt := range opts {
			opt(&o.get)
		}
	}
}

// MaxStale makes the value's Err report it if it was not confirmed for longer than
// d, which is no shorter than the interval of [Every]. The value is served all the same. 0, the
// default, is no limit.
func MaxStale(d time.Duration) WatchOption { return func(o *watchOptions) { o.maxStale = d } }

// Verify has f judge a new version before it is published. While f refuses, the
// good value stays, the refusal is reported, and the version is verified
// again at the next reads, which come sooner then, with back-off. Watch itself returns a
// refusal of the first version. Its ctx ends after 30 seconds; f is called for one version
// at a time, holds up no other value, and a panic counts as a refusal. T must be the T of
// Watch.
func Verify[T any](f func(ctx context.Context, value T) error) WatchOption {
	return func(o *watchOptions) { o.verify = f }
}

// OnChange has f called after each change of the value, with what it was told last and
// what there is now; not for the first value, which Watch returns. It is called in order, by one
// goroutine, and may take its time: readers see the new value meanwhile, and changes
// that come while f runs are one call after it, with the newest. A panic is an event
// (callback_failed). f may close the value or the client: after that it is not called
// again. Both values are shared with the readers: do not modify a map or a slice inside. T must
// be the T of Watch; given more than once, each f is called.
func OnChange[T any](f func(old, current T)) WatchOption {
	return func(o *watchOptions) { o.changed = append(o.changed, f) }
}
