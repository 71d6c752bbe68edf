package session

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// Error is a failed request to Vault. It says what was tried, what Vault
// answered and what to do about it, and never contains a secret.
type Error struct {
	Op        string   // what was tried, such as "read"
	Path      string   // the API path, without /v1/
	Namespace string   // that it was sent to; empty: the root
	Status    int      // HTTP status; 0: there was no answer
	Vault     []string // Vault's own text
	Hint      string   // what to do; may be empty
	Err       error    // the cause where there was no answer

	body   []byte // of a 404: kv tells a deleted secret from a missing one by it
	listed bool   // Vault has the form of Vault's errors: no proxy's page
	unread bool   // of a login: the source of a held token could not be read, and nobody was asked
}

// Error puts it into one line.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "leasehold: %s %s", e.Op, e.Path)
	if e.Namespace != "" {
		fmt.Fprintf(&b, " (namespace %s)", e.Namespace)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": %d %s", e.Status, http.StatusText(e.Status))
	}
	if len(e.Vault) > 0 {
		b.WriteString(": " + strings.Join(e.Vault, "; "))
	}
	if e.Err != nil {
		b.WriteString(": " + scrub(e.Err.Error()))
	}
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Unwrap returns the cause of a request that got no answer.
func (e *Error) Unwrap() error { return e.Err }

// What is taken out of texts that are not ours. Nothing is asked of what stands before or
// behind, since nobody knows how such a text was put together; a secret's tail may
// hold dots so that two that touch go together.
var (
	// jwts are three parts of base64url, the first of which is JSON.
	jwts = regexp.MustCompile(`eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_.-]*`)
	// tokens are Vault's, of any version: service, batch, recovery.
	tokens = regexp.MustCompile(`hv[sbr]\.[A-Za-z0-9_.-]{8,}|[sbr]\.[A-Za-z0-9]{24,}[A-Za-z0-9_.-]*|b\.[A-Za-z0-9_-]{40,}[A-Za-z0-9_.-]*`)
	// leaseIDs have a random end.
	leaseIDs = regexp.MustCompile(`/[A-Za-z0-9]{24,}`)
)

// scrub takes tokens, JWTs and lease IDs out of texts that are not ours, and makes them
// one line.
func scrub(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	text = jwts.ReplaceAllString(text, "[redacted]")
	text = tokens.ReplaceAllString(text, "[redacted]")
	return leaseIDs.ReplaceAllString(text, "/[redacted]")
}

// vaultTexts takes the useful part of Vault's error list.
func vaultTexts(errs []string, private ...string) []string {
	var out []string
	for _, e := range errs {
		for _, p := range private {
			if p != "" {
				e = strings.ReplaceAll(e, p, "[redacted]")
			}
		}
		e = readSTS(scrub(e))
		if i := strings.Index(e, "occurred: * "); i >= 0 {
			e = strings.ReplaceAll(e[i+len("occurred: * "):], " * ", ", ")
		}
		if len(e) > 500 {
			e = e[:500] + "..."
		}
		if e != "" {
			out = append(out, e)
		}
	}
	return out
}

// hint says what to do about the failure.
func hint(r Request, e *Error, class lease.Class) string {
	if h := stsHint(e.Vault); h != "" && isLogin(e.Path) {
		return h
	}
	switch {
	case isLogin(e.Path) && issuerDown(strings.ToLower(strings.Join(e.Vault, "\n"))):
		return "Vault does not get the issuer's keys: is jwks_url or oidc_discovery_url in the method's config right, and does Vault reach it?"
	case isLogin(e.Path) && directoryDown(strings.ToLower(strings.Join(e.Vault, "\n"))):
		return "Vault does not reach the LDAP server: is url in the method's config right, and is the server up?"
	case strings.Contains(strings.Join(e.Vault, " "), "HTTP request to an HTTPS server"):
		return "Address says http, but the server speaks https"
	case class == lease.ParentDead:
		return "the token is revoked or has expired"
	case strings.HasPrefix(e.Path, "sys/wrapping/") && e.listed && class != lease.Transient:
		return "the wrapping token has expired or was used: if not by this program, then by somebody who should not have what it wrapped. Have another one issued, and find out who used this one"
	case class == lease.Transient && e.Status == http.StatusForbidden:
		return "that is no answer of Vault's: does a gateway or firewall before it refuse such requests?"
	case class == lease.Refused && isLogin(e.Path):
		return "does the role admit who logs in, and is the auth method mounted there? Vault says the same when it cannot ask whom it must, such as a Kubernetes API server, and for a quarter of an hour after five failures of a user (user lockout)"
	case class == lease.Refused:
		return fmt.Sprintf("grant it by policy: path %q { capabilities = [%q] }, or is the mount another?", e.Path, capability(r.Method))
	case class == lease.Permanent && isLogin(r.Path):
		return "check the role, its credentials, the mount of the auth method and AuthNamespace"
	case e.Status == http.StatusServiceUnavailable:
		return "Vault is sealed, in maintenance or overloaded"
	case e.Status == http.StatusTooManyRequests:
		return "a rate limit quota of Vault was reached"
	case e.Status == http.StatusNotFound && r.Create:
		return "is the secrets engine mounted there?"
	case e.Status == 0:
		return networkHint(e.Err)
	}
	return ""
}

func networkHint(err error) string {
	var dial *net.OpError
	switch {
	case err == nil:
		return ""
	case strings.Contains(err.Error(), "x509:"):
		return "check TLS.CACert and TLS.ServerName"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"),
		strings.Contains(err.Error(), "does not look like a TLS handshake"):
		return "Address says https, but the server speaks http"
	case errors.As(err, &dial) && dial.Op == "dial":
		return "nobody answers at Address: is Vault running and reachable from here?"
	}
	return ""
}

func capability(method string) string {
	switch method {
	case http.MethodGet:
		return "read"
	case "LIST":
		return "list"
	case http.MethodDelete:
		return "delete"
	default:
		return "update"
	}
}

// withoutURL takes the URL out of a net/http error: the path is named anyway.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// BodyOf returns the body of a 404, which is not part of the error that users see.
func BodyOf(e *Error) []byte { return e.body }
