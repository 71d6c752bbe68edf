package likeness

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// agent is a run of "vault agent" against vaulttest: it logs in by AppRole, leaves its token in a
// file, and renders a secret with a database user, and a certificate.
type agent struct {
	t   *testing.T
	dir string

	*testvault.Program
}

// agentWithin bounds what an agent does next. It waits between attempts, with jitter.
const agentWithin = 20 * time.Second

// newAgent starts an agent and returns when it has rendered for the first time. secretID is what its
// file holds; method is more for the method's configuration.
func newAgent(t *testing.T, s *vaulttest.Server, roleID, secretID, method string) *agent {
	t.Helper()
	a := &agent{t: t, dir: t.TempDir()}
	a.write("role-id", roleID)
	a.write("secret-id", secretID)
	a.write("agent.hcl", fmt.Sprintf(`
vault {
  address = %[1]q
}
auto_auth {
  method "approle" {
    min_backoff = "50ms"
    max_backoff = "200ms"
    config = {
      role_id_file_path = "%[2]s/role-id"
      secret_id_file_path = "%[2]s/secret-id"
      remove_secret_id_file_after_reading = true
      %[3]s
    }
  }
  sink "file" {
    config = { path = "%[2]s/token" }
  }
}
template_config {
  static_secret_render_interval = "500ms"
}
template {
  destination = "%[2]s/rendered"
  contents = <<EOT
{{ with secret "secret/data/app" }}{{ .Data.data.greeting }}{{ end }}
{{ with secret "database/creds/app" }}{{ .Data.username }}{{ end }}
EOT
}
template {
  destination = "%[2]s/certificate"
  contents = <<EOT
{{ with pkiCert "pki/issue/app" "common_name=app.example.com" }}{{ .Cert }}{{ end }}
EOT
}
`, s.URL(), a.dir, method))
	a.Program = testvault.NewCLI(t, s.URL()).Start("agent", "-config="+filepath.Join(a.dir, "agent.hcl"))
	t.Cleanup(func() {
		if t.Failed() {
			words := a.Output()
			t.Logf("the agent's last words:\n%s", words[max(0, len(words)-2000):])
		}
	})
	a.await("the files to be rendered", func() bool { return a.read("rendered") != "" && a.read("certificate") != "" })
	return a
}

func (a *agent) write(file, text string) {
	a.t.Helper()
	require.NoError(a.t, os.WriteFile(filepath.Join(a.dir, file), []byte(text), 0o600))
}

// read returns a file's text; empty if there is none.
func (a *agent) read(file string) string {
	text, _ := os.ReadFile(filepath.Join(a.dir, file))
	return strings.TrimSpace(string(text))
}

func (a *agent) await(what string, holds func() bool) {
	a.t.Helper()
	testvault.Poll(a.t, agentWithin, func() bool { return holds() || !a.Running() }, what)
	require.True(a.t, holds(), "the agent ended before %s", what)
}

// end asks the agent to end, as its service manager would.
func (a *agent) end() {
	a.t.Helper()
	assert.Equal(a.t, "0", a.End(), "its exit status")
	assert.False(a.t, a.Running(), "nothing is left running")
}

// newAgentServer has what the agent's role, which it returns, may read. Its tokens and its database
// users live for seconds.
func newAgentServer(t *testing.T) (s *vaulttest.Server, roleID, secretID string) {
	t.Helper()
	s = vaulttest.New(t)
	s.Policy("app",
		vaulttest.Rule{Path: "secret/data/app", Capabilities: []string{"read"}},
		vaulttest.Rule{Path: "database/creds/app", Capabilities: []string{"read"}},
		vaulttest.Rule{Path: "pki/issue/app", Capabilities: []string{"update"}})
	s.PutKV("secret", "app", map[string]any{"greeting": "hello"})
	s.DynamicRole("database", "app", vaulttest.RoleSpec{DefaultTTL: 6 * time.Second, MaxTTL: time.Hour})
	s.PKIRole("pki", "app", vaulttest.PKIRoleSpec{AllowAnyName: true, TTL: 24 * time.Hour})
	roleID, secretID = s.AppRole("app", vaulttest.AppRoleSpec{Policies: []string{"app"}, TokenTTL: 6 * time.Second})
	return s, roleID, secretID
}

