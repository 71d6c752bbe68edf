package suite

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// adopted is how long it takes until another token in a file is used: it is looked at about
// every 10 s.
const adopted = 13 * time.Second

// created makes a token, and returns it with its accessor.
func (w world) created(t *testing.T) (value, accessor string) {
	t.Helper()
	made, _ := w.v.Write("auth/token/create", map[string]any{"policies": "app", "ttl": "1h"})["auth"].(map[string]any)
	value, _ = made["client_token"].(string)
	accessor, _ = made["accessor"].(string)
	require.NotEmpty(t, value)
	return value, accessor
}

// failures returns how many requests have failed so far.
func (r *reads) failures() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.failed)
}

// TestA11ATokenFileIsFollowedUnderLoad. Its writer replaces it in one step; then truncates it and
// takes his time; then revokes the token that is in use; at last one is revoked and none
// follows, which is the only time that a request may fail: until a second after there is one.
func TestA11ATokenFileIsFollowedUnderLoad(t *testing.T) {
	t.Parallel()
	w := newVault(t)
	file := filepath.Join(t.TempDir(), "token")
	value, old := w.created(t)
	write(t, file, []byte(value+"\n"))
	a, err := w.enter(t, token.File(file))
	require.NoError(t, err)
	log, stop := a.load(t.Context())
	follow := func(accessor string) {
		testvault.Poll(t, adopted, func() bool { return a.Status().Token.Accessor == accessor }, "the new token is used")
		w.v.RevokeAccessor(old)
		old = accessor
	}

	value, accessor := w.created(t)
	write(t, file, []byte(value))
	follow(accessor)

	value, accessor = w.created(t)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	<-time.After(adopted)
	require.NoError(t, os.WriteFile(file, []byte(value[:12]), 0o600))
	<-time.After(adopted)
	require.NoError(t, a.Ready())
	require.NoError(t, os.WriteFile(file, []byte(value), 0o600))
	follow(accessor)

	value, accessor = w.created(t)
	write(t, file, []byte(value))
	w.v.RevokeAccessor(old) // at once: whoever is told so looks into the file
	old = accessor
	testvault.Poll(t, 2*time.Second, func() bool { return a.Status().Token.Accessor == accessor }, "the new token is used")
	avoidable := log.failures()
	assert.Zero(t, avoidable, "failed reads")

	w.v.RevokeAccessor(old)
	testvault.Poll(t, 5*time.Second, func() bool { return a.Ready() != nil }, "it is known that the token is dead")
	require.ErrorContains(t, a.fetch(t.Context()), "revoked, expired or mistyped")
	value, accessor = w.created(t)
	write(t, file, []byte(value))
	rewritten := time.Now()
	testvault.Poll(t, adopted, func() bool { return a.fetch(t.Context()) == nil }, "reads work again")
	require.NoError(t, a.Ready())
	recovered := time.Now()
	inevitable := log.failures()
	assert.Positive(t, inevitable, "reads must have failed for this to say anything")
	<-time.After(2 * time.Second)
	stop()
	assert.Zero(t, log.since(recovered), "failed reads that began after that")
	tardy := log.since(rewritten.Add(time.Second))
	assert.Zero(t, tardy, "failed reads that began when the good token had been there for a second")
	figure.AtMost(stdout, "a11-after-rewrite-failed", float64(tardy), "reads", 0, "oracle=application",
		fmt.Sprintf("reads=%d", log.done), fmt.Sprintf("within_a_second=%d", log.since(rewritten)))
	assert.Greater(t, log.done, workers*100, "too few reads to say anything")

	require.NoError(t, a.Close(context.Background()))
	require.True(t, w.v.Alive(value), "the token is its writer's")
	assert.Zero(t, w.v.Audit().Count("", "auth/token/renew-self"), "renewals in the audit log")
	assert.Zero(t, w.v.Audit().Count("", "auth/token/revoke-self"), "revocations in the audit log")
	lookups := w.v.Audit().Count("", "auth/token/lookup-self")
	assert.LessOrEqual(t, lookups, 30, "lookups in the audit log")
	figure.AtMost(stdout, "a11-file-failed", float64(avoidable), "reads", 0, "oracle=application",
		fmt.Sprintf("reads=%d", log.done), fmt.Sprintf("inevitable=%d", inevitable-avoidable), fmt.Sprintf("lookups=%d", lookups))
}

