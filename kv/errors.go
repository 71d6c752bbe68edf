package kv

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// What can be wrong with a path. All are permanent until somebody writes there or mounts an
// engine, and none of them is ever told as a nil error with nothing in it (failure codes C3,
// F16, F17). A missing permission is a leasehold.Error with the policy to grant: to who may
// not know, Vault answers 403 for all of these.
var (
	// ErrNotFound: nothing was ever written there, or all of it was removed, or there is no
	// version of that number.
	ErrNotFound = errors.New("no secret at this path")
	// ErrDeleted: see [DeletedError].
	ErrDeleted = errors.New("the version was deleted")
	// ErrDestroyed: the version's data is gone for good.
	ErrDestroyed = errors.New("the version was destroyed")
	// ErrNoMount: nothing is mounted there, or an engine of another kind.
	ErrNoMount = errors.New("no KV secrets engine is mounted there")
	// ErrCASMismatch: see [CASError].
	ErrCASMismatch = errors.New("the secret is at another version than the write was meant for")
)

// DeletedError is an [ErrDeleted]: the version can be undeleted until it is destroyed.
// Earlier versions may still be there, to be read with [AtVersion].
type DeletedError struct {
	Path      string // mount and path
	Namespace string
	Version   int
	At        time.Time // by the clock of Vault; zero if it did not say
}

// Error says which version was deleted and when, and what brings it back.
func (e *DeletedError) Error() string {
	at := ""
	if !e.At.IsZero() {
		at = ", at " + e.At.Format(time.RFC3339)
	}
	return fmt.Sprintf("leasehold: read %s: %v (version %d%s): Store.Undelete brings it back", inNamespace(e.Path, e.Namespace), ErrDeleted, e.Version, at)
}

// Is makes it an ErrDeleted.
func (e *DeletedError) Is(target error) bool { return target == ErrDeleted }

// CASError is an [ErrCASMismatch]: somebody else has written in between. Read the secret
// again, and decide anew.
type CASError struct {
	Path      string // mount and path
	Namespace string
	Want      int // the version that the write was meant for; 0: that there is none
	Current   int // the version that there is; 0: none; -1: not known
}

// Error names both versions.
func (e *CASError) Error() string {
	current := fmt.Sprintf("is at version %d", e.Current)
	switch e.Current {
	case -1:
		current = "is at another one"
	case 0:
		current = "does not exist"
	}
	want := fmt.Sprintf("version %d", e.Want)
	if e.Want == 0 {
		want = "a secret that does not exist"
	}
	return fmt.Sprintf("leasehold: write %s: the write is for %s, the secret %s: read it again", inNamespace(e.Path, e.Namespace), want, current)
}

// Is makes it an ErrCASMismatch.
func (e *CASError) Is(target error) bool { return target == ErrCASMismatch }

// explain says more about a read that Vault refused: it tells the kinds of 404 apart
// (failure codes F16, F17, C3), and what else the path might have been (C5).
func (s *Store) explain(path string, o getOptions, e engine, err error) error {
	failed := session.FailureOf(err)
	if failed == nil {
		return err
	}
	switch failed.Status {
	case http.StatusNotFound:
		hint := s.otherwise(path, e)
		switch {
		case o.version > 0:
			hint = strings.TrimSuffix(fmt.Sprintf("version %d; %s", o.version, hint), "; ")
		case hint == "" && e.version == 1:
			hint = `a path is given without the mount`
		case hint == "":
			hint = `a path is given without the mount and without "data/"`
		}
		return s.missing("read", path, e, failed, hint)
	case http.StatusForbidden:
		var le *lease.Error
		if more := s.otherwise(path, e); more != "" && errors.As(err, &le) && le.Class == lease.Refused {
			return &lease.Error{Class: le.Class, RetryAfter: le.RetryAfter, Err: withHint(failed, more)}
		}
	}
	return err
}

// withHint returns a copy: events may hold e.
func withHint(e *session.Error, more string) error {
	hinted := *e
	hinted.Hint = strings.TrimPrefix(e.Hint+"; "+more, "; ")
	return &hinted
}

