package testvault

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseAuditLeavesOutALineStillBeingWritten(t *testing.T) {
	entries, err := parseAudit([]byte(
		`{"time":"2025-01-02T03:04:05Z","type":"response","error":"permission denied",` +
			`"auth":{"display_name":"approle","accessor":"hmac-sha256:1"},` +
			`"request":{"operation":"read","path":"secret/data/a","client_token":"hmac-sha256:2",` +
			`"namespace":{"id":"root","path":"team/"},"headers":{"x-testvault":["1"]}}}` + "\n" +
			`{"type":"respo`))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	e := entries[0]
	assert.Equal(t, 2025, e.Time.Year())
	e.Time = Entry{}.Time
	assert.Equal(t, Entry{
		Type: "response", Operation: "read", Path: "secret/data/a", Error: "permission denied", Namespace: "team/",
		DisplayName: "approle", ClientToken: "hmac-sha256:2", Accessor: "hmac-sha256:1", Helper: true,
	}, e)
}

func TestParseAuditRefusesWhatIsNotALog(t *testing.T) {
	_, err := parseAudit([]byte("hello\n"))
	assert.Error(t, err)
}
