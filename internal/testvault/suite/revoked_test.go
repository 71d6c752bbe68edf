package suite

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// TestB3WhateverARevokedUserIsRefusedIsAHint revokes a lease that a warm pool lives on.
// PostgreSQL lets the session go on and refuses what needs the user: a table with one
// SQLSTATE, the user's own name with another.
func TestB3WhateverARevokedUserIsRefusedIsAHint(t *testing.T) {
	w := newWorld(t)
	for role, query := range map[string]string{
		"byname":  "SELECT current_user::text",
		"bytable": "SELECT count(*)::text FROM ledger",
	} {
		t.Run(query, func(t *testing.T) {
			w := w.in(t)
			w.v.DatabaseRole("database", role, map[string]any{"default_ttl": "1h", "max_ttl": "2h"})
			a := w.start(t, "approle-"+role, map[string]any{"token_ttl": "1h"})
			creds, err := dynamic.Database(t.Context(), a, role)
			require.NoError(t, err)
			db := w.open(t, creds)
			var s string
			require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&s))

			w.v.RevokeLeases("database/creds/" + role)
			failed := 0
			testvault.Poll(t, 2*time.Second, func() bool {
				if db.QueryRowContext(t.Context(), query).Scan(&s) != nil {
					failed++
					return false
				}
				return true
			}, "no query succeeds after an outside revocation")
			require.Positive(t, failed, "the revocation must have been felt for this to say anything")
			require.Equal(t, 2, w.v.Audit().Count("read", "database/creds/"+role), "one creation for any number of refusals")
			require.NoError(t, db.Close())
			require.NoError(t, a.Close(t.Context()))
			w.nothingLeft(t, role)
		})
	}
}
