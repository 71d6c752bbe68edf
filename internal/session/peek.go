package session

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
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
	tokens []peeked // a method may log in more than once, and ask other things after it
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
	p.note(body)
	return resp, nil
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
