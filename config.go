package leasehold

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/internal/session"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// Config says how to reach Vault and who we are. Address and Auth are required;
// the zero value of everything else is right for production. Nothing is taken from
// the environment.
type Config struct {
	// Address is Vault's URL, such as "https://vault.internal:8200".
	Address string
	// Namespace is where secrets are, in Vault Enterprise and OpenBao. Empty: the root.
	Namespace string
	// AuthNamespace is where the token is from. Empty: the same as Namespace; "/": the
	// root namespace.
	AuthNamespace string

	// Auth is the way to log in. Required.
	Auth auth.Method

	// TLS names the files of a TLS connection. New reads them, and requests go on with what
	// replaces them within a second, without a restart.
	TLS TLSConfig
	// HTTPClient replaces TLS and the transport, for what they cannot do. Its
	// Transport is used; if that is an *http.Transport, what creates credentials goes out
	// on a copy without connection reuse, which net/http would repeat by itself when a
	// connection breaks (failure code F23). Timeouts come from contexts.
	HTTPClient *http.Client
	// RedirectHosts are the host:port pairs that may receive the token when Vault
	// redirects there, as a standby does to the active node. Empty: none but Address. A
	// redirect from https to http is refused in any case.
	RedirectHosts []string

	// Policy says when to renew and replace. The zero value is right.
	Policy lease.Policy
	// Budget bounds what is asked of Vault.
	Budget Budget

	// Logger gets a line per event. nil: silent.
	Logger *slog.Logger
	// OnEvent is called for each event, in order, from one goroutine. It may take its
	// time: nothing waits for it, and when 256 events are queued the oldest is dropped
	// and counted in Status.
	OnEvent func(Event)

	// KeepOnClose leaves tokens and leases alive at Close, to end by themselves.
	KeepOnClose bool

	clock lease.Clock // of tests; nil: the system's
}

// TLSConfig names PEM files and settings of a TLS connection. The files may be replaced at
// any time, also by swapping a link above them as Kubernetes does. What cannot be used (a
// file that is half-written or gone, a certificate whose key has not come yet) is an event
// of the kind read_failed named TLS, and what worked before stays in use.
type TLSConfig struct {
	CACert     string // file of certificates to trust, instead of the system's
	ClientCert string // file of the certificate that we show
	ClientKey  string // and of its key
	ServerName string // expected in Vault's certificate, if not Address's host
}

// Budget bounds what a client asks of Vault.
type Budget struct {
	// Requests is how many reads may be under way at once; others wait. Upkeep of the
	// token and of leases has slots of its own. Default 32.
	Requests int
}

// Event is something that happened to the token, a lease or a watched value. Its fields and kinds
// (an EventKind) are in package lease.
type Event = lease.Event

// Error is a failed request to Vault, for errors.As: Op, Path, Namespace, Status
// (0: no answer), Vault (Vault's own text), Hint (what to do) and Err (the cause where
// there was no answer). Whether to retry: 4xx other than 412 and 429 will fail again
// until somebody changes something; the rest may pass, and was retried.
type Error = session.Error

// ErrClosed is returned by everything that is used after Close, but for the Wait of a
// watched value, which is told by cache.ErrClosed; that value's Get goes on, and its Err
// is this one.
var ErrClosed = lease.ErrClosed

// wrongAddress is what is wrong with Vault's URL; empty: nothing. The URL is not shown, since
// there may be a password in it.
func wrongAddress(address string) string {
	const such = ", such as https://vault.internal:8200"
	u, err := url.Parse(address)
	switch {
	case address == "":
		return "is empty: give Vault's URL" + such
	case err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https"):
		return "is not an http or https URL with a host" + such
	case u.User != nil || u.RawQuery != "" || strings.Trim(u.Path, "/") != "":
		return "has more than scheme, host and port" + such
	}
	return ""
}

// session checks the configuration and returns it in the session's form. All that is
// wrong is reported at once.
func (c Config) session() (session.Config, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("leasehold: Config."+format, args...))
	}
	if wrong := wrongAddress(c.Address); wrong != "" {
		bad("Address %s", wrong)
	}
	if c.Auth == nil {
		bad("Auth is nil: choose a method, such as approle.New")
	}
	if c.HTTPClient != nil && c.TLS != (TLSConfig{}) {
		bad("TLS has no effect with HTTPClient: set one of them")
	}
	if (c.TLS.ClientCert == "") != (c.TLS.ClientKey == "") {
		bad("TLS.ClientCert and TLS.ClientKey go together")
	}
	if c.Budget.Requests < 0 {
		bad("Budget.Requests is negative")
	}
	for name, ns := range map[string]string{"Namespace": c.Namespace, "AuthNamespace": c.AuthNamespace} {
		if strings.ContainsFunc(ns, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			bad("%s has a control character, such as a line's end", name)
		}
	}
	for _, h := range c.RedirectHosts {
		if strings.Contains(h, "/") || !strings.Contains(h, ":") {
			bad("RedirectHosts: %q is not host:port", h)
		}
	}
	if len(errs) > 0 {
		return session.Config{}, errors.Join(errs...)
	}
	sc := session.Config{
		Address:       strings.TrimSuffix(c.Address, "/"),
		Namespace:     strings.Trim(c.Namespace, "/"),
		AuthNamespace: strings.Trim(c.AuthNamespace, "/"),
		Auth:          c.Auth,
		Base:          c.HTTPClient,
		TLS:           session.TLS(c.TLS),
		RedirectHosts: c.RedirectHosts,
		Policy:        c.Policy,
		Requests:      c.Budget.Requests,
		KeepOnClose:   c.KeepOnClose,
		Clock:         c.clock,
	}
	if c.AuthNamespace == "" {
		sc.AuthNamespace = sc.Namespace
	}
	if sc.Requests == 0 {
		sc.Requests = 32
	}
	return sc, nil
}
