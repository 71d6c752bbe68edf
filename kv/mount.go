package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/internal/session"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// Store is a KV engine at one mount, of version 1 or 2. It asks nothing when it is made and
// is safe for concurrent use; make one where it is needed, or keep it.
type Store struct {
	view  session.View
	mount string
	err   error // why nothing can be read here
	reads *Reads
	given int // the engine's version, as it was given; 0: to be detected
}

// StoreOption adjusts a Store: see leasehold.Client.KV.
type StoreOption func(*Store)

// Version1 says that the engine is KV version 1, and Version2 that it is KV version 2.
// Vault is then not asked. Neither is needed where Vault tells: it does to every token that
// may do anything below the mount, unless something in between keeps sys/internal/ui/mounts
// from getting through: then secrets are looked for as in version 2, and nothing is written.
//
// A Store with one of them and a Store without share no requests, nor what was read, also
// for the same path: a wrong version is to fail nobody else.
func Version1() StoreOption { return func(s *Store) { s.given = 1 } }

// Version2 is explained with [Version1].
func Version2() StoreOption { return func(s *Store) { s.given = 2 } }

// NewStore is called by leasehold.Client.KV.
func NewStore(view session.View, reads *Reads, mount string, opts ...StoreOption) *Store {
	s := &Store{view: view, mount: strings.Trim(mount, "/"), reads: reads}
	if err := session.CheckPath(s.mount); err != nil {
		s.err = fmt.Errorf("leasehold: kv: mount: %w", err)
	}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// Format writes the mount, whatever the verb: without it, fmt would read fields that
// other goroutines are writing.
func (s *Store) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "kv.Store(%s)", s.mount) }

// where is what errors call a path.
func (s *Store) where(path string) string { return s.mount + "/" + path }

// named is where, with the namespace: what is missing may be in another.
func (s *Store) named(path string) string { return inNamespace(s.where(path), s.view.Namespace) }

func inNamespace(where, namespace string) string {
	if namespace == "" {
		return where
	}
	return fmt.Sprintf("%s (namespace %s)", where, namespace)
}

// CheckPath returns what is wrong with a mount or a path, without asking Vault.
func CheckPath(mount, path string) error {
	return errors.Join(session.CheckPath(mount), session.CheckPath(path))
}

type mountKey struct{ namespace, mount string }

// engine is what is known of a mount.
type engine struct {
	version int    // of KV; 0: not known
	given   bool   // by the caller
	within  string // the mount that it is a part of
	other   string // the type of an engine that is not KV

	at      time.Time // when Vault was asked
	again   bool      // for the second time: see second
	refused bool      // nothing may be done below the mount
	denied  bool      // the same, and it is Vault that says so
}

const (
	// probeTimeout bounds the question for a mount's version, which nobody may depend on.
	probeTimeout = 5 * time.Second
	// probePause is for how long a mount that Vault told nothing of is not asked for again.
	probePause = time.Minute
)

// mounts is what the stores of one client know of their mounts.
type mounts = cache.Shared[mountKey, engine]

func newMounts() *mounts {
	return cache.NewShared[mountKey, engine](cache.Limits[engine]{Answers: cachedAnswers})
}

// kv is the version to work with.
func (e engine) kv() int {
	if e.version == 0 {
		return 2
	}
	return e.version
}

// engine is what is known of the mount. Its version is as given, or as Vault says, which is asked
// once for each mount and client, and not for each secret (failure code C5). Where Vault does
// not say, it is taken for 2, and Vault is asked again no sooner than a minute later.
func (s *Store) engine(ctx context.Context) engine {
	if s.given != 0 {
		return engine{version: s.given, given: true}
	}
	return s.probed(ctx, func(e engine) bool { return e.version != 0 || time.Since(e.at) < probePause }, engine{})
}

// second looks at a mount once more after a read that began at began has failed for what may
// be a wrong version: the engine was upgraded, or Vault could not be asked when its turn
// was, or the token of then was dead. It reports whether the version is another.
func (s *Store) second(ctx context.Context, e engine, began time.Time, err error) (engine, bool) {
	failed := session.FailureOf(err)
	if e.given || e.again || failed == nil {
		return e, false
	}
	switch failed.Status {
	case http.StatusNotFound:
		answer, _, _ := readNotFound(failed)
		if e.version == 2 || (e.version == 1 && !answer.versioned()) {
			return e, false
		}
	case http.StatusForbidden:
		if e.version == 1 { // upgraded, a mount has other paths, and a policy may allow those alone
			now := s.upgraded(ctx, e)
			return now, now.kv() != e.kv()
		}
		if e.version == 2 || e.refused {
			return e, false
		}
	default:
		return e, false
	}
	now := s.probed(ctx, func(known engine) bool {
		return !known.at.Before(began) && (known.again || known.version != e.version)
	}, engine{again: true})
	return now, now.kv() != e.kv()
}

