package testvault

import (
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDataTokensAndLeasesSurviveASeal(t *testing.T) {
	s := Vault(t)
	s.Write("secret/data/app", map[string]any{"data": map[string]any{"canary": "planted-value"}})
	token := s.field(s.Write("auth/token/create", map[string]any{"ttl": "1h", "policies": "default"}), "auth", "client_token")
	leases := s.Leases("auth/token/create")
	require.NotEmpty(t, leases)

	s.Seal()
	status, body, err := s.TryRead("secret/data/app")
	require.NoError(t, err)
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, body["errors"], "Vault is sealed")

	s.Unseal()
	assert.Equal(t, "planted-value", s.field(s.Read("secret/data/app"), "data", "data", "canary"))
	assert.True(t, s.Alive(token))
	assert.True(t, slices.Equal(leases, s.Leases("auth/token/create")), "the same leases as before")
	assert.NotZero(t, s.Audit().Entries(), "the audit log should go on")
}

func TestTheUnsealKeyIsNotAmongAServersLastWords(t *testing.T) {
	s := Vault(t)
	require.NotEmpty(t, s.key())
	assert.NotContains(t, s.process.tail(), s.key())

	p := shell(t, "echo '"+unsealKeyLine+"planted-key'; echo last")
	<-p.exited
	assert.Equal(t, "last", p.tail())
}
