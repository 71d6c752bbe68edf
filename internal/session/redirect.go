package session

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// mostHops is how many redirects are followed. A standby sends us to the active node
// with one; more happen only while the servers do not agree on who that is.
const mostHops = 3

// follow sends out, and again wherever it is redirected to, with its method, body and
// headers. That is safe for what creates something, too: a standby that redirects has
// done nothing (failure code E4). No hop carries the token to a host that is not
// trusted, or where others can read it (law 21).
func (t *transport) follow(out *http.Request, send func(*http.Request) (*http.Response, error)) (*http.Response, error) {
	for hop := 0; ; hop++ {
		if err := t.trusted(out.URL); err != nil {
			closeBody(out)
			return nil, err
		}
		resp, err := send(out)
		if err != nil || !isRedirect(resp.StatusCode) {
			return resp, err
		}
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // or its connection could not be used again
		_ = resp.Body.Close()
		if hop == mostHops {
			return nil, &notSentError{fmt.Errorf("redirected %d times, at last by %s: the servers do not agree on which of them is active, or an address in between points back", hop+1, out.URL.Host)}
		}
		if out, err = redirected(out, resp.Header.Get("Location")); err != nil {
			return nil, err
		}
	}
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// redirected returns req as it is to be sent to location.
func redirected(req *http.Request, location string) (*http.Request, error) {
	to, err := req.URL.Parse(location)
	if err != nil || location == "" {
		return nil, &redirectError{from: req.URL.Host, host: "an address that cannot be read"}
	}
	if to.Scheme != "https" && (to.Scheme != "http" || req.URL.Scheme == "https") {
		return nil, &redirectError{from: req.URL.Host, host: to.Host, scheme: to.Scheme}
	}
	next := *req
	next.URL, next.Host = to, to.Host
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return nil, fmt.Errorf("redirected to %s, and the request's body cannot be sent again", to.Host)
		}
		if next.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	return &next, nil
}

// trusted refuses to send a token to a host that was not configured.
func (t *transport) trusted(u *url.URL) error {
	if host := hostPort(u); host == t.host || slices.Contains(t.redirects, host) {
		return nil
	}
	return &redirectError{from: t.host, host: u.Host}
}

// hostPort is the host of u and its port, also where that goes without saying.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// redirectError is a redirect that is not followed.
type redirectError struct{ from, host, scheme string }

func (e *redirectError) Error() string {
	if e.scheme != "" {
		return fmt.Sprintf("redirected by %s to %s by %s, where others could read the token: set api_addr and the addresses of proxies to https", e.from, e.host, e.scheme)
	}
	return fmt.Sprintf("redirected to %s, which is not trusted with the token: add it to RedirectHosts if it is a Vault server of this cluster", e.host)
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}
