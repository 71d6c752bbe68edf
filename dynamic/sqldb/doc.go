// Package sqldb connects database/sql to credentials that change: every new
// connection dials with the credential of the moment, and connections of an older
// one are retired before it ends.
//
//	creds, err := dynamic.Database(ctx, client, "payments-rw")
//	db := sql.OpenDB(sqldb.Connector(creds, func(up dynamic.UserPass) (driver.Connector, error) {
//		cfg, err := pgx.ParseConfig(dsn)
//		if err != nil {
//			return nil, err
//		}
//		cfg.User, cfg.Password = up.Username, up.Password.Reveal()
//		return stdlib.GetConnector(*cfg), nil
//	}))
//	defer db.Close() // before the client: closing that ends the credential
//
// Any driver that has a driver.Connector will do. Set no maximum life on the pool
// for the sake of the credentials; the connector knows when each of them ends.
//
// # What happens to a connection
//
// It carries the credential that it was dialled with. After a replacement each
// connection of the older one gets a time of its own, drawn from half of what that
// has left, so that the pool is not dialled anew all at once (failure code P4).
// From then on it is closed if it is idle, or when it is returned. It is not handed
// out again shortly before its credential ends, nor afterwards. If there is no newer
// credential it serves until the true end: another connection would end just then too.
//
// A connection that is in use is never touched from outside. One that is still in
// use at its credential's end is left to its user, and counted in Stats.
//
// # What happens to errors
//
// A dial that is refused with an authentication failure invalidates the credential,
// once however many dials fail, and is repeated once with its replacement. A
// statement refused for want of permission is returned as it is and never repeated;
// Vault is asked in the background whether the credential is still alive, since a
// database may let the sessions of a revoked user live and refuse everything they
// ask for (failure code F4): SQLSTATE 42501 and 42704, MySQL 1142 and 1044.
//
// # What database/sql cannot be told
//
// A pool has no way to be told that an idle connection is gone. One that was closed
// here is counted by [sql.DB.Stats] until the pool reaches for it, which then takes
// another without its caller noticing.
//
// A connection that has not done anything yet may be in the pool or in somebody's
// hands; the driver is not told. So it is not closed from outside, but checked at its
// first statement. A [sql.Conn] that is taken and then not used until after
// its credential was replaced may therefore answer [driver.ErrBadConn] to the first
// statement, which the pool repeats by itself everywhere else.
package sqldb
