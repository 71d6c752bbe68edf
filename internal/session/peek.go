package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/vault/api"
)

// loginClient returns a private client without a token for one login, and what the
// transport will see of the answer. It is a copy of the one that was made by New: making
// another would read the environment again, and fail if that has changed.
func (s *Session) loginClient() (*api.Client, *loginPeek, error) { //nolint:unparam // its caller is ready for one that is made each time
	peek := &loginPeek{s: s}
	s.wire.peek.Store(peek) // there is one login at a time
	c := s.wire.logins.WithNamespace("")
	c.SetMaxRetries(0) // the copies share their settings: what the last method has set is undone
	c.SetClientTimeout(0)
	return c, peek, nil
}

// loginDoor is the transport of all logins: the official client cannot be copied with
// another one.
type loginDoor struct{ t *transport }

// RoundTrip implements http.RoundTripper.
func (d loginDoor) RoundTrip(req *http.Request) (*http.Response, error) {
	if p := d.t.peek.Load(); p != nil {
		return p.RoundTrip(req)
	}
	closeBody(req)
	return nil, errors.New("leasehold: no login is under way")
}

// loginPeek is the transport of a login. It lets the method use tokens of its own
// (a wrapping token), and keeps of the answer what api.SecretAuth drops.
type loginPeek struct {
	s *Session

	mu     sync.Mutex // guards the rest
	last   *call
	path   string   // of the latest answer
	status int      // and its status
	tokens []peeked // a method may log in more than once, and ask other things after it
	shown  []string // what it proves itself with: who answers in Vault's place may quote it
}

// peeked is what an answer says about a token.
type peeked struct {
	ClientToken string `json:"client_token"`
	TokenType   string `json:"token_type"`
	NumUses     int64  `json:"num_uses"`
}

// RoundTrip implements http.RoundTripper.
func (p *loginPeek) RoundTrip(req *http.Request) (*http.Response, error) {
	c := &call{token: req.Header.Get(headerToken), namespace: p.s.cfg.AuthNamespace, create: true}
	body, err := sentBody(req)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.last = c
	p.shown = append(p.shown, secretsOf(body)...)
	p.mu.Unlock()
	resp, err := p.s.wire.RoundTrip(req.WithContext(context.WithValue(req.Context(), callKey{}, c)))
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.path, p.status = strings.TrimPrefix(req.URL.Path, "/v1/"), resp.StatusCode
	p.mu.Unlock()
	if resp.StatusCode != http.StatusOK {
		return resp, nil
	}
	body, err = readBody(resp)
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	p.note(body)
	return resp, nil
}

// sentBody is a request's body, which can still be sent.
func sentBody(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.GetBody == nil {
		return nil, nil
	}
	again, err := req.GetBody()
	if err != nil {
		return nil, err
	}
	defer func() { _ = again.Close() }()
	return io.ReadAll(again)
}

// secretsOf are the values in a login's body that prove who logs in.
func secretsOf(body []byte) (values []string) {
	var sent struct {
		SecretID string `json:"secret_id"` // AppRole
		Password string `json:"password"`  // userpass, LDAP, RADIUS, Okta
		JWT      string `json:"jwt"`       // JWT, Kubernetes, GCP, Azure
		Token    string `json:"token"`     // GitHub, and what is unwrapped
	}
	_ = json.Unmarshal(body, &sent)
	for _, v := range []string{sent.SecretID, sent.Password, sent.JWT, sent.Token} {
		if v == "" {
			continue
		}
		values = append(values, v)
		if quoted, err := json.Marshal(v); err == nil { // as it stands in the body
			values = append(values, string(quoted[1:len(quoted)-1]))
		}
	}
	return values
}

// secrets are what was shown so far.
func (p *loginPeek) secrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.shown)
}

// asked reports whether Vault was asked anything yet.
func (p *loginPeek) asked() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last != nil
}

// note keeps what an answer says about a token. What is no login's answer stays unnoticed.
func (p *loginPeek) note(body []byte) {
	var answer struct {
		Auth *peeked `json:"auth"`
	}
	_ = json.Unmarshal(body, &answer)
	if answer.Auth == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens = append(p.tokens, *answer.Auth)
}

// missed reports whether the latest answer was a 404, which the official client makes no error
// of, and hides the status if it is not JSON.
func (p *loginPeek) missed() (path string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.path, p.status == http.StatusNotFound
}

// about returns the type and the uses of the token that the login obtained.
func (p *loginPeek) about(value string) (kind string, uses int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range slices.Backward(p.tokens) {
		if a.ClientToken == value {
			return a.TokenType, a.NumUses
		}
	}
	return "service", 0
}
