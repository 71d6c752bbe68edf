package testvault

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCLIKeepsItsLoginToItself(t *testing.T) {
	t.Parallel()
	vault := Vault(t)
	cli := NewCLI(t, vault.Addr())

	output, status := cli.Run(t.Context(), "", "", "token", "lookup")
	assert.Equal(t, 2, status, output)
	output, status = cli.Run(t.Context(), "", vault.RootToken(), "login", "-no-print", "-")
	assert.Equal(t, 0, status, output)
	output, status = cli.Run(t.Context(), "", "", "token", "lookup")
	assert.Equal(t, 0, status, output)
	output, status = cli.Run(t.Context(), "another", "", "token", "lookup")
	assert.Equal(t, 2, status, output)

	_, status = NewCLI(t, vault.Addr()).Run(t.Context(), "", "", "token", "lookup")
	assert.Equal(t, 2, status, "another home")
}

func TestProgramRunsUntilItsEnd(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "agent.hcl")
	require.NoError(t, os.WriteFile(config, []byte(`
auto_auth {
  method "approle" { config = { role_id_file_path = "`+dir+`/none" } }
  sink "file" { config = { path = "`+dir+`/token" } }
}`), 0o600))
	agent := NewCLI(t, "http://127.0.0.1:1").Start("agent", "-config="+config)
	Poll(t, 20*time.Second, func() bool { return strings.Contains(agent.Output(), "no known role ID") }, "the agent tries")
	assert.True(t, agent.Running())
	agent.End()
	assert.False(t, agent.Running())
	assert.Empty(t, agent.Output(), "its files are gone with it")
}
