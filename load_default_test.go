package leasehold_test

import (
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/secret"
)

// TestADefaultIsWhatTheFieldIs: JSON where no text can fill it.
// Mutation: a default is a text in any case.
func TestADefaultIsWhatTheFieldIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, c := loadWorld(t)
		var cfg struct {
			Hosts  []string          `vault:"secret:gone#x,default=[\"a\", \"b\"]"`
			Ports  map[string]uint16 `vault:"secret:gone#x,default={\"http\": \"80\"}"`
			Doc    *doc              `vault:"secret:gone#x,default={\"limit\": \"7\"}"`
			Two    [2]bool           `vault:"secret:gone#x,default=[true, \"false\"]"`
			Bytes  []byte            `vault:"secret:gone#x,default=[1]"`
			Secret secret.String     `vault:"secret:gone#x,default={}"`
			Addr   netip.Addr        `vault:"secret:gone#x,default=::1"`
		}
		require.NoError(t, c.Load(t.Context(), &cfg))
		assert.Equal(t, []string{"a", "b"}, cfg.Hosts)
		assert.Equal(t, map[string]uint16{"http": 80}, cfg.Ports)
		assert.Equal(t, &doc{Limit: 7}, cfg.Doc)
		assert.Equal(t, [2]bool{true, false}, cfg.Two)
		assert.Equal(t, "[1]", string(cfg.Bytes), "a text comes first")
		assert.Equal(t, "{}", cfg.Secret.Reveal())
		assert.Equal(t, "::1", cfg.Addr.String())

		asked := len(w.Requests())
		err := c.Load(t.Context(), &struct {
			Object []string          `vault:"secret:gone#x,default={}"`
			Broken []string          `vault:"secret:gone#x,default=[\"a\""`
			Inside []int             `vault:"secret:gone#x,default=[\"a\"]"`
			Null   []string          `vault:"secret:gone#x,default=null"`
			Text   map[string]string `vault:"secret:gone#x,default=a"`
			JSON   []string          `vault:"secret:gone#x,json,default={}"`
			Addr   netip.Addr        `vault:"secret:gone#x,default={}"`
			Number int               `vault:"secret:gone#x,default=[1]"`
		}{})
		for _, field := range []string{"Object", "Broken", "Inside", "Null", "Text", "JSON", "Addr", "Number"} {
			require.ErrorContains(t, err, "field "+field+": tag")
		}
		require.ErrorContains(t, err, "the default does not fit []string: write it as JSON")
		require.Len(t, w.Requests(), asked)
	})
}
