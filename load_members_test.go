package leasehold_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type overHTTP struct {
	Timeout time.Duration `json:"http_timeout"`
}

type overDB struct {
	Timeout time.Duration `json:"db_timeout"`
}

// Port is embedded, and no struct.
type Port int

// TestLoadGoesByNamesInJSON, as encoding/json does, where embedded structs have fields of one name in Go.
// Mutation: the fields of structs are not looked at.
func TestLoadGoesByNamesInJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := loadWorld(t)
		w.PutKV("secret", "embedded", map[string]any{"http_timeout": "30s", "db_timeout": "5s", "Port": "8080"})
		var cfg struct {
			Both struct {
				overHTTP
				overDB
				Port
			} `vault:"secret:embedded"`
		}
		require.NoError(t, c.Load(t.Context(), &cfg))
		assert.Equal(t, 30*time.Second, cfg.Both.overHTTP.Timeout)
		assert.Equal(t, 5*time.Second, cfg.Both.overDB.Timeout)
		assert.Equal(t, Port(8080), cfg.Both.Port)

		w.PutKV("secret", "embedded", map[string]any{"http_timeout": 30})
		require.ErrorContains(t, c.Load(t.Context(), &cfg), "secret/embedded#http_timeout: want time.Duration")
	})
}
