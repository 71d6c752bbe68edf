package leasehold

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/session"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// source is one thing that Load asks Vault for, with the fields that want it.
type source struct {
	engine      engine
	mount, path string
	fields      []*field

	// What came of it. data is of no meaning to a live credential.
	data       json.RawMessage
	err        error
	follower   *follower
	credential any                         // a *dynamic.Credential[T] for the source's only field
	kept       *copied                     // of plain fields
	giveBack   func(context.Context) error // what must not be left if Load fails; may be nil
}

// rawKey is a dynamic credential of which every plain field takes its part.
type rawKey = secret.Bytes

// sources sorts fields by what they are read from. Each live credential is a lease of its own,
// as with each dynamic.Open; all else is asked for once.
func sources(fields []*field) []*source {
	type key struct {
		engine      engine
		mount, path string
	}
	var all []*source
	known := make(map[key]*source)
	for _, f := range fields {
		k := key{f.engine, f.mount, f.path}
		s := known[k]
		if s == nil || f.open != nil {
			s = &source{engine: f.engine, mount: f.mount, path: f.path}
			all = append(all, s)
		}
		if f.open == nil {
			known[k] = s
		}
		s.fields = append(s.fields, f)
	}
	return all
}

// grace is for how long a Load that is going to fail waits for the rest, so that its error
// names that as well.
const grace = 5 * time.Second

var errOther = errors.New("something else cannot be had, and 5 seconds have passed since")

// hurriedError is the failure of what had no more time since something else is lost. It is no
// context.Canceled: whoever looks for that would take it for the end of his own ctx.
type hurriedError struct{ err error }

func (e *hurriedError) Error() string {
	if errors.Is(e.err, errOther) {
		return e.err.Error()
	}
	return fmt.Sprintf("%v: %v", e.err, errOther)
}

func (e *hurriedError) Is(target error) bool {
	return target != context.Canceled && errors.Is(e.err, target)
}

func (e *hurriedError) As(target any) bool { return errors.As(e.err, target) }

// fetch asks for all sources at once and calls done for each as it comes, in the caller's
// goroutine. How many requests are under way is the session's to bound. After the first that is
// lost for good, as done says, the others have little time left. It reports whether one was.
func (c *Client) fetch(whole context.Context, all []*source, done func(*source) (lost bool)) (lost bool) {
	ctx, cancel := context.WithCancelCause(whole)
	defer cancel(nil)
	var wg sync.WaitGroup
	var late *time.Timer
	hurry := func() {
		if late == nil {
			late = time.AfterFunc(grace, func() { cancel(errOther) })
		}
	}
	defer func() { // done may have panicked: creations that are under way must not be lost
		hurry()
		wg.Wait()
		late.Stop()
	}()
	results := make(chan *source, len(all)) // with room for all, whoever listens
	for _, s := range all {
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil { // of a decoder of the caller's; what it says may be a secret
					s.err = fmt.Errorf("leasehold: load %s/%s: panic (%T)", s.mount, s.path, p)
				}
				results <- s
			}()
			if s.err = c.ask(whole, ctx, s); s.err != nil && context.Cause(ctx) == errOther { //nolint:errorlint // it is ours
				s.err = &hurriedError{s.err}
			}
		})
	}
	for range all {
		if done(<-results) {
			lost = true
			hurry()
		}
	}
	return lost
}

// store is the engine of a secret.
func (s *source) store(c *Client) *kv.Store {
	if s.fields[0].v1 {
		return c.KV(s.mount, kv.Version1())
	}
	return c.KV(s.mount)
}

// names are those of the source's fields.
func (s *source) names() []string {
	var names []string
	for _, f := range s.fields {
		names = append(names, f.name)
	}
	return names
}

// failed says what is wrong with a source, for the fields that want it.
func (s *source) failed(names []string, err error) error {
	label := "field "
	if len(names) > 1 {
		label = "fields "
	}
	return fmt.Errorf("%s%s: %w%s", label, strings.Join(names, ", "), err, s.forgotten())
}

// forgotten says more where the path of a failed KV read is that of a credential: what else the
// error says of permissions and mounts would lead astray.
func (s *source) forgotten() string {
	switch {
	case s.engine != keyValue:
	case strings.HasPrefix(s.path, "creds/"):
		return `; if a credential is meant, add ",dynamic" to the tag`
	case strings.HasPrefix(s.path, "static-creds/"):
		return `; if the credential of a static role is meant, add ",static" to the tag`
	}
	return ""
}

// ask asks for one source until ctx ends, or whole while it is being made.
func (c *Client) ask(whole, ctx context.Context, s *source) (err error) {
	path := s.mount + "/" + s.path
	switch {
	case s.engine == staticEngine:
		s.data, err = c.static(ctx, path)
		return err
	case s.engine == dynamicEngine && s.fields[0].open != nil:
		s.credential, s.giveBack, err = s.fields[0].open.OpenAny(session.Slotted(whole, ctx), c, dynamic.Request{Path: path})
		return err
	case s.engine == dynamicEngine:
		return c.obtain(whole, ctx, s, path)
	}
	for _, f := range s.fields {
		if f.maker != nil {
			return c.follow(ctx, s)
		}
	}
	got, err := kv.Get[json.RawMessage](ctx, s.store(c), s.path)
	s.data = got.Value
	return err
}

// static reads the credential of a static role, which makes nothing new.
func (c *Client) static(ctx context.Context, path string) (json.RawMessage, error) {
	resp, err := c.session.Read(ctx, session.Request{Op: "read", Method: http.MethodGet, Path: path, Namespace: c.view.Namespace})
	if err != nil {
		return nil, err
	}
	var answer struct {
		LeaseID string          `json:"lease_id"`
		Data    json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(resp.Body, &answer); err == nil && answer.LeaseID != "" {
		err = fmt.Errorf(`leasehold: read %s: it makes a credential with a lease: say ",dynamic" rather than ",static"`, path)
		return nil, errors.Join(err, c.view.Revoke(ctx, session.Request{
			Op: "revoke the lease of " + path + " with", Method: http.MethodPut, Path: "sys/leases/revoke",
			Body: map[string]any{"lease_id": answer.LeaseID, "sync": true}, Namespace: c.view.Namespace, Private: answer.LeaseID,
		}))
	}
	if err := json.Unmarshal(resp.Body, &answer); err != nil || kindOf(answer.Data) != "object" {
		return nil, fmt.Errorf("leasehold: read %s: the answer is not JSON of the expected form", path)
	}
	return answer.Data, nil
}

// giveBackLimit bounds the giving back of what a failed Load has obtained.
const giveBackLimit = 5 * time.Second

// giveBack ends what was begun for a Load that has failed. ctx may be over.
func giveBack(ctx context.Context, all []*source) error {
	limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveBackLimit)
	defer cancel()
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for _, s := range all {
		if s.giveBack == nil {
			continue
		}
		wg.Go(func() {
			if err := s.giveBack(limited); err != nil {
				mu.Lock()
				defer mu.Unlock()
				err = fmt.Errorf("leasehold: load: what was obtained for nothing ends by itself: %w", err)
				if !slices.ContainsFunc(errs, func(other error) bool { return other.Error() == err.Error() }) {
					errs = append(errs, err)
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