// missing tells the kinds of 404 apart, of reads and of all other requests. hint is for a
// secret that is not there.
func (s *Store) missing(op, path string, e engine, failed *session.Error, hint string) error {
	where, class := s.named(path), lease.Permanent // polls keep their pace: nothing but a write changes that
	answer, meta, ok := readNotFound(failed)
	var err error
	switch {
	case !ok: // from a proxy that has just now nobody behind it, perhaps
		class, err = lease.Unknown, withHint(failed, notKV)
	case meta.Destroyed:
		err = fmt.Errorf("leasehold: %s %s: %w (version %d)", op, where, ErrDestroyed, meta.Version)
	case meta.Version != 0:
		err = &DeletedError{Path: s.where(path), Namespace: s.view.Namespace, Version: meta.Version, At: meta.Deleted}
	case e.version == 1 && answer.versioned():
		err = fmt.Errorf("leasehold: %s %s: the engine at %q is KV version 2: leave out kv.Version1", op, where, s.mount)
	case answer.versioned(), len(failed.Vault) > 0, e.within != "", e.other != "": // "no handler for route", or another engine's word
		err = fmt.Errorf("leasehold: %s %s: %w (%s)", op, where, ErrNoMount, s.noMount(path, e, failed))
	default:
		err = absent(op, where, hint)
	}
	return &lease.Error{Class: class, Err: err}
}

// absent is the error for a secret that is not there.
func absent(op, where, hint string) error {
	if hint == "" {
		return fmt.Errorf("leasehold: %s %s: %w", op, where, ErrNotFound)
	}
	return fmt.Errorf("leasehold: %s %s: %w (%s)", op, where, ErrNotFound, hint)
}

// notKV is said of an answer that came from something in between.
const notKV = "this is no answer of Vault's KV engine"

// notFound is the body of Vault's 404.
type notFound struct {
	Errors   *[]string `json:"errors"`
	Warnings []string  `json:"warnings"`
	Data     *struct {
		versionMetadata                  // that a patch would have changed
		Metadata        *versionMetadata `json:"metadata"` // that a read asked for
	} `json:"data"`
}

// readNotFound reports whether a 404 is Vault's, and what it says.
func readNotFound(e *session.Error) (n notFound, m Metadata, ok bool) {
	if json.Unmarshal(session.BodyOf(e), &n) != nil || (n.Errors == nil && n.Data == nil && n.Warnings == nil) {
		return notFound{}, m, false
	}
	if n.Data == nil {
		return n, m, true
	}
	meta := &n.Data.versionMetadata
	if n.Data.Metadata != nil {
		meta = n.Data.Metadata
	}
	m, err := meta.metadata()
	return n, m, err == nil
}

// versioned reports whether it is KV version 2 that answers, to a path without data/.
func (n *notFound) versioned() bool {
	return strings.Contains(strings.Join(n.Warnings, " "), "versioned K/V")
}

// noMount is what to say where no KV engine answers.
func (s *Store) noMount(path string, e engine, failed *session.Error) string {
	if e.version == 0 && e.other == "" && e.within == "" && strings.Contains(strings.Join(failed.Vault, " "), "no handler for route") {
		return fmt.Sprintf("is %q the whole name of the mount? \"vault secrets list\" shows them", s.mount)
	}
	return cmp.Or(s.otherwise(path, e), fmt.Sprintf("mount %q", s.mount))
}

// otherwise says what the mount or the path might have to be instead; empty: nothing looks
// wrong with them.
func (s *Store) otherwise(path string, e engine) string {
	below, data := strings.CutPrefix(path, "data/")
	within, whole := strings.CutPrefix(path, s.mount+"/")
	switch {
	case e.within != "":
		return fmt.Sprintf("the mount is %q: %s belongs to the path", e.within, strings.TrimPrefix(s.mount, e.within+"/"))
	case e.other != "":
		return fmt.Sprintf("the engine at %q is of type %q", s.mount, e.other)
	case data && e.version == 1:
		return fmt.Sprintf(`KV version 1 has no "data/": is %q meant?`, below)
	case data:
		return fmt.Sprintf(`"data/" is added to a path by itself: is %q meant?`, below)
	case whole:
		return fmt.Sprintf("the mount is added to a path by itself: is %q meant?", within)
	case e.version == 0:
		return fmt.Sprintf("Vault did not tell which version the engine is of: if %q is KV version 1, say so with kv.Version1, or \",v1\" in a vault tag", s.mount)
	case e.given && e.version == 2:
		return fmt.Sprintf("if %q is KV version 1, leave out kv.Version2", s.mount)
	case e.given:
		return fmt.Sprintf("if %q is KV version 2, leave out kv.Version1", s.mount)
	}
	return ""
}