// upgraded is e, or what a mount of version 1 has become since: Vault is asked once a minute. Only a
// request that fails would tell, and what version 1 does not have is not sent to it.
func (s *Store) upgraded(ctx context.Context, e engine) engine {
	if e.version != 1 || e.given {
		return e
	}
	return s.probed(ctx, func(known engine) bool { return known.version != 1 || time.Since(known.at) < probePause }, engine{version: 1})
}

// certain is engine for a write, which goes nowhere on a guess: to version 1 what is meant for version 2 is a
// secret of another name, and it says that all is well. Vault is asked until it answers, for as long as the write
// would be tried. That it refuses to tell is an answer: it will refuse the write as well, and say what is missing.
func (s *Store) certain(ctx context.Context, path string, a action) (engine, error) {
	e, err := s.engine(ctx), error(nil)
	if e.version == 0 { // also where it was refused: a token with other policies may be had, and would be for the write
		e, err = s.asked(ctx)
	}
	switch {
	case e.version != 0 || e.denied:
		return e, nil
	case e.within != "" || e.other != "":
		return e, fmt.Errorf("leasehold: %s %s: %w (%s)", a.op, s.named(path), ErrNoMount, s.otherwise(path, e))
	case err == nil:
		err = errors.New("the answer is not of the form that was expected")
	}
	return e, fmt.Errorf("leasehold: %s %s: it was not sent, since Vault did not tell which version the engine is of; say so with kv.Version1 or kv.Version2: %w",
		a.op, s.where(path), err)
}

// asked asks for the mount until Vault answers. Readers do not wait for that: they go on without.
func (s *Store) asked(ctx context.Context) (engine, error) {
	key := mountKey{s.view.Namespace, s.mount}
	return s.reads.asked.Do(ctx, key, nil, func(ctx context.Context) (engine, error) {
		e := engine{at: time.Now()}
		if err := s.probe(ctx, &e, s.view.Read); err != nil && !e.denied {
			return engine{}, err
		}
		if e.version != 0 {
			known := func(e engine) bool { return e.version != 0 }
			_, _ = s.reads.mounts.Do(ctx, key, known, func(context.Context) (engine, error) { return e, nil })
		}
		return e, nil
	})
}

// probed returns what is known of the mount if usable agrees to it, else asks. Its failure
// is nobody's: whoever asks goes on with what he has, and where Vault does not tell the version,
// with that of untold.
func (s *Store) probed(ctx context.Context, usable func(engine) bool, untold engine) engine {
	e, err := s.reads.mounts.Do(ctx, mountKey{s.view.Namespace, s.mount}, usable, func(ctx context.Context) (engine, error) {
		e := engine{at: time.Now()}
		err := s.glance(ctx, &e)
		if ctx.Err() != nil { // which says nothing of the mount
			return engine{}, err
		}
		if e.version == 0 {
			e.version, e.again = untold.version, untold.again
		}
		return e, nil
	})
	if err != nil {
		return untold
	}
	return e
}

// glance asks Vault for the mount, once: a refusal is an answer like another, and no reason
// to doubt the token.
func (s *Store) glance(ctx context.Context, e *engine) error {
	timeout := probeTimeout
	if end, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(end)/2)
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return s.probe(limited, e, s.view.Glance)
}

// probe asks Vault for the mount by send.
func (s *Store) probe(ctx context.Context, e *engine, send func(context.Context, session.Request) (*session.Response, error)) error {
	resp, err := send(ctx, session.Request{
		Op: "detect the KV version of", Method: http.MethodGet, Path: "sys/internal/ui/mounts/" + s.mount, Namespace: s.view.Namespace, Quiet: true,
	})
	if err != nil {
		var le *lease.Error
		if failed := session.FailureOf(err); failed != nil && errors.As(err, &le) {
			e.refused = le.Class == lease.Refused
			e.denied = e.refused && strings.Contains(strings.Join(failed.Vault, " "), "preflight capability check")
		}
		return err
	}
	var answer struct {
		Data struct {
			Type    string            `json:"type"`
			Path    string            `json:"path"`
			Options map[string]string `json:"options"`
		} `json:"data"`
	}
	if err := json.Unmarshal(resp.Body, &answer); err != nil {
		return err
	}
	mount, data := strings.Trim(answer.Data.Path, "/"), answer.Data
	switch {
	case mount != "" && strings.HasPrefix(s.mount, mount+"/"):
		e.within = mount
	case data.Options["version"] == "2":
		e.version = 2
	case data.Options["version"] == "1", data.Type == "kv", data.Type == "generic":
		e.version = 1
	default:
		e.other = data.Type
	}
	return nil
}
