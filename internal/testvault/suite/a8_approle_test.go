package suite

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// enter starts a client that logs in by m, which may not come about. What it said is there either way.
func (w world) enter(t *testing.T, m auth.Method, change ...func(*leasehold.Config)) (*app, error) {
	t.Helper()
	a := &app{said: &buffer{}}
	cfg := leasehold.Config{
		Address: w.v.Addr(),
		Auth:    m,
		Logger:  slog.New(slog.NewTextHandler(a.said, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnEvent: func(e leasehold.Event) { _, _ = fmt.Fprintf(a.said, "%+v %v\n", e, e.Err) },
	}
	for _, f := range change {
		f(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var err error
	if a.Client, err = leasehold.New(ctx, cfg); err == nil {
		t.Cleanup(func() { _ = a.Close(context.Background()) })
	}
	return a, err
}

// loginAfter is when Vault granted the first login at an auth mount since then, by its audit log.
func (w world) loginAfter(mount string, then time.Time) (at time.Time, ok bool) {
	for _, e := range w.v.Audit().Responses() {
		if e.Path == "auth/"+mount+"/login" && e.Error == "" && e.Time.After(then) {
			return e.Time, true
		}
	}
	return time.Time{}, false
}

// logins counts those at an auth mount in Vault's audit log: granted, and refused.
func (w world) logins(mount string) (granted, refused int) {
	for _, e := range w.v.Audit().Responses() {
		switch {
		case e.Path != "auth/"+mount+"/login":
		case e.Error == "":
			granted++
		default:
			refused++
		}
	}
	return granted, refused
}

// secretID makes another secret-id of the role "app" at a mount.
func (w world) secretID(t *testing.T, mount string) string {
	t.Helper()
	data, _ := w.v.Write("auth/"+mount+"/role/app/secret-id", map[string]any{})["data"].(map[string]any)
	id, _ := data["secret_id"].(string)
	require.NotEmpty(t, id)
	return id
}

// wrapped runs a vault command that prints a wrapping token, and returns what it prints.
func (w world) wrapped(t *testing.T, args ...string) string {
	t.Helper()
	text, status := testvault.NewCLI(t, w.v.Addr()).Run(t.Context(), w.v.RootToken(), "", args...)
	require.Zero(t, status, "vault %s", args[0])
	return text
}

// TestA8ASecretIDOfOneUse is good for the start alone: from then on the token is renewed, and what
// would be cured by another login is not tried. When the token is revoked there is no way on
// until somebody puts another secret-id into the file, which is seen soon.
func TestA8ASecretIDOfOneUse(t *testing.T) {
	t.Parallel()
	const mount, watched = "approle-a8once", 15 * time.Second
	w := newVault(t)
	roleID, secretID := w.v.AppRole(mount, "app", map[string]any{
		"token_policies": "app", "token_ttl": "4s", "token_max_ttl": "1h", "secret_id_num_uses": 1,
	})
	file := filepath.Join(t.TempDir(), "secret-id")
	write(t, file, []byte(secretID+"\n"))
	a, err := w.enter(t, approle.New(roleID, approle.SecretIDFile(file), approle.Mount(mount), approle.LimitedUses()))
	require.NoError(t, err)
	log, stop := a.load(t.Context())
	<-time.After(watched)
	stop()
	granted, refused := w.logins(mount)
	assert.Greater(t, log.done, workers*int(watched/queries)/2, "too few reads to say anything")
	assert.Empty(t, log.failed, "failed reads")
	assert.Equal(t, 1, granted, "logins in the audit log")
	assert.Zero(t, refused, "refused logins in the audit log")
	figure.AtMost(stdout, "a8-one-use-failed", float64(len(log.failed)), "reads", 0, "oracle=application", fmt.Sprintf("reads=%d", log.done), fmt.Sprintf("logins=%d", granted))

	w.v.RevokeAccessor(a.Status().Token.Accessor)
	require.ErrorContains(t, a.fetch(t.Context()), "invalid role or secret ID")
	require.Error(t, a.Ready())
	write(t, file, []byte(w.secretID(t, mount)))
	testvault.Poll(t, 15*time.Second, func() bool { return a.fetch(t.Context()) == nil }, "reads work again")
	granted, refused = w.logins(mount)
	assert.Equal(t, 2, granted, "logins in the audit log")
	assert.LessOrEqual(t, refused, 3, "refused logins in the audit log: five lock the role out")
	require.NoError(t, a.Close(context.Background()))
	assert.Zero(t, w.liveTokens(mount), "tokens left")
}

// TestA8ASecretIDFileIsReplacedUnderLoad every 3 s, and the old secret-id destroyed 3 s later, when no
// login that has read it can be under way any more, while tokens die every 6 s. Who reads the file once is refused from the second login on.
func TestA8ASecretIDFileIsReplacedUnderLoad(t *testing.T) {
	t.Parallel()
	const mount, watched = "approle-a8file", 24 * time.Second
	w := newVault(t)
	roleID, secretID := w.v.AppRole(mount, "app", map[string]any{"token_policies": "app", "token_ttl": "4s", "token_max_ttl": "6s"})
	file := filepath.Join(t.TempDir(), "secret-id")
	write(t, file, []byte(secretID))
	a, err := w.enter(t, approle.New(roleID, approle.SecretIDFile(file), approle.Mount(mount)))
	require.NoError(t, err)
	log, stop := a.load(t.Context())
	tick := time.NewTicker(3 * time.Second)
	defer tick.Stop()
	old := ""
	for began := time.Now(); time.Since(began) < watched; <-tick.C {
		if old != "" {
			w.v.Write("auth/"+mount+"/role/app/secret-id/destroy", map[string]any{"secret_id": old})
		}
		old, secretID = secretID, w.secretID(t, mount)
		write(t, file, []byte(secretID+"\r\n"))
	}
	stop()
	granted, refused := w.logins(mount)
	assert.Greater(t, log.done, workers*int(watched/queries)/2, "too few reads to say anything")
	assert.Empty(t, log.failed, "failed reads")
	assert.Zero(t, refused, "refused logins in the audit log")
	assert.GreaterOrEqual(t, granted, 4, "logins in the audit log: no token lasts longer than 6 s")
	assert.LessOrEqual(t, granted, 13, "logins in the audit log")
	figure.AtMost(stdout, "a8-replaced-failed", float64(len(log.failed)), "reads", 0, "oracle=application",
		fmt.Sprintf("reads=%d", log.done), fmt.Sprintf("logins=%d", granted), fmt.Sprintf("refused=%d", refused))
	require.NoError(t, a.Close(context.Background()))
	assert.Zero(t, w.liveTokens(mount), "tokens left")
}

// TestA8AWrappedSecretIDLastsForManyLogins: tokens die every 6 s, and the wrapping token was good once.
// Then the secret-id is destroyed, a wrapping token that a thief has used comes into the file, and
// at last a good one.
func TestA8AWrappedSecretIDLastsForManyLogins(t *testing.T) {
	t.Parallel()
	const mount, watched = "approle-a8wrapped", 15 * time.Second
	w := newVault(t)
	roleID, _ := w.v.AppRole(mount, "app", map[string]any{"token_policies": "app", "token_ttl": "4s", "token_max_ttl": "6s"})
	fresh := func(more ...string) string {
		args := append([]string{"write", "-f", "-wrap-ttl=60s"}, more...)
		return w.wrapped(t, append(args, "auth/"+mount+"/role/app/secret-id")...)
	}
	file := filepath.Join(t.TempDir(), "wrapping-token")
	write(t, file, []byte(fresh("-format=json")))
	a, err := w.enter(t, approle.New(roleID, approle.Wrapped(auth.File(file)), approle.Mount(mount)))
	require.NoError(t, err)
	log, stop := a.load(t.Context())
	<-time.After(watched)
	stop()
	granted, refused := w.logins(mount)
	unwrapped := w.v.Audit().Count("", "sys/wrapping/unwrap")
	assert.Greater(t, log.done, workers*int(watched/queries)/2, "too few reads to say anything")
	assert.Empty(t, log.failed, "failed reads")
	assert.GreaterOrEqual(t, granted, 3, "logins in the audit log: no token lasts longer than 6 s")
	assert.Zero(t, refused, "refused logins in the audit log")
	assert.Equal(t, 1, unwrapped, "unwrappings in the audit log")
	figure.AtMost(stdout, "a8-wrapped-unwrappings", float64(unwrapped), "requests", 1, "oracle=audit-log", fmt.Sprintf("logins=%d", granted), fmt.Sprintf("failed_reads=%d", len(log.failed)))

	stolen := strings.TrimSpace(fresh("-field=wrapping_token"))
	_ = w.wrapped(t, "unwrap", stolen)
	write(t, file, []byte(stolen))
	for _, accessor := range w.v.List("auth/" + mount + "/role/app/secret-id") {
		w.v.Write("auth/"+mount+"/role/app/secret-id-accessor/destroy", map[string]any{"secret_id_accessor": accessor})
	}
	testvault.Poll(t, 15*time.Second, func() bool { return a.fetch(t.Context()) != nil }, "the token's death")
	err = a.fetch(t.Context())
	require.ErrorContains(t, err, "unwrapped by somebody else")
	require.ErrorContains(t, err, "find out who")
	require.NotContains(t, err.Error(), stolen)
	write(t, file, []byte(fresh("-field=wrapping_token")))
	testvault.Poll(t, 15*time.Second, func() bool { return a.fetch(t.Context()) == nil }, "reads work again")
	require.NotContains(t, a.said.String(), stolen)
	require.NoError(t, a.Close(context.Background()))
	assert.Zero(t, w.liveTokens(mount), "tokens left")
}

// TestA8AWrappingTokenThatIsNoGoodEndsTheStart at once, and says why. Where it was made elsewhere it
// is left as it was, as evidence.
func TestA8AWrappingTokenThatIsNoGoodEndsTheStart(t *testing.T) {
	t.Parallel()
	const mount = "approle-a8bad"
	w := newVault(t)
	roleID, secretID := w.v.AppRole(mount, "app", map[string]any{"token_policies": "app", "token_ttl": "1h"})
	path := "auth/" + mount + "/role/app/secret-id"
	expired := w.wrapped(t, "write", "-f", "-wrap-ttl=1s", "-field=wrapping_token", path)
	taken := w.wrapped(t, "write", "-f", "-wrap-ttl=60s", "-field=wrapping_token", path)
	_ = w.wrapped(t, "unwrap", strings.TrimSpace(taken))
	swapped := w.wrapped(t, "write", "-wrap-ttl=60s", "-field=wrapping_token", "sys/wrapping/wrap", "secret_id="+secretID)
	testvault.Poll(t, 10*time.Second, func() bool {
		_, status := testvault.NewCLI(t, w.v.Addr()).Run(t.Context(), w.v.RootToken(), "", "token", "lookup", strings.TrimSpace(expired))
		return status != 0
	}, "the wrapping token expires")
	for _, tc := range []struct{ token, says string }{
		{expired, "has expired, is none, or was unwrapped by somebody else"},
		{taken, "has expired, is none, or was unwrapped by somebody else"},
		{secretID, "has expired, is none, or was unwrapped by somebody else"},
		{swapped, `the wrapping token was made at "sys/wrapping/wrap"`},
	} {
		began := time.Now()
		_, err := w.enter(t, approle.New(roleID, approle.Wrapped(auth.String(tc.token)), approle.Mount(mount)))
		require.ErrorContains(t, err, tc.says)
		require.NotContains(t, err.Error(), strings.TrimSpace(tc.token))
		require.Less(t, time.Since(began), 5*time.Second)
	}
	assert.Zero(t, w.v.Audit().Count("", "auth/"+mount+"/login"), "logins in the audit log")
	held := w.wrapped(t, "unwrap", "-field=secret_id", strings.TrimSpace(swapped))
	require.Equal(t, secretID, strings.TrimSpace(held))
}

// TestA8ARoleWithoutSecretIDs lets those in who come from its addresses.
func TestA8ARoleWithoutSecretIDs(t *testing.T) {
	t.Parallel()
	const mount = "approle-a8none"
	w := newVault(t)
	_, _ = w.v.AppRole(mount, "helper", nil) // enables the method
	w.v.Write("auth/"+mount+"/role/app", map[string]any{"token_policies": "app", "token_ttl": "1h", "bind_secret_id": false, "token_bound_cidrs": "127.0.0.0/8"})
	data, _ := w.v.Read("auth/" + mount + "/role/app/role-id")["data"].(map[string]any)
	roleID, _ := data["role_id"].(string)
	a, err := w.enter(t, approle.New(roleID, approle.NoSecretID(), approle.Mount(mount)))
	require.NoError(t, err)
	require.NoError(t, a.fetch(t.Context()))
	require.NoError(t, a.Close(context.Background()))
	assert.Zero(t, w.liveTokens(mount), "tokens left")
}
