package leasehold_test

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestX1NoErrorCarriesWhatVaultAnswered (law 20): a login, a lookup and a renewal are answered with 200 and
// something that cannot be read. Neither error nor event repeats any of it.
// Mutation: the error of a renewal quotes the answer.
func TestX1NoErrorCarriesWhatVaultAnswered(t *testing.T) {
	const canary = "canary-4711"
	for name, body := range map[string]string{
		"no JSON": canary, "cut off": `{"auth":{"client_token":"` + canary, "of another form": `{"auth":{"client_token":["` + canary + `"]},"data":"` + canary + `"}`,
		"nothing of use": `{"auth":{"` + canary + `":"` + canary + `"},"data":{"ttl":"` + canary + `"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 100 * time.Second})
				bad := func(path string) {
					w.Fail(vaulttest.Fault{Path: path, Status: http.StatusOK, Body: body, Count: 1})
				}
				o := &output{}
				bad(loginPath)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, err := leasehold.New(ctx, w.config())
				require.Error(t, err)
				o.add(err)
				bad(lookupSelf)
				c := w.start()
				bad(renewToken)
				time.Sleep(51 * time.Second)
				o.add(c.Status(), c.Ready(), c.Close(t.Context()))
				for _, e := range w.events.list() {
					o.add(e, e.Err)
				}
				require.Contains(t, o.text.String(), "renew the token")
				require.NotContains(t, o.text.String(), canary)
			})
		})
	}
}
