package suite

import (
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// refusal asserts that err is Vault's refusal of a login at p's mount, as a user reads it.
func (p *pod) refusal(t *testing.T, err error, text string) {
	t.Helper()
	var e *leasehold.Error
	require.ErrorAs(t, err, &e)
	assert.Equal(t, "auth/"+p.mount+"/login", e.Path)
	assert.Equal(t, http.StatusForbidden, e.Status)
	assert.Contains(t, strings.Join(e.Vault, "\n"), text, "Vault's own text")
	assert.Contains(t, e.Hint, "Kubernetes API server", "what to look at")
	assert.Contains(t, err.Error(), e.Hint)
	var classed *lease.Error
	require.ErrorAs(t, err, &classed)
	assert.Equal(t, lease.Refused, classed.Class)
}

// TestA7WhatIsRefusedSaysWhyAndNothingSecret starts a service with each token that the
// cluster or Vault refuses. It ends at once, for no repetition will help, with what Vault
// said and what to do; of the token there is nothing to be read anywhere.
func TestA7WhatIsRefusedSaysWhyAndNothingSecret(t *testing.T) {
	t.Parallel()
	p := newPod(t, "a7says", nil)
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	good, other := p.token(), p.token()
	ago := func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	mallory := p.k.ServiceAccount(p.mount, "mallory")
	for i, tc := range []struct {
		name, token, says string
	}{
		{"for another audience", p.k.Token(p.sa, 10*time.Minute, "somebody else"), "audience"},
		{"for the API server", p.k.Token(p.sa, 10*time.Minute), "audience"},
		{"with another's signature", good[:strings.LastIndex(good, ".")] + other[strings.LastIndex(other, "."):], "permission denied"},
		{"of another cluster", p.k.SignedBy(stranger, p.sa, audience, nil), "permission denied"},
		{"expired", p.k.Signed(p.sa, audience, testvault.Claims{"iat": ago(time.Hour), "nbf": ago(time.Hour), "exp": ago(2 * time.Minute)}), "expired"},
		{"of another service account", p.k.Token(mallory, 10*time.Minute, audience), "service account name not authorized"},
		{"cut off", good[:len(good)/2], "permission denied"},
		{"no token at all", "hello", "permission denied"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := *p
			p.world, p.volume = p.in(t), t.TempDir()
			p.mount = fmt.Sprintf("%s-%d", p.mount, i) // so that the audit log tells them apart
			p.enable(nil)
			p.project(t, tc.token)
			began := time.Now()
			a, err := p.connect(t)
			require.Error(t, err)
			assert.Less(t, time.Since(began), 8*time.Second, "a refusal is told at once")
			p.refusal(t, err, tc.says)
			granted, refused := p.logins(p.mount)
			assert.Zero(t, granted, "logins in the audit log")
			assert.Equal(t, 1, refused, "refused logins in the audit log: the same token is not shown twice")
			assert.Zero(t, p.liveTokens(p.mount), "tokens left")
			for _, part := range append(strings.Split(tc.token, "."), tc.token) {
				if len(part) > 20 {
					assert.NotContains(t, err.Error()+a.said.String(), part)
				}
			}
		})
	}
}
