package vaulttest_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// answer is a response as the tests look at it.
type answer struct {
	status int
	text   string
	body   map[string]any
	secret struct {
		LeaseID       string         `json:"lease_id"`
		Renewable     bool           `json:"renewable"`
		LeaseDuration int            `json:"lease_duration"`
		Data          map[string]any `json:"data"`
		Warnings      []string       `json:"warnings"`
		Auth          struct {
			ClientToken   string `json:"client_token"`
			Accessor      string `json:"accessor"`
			LeaseDuration int    `json:"lease_duration"`
			Renewable     bool   `json:"renewable"`
			TokenType     string `json:"token_type"`
		} `json:"auth"`
		Errors []string `json:"errors"`
	}
}

// caller sends requests to one server by one client.
type caller struct {
	t      testing.TB
	client *http.Client
	base   string
	header map[string]string // of all its requests, besides the token's
}

func inProcess(tb testing.TB, s *vaulttest.Server) caller {
	tb.Helper()
	return caller{t: tb, client: s.Client(), base: "http://vault.invalid"}
}

func overTCP(tb testing.TB, s *vaulttest.Server) caller {
	tb.Helper()
	transport := &http.Transport{}
	tb.Cleanup(transport.CloseIdleConnections)
	return caller{t: tb, client: &http.Client{Transport: transport}, base: s.URL()}
}

func (c caller) try(ctx context.Context, token, method, path, body string) (answer, error) {
	c.t.Helper()
	var a answer
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/v1/"+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("X-Vault-Token", token)
	}
	for k, v := range c.header {
		req.Header.Set(k, v)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return a, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return a, err
	}
	a.status, a.text = resp.StatusCode, string(text)
	if len(text) > 0 {
		if err := json.Unmarshal(text, &a.body); err != nil {
			c.t.Fatalf("%s %s: %v in %q", method, path, err, text)
		}
		// Answers such as sys/health have other types in places; the test reads body then.
		_ = json.Unmarshal(text, &a.secret)
	}
	return a, nil
}

func (c caller) do(token, method, path, body string) answer {
	c.t.Helper()
	a, err := c.try(context.Background(), token, method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// want does a request and checks its status and a part of its text.
func (c caller) want(status int, part, token, method, path, body string) answer {
	c.t.Helper()
	a := c.do(token, method, path, body)
	if a.status != status || !strings.Contains(a.text, part) {
		c.t.Fatalf("%s %s %s: got %d %s, want %d with %q", method, path, body, a.status, a.text, status, part)
	}
	return a
}

func (c caller) login(roleID, secretID string) string {
	c.t.Helper()
	a := c.want(200, "client_token", "", "POST", "auth/approle/login", `{"role_id":"`+roleID+`","secret_id":"`+secretID+`"}`)
	return a.secret.Auth.ClientToken
}

const (
	policyDenied = `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`
	tokenDead    = `{"errors":["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}`
)