func TestAgentRendersAndRenews(t *testing.T) {
	t.Parallel()
	s, roleID, secretID := newAgentServer(t)
	a := newAgent(t, s, roleID, secretID, "")

	greeting, username, _ := strings.Cut(a.read("rendered"), "\n")
	assert.Equal(t, "hello", greeting)
	assert.True(t, s.Alive(username), "the database user %q", username)
	assert.NoFileExists(t, filepath.Join(a.dir, "secret-id"), "the agent removes it")
	token := a.read("token")
	assert.NotEmpty(t, token)

	block, _ := pem.Decode([]byte(a.read("certificate")))
	require.NotNil(t, block)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	require.NoError(t, cert.CheckSignatureFrom(s.PKICA("pki")))

	s.PutKV("secret", "app", map[string]any{"greeting": "good day"})
	a.await("the changed secret to be rendered", func() bool { return strings.HasPrefix(a.read("rendered"), "good day\n") })

	a.await("the token and the lease to be renewed twice", func() bool {
		return s.Count("PUT", "auth/token/renew-self") >= 2 && s.Count("PUT", "sys/leases/renew") >= 2
	})
	assert.Equal(t, token, a.read("token"))
	assert.True(t, s.Alive(username))
	assert.Equal(t, 1, s.Count("PUT", "auth/approle/login"), "renewed, not replaced")
	assert.Equal(t, 1, s.Count("GET", "database/creds/app"))
	for _, r := range s.Requests() {
		assert.Less(t, r.Status, 300, "%s %s", r.Method, r.Path)
	}

	a.end()
	assert.Len(t, leaseIDs(s), 1, "an agent revokes nothing when it ends")
	s.Advance(7 * time.Second)
	assert.Empty(t, leaseIDs(s))
	assert.Empty(t, s.Tokens())
}

func TestAgentSurvivesTheServersAbsence(t *testing.T) {
	t.Parallel()
	s, roleID, secretID := newAgentServer(t)
	a := newAgent(t, s, roleID, secretID, "")

	s.Seal()
	a.await("the agent to run into the seal", func() bool {
		requests := s.Requests()
		return requests[len(requests)-1].Status == 503
	})
	s.PutKV("secret", "app", map[string]any{"greeting": "unsealed"})
	s.Unseal()
	a.await("the agent to render after the seal", func() bool { return strings.HasPrefix(a.read("rendered"), "unsealed\n") })

	s.Close()
	a.await("the agent to find nobody there", func() bool { return strings.Contains(a.Output(), "connection refused") })
	s.PutKV("secret", "app", map[string]any{"greeting": "restarted"})
	s.Restart()
	a.await("the agent to render after the restart", func() bool { return strings.HasPrefix(a.read("rendered"), "restarted\n") })

	// While nobody answers, all dies that it has.
	s.Close()
	s.Advance(time.Minute)
	require.Empty(t, s.Tokens())
	s.Restart()
	a.await("another token and another user", func() bool {
		_, username, _ := strings.Cut(a.read("rendered"), "\n")
		return s.Alive(username)
	})
	a.end()
}

func TestAgentLogsInAgainWhenItsTokenIsRevoked(t *testing.T) {
	t.Parallel()
	s, roleID, secretID := newAgentServer(t)
	a := newAgent(t, s, roleID, secretID, "")
	before := a.read("token")

	require.Len(t, s.Tokens(), 1)
	require.True(t, s.RevokeToken(s.Tokens()[0].Accessor))
	a.await("a new token", func() bool { return a.read("token") != before })
	a.await("a user of the new token", func() bool {
		_, username, _ := strings.Cut(a.read("rendered"), "\n")
		return s.Alive(username)
	})
	a.end()
}

func TestAgentUnwrapsItsSecretID(t *testing.T) {
	t.Parallel()
	s, roleID, _ := newAgentServer(t)
	wrapped := s.WrappedSecretID(roleID, time.Minute)
	a := newAgent(t, s, roleID, wrapped, `secret_id_response_wrapping_path = "auth/approle/role/app/secret-id"`)

	assert.Equal(t, 1, s.Count("", "sys/wrapping/lookup"))
	assert.Equal(t, 1, s.Count("", "sys/wrapping/unwrap"))
	require.Len(t, s.Tokens(), 1, "the wrapping token is used up")
	require.True(t, s.RevokeToken(s.Tokens()[0].Accessor))
	a.await("a login with the secret ID that it has kept", func() bool { return s.Count("PUT", "auth/approle/login") >= 2 })
	a.end()
}
