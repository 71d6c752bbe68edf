package session

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

// sentinel stands for the current token in the one api.Client: what carries it
// gets the real one from the transport.
const sentinel = "leasehold-current-token"

const (
	headerToken     = "X-Vault-Token"
	headerNamespace = "X-Vault-Namespace"
)

// TLS are the files and settings of a TLS connection.
type TLS struct {
	CACert, ClientCert, ClientKey, ServerName string
}

// transport is the RoundTripper under every request. It puts in the token and the
// namespace, keeps both from strangers, and notes what the answer's headers say.
type transport struct {
	s         *Session
	host      string   // where the token may go
	redirects []string // and where else
	base      http.RoundTripper
	once      http.RoundTripper // a connection of its own for each request
}

// call travels in a request's context: what the transport is to do with the request, and
// what it saw.
type call struct {
	token     string
	namespace string
	create    bool // must not be repeated, by nobody

	sent       lease.Instant
	answered   bool
	retryAfter time.Duration
}

type callKey struct{}

func newTransport(s *Session) (*transport, error) {
	addr, err := url.Parse(s.cfg.Address)
	if err != nil {
		return nil, fmt.Errorf("leasehold: Address: %w", err)
	}
	t := &transport{s: s, host: addr.Host, redirects: s.cfg.RedirectHosts}
	if s.cfg.Base != nil {
		t.base = s.cfg.Base.Transport
		if t.base == nil {
			t.base = http.DefaultTransport //nolint:forbidigo // what a user's client without a transport means
		}
		t.once = t.base
		if h, ok := t.base.(*http.Transport); ok {
			t.once = single(h)
		}
		return t, nil
	}
	h, err := ownTransport(s.cfg.TLS)
	if err != nil {
		return nil, err
	}
	t.base, t.once = h, single(h)
	return t, nil
}

