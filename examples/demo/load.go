package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"time"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
)

// queryEvery is how often the service queries its database.
const queryEvery = 100 * time.Millisecond

// serve is the service at work: it queries until ctx ends. Each time it also reads
// the credential, as an application with a driver of its own would.
func (p *play) serve(ctx context.Context, db *sql.DB, creds *dynamic.Credential[dynamic.UserPass]) {
	tick := time.NewTicker(queryEvery)
	defer tick.Stop()
	for {
		p.look(creds)
		p.query(db)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// look reads the credential. One that ends between our read and the servers'
// answer was good when it was read; so a dead one is read a second time, after the
// servers have declared it dead, and only then held against the library.
func (p *play) look(creds *dynamic.Credential[dynamic.UserPass]) {
	up, err := creds.Get()
	if err != nil {
		p.tally.none()
		return
	}
	dead := false
	if !p.stage.Alive(up.Username) {
		again, err := creds.Get()
		dead = err == nil && again.Username == up.Username
	}
	p.tally.read(up.Username, dead)
}

// query asks the database for something that only a living user may see, and who
// that was.
func (p *play) query(db *sql.DB) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var user string
	var n int
	err := db.QueryRowContext(ctx, "SELECT current_user, count(*) FROM payments").Scan(&user, &n)
	if err != nil {
		word := "failed"
		if p.tally.refused(err) {
			word = "refused"
		}
		p.screen.linef("query", word, "%v", err)
		return
	}
	if p.tally.answered(user) {
		p.screen.linef("query", "runs as", "%s", short(user))
	}
}

// dial opens a database for a credential, as the service's own code would, and
// watches what is dialled with.
func (p *play) dial(up dynamic.UserPass) (driver.Connector, error) {
	c, err := p.stage.Open(up)
	if err != nil {
		return nil, err
	}
	return &watched{Connector: c, user: up.Username, play: p}, nil
}

type watched struct {
	driver.Connector

	user string
	play *play
}

// Connect dials. The servers are asked first: who is dead before the dial was dead
// at the dial.
func (w *watched) Connect(ctx context.Context) (driver.Conn, error) {
	dead := !w.play.stage.Alive(w.user)
	conn, err := w.Connector.Connect(ctx)
	w.play.tally.dialled(w.user, dead || loginRefused(err))
	switch {
	case loginRefused(err):
		w.play.screen.linef("database", "refused", "the login of %s", short(w.user))
	case err != nil:
		w.play.screen.linef("database", "not dialled", "%v", err)
	}
	return conn, err
}

// loginRefused reports whether the database refused the user or the password.
func loginRefused(err error) bool {
	var state interface{ SQLState() string }
	return errors.As(err, &state) && (state.SQLState() == "28P01" || state.SQLState() == "28000")
}
