package suite

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/auth/jwt"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/auth/userpass"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// outside is what docs/auth.md adds for a Vault that is in no pod.
const outside = "kubernetes_ca_cert=@ca.crt disable_local_ca_jwt=true"

// blocks returns the blocks of code of a document in a language.
func blocks(t *testing.T, document, language string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", filepath.FromSlash(document)))
	require.NoError(t, err)
	for _, block := range regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		all = append(all, block[1])
	}
	require.NotEmpty(t, all)
	return all
}

// TestTheCommandsInTheDocumentationWork: each of docs/auth.md is run by a shell as it stands there, with
// the policy of the README, but for where its files and the issuer of JWTs are; and the services that
// they are for log in.
//
// It is not parallel: twenty programs that start take all cores, and what ran beside would be late.
func TestTheCommandsInTheDocumentationWork(t *testing.T) {
	w := world{v: testvault.Vault(t)}
	w.v.Write("secret/data/payments/stripe", map[string]any{"data": map[string]any{"api_key": canaryValue, "retries": 3}})
	bin, err := testvault.Binary(t.Context(), os.Stderr)
	require.NoError(t, err)
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	require.NoError(t, os.Symlink(bin, in("vault")))
	write(t, in("app.hcl"), []byte(blocks(t, "README.md", "hcl")[0]))
	write(t, in("clients-ca.pem"), newAuthority(t).pem)
	write(t, in("ca.crt"), newAuthority(t).pem)
	write(t, in("password.txt"), []byte("correct horse\n"))
	i := newIssuer(t, nil)
	elsewhere := strings.NewReplacer(
		"https://issuer.example.com", i.url(), "/run/secrets", dir, "/run/vault", dir,
		"kubernetes_host=https://kubernetes.default.svc", "kubernetes_host=https://kubernetes.example.com "+outside,
	)

	text, err := os.ReadFile("../../../docs/auth.md")
	require.NoError(t, err)
	require.Contains(t, string(text), outside)

	commands := 0
	for _, block := range blocks(t, "docs/auth.md", "sh") {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		shell := exec.CommandContext(ctx, "/bin/sh", "-eux", "-c", elsewhere.Replace(block))
		shell.Dir = dir
		shell.Env = []string{
			"PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH"), "HOME=" + dir,
			"VAULT_ADDR=" + w.v.Addr(), "VAULT_TOKEN=" + w.v.RootToken(), "VAULT_CLIENT_TIMEOUT=15s",
		}
		var said bytes.Buffer
		shell.Stderr = &said // what it prints besides is secret
		err := shell.Run()
		cancel()
		require.NoError(t, err, "%s\n%s", block, said.String())
		commands += len(regexp.MustCompile(`(?m)^(vault|.*\| vault) `).FindAllString(block, -1))
	}
	assert.GreaterOrEqual(t, commands, 20, "commands that were run")
	for _, path := range []string{
		"auth/approle/role/app", "auth/kubernetes/role/app", "auth/aws/role/app", "auth/jwt/role/app", "auth/cert/certs/app", "auth/userpass/users/app",
	} {
		data, _ := w.v.Read(path)["data"].(map[string]any)
		assert.Equal(t, []any{"app"}, data["token_policies"], path)
	}

	roleID, _ := w.v.Read("auth/approle/role/app/role-id")["data"].(map[string]any)["role_id"].(string)
	write(t, in("jwt"), []byte(signed(t, i.key.Load(), time.Hour)))
	for name, m := range map[string]auth.Method{
		"AppRole":  approle.New(roleID, approle.Wrapped(auth.File(in("wrapping-token")))),
		"JWT":      jwt.New("app", auth.File(in("jwt"))),
		"userpass": userpass.New("app", auth.String("correct horse")),
		"a token":  token.File(w.documentedAgent(t, roleID, elsewhere, in)),
	} {
		a, err := w.enter(t, m)
		require.NoError(t, err, name)
		require.NoError(t, a.fetch(t.Context()), name)
		require.NoError(t, a.Close(context.Background()), name)
	}
}

// documentedAgent runs a Vault Agent with the configuration in docs/auth.md, and returns its sink.
func (w world) documentedAgent(t *testing.T, roleID string, elsewhere *strings.Replacer, in func(string) string) string {
	t.Helper()
	secretID, _ := w.v.Write("auth/approle/role/app/secret-id", map[string]any{})["data"].(map[string]any)["secret_id"].(string)
	write(t, in("role-id"), []byte(roleID))
	write(t, in("secret-id"), []byte(secretID))
	config := elsewhere.Replace(blocks(t, "docs/auth.md", "hcl")[0])
	for _, name := range []string{"role-id", "secret-id"} {
		require.Contains(t, config, `"`+name+`"`)
		config = strings.ReplaceAll(config, `"`+name+`"`, fmt.Sprintf("%q", in(name)))
	}
	write(t, in("agent.hcl"), fmt.Appendf(nil, "vault { address = %q }\n%s", w.v.Addr(), config))
	agent := testvault.NewCLI(t, w.v.Addr()).Start("agent", "-config="+in("agent.hcl"))
	testvault.Poll(t, 20*time.Second, func() bool { return written(in("token")) }, "the agent's sink is written")
	assert.False(t, written(in("secret-id")), "the agent deletes it")
	t.Cleanup(func() { agent.End() })
	return in("token")
}
