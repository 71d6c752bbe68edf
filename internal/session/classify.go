package session

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// classify says what an answer means: by status first and by text second, since
// texts change with Vault's versions (law 6). It is the only place that does.
func classify(path string, status int, texts []string) lease.Class {
	text := strings.ToLower(strings.Join(texts, "\n"))
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case status == 0, status == http.StatusPreconditionFailed, status == http.StatusTooManyRequests,
		status == 472, status == 473, // standby states of sys/health
		status == http.StatusBadRequest && has("from non-versioned to versioned data"), // KV "will resume service shortly"
		status >= 500 && status != http.StatusNotImplemented:
		return lease.Transient
	case status == http.StatusForbidden && has("invalid token"):
		return lease.ParentDead
	case status == http.StatusForbidden:
		return lease.Refused
	case isLogin(path) && stsDown(text), isLogin(path) && issuerDown(text), isLogin(path) && directoryDown(text):
		return lease.Transient
	case isLogin(path):
		return lease.Permanent
	case (status == http.StatusBadRequest || status == http.StatusNotFound) &&
		(has("lease not found") || has("lease expired") || has("invalid lease")):
		return lease.Dead
	case (status == http.StatusBadRequest || status == http.StatusNotFound) && has("not renewable"):
		return lease.Spent // which says nothing of its death: readers keep it (law 3)
	case status == http.StatusNotFound:
		return lease.Permanent
	}
	return lease.Unknown
}

// issuerDown reports, from texts in lower case, that a login by the JWT method was not judged: Vault
// did not get the keys of who issues JWTs. It says so with 400 (failure code A7).
func issuerDown(text string) bool {
	return strings.Contains(text, "error validating token: ") && strings.Contains(text, "fetching keys ") ||
		strings.Contains(text, "error configuring token validator: keyset configuration error: ")
}

// directoryDown reports, from texts in lower case, that a login by the LDAP method was not judged: Vault
// did not reach the directory. Versions before 1.21 say so with 400.
func directoryDown(text string) bool {
	return strings.Contains(text, "ldap.(client).") &&
		(strings.Contains(text, "error connecting to host ") || strings.Contains(text, `result code 200 "network error"`))
}

// classOf is the class of err; Unknown also for nil.
func classOf(err error) (class lease.Class) {
	var le *lease.Error
	if errors.As(err, &le) {
		class = le.Class
	}
	return class
}

func isLogin(path string) bool {
	return strings.HasPrefix(path, "auth/") && (strings.HasSuffix(path, "/login") || strings.Contains(path, "/login/"))
}

// failure makes the error of a request that r describes.
func (s *Session) failure(r Request, c *call, resp *api.Response, err error) *lease.Error {
	e := &Error{Op: r.Op, Path: r.Path, Namespace: r.Namespace}
	if !c.answered || resp == nil {
		e.Err = withoutURL(err)
		e.Hint = hint(r, e, lease.Transient)
		// Also a redirect to a stranger: a standby that forwards everything redirects while
		// nobody leads (failure code E4). See MayPass.
		return &lease.Error{Class: lease.Transient, Err: e}
	}
	e.Status = resp.StatusCode
	var re *api.ResponseError
	if errors.As(err, &re) {
		e.Vault, e.listed = vaultTexts(re.Errors, r.Private), !re.RawError && len(re.Errors) > 0
	} else {
		e.Err = withoutURL(err)
	}
	class := classify(r.Path, e.Status, e.Vault)
	if e.Status == http.StatusForbidden && !e.listed {
		class = lease.Transient // of what stands in between (failure code E3): Vault has refused nothing. See MayPass
	}
	e.Hint = hint(r, e, class)
	return &lease.Error{Class: class, RetryAfter: c.retryAfter, Err: e}
}

// loginError says what a method's failure means. One that did not come from the
// network or from Vault came from the method's own inputs, which somebody must
// change.
func (s *Session) loginError(ctx context.Context, err error, peek *loginPeek) error {
	e := &Error{Op: "log in", Path: "auth", Namespace: s.cfg.AuthNamespace}
	peek.mu.Lock()
	c := peek.last
	peek.mu.Unlock()
	class := lease.Permanent
	var re *api.ResponseError
	var redirect *redirectError
	var noJSON *json.SyntaxError
	asked, missed := peek.missed()
	switch {
	case errors.As(err, &re):
		e.Path = strings.TrimPrefix(re.URL[strings.Index(re.URL, "/v1/")+1:], "v1/")
		e.Status, e.Vault = re.StatusCode, vaultTexts(re.Errors, peek.secrets()...)
		e.listed = !re.RawError && len(re.Errors) > 0
		class = classify(e.Path, e.Status, e.Vault)
		if class == lease.ParentDead || class == lease.Dead || class == lease.Unknown {
			class = lease.Permanent // of the credential that logs in
		}
		page := re.RawError || e.Status == http.StatusForbidden && !e.listed // of what stands in between
		if page && isRefused(class) && s.current() != nil {
			class = lease.Transient // where logins have worked before
		}
		e.Hint = hint(Request{Method: re.HTTPMethod, Path: "auth/login"}, e, class)
		switch {
		case strings.HasPrefix(e.Hint, "Address "):
		case auth.IsNone(s.cfg.Auth) && class != lease.Transient:
			e.Hint = `does a Vault Proxy answer at Address, with use_auto_auth_token, and may its token read "auth/token/lookup-self"?`
		case class == lease.Permanent && strings.HasSuffix(e.Path, "lookup-self"):
			e.Hint = "the given token is revoked, expired or mistyped"
		}
	case errors.As(err, &redirect):
		e.Err = redirect
		if s.current() != nil { // logins have worked before: as in failure
			class = lease.Transient
		}
	case c == nil && (isNetwork(err) || isBusy(err)): // it was not Vault that was asked, but what the method asks
		class = lease.Transient
		e.Err = err
	case c != nil && !c.answered, ctx.Err() != nil, isNetwork(err):
		class = lease.Transient
		e.Err = withoutURL(err)
		e.Hint = networkHint(err)
	case c == nil && s.held() && s.current() != nil: // nobody was asked: its keeper is just writing it
		class = lease.Transient
		e.Err, e.unread = err, true
	case missed: // Vault says 403 where no method is mounted: another server answered, or there is no such namespace
		e.Path, e.Status, e.Err = asked, http.StatusNotFound, err
		e.Hint = "is Address Vault's, and AuthNamespace one of its namespaces?"
		if s.current() != nil {
			class = lease.Transient
		}
	case c != nil && errors.As(err, &noJSON): // a page with a 200
		e.Path, e.Status, e.Err = asked, http.StatusOK, err
		e.Hint = "that is no answer of Vault's: is Address Vault's?"
		if s.current() != nil {
			class = lease.Transient
		}
	default:
		e.Err = err
	}
	le := &lease.Error{Class: class, Err: e}
	if c != nil {
		le.RetryAfter = c.retryAfter
	}
	return le
}

// isBusy reports whether err is the answer of a server that had no time for us, in the form that SDKs of
// clouds give it.
func isBusy(err error) bool {
	var answer interface{ HTTPStatusCode() int }
	return errors.As(err, &answer) && (answer.HTTPStatusCode() >= 500 || answer.HTTPStatusCode() == http.StatusTooManyRequests)
}

// isNetwork reports whether err came from sending a request. net.Error would not do:
// the error of a file that does not exist is one as well.
func isNetwork(err error) bool {
	var u *url.Error
	var op *net.OpError
	return errors.As(err, &u) || errors.As(err, &op)
}
