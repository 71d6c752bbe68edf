package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// action is a request other than the reading of a secret.
type action struct {
	op     string // as errors call it
	method string
	area   string // of KV version 2: what stands before the path
	query  url.Values
	body   func(engine) (any, error) // nil: none
	may    []string                  // the capabilities that allow it
	read   bool                      // it changes nothing
	lacks  string                    // what KV version 1 does instead; empty: the same, without the area
}

// do sends a to the engine. A write is sent once, unless it certainly did nothing.
func (s *Store) do(ctx context.Context, path string, a action) (*session.Response, engine, error) {
	if err := s.check(path, a); err != nil {
		return nil, engine{}, err
	}
	ctx, cancel := session.Limited(ctx)
	defer cancel()
	began := time.Now()
	var e engine
	var err error
	if a.read {
		e = s.engine(ctx)
	} else if e, err = s.certain(ctx, path, a); err != nil {
		return nil, e, err
	}
	if a.lacks != "" {
		e = s.upgraded(ctx, e)
	}
	resp, err := s.send(ctx, path, a, e)
	if err != nil {
		var other bool
		if e, other = s.second(ctx, e, began, err); other { // it was refused, and is sent elsewhere
			resp, err = s.send(ctx, path, a, e)
		}
	}
	if err != nil {
		return nil, e, s.failed(path, a, e, err)
	}
	if !a.read && !vaults(resp) {
		return nil, e, &lease.Error{Class: lease.Unknown, Err: &session.Error{
			Op: a.op, Path: s.full(path, a, e), Namespace: s.view.Namespace, Status: resp.Status, Hint: notKV + "; " + mayHave,
		}}
	}
	return resp, e, nil
}

// mayHave is said of a write whose answer is lost.
const mayHave = "it may have happened: read before writing again"

// vaults reports whether it is Vault that says that a write has happened. A page with a 200
// comes from something in between, which need not have sent the write on.
func vaults(resp *session.Response) bool {
	var answer struct {
		ID string `json:"request_id"` // in all that Vault says, be it a warning
	}
	return resp.Status == http.StatusNoContent || (json.Unmarshal(resp.Body, &answer) == nil && answer.ID != "")
}

// check returns what is wrong with a path, before anything is sent. A list may be of the
// whole mount.
func (s *Store) check(path string, a action) error {
	switch err := session.CheckPath(path); {
	case s.err != nil:
		return s.err
	case s.view.Closed():
		return session.ErrClosed
	case err != nil && (path != "" || a.method != "LIST"):
		return fmt.Errorf("leasehold: %s in %s: %w", a.op, s.mount, err)
	}
	return nil
}

// lacking is the error for what KV version 1 does not have.
func (s *Store) lacking(path string, a action) error {
	return fmt.Errorf("leasehold: %s %s: the engine at %q is KV version 1, which %s", a.op, s.where(path), s.mount, a.lacks)
}

func (s *Store) send(ctx context.Context, path string, a action, e engine) (*session.Response, error) {
	r := session.Request{Op: a.op, Method: a.method, Path: s.full(path, a, e), Query: a.query, Namespace: s.view.Namespace}
	if e.kv() == 1 && a.lacks != "" {
		return nil, s.lacking(path, a)
	}
	if a.body != nil {
		body, err := a.body(e)
		if err != nil {
			return nil, err
		}
		r.Body = body
	}
	if a.method == "LIST" { // which not all that stands before Vault lets through
		r.Method, r.Query = http.MethodGet, url.Values{"list": {"true"}}
	}
	if a.read {
		return s.view.Read(ctx, r)
	}
	// Whatever it returns, it may have happened: who reads from now on must not be told
	// what was there before.
	defer s.wrote(path)
	return s.view.Write(ctx, r)
}

// full is the path in Vault's API.
func (s *Store) full(path string, a action, e engine) string {
	full := s.mount
	if e.kv() != 1 {
		full += "/" + a.area
	}
	if path != "" {
		full += "/" + path
	}
	return full
}

// failed says more about a request that Vault refused.
func (s *Store) failed(path string, a action, e engine, err error) error {
	failed := session.FailureOf(err)
	if failed == nil {
		return err
	}
	more := ""
	switch {
	case failed.Status == http.StatusNotFound && a.method == http.MethodPatch && len(session.BodyOf(failed)) == 0:
		// So, without a word, Vault says that there is nothing to patch, and nothing else.
		return &lease.Error{Class: lease.Permanent, Err: absent(a.op, s.named(path), s.otherwise(path, e))}
	case failed.Status == http.StatusNotFound:
		return s.missing(a.op, path, e, failed, s.otherwise(path, e))
	case failed.Status == http.StatusForbidden && strings.HasPrefix(failed.Hint, "grant it by policy"):
		return classed(err, s.refusal(path, a, e, failed))
	case failed.Status == http.StatusBadRequest && strings.Contains(strings.Join(failed.Vault, " "), "check-and-set parameter required"):
		more = "give kv.CAS the version that was read, or 0 for a new secret"
	case failed.Status == http.StatusInternalServerError && strings.Contains(strings.Join(failed.Vault, " "), "exceeds allowed"): // its limits of JSON
		return &lease.Error{Class: lease.Permanent, Err: withHint(failed, "nothing was written: it is more than Vault's listener is configured to take")}
	case !a.read && (session.Ambiguous(err) || failed.Status == http.StatusInternalServerError):
		more = mayHave
	}
	if more == "" {
		return err
	}
	return classed(err, withHint(failed, more))
}

// classed is failed, said better, in the class of err.
func classed(err, better error) error {
	var le *lease.Error
	if !errors.As(err, &le) {
		return better
	}
	return &lease.Error{Class: le.Class, RetryAfter: le.RetryAfter, Err: better}
}

// refusal names the policy that would have allowed it.
func (s *Store) refusal(path string, a action, e engine, failed *session.Error) error {
	full := s.full(path, a, e)
	if a.method == "LIST" {
		full += "/" // policies call a folder so
	}
	hinted := *failed // events may hold the other
	hinted.Hint = fmt.Sprintf("grant it by policy: path %q { capabilities = [%s] }, or is the mount another?", full, `"`+strings.Join(a.may, `", "`)+`"`)
	if more := s.otherwise(path, e); more != "" {
		return withHint(&hinted, more)
	}
	return &hinted
}

// readData decodes the data of an answer.
func readData(resp *session.Response, into any) error {
	envelope := struct {
		Data any `json:"data"`
	}{into}
	return json.Unmarshal(resp.Body, &envelope)
}
