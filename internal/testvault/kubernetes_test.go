package testvault

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
)

// TestKubernetesJudgesTokens asks a real API server, and a real Vault that asks it, about
// one token after the other.
func TestKubernetesJudgesTokens(t *testing.T) {
	k, v := Kubernetes(t), Vault(t)
	v.KubernetesAuth(k, "cluster", nil)
	k.Namespace("shop")
	sa := k.ServiceAccount("shop", "payments")
	v.KubernetesRole("cluster", "app", sa, "vault", map[string]any{"token_ttl": "1m"})
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	requested := k.Token(sa, 10*time.Minute, "vault", "else")
	signed := k.Signed(sa, "vault", nil)

	login := func(jwt string) (status int, errs string) {
		status, answer, err := v.As("").TryWrite("auth/cluster/login", map[string]any{"role": "app", "jwt": jwt})
		require.NoError(t, err)
		return status, fmt.Sprint(answer["errors"])
	}
	for _, tc := range []struct {
		name, token, says string
		taken             bool // by the API server
	}{
		{"one that it made", requested, "", true},
		{"one that it might have made", signed, "", true},
		{"expired, but for the leeway", k.Signed(sa, "vault", Claims{"exp": at(-30 * time.Second)}), "", true},
		{"for another audience", k.Token(sa, 10*time.Minute, "else"), "audience", false},
		{"for the API server", k.Token(sa, 10*time.Minute), "audience", false},
		{"expired", k.Signed(sa, "vault", Claims{"exp": at(-2 * time.Minute)}), "token is expired", false},
		{"of another name", k.Signed(ServiceAccount{"shop", "other", sa.UID}, "vault", nil), "service account name not authorized", false},
		{"of another that had the name", k.Signed(ServiceAccount{"shop", "payments", "b1946ac9"}, "vault", nil), "permission denied", false},
		{"with claims that were not signed", requested[:strings.LastIndex(requested, ".")] + signed[strings.LastIndex(signed, "."):], "permission denied", false},
		{"of another issuer's key", k.SignedBy(stranger, sa, "vault", nil), "permission denied", false},
	} {
		assert.Equal(t, tc.taken, k.Takes(tc.token, "vault"), tc.name)
		status, errs := login(tc.token)
		if tc.says == "" {
			assert.Equal(t, http.StatusOK, status, "%s: %s", tc.name, errs)
			continue
		}
		assert.Equal(t, http.StatusForbidden, status, tc.name)
		assert.Contains(t, errs, tc.says, tc.name)
	}

	k.DeleteServiceAccount(sa)
	assert.NotEqual(t, sa.UID, k.ServiceAccount("shop", "payments").UID)
	Poll(t, UntilForgotten, func() bool { return !k.Takes(requested, "vault") }, "a deleted service account's token is refused")
	status, _ := login(requested)
	assert.Equal(t, http.StatusForbidden, status)
}

func TestASharedAPIServerThatWasNeverAskedForIsNotStarted(t *testing.T) {
	var shared SharedKubernetes
	shared.Stop()
	require.Nil(t, shared.server)
	require.ErrorContains(t, shared.err, "stopped")
}
