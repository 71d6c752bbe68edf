package official_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/seed-f5e1ac40/leasehold/auth/authtest"
	"github.com/seed-f5e1ac40/leasehold/auth/aws/official"
)

// TestConformance is what every method must do, this one when it is built anew each time.
func TestConformance(t *testing.T) {
	authtest.Run(t, func(t *testing.T) authtest.Harness {
		t.Helper()
		server := newServer(t)
		file := filepath.Join(t.TempDir(), "credentials")
		ids := []string{"AKIA0"}
		know(server, ids[0])
		keysIn(t, file, ids[0])
		return authtest.Harness{
			Method:    official.New(options...),
			Transport: server.Client().Transport,
			Rotate: func(t *testing.T) {
				t.Helper()
				old, next := ids[len(ids)-1], fmt.Sprintf("AKIA%d", len(ids))
				know(server, next)
				keysIn(t, file, next)
				forget(server, old)
				ids = append(ids, next)
			},
			Spoil: func(t *testing.T) { t.Helper(); forget(server, ids[len(ids)-1]) },
			Secrets: func() []string {
				var secrets []string
				for _, id := range ids {
					secrets = append(secrets, "secret-of-"+id)
				}
				return secrets
			},
		}
	})
}
