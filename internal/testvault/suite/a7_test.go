package suite

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// TestA7AProjectedTokenRotatesUnderLoad has Vault's tokens die every 10 s and those of the
// cluster every 8 s, and rotates the latter every 5 s as kubelet does. Who reads the file
// once, or holds it open, is refused from the second login on.
func TestA7AProjectedTokenRotatesUnderLoad(t *testing.T) {
	t.Parallel()
	const watched, rotation, good = 28 * time.Second, 5 * time.Second, 8 * time.Second
	p := newPod(t, "a7rotates", map[string]any{"token_ttl": "6s", "token_max_ttl": "10s"})
	first := p.lasting(good)
	p.project(t, first)
	began := time.Now()
	a, err := p.connect(t)
	require.NoError(t, err)
	log, stop := a.load(t.Context())
	tick := time.NewTicker(rotation)
	defer tick.Stop()
	for time.Since(began) < watched {
		<-tick.C
		p.project(t, p.lasting(good))
	}
	stop()

	granted, refused := p.logins(p.mount)
	later, failed := 0, 0
	for _, e := range p.v.Audit().Responses() {
		switch {
		case e.Error != "":
			failed++
		case strings.HasSuffix(e.Path, "/login") && e.Time.After(began.Add(good+2*time.Second)):
			later++
		}
	}
	assert.Greater(t, log.done, workers*int(watched/queries)/2, "too few reads to say anything")
	assert.Empty(t, log.failed, "failed reads")
	assert.Zero(t, failed, "refused requests in the audit log")
	assert.Zero(t, refused, "refused logins in the audit log")
	assert.GreaterOrEqual(t, later, 2, "logins in the audit log when the first token was dead")
	assert.LessOrEqual(t, granted, 12, "logins in the audit log")
	status, _, err := p.v.As("").TryWrite("auth/"+p.mount+"/login", map[string]any{"role": "app", "jwt": first})
	require.NoError(t, err)
	assert.Equal(t, 403, status, "the first token must be dead for this to say anything")
	figure.AtMost(stdout, "a7-rotation-failed", float64(len(log.failed)+failed), "requests", 0, "oracle=audit-log",
		fmt.Sprintf("reads=%d", log.done), fmt.Sprintf("logins=%d", granted), fmt.Sprintf("rotations=%d", p.turn-1))

	require.NoError(t, a.Close(context.Background()))
	assert.Zero(t, p.liveTokens(p.mount), "tokens left")
}

// TestA7ATokenThatIsRefusedIsLookedAtUntilItIsReplaced puts a token into the file that
// Vault refuses, and lets Vault's own token die over it. A back-off that is right for a
// refusal is too long for a file that has changed; without one, Vault is asked all the time.
func TestA7ATokenThatIsRefusedIsLookedAtUntilItIsReplaced(t *testing.T) {
	t.Parallel()
	p := newPod(t, "a7refused", map[string]any{"token_ttl": "9s", "token_max_ttl": "9s"})
	p.project(t, p.token())
	var told heard
	a, err := p.connect(t, told.listen)
	require.NoError(t, err)
	p.project(t, p.k.Token(p.sa, 10*time.Minute, "somebody else"))
	testvault.Poll(t, 15*time.Second, func() bool { return a.fetch(t.Context()) != nil }, "the token's death")
	require.ErrorContains(t, a.Ready(), "token")
	assert.Positive(t, told.count(lease.ReplaceFailed, "token"), "events: a login was refused")
	// Long enough for a back-off to have grown.
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		require.Error(t, a.fetch(t.Context()))
	}
	_, refused := p.logins(p.mount)

	changed := time.Now()
	p.project(t, p.token())
	testvault.Poll(t, 15*time.Second, func() bool { return a.fetch(t.Context()) == nil }, "reads work again")
	require.NoError(t, a.Ready())
	back, ok := p.loginAfter(p.mount, changed)
	require.True(t, ok, "a login in the audit log")
	assert.Positive(t, refused, "refused logins in the audit log")
	assert.LessOrEqual(t, refused, 7, "refused logins in the audit log")
	figure.AtMost(stdout, "a7-refused-recovery", back.Sub(changed).Seconds(), "s", 12, "oracle=audit-log", fmt.Sprintf("refused=%d", refused))
	require.NoError(t, a.Close(context.Background()))
	assert.Zero(t, p.liveTokens(p.mount), "tokens left")
}

// TestA7AServiceAccountIsDeletedAndMadeAnew under the same name: it is another, and what
// its predecessor's pods hold is worth nothing, however long it was to last. The server
// remembers what it has judged as good for 10 s.
func TestA7AServiceAccountIsDeletedAndMadeAnew(t *testing.T) {
	t.Parallel()
	p := newPod(t, "a7anew", map[string]any{"token_ttl": "8s", "token_max_ttl": "12s"})
	old := p.token()
	p.project(t, old)
	a, err := p.connect(t)
	require.NoError(t, err)
	log, stop := a.load(t.Context())

	p.k.DeleteServiceAccount(p.sa)
	gone := p.sa
	p.sa = p.k.ServiceAccount(gone.Namespace, gone.Name)
	require.NotEqual(t, gone.UID, p.sa.UID)
	p.project(t, p.token()) // for the service that runs
	testvault.Poll(t, testvault.UntilForgotten, func() bool { return !p.k.Takes(old, audience) }, "the old token is forgotten")

	late := *p // another pod, whose kubelet is late
	late.volume, late.turn = t.TempDir(), 0
	late.project(t, old)
	_, err = late.connect(t)
	p.refusal(t, err, "permission denied")

	late.project(t, p.token())
	b, err := late.connect(t)
	require.NoError(t, err)
	require.NoError(t, b.fetch(t.Context()))
	before, _ := p.logins(p.mount)
	testvault.Poll(t, 15*time.Second, func() bool { granted, _ := p.logins(p.mount); return granted > before }, "the service that runs logs in anew")
	stop()
	assert.Greater(t, log.done, workers*10, "too few reads to say anything")
	assert.Empty(t, log.failed, "failed reads")
	require.NoError(t, a.Close(context.Background()))
	require.NoError(t, b.Close(context.Background()))
	assert.Zero(t, p.liveTokens(p.mount), "tokens left")
}