// TestA11AnAgentRotatesItsToken: a real Vault Agent, whose tokens die every 20 s, writes them into a
// plain sink and into a wrapped one, each of which a service follows. Agent does so in the last
// seconds of a token. Who reads the file once fails from the second token on, and who does not
// look often enough fails until he looks.
func TestA11AnAgentRotatesItsToken(t *testing.T) {
	t.Parallel()
	const mount, watched = "approle-a11", 55 * time.Second
	w := newVault(t)
	roleID, secretID := w.v.AppRole(mount, "app", map[string]any{"token_policies": "app", "token_ttl": "20s", "token_max_ttl": "20s"})
	agent, in := w.agent(t, mount, roleID, secretID, "", `
  sink "file" { config = { path = "DIR/plain" } }
  sink "file" {
    wrap_ttl = "60s"
    config = { path = "DIR/wrapped" }
  }`)
	testvault.Poll(t, 20*time.Second, func() bool { return written(in("plain")) && written(in("wrapped")) }, "the agent's sinks are written")
	text, err := os.ReadFile(in("wrapped"))
	require.NoError(t, err)
	var sink struct {
		CreationPath string `json:"creation_path"`
	}
	require.NoError(t, json.Unmarshal(text, &sink), "the wrapped sink is JSON")
	require.Equal(t, "sys/wrapping/wrap", sink.CreationPath)

	var logs [2]*reads
	var apps [2]*app
	seen := [2]map[string]bool{{}, {}}
	var stops []func()
	for i, name := range []string{"plain", "wrapped"} {
		apps[i], err = w.enter(t, token.File(in(name)))
		require.NoError(t, err, name)
		var stop func()
		logs[i], stop = apps[i].load(t.Context())
		stops = append(stops, stop)
	}
	for end := time.Now().Add(watched); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		for i, a := range apps {
			seen[i][a.Status().Token.Accessor] = true
		}
	}
	require.True(t, agent.Running(), "the agent runs")
	for i, name := range []string{"plain", "wrapped"} {
		stops[i]()
		require.NoError(t, apps[i].Close(context.Background()))
		assert.Greater(t, logs[i].done, workers*int(watched/queries)/2, "%s: too few reads to say anything", name)
		assert.Empty(t, logs[i].failed, "%s: failed reads", name)
		assert.GreaterOrEqual(t, len(seen[i]), 3, "%s: tokens used: none lasts longer than 20 s", name)
		figure.AtMost(stdout, "a11-agent-"+name+"-failed", float64(len(logs[i].failed)), "reads", 0, "oracle=application",
			fmt.Sprintf("reads=%d", logs[i].done), fmt.Sprintf("tokens=%d", len(seen[i])))
		assert.NotContains(t, apps[i].said.String(), "hvs.")
	}
	unwrapped, made := w.v.Audit().Count("", "sys/wrapping/unwrap"), w.v.Audit().Count("", "sys/wrapping/wrap")
	assert.LessOrEqual(t, unwrapped, made, "unwrappings in the audit log")
	assert.Zero(t, w.v.Audit().Count("", "auth/token/revoke-self"), "revocations in the audit log")
	require.Equal(t, "0", agent.End(), "the agent's exit status\n"+strings.TrimSpace(agent.Output()))
}

// TestA11AnAgentThatDoesNotSeeItsToken wraps its login's answer: the service unwraps it.
func TestA11AnAgentThatDoesNotSeeItsToken(t *testing.T) {
	t.Parallel()
	const mount = "approle-a11blind"
	w := newVault(t)
	roleID, secretID := w.v.AppRole(mount, "app", map[string]any{"token_policies": "app", "token_ttl": "1h"})
	agent, in := w.agent(t, mount, roleID, secretID, `wrap_ttl = "60s"`, `sink "file" { config = { path = "DIR/token" } }`)
	testvault.Poll(t, 20*time.Second, func() bool { return written(in("token")) }, "the agent's sink is written")
	a, err := w.enter(t, token.File(in("token")))
	require.NoError(t, err)
	require.NoError(t, a.fetch(t.Context()))
	require.NoError(t, a.Close(context.Background()))
	assert.Equal(t, 1, w.liveTokens(mount), "the token is the agent's")
	_, err = w.enter(t, token.File(in("token")))
	require.ErrorContains(t, err, "was unwrapped by somebody else", "a program that has restarted")
	require.Equal(t, "0", agent.End(), "the agent's exit status")
}

// agent starts a Vault Agent that logs in by AppRole. In sinks DIR is its folder, in which files are
// found by in.
func (w world) agent(t *testing.T, mount, roleID, secretID, method, sinks string) (_ *testvault.Program, in func(string) string) {
	t.Helper()
	dir := t.TempDir()
	in = func(name string) string { return filepath.Join(dir, name) }
	write(t, in("role-id"), []byte(roleID))
	write(t, in("secret-id"), []byte(secretID))
	write(t, in("agent.hcl"), fmt.Appendf(nil, `
vault { address = %q }
auto_auth {
  method "approle" {
    mount_path = "auth/%s"
    min_backoff = "50ms"
    max_backoff = "200ms"
    %s
    config = {
      role_id_file_path = %q
      secret_id_file_path = %q
      remove_secret_id_file_after_reading = false
    }
  }
  %s
}`, w.v.Addr(), mount, method, in("role-id"), in("secret-id"), strings.ReplaceAll(sinks, "DIR", dir)))
	return testvault.NewCLI(t, w.v.Addr()).Start("agent", "-config="+in("agent.hcl")), in
}

func written(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
