package suite

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// TestA7ATokenEndsWithItsPod, as what kubelet projects does: the account is there, and the token
// has ten minutes left. Who still holds it is refused, and told so, until he has another pod's.
func TestA7ATokenEndsWithItsPod(t *testing.T) {
	t.Parallel()
	p := newPod(t, "a7bound", map[string]any{"token_ttl": "8s", "token_max_ttl": "8s"})
	first := p.k.Pod(p.sa, "payments-1")
	bound := p.k.BoundToken(first, 10*time.Minute, audience)
	p.project(t, bound)
	var told heard
	a, err := p.connect(t, told.listen)
	require.NoError(t, err)
	require.NoError(t, a.fetch(t.Context()))
	require.True(t, p.k.Takes(bound, audience))

	p.k.DeletePod(first)
	testvault.Poll(t, testvault.UntilForgotten, func() bool { return !p.k.Takes(bound, audience) }, "the pod's token is forgotten")
	require.True(t, p.k.Takes(p.token(), audience), "the account must be there for this to say anything")
	granted, _ := p.logins(p.mount)
	_, err = p.connect(t) // a container that is late
	p.refusal(t, err, "permission denied")
	testvault.Poll(t, 15*time.Second, func() bool { return a.fetch(t.Context()) != nil }, "the death of Vault's token")
	p.refusal(t, a.fetch(t.Context()), "permission denied")
	require.ErrorContains(t, a.Ready(), "token")
	assert.Positive(t, told.count(lease.ReplaceFailed, "token"), "events: a login was refused")
	still, refused := p.logins(p.mount)
	assert.Equal(t, granted, still, "logins in the audit log that were granted after the pod's end")
	assert.LessOrEqual(t, refused, 8, "refused logins in the audit log")
	assert.NotContains(t, a.said.String(), bound)

	second := p.k.Pod(p.sa, "payments-2")
	p.project(t, p.k.BoundToken(second, 10*time.Minute, audience))
	testvault.Poll(t, 15*time.Second, func() bool { return a.fetch(t.Context()) == nil }, "reads work again")
	require.NoError(t, a.Ready())
	b, err := p.connect(t)
	require.NoError(t, err)
	require.NoError(t, b.Close(context.Background()))
	require.NoError(t, a.Close(context.Background()))
	assert.Zero(t, p.liveTokens(p.mount), "tokens left")
}
