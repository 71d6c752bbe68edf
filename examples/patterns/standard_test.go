package patterns_test

import (
	"context"
	"database/sql"
	"flag"
	"log/slog"
	"os"

	"github.com/seed-f5e1ac40/leasehold/secret"
)

// A secret in a flag and in a log.
func Example_flagAndSlog() {
	var password secret.String
	flags := flag.NewFlagSet("app", flag.ExitOnError)
	flags.Var(&password, "password", "for tests; others on the machine can read it")
	check(flags.Parse([]string{"-password", "hunter2"}))

	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	logger.Info("starting", "password", password)
	// Output: level=INFO msg=starting password=[redacted]
}

func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// apiKey reads a secret from a database; it may be NULL there.
func apiKey(ctx context.Context, db *sql.DB, customer int64) (sql.Null[secret.String], error) { //nolint:unused // for the documentation
	var key sql.Null[secret.String]
	err := db.QueryRowContext(ctx, "SELECT api_key FROM customers WHERE id = $1", customer).Scan(&key)
	return key, err
}

// setAPIKey stores one: the driver is given the text itself.
func setAPIKey(ctx context.Context, db *sql.DB, customer int64, key secret.String) error { //nolint:unused // for the documentation
	_, err := db.ExecContext(ctx, "UPDATE customers SET api_key = $1 WHERE id = $2", key, customer)
	return err
}
