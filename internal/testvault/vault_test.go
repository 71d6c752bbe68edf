package testvault

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// request makes a request as the code under test would: without this package's
// mark. token may be empty.
func request(t *testing.T, s *Server, token, method, path, body string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.Addr()+"/v1/"+path, strings.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("X-Vault-Token", token)
	resp, err := httpClient.Do(req)
	require.NoError(t, err)
	defer func() { _ = resp.Body.Close() }()
	var answer map[string]any
	require.NoError(t, json.NewDecoder(resp.Body).Decode(&answer))
	return answer
}

func TestVaultWithAppRole(t *testing.T) {
	s := Vault(t)
	require.NotEqual(t, "root", s.RootToken())
	s.Policy("reader", `path "secret/data/app" { capabilities = ["read"] }`)
	s.Write("secret/data/app", map[string]any{"data": map[string]any{"canary": "planted-value"}})
	s.Mount("kv1", "kv", map[string]string{"version": "1"})
	s.Write("kv1/a/b", map[string]any{"x": "y"})
	assert.Equal(t, []string{"a/"}, s.List("kv1"))
	assert.Empty(t, s.List("kv1/none"))
	s.Delete("kv1/a/b")
	assert.Empty(t, s.List("kv1"))

	roleID, secretID := s.AppRole("approle", "app", map[string]any{"token_policies": "reader", "token_ttl": "60s"})
	_, again := s.AppRole("approle", "app", nil)
	assert.NotEqual(t, secretID, again)

	s.Audit().Reset()
	login := request(t, s, "", http.MethodPut, "auth/approle/login", `{"role_id":"`+roleID+`","secret_id":"`+secretID+`"}`)
	token := s.field(login, "auth", "client_token")
	app := s.As(token)
	assert.Equal(t, "planted-value", s.field(app.Read("secret/data/app"), "data", "data", "canary"))
	request(t, s, token, http.MethodGet, "secret/data/app", "")
	request(t, s, token, http.MethodGet, "secret/data/other", "")

	audit := s.Audit()
	assert.Equal(t, map[string]int{"auth/approle/login": 1, "secret/data/app": 1, "secret/data/other": 1}, audit.Paths(),
		"should leave out this package's own request with the same token")
	assert.Equal(t, 1, audit.Count("update", "auth/approle/login"))
	assert.Equal(t, 2, audit.Count("read", "secret/"))
	assert.Equal(t, 0, audit.Count("list", "secret/"))
	assert.Equal(t, 3, audit.Count("", ""))
	var refused []Entry
	for _, e := range audit.Responses() {
		if e.Error != "" {
			refused = append(refused, e)
		}
	}
	require.Len(t, refused, 1)
	assert.Equal(t, "secret/data/other", refused[0].Path)
	assert.Contains(t, refused[0].Error, "permission denied")
	assert.Equal(t, "approle", refused[0].DisplayName)
	assert.NotEmpty(t, refused[0].Accessor)

	raw := string(s.AuditRaw())
	assert.NotContains(t, raw, "planted-value")
	assert.NotContains(t, raw, token)
	audit.Reset()
	assert.Empty(t, audit.Entries())

	require.True(t, s.Alive(token))
	s.RevokeAccessor(s.field(login, "auth", "accessor"))
	Poll(t, 10*time.Second, func() bool { return !s.Alive(token) }, "the token's end")
}

func TestRefusalsAreReportedWithoutTheToken(t *testing.T) {
	s := Vault(t)
	status, body, err := s.TryWrite("sys/no/such/path", map[string]any{})
	require.NoError(t, err)
	assert.Equal(t, http.StatusNotFound, status)
	assert.NotEmpty(t, body["errors"])
	status, _, err = s.As("wrong").TryRead("secret/data/app")
	require.NoError(t, err)
	assert.Equal(t, http.StatusForbidden, status)
	status, _, err = s.TryDelete("secret/metadata/app")
	require.NoError(t, err)
	assert.Equal(t, http.StatusNoContent, status)

	r := &recorder{TB: t}
	assert.Panics(t, func() { s.For(r).Read("sys/no/such/path") })
	assert.Contains(t, r.failed, "GET sys/no/such/path: 404")

	_, _, err = s.TryRead("bad path with " + s.RootToken() + "\x7f")
	require.Error(t, err)
	assert.NotContains(t, s.redact(err.Error()), s.RootToken())
}

func TestPauseAndStop(t *testing.T) {
	s := Vault(t)
	assert.False(t, s.process.stopped())
	s.Pause()
	assert.True(t, s.process.stopped())
	client := &http.Client{Timeout: 200 * time.Millisecond, Transport: httpClient.Transport}
	_, err := client.Get(s.Addr() + "/v1/sys/health") //nolint:bodyclose // there is no answer
	require.Error(t, err, "a paused server should not answer")
	s.Resume()
	s.Read("sys/health")

	s.Stop()
	_, _, err = s.TryRead("sys/health")
	require.Error(t, err)
}

func TestAVaultThatCannotStartSaysWhy(t *testing.T) {
	r := &recorder{TB: t}
	assert.Panics(t, func() { Vault(r, Args("-no-such-flag")) })
	assert.Contains(t, r.failed, "no-such-flag")
}

func TestTheDevelopersOwnSettingsStayOutside(t *testing.T) {
	got := scrubbed([]string{"VAULT_ADDR=x", "BAO_TOKEN=x", "HOME=x", "https_proxy=x", "PATH=p", "MY_VAULT_=m"})
	assert.Equal(t, []string{"PATH=p", "MY_VAULT_=m"}, got)
}