// ownTransport is sized for many goroutines that read from one server: the
// standard pool of two idle connections would reconnect all the time.
func ownTransport(c TLS) (*http.Transport, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.ServerName}
	if c.CACert != "" {
		pem, err := os.ReadFile(c.CACert)
		if err != nil {
			return nil, fmt.Errorf("leasehold: TLS.CACert: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("leasehold: TLS.CACert: no certificate in %s", c.CACert)
		}
	}
	if c.ClientCert != "" || c.ClientKey != "" {
		pair, err := tls.LoadX509KeyPair(c.ClientCert, c.ClientKey)
		if err != nil {
			return nil, fmt.Errorf("leasehold: TLS.ClientCert, TLS.ClientKey: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return &http.Transport{
		Proxy:                 nil, // HTTP_PROXY would send the token through a stranger unasked
		DialContext:           (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       conf,
		TLSHandshakeTimeout:   5 * time.Second,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       30 * time.Second,
		ResponseHeaderTimeout: 0, // each attempt has a deadline of its own
		ExpectContinueTimeout: time.Second,
	}, nil
}

// single is h with a connection for each request: net/http repeats a GET by
// itself when a reused connection breaks, and a GET of dynamic credentials would
// then create two (failure code F23).
func single(h *http.Transport) *http.Transport {
	one := h.Clone()
	one.DisableKeepAlives = true
	one.ForceAttemptHTTP2 = false
	one.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	one.Protocols = nil
	if one.TLSClientConfig != nil {
		// Clone has set h up for HTTP/2: the server would choose it, and be spoken to in HTTP/1.
		one.TLSClientConfig.NextProtos = nil
	}
	return one
}

// client returns an http.Client on rt that leaves redirects to the caller.
func (t *transport) client(rt http.RoundTripper) *http.Client {
	return &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func (t *transport) closeIdle() {
	for _, rt := range []http.RoundTripper{t.base, t.once} {
		if h, ok := rt.(*http.Transport); ok && t.s.cfg.Base == nil {
			h.CloseIdleConnections()
		}
	}
}

var errEscaped = errors.New("leasehold: closed, or no token yet")

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	c, _ := req.Context().Value(callKey{}).(*call)
	if c == nil { // from the escape hatch, with the caller's own idea of a token and namespace
		c = &call{token: req.Header.Get(headerToken), namespace: req.Header.Get(headerNamespace)}
		if c.namespace == "" {
			c.namespace = t.s.cfg.Namespace
		}
		if c.token == sentinel {
			tok, err := t.s.acquire(req.Context())
			if err != nil {
				return nil, errors.Join(errEscaped, err)
			}
			c.token = tok.value.Reveal()
		}
	}
	if err := t.trusted(req); err != nil {
		return nil, err
	}
	out := *req // a RoundTripper must not change the caller's request
	out.Header = make(http.Header, len(req.Header)+2)
	maps.Copy(out.Header, req.Header)
	out.Host = req.URL.Host
	set(out.Header, headerToken, c.token)
	set(out.Header, headerNamespace, c.namespace)
	rt := t.base
	if c.create {
		rt = t.once
	}
	c.sent = t.s.clock()
	resp, err := rt.RoundTrip(&out)
	if resp != nil {
		c.answered = true
		c.retryAfter = retryAfter(resp.Header.Get("Retry-After"))
	}
	return resp, err
}

func set(h http.Header, key, value string) {
	if value == "" {
		h.Del(key)
		return
	}
	h[key] = []string{value}
}

// trusted refuses to send a token to a host that was not configured.
func (t *transport) trusted(req *http.Request) error {
	if req.URL.Host == t.host || slices.Contains(t.redirects, req.URL.Host) {
		return nil
	}
	return &redirectError{host: req.URL.Host}
}

type redirectError struct{ host string }

func (e *redirectError) Error() string {
	return fmt.Sprintf("redirected to %s, which is not trusted with the token: add it to RedirectHosts if it is a Vault server of this cluster", e.host)
}

func retryAfter(v string) time.Duration {
	if n, err := strconv.Atoi(v); err == nil && n > 0 {
		return time.Duration(min(n, 24*3600)) * time.Second
	}
	return 0
}

// newAPI returns a client that takes nothing from the environment: every field that
// api.NewClient or a request would fill from a VAULT_ variable is set here.
func newAPI(address string, hc *http.Client) (*api.Client, error) {
	c, err := api.NewClient(&api.Config{Address: address, HttpClient: hc, MaxRetries: 0})
	if err != nil {
		// Besides a bad Address this is a VAULT_ variable that it cannot parse: it
		// looks at them whatever it is given.
		return nil, fmt.Errorf("leasehold: the official client: %w", err)
	}
	c.SetToken("")
	c.SetHeaders(http.Header{api.RequestHeaderName: {"true"}})
	c.SetWrappingLookupFunc(func(string, string) string { return "" })
	return c, nil
}

// loginClient returns a private client without a token for one login, and what the
// transport will see of the answer.
func (s *Session) loginClient() (*api.Client, *loginPeek, error) {
	peek := &loginPeek{s: s}
	c, err := newAPI(s.cfg.Address, s.wire.client(peek))
	return c, peek, err
}

// loginPeek is the transport of a login. It lets the method use tokens of its own
// (a wrapping token), and keeps of the answer what api.SecretAuth drops.
type loginPeek struct {
	s *Session

	mu     sync.Mutex // guards the rest
	last   *call
	answer struct {
		Auth *struct {
			ClientToken string `json:"client_token"`
			TokenType   string `json:"token_type"`
			NumUses     int64  `json:"num_uses"`
		} `json:"auth"`
	}
}

// RoundTrip implements http.RoundTripper.
func (p *loginPeek) RoundTrip(req *http.Request) (*http.Response, error) {
	c := &call{token: req.Header.Get(headerToken), namespace: p.s.cfg.AuthNamespace, create: true}
	p.mu.Lock()
	p.last = c
	p.mu.Unlock()
	resp, err := p.s.wire.RoundTrip(req.WithContext(context.WithValue(req.Context(), callKey{}, c)))
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	body, err := readBody(resp)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = json.Unmarshal(body, &p.answer) // what is no login's answer stays unnoticed
	return resp, nil
}

// about returns the type and the uses of the token that the login obtained.
func (p *loginPeek) about(value string) (kind string, uses int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.answer.Auth; a != nil && a.ClientToken == value {
		return a.TokenType, a.NumUses
	}
	return "service", 0
}

// largestBody bounds an answer: Vault's own limit for requests is 32 MiB.
const largestBody = 32 << 20

func readBody(resp *http.Response) ([]byte, error) {
	defer func() { _ = resp.Body.Close() }()
	if n := resp.ContentLength; n > 0 && n <= largestBody {
		b := make([]byte, n)
		_, err := io.ReadFull(resp.Body, b)
		return b, err
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, largestBody+1))
	if err == nil && len(b) > largestBody {
		err = fmt.Errorf("the answer is larger than %d MiB", largestBody>>20)
	}
	return b, err
}
