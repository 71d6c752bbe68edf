package kv_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// FuzzAnswers gives what is no secret's data, and pretends to be metadata, a list, a mount or the answer to a
// write: nothing panics, and no token that a server or a proxy repeats is in an error (law 20).
// Mutation: Vault's own texts are not scrubbed.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		`{"data": {"version": 1, "created_time": "2026-01-02T03:04:05Z", "deletion_time": "", "destroyed": false, "custom_metadata": {"a": "x"}}}`,
		`{"data": {"current_version": 2, "oldest_version": 1, "created_time": "2026-01-02T03:04:05Z", "updated_time": "x", "max_versions": 1e9, "delete_version_after": "x", "versions": {"1": {"created_time": "2026-01-02T03:04:05Z"}, "x": {}}}}`,
		`{"data": {"keys": ["x", "a/", ".."]}}`, `{"data": {"keys": "x"}}`, `{"data": {"keys": [null, 7]}}`,
		`{"data": {"type": "kv", "path": "secret/", "options": {"version": "2"}}}`, `{"data": {"type": "kv", "path": "s/", "options": {"version": "x"}}}`,
		`{"data": {"version": "x"}}`, `{"data": {"version": -1, "created_time": "x"}}`, `{"data": "x"}`, `{"data": ["x"]}`, `{"data": null}`, `{}`, `null`, `x`, ``, `"x"`,
		`{"errors": ["x"]}`, `{"errors": ["check-and-set parameter did not match the current version x"]}`, `{"warnings": ["Invalid path for a versioned K/V secrets engine x"]}`,
		`{"errors": ["no handler for route \"secret/x\""]}`, `{"errors": [], "data": {"version": 3, "destroyed": true}}`, `<html>x</html>`,
	} {
		for status := range statuses {
			f.Add([]byte(body), uint8(status))
		}
	}
	const canary = "CAESIJ0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789abcdef"
	var answer []byte
	var status int
	c, err := leasehold.New(context.Background(), leasehold.Config{
		Address: "http://vault.test", Auth: token.New("given"), HTTPClient: &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(r.URL.Path, "/v1/auth/token/") {
				return reply(r, http.StatusOK, `{"data": {"accessor": "a", "creation_ttl": 0, "expire_time": null, "num_uses": 0, "policies": ["root"], "renewable": false, "ttl": 0, "type": "service"}}`)
			}
			return reply(r, status, string(answer))
		})},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = c.Close(context.Background()) })
	mounts := 0
	f.Fuzz(func(t *testing.T, body []byte, which uint8) {
		answer, status = bytes.ReplaceAll(body, []byte("x"), []byte("hvs."+canary)), statuses[int(which)%len(statuses)]
		mounts++ // one that the client has not asked about yet
		ctx := t.Context()
		for _, store := range []*kv.Store{c.KV(fmt.Sprintf("s/%d", mounts)), c.KV("secret", kv.Version1()), c.KV("secret", kv.Version2())} {
			_, get := kv.Get[map[string]any](ctx, store, "a")
			_, list := store.List(ctx, "a")
			_, metadata := store.Metadata(ctx, "a")
			_, versions := store.Versions(ctx, "a")
			_, put := store.Put(ctx, "a", map[string]int{"n": 1}, kv.CAS(1))
			_, patch := store.Patch(ctx, "a", map[string]int{"n": 1})
			for op, err := range map[string]error{
				"get": get, "list": list, "metadata": metadata, "versions": versions, "put": put, "patch": patch, "delete": store.Delete(ctx, "a"),
				"undelete": store.Undelete(ctx, "a", 1), "put metadata": store.PutMetadata(ctx, "a", kv.MaxVersions(1)),
			} {
				if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, canary) {
					t.Errorf("%s, status %d, %q: %s", op, status, body, text)
				}
			}
		}
	})
}

// statuses are those that are not tried again: an outage would be waited for.
var statuses = []int{http.StatusOK, http.StatusNoContent, http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed}
