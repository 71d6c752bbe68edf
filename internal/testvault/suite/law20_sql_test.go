package suite

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// TestLaw20ADatabaseStoresTheSecretItself, by database/sql and in each of pgx's ways to send a query,
// and gives it back into the same types. PostgreSQL itself is asked what it has: that "[redacted]" was
// stored would be found out when the secret is gone.
func TestLaw20ADatabaseStoresTheSecretItself(t *testing.T) {
	const text, other = "canary-5c1b9e-sql", "canary-5c1b9e-null"
	raw := "\x00\x01\xff\\'canary-5c1b9e-bytea"
	pg := testvault.Postgres(t)
	pg.Exec("CREATE TABLE vault (id int PRIMARY KEY, t text, b bytea, n text)")
	said := &buffer{}
	log := slog.New(slog.NewTextHandler(said, nil))
	modes := []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"}
	for id, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			db, err := sql.Open("pgx", pg.AdminDSN()+"&default_query_exec_mode="+mode)
			require.NoError(t, err)
			defer func() { require.NoError(t, db.Close()) }()
			const insert = "INSERT INTO vault VALUES ($1, $2, $3, $4)"
			args := []any{id, secret.NewString(text), secret.NewBytes([]byte(raw)), sql.Null[secret.String]{V: secret.NewString(other), Valid: true}}
			_, err = db.ExecContext(t.Context(), insert, args...)
			require.NoError(t, err)
			_, err = db.ExecContext(t.Context(), insert, 100+id, secret.String{}, secret.Bytes{}, sql.Null[secret.String]{})
			require.NoError(t, err)
			_, taken := db.ExecContext(t.Context(), insert, args...)
			require.Error(t, taken)

			var s secret.String
			var b secret.Bytes
			var n sql.Null[secret.String]
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT t, b, n FROM vault WHERE id = $1", id).Scan(&s, &b, &n))
			log.Info("read", "args", args, "s", s, "b", b, "n", n, "err", taken)
			_, _ = fmt.Fprintf(said, "%v %+v %#v %q %x\n", args, n, n, s, b)
			// Not assert.Equal, which would print them.
			assert.True(t, s.Reveal() == text && string(b.Reveal()) == raw && n.Valid && n.V.Reveal() == other, "what was read is what was written")
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT t, b, n FROM vault WHERE id = $1", 100+id).Scan(&s, &b, &n))
			assert.True(t, s.IsZero() && b.IsZero() && !n.Valid, "what is empty is not NULL, and NULL is")
			var found int
			require.NoError(t, db.QueryRowContext(t.Context(), "SELECT id FROM vault WHERE t = $1 AND b = $2 AND id = $3", args[1], args[2], id).Scan(&found))
		})
	}
	var whole, empty int
	require.NoError(t, pg.DB().QueryRowContext(t.Context(), fmt.Sprintf(`SELECT
		count(*) FILTER (WHERE t = '%s' AND b = '\x%x' AND n = '%s'),
		count(*) FILTER (WHERE t = '' AND b = '' AND n IS NULL) FROM vault`, text, raw, other)).Scan(&whole, &empty))
	assert.Equal(t, len(modes), whole, "rows with the values themselves, as PostgreSQL sees them")
	assert.Equal(t, len(modes), empty)
	for i, planted := range []string{text, other, "canary", hex.EncodeToString([]byte("canary"))} {
		if strings.Contains(said.String(), planted) {
			t.Errorf("planted secret %d came out", i)
		}
	}
	assert.Contains(t, said.String(), "[redacted]")
}
