package suite

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// TestC5OneQuestionTellsTheVersionOfAMount reads paths that look like parts of the API, from engines of both
// versions, one of them mounted at a path of two segments. The application's policy allows data alone.
func TestC5OneQuestionTellsTheVersionOfAMount(t *testing.T) {
	t.Parallel()
	w := world{v: testvault.Vault(t)}
	w.v.Mount("a/b", "kv", map[string]string{"version": "2"})
	w.v.Mount("old", "kv", map[string]string{"version": "1"})
	w.v.Mount("ancient", "kv", nil)
	w.v.Policy("app", `
		path "secret/data/*"   { capabilities = ["read"] }
		path "a/b/data/*"      { capabilities = ["read"] }
		path "+/x"             { capabilities = ["read"] }
		path "old/*"           { capabilities = ["read"] }
		path "ancient/data/x"    { capabilities = ["read"] }
		path "ancient/dataface/x" { capabilities = ["read"] }
		path "ancient/metadata/x" { capabilities = ["read"] }`)
	paths := []string{"x", "data/x", "dataface/x", "metadata/x"}
	mounts := map[string]int{"secret": 2, "a/b": 2, "old": 1, "ancient": 1}
	for mount, version := range mounts {
		for _, path := range paths {
			value := map[string]any{"is": mount + ":" + path}
			if version == 2 {
				w.v.Write(mount+"/data/"+path, map[string]any{"data": value})
			} else {
				w.v.Write(mount+"/"+path, value)
			}
		}
	}
	type what struct {
		Is string `json:"is"`
	}
	proxy := testvault.NewProxy(t, w.v.Addr())
	a := w.start(t, "approle-c5", map[string]any{"token_ttl": "1h"}, func(c *leasehold.Config) { c.Address = proxy.Addr() })
	var wg sync.WaitGroup
	for mount := range mounts {
		for _, path := range paths {
			for range 5 {
				wg.Go(func() {
					s, err := kv.Get[what](t.Context(), a.KV(mount), path)
					if assert.NoError(t, err) {
						assert.Equal(t, mount+":"+path, s.Value.Is)
						assert.Equal(t, mounts[mount]-1, s.Metadata.Version)
					}
				})
			}
		}
	}
	wg.Wait()
	for mount := range mounts {
		assert.Equal(t, 1, proxy.Count("GET", "sys/internal/ui/mounts/"+mount), "questions for %s", mount)
	}

	// An engine that is upgraded is noticed at the first read that fails for it.
	w.v.Write("sys/mounts/ancient/tune", map[string]any{"options": map[string]string{"version": "2"}})
	w.v.Policy("app", fmt.Sprintf("path %q { capabilities = [\"read\"] }", "ancient/*"))
	testvault.Poll(t, 20*time.Second, func() bool {
		s, err := kv.Get[what](t.Context(), a.KV("ancient"), "x")
		return err == nil && s.Metadata.Version == 1 && s.Value.Is == "ancient:x"
	}, "the upgraded engine is not read")
	require.LessOrEqual(t, proxy.Count("GET", "sys/internal/ui/mounts/ancient"), 3)
	require.NotContains(t, a.said.String(), "ancient:x")
}
