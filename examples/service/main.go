// Command service is a small but complete service that holds its secrets with
// leasehold. Its AppRole's policy must allow it to read secret/data/payments/* and
// database/creds/payments-rw, and these must exist: the role, and the secrets
//
//	echo '{"api_key": "sk_..."}'     | vault kv put secret/payments/stripe -
//	echo '{"new_checkout": true}'    | vault kv put secret/payments/flags -
//
//	go run ./service -vault https://vault:8200 -role-id ID -secret-id FILE -database 'host=db.internal dbname=payments'
package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"flag"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

var (
	vault    = flag.String("vault", "http://127.0.0.1:8200", "Vault's `URL`")
	roleID   = flag.String("role-id", "", "the AppRole's role-id")
	secretID = flag.String("secret-id", "secret-id", "`file` with its secret-id, read afresh for each login")
	database = flag.String("database", "host=localhost dbname=payments", "PostgreSQL, without user and password")
)

func main() {
	flag.Parse()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := serve(log); err != nil {
		log.Error("the service has failed", "error", err)
		os.Exit(1)
	}
}

func serve(log *slog.Logger) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	client, err := leasehold.New(ctx, leasehold.Config{
		Address: *vault,
		Auth:    approle.New(*roleID, approle.SecretIDFile(*secretID)),
		Logger:  log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, client.Close(context.Background())) }() // revokes everything

	var cfg struct {
		StripeKey secret.String `vault:"secret:payments/stripe#api_key"`
		Banner    string        `vault:"secret:payments/ui#banner,optional"`
	}
	if err := client.Load(ctx, &cfg); err != nil {
		return err
	}
	creds, err := dynamic.Database(ctx, client, "payments-rw")
	if err != nil {
		return err
	}
	db := sql.OpenDB(sqldb.Connector(creds, openPostgres))
	defer func() { err = errors.Join(err, db.Close()) }() // pools close before the client
	flags, err := kv.Watch[map[string]bool](ctx, client.KV("secret"), "payments/flags")
	if err != nil {
		return err
	}
	for tick := time.Tick(time.Second); ; {
		var user string
		if err := db.QueryRowContext(ctx, "SELECT current_user").Scan(&user); err != nil && ctx.Err() == nil {
			log.Warn("the database does not answer", "error", err)
		}
		log.Info("at work", "banner", cfg.Banner, "stripe_key", cfg.StripeKey, "new_checkout", flags.Get()["new_checkout"], "database_user", user)
		select {
		case <-tick:
		case <-ctx.Done():
			return nil
		}
	}
}

func openPostgres(up dynamic.UserPass) (driver.Connector, error) {
	cfg, err := pgx.ParseConfig(*database)
	if err != nil {
		return nil, err
	}
	cfg.User, cfg.Password = up.Username, up.Password.Reveal()
	return stdlib.GetConnector(*cfg), nil
}
