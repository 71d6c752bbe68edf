package sqldb

import (
	"context"
	"time"
)

// longestNap bounds timers: they stand still while the machine is suspended, and a
// credential may be found dead without being replaced again (law 9).
const longestNap = 30 * time.Second

// start starts the goroutine with the first connection.
func (d *Dialer) start() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return errClosed
	}
	if d.done == nil {
		var ctx context.Context
		ctx, d.cancel = context.WithCancel(context.Background())
		d.done = make(chan struct{})
		forget := func() {}
		if c, ok := d.creds.(interface{ CountOverdue(f func() int) func() }); ok {
			forget = c.CountOverdue(func() int { return d.Stats().Overdue })
		}
		go d.run(ctx, d.done, forget)
	}
	return nil
}

// run waits for new credentials and closes idle connections of older ones when their
// time has come. It ends with the connector, or when there will be no more
// credentials.
func (d *Dialer) run(ctx context.Context, done chan struct{}, forget func()) {
	defer close(done)
	defer forget()
	for after, over := uint64(0), false; !over; {
		after, over = d.turn(ctx, after)
	}
}

// turn closes what is due and waits: for a newer credential, for the next time that
// something is due, or for a nudge.
func (d *Dialer) turn(ctx context.Context, after uint64) (newest uint64, over bool) {
	// The nudge must be in place before the look, or what happens in between is missed.
	nap, wake := context.WithCancel(ctx)
	defer wake()
	d.mu.Lock()
	d.nudge = wake
	d.mu.Unlock()
	if next, more := d.retireIdle(); more {
		timer := time.AfterFunc(min(next, longestNap), wake)
		defer timer.Stop()
	}
	snap, err := d.creds.Wait(nap, after)
	switch {
	case ctx.Err() != nil:
		return after, true
	case err != nil:
		return after, nap.Err() == nil
	}
	d.supersede(snap.Generation)
	return snap.Generation, false
}

// retireIdle closes the idle connections whose time has come, and returns how long it
// is until the next one's, if there is one.
func (d *Dialer) retireIdle() (next time.Duration, more bool) {
	var due []*conn
	now := time.Now()
	d.mu.Lock()
	for _, g := range d.generations {
		if !g.older {
			continue
		}
		dead := g.snap.Left() <= 0
		for c := range g.conns {
			switch in := c.claim(now, dead); {
			case in == 0:
				due = append(due, c)
			case in > 0 && (!more || in < next):
				next, more = in, true
			}
		}
	}
	d.mu.Unlock()
	// Not under the lock: saying goodbye to a database takes as long as it takes.
	for _, c := range due {
		_ = c.hangUp()
	}
	return next, more
}

// claim takes an idle connection that is due out of the pool's reach and returns 0, or
// returns how long it is until it is due. It is negative for what is due and not idle:
// that is refused when it comes back.
func (c *conn) claim(now time.Time, dead bool) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	in := c.retireAt.Sub(now)
	switch {
	case c.state == idle && (dead || in <= 0):
		c.state = closed
		c.retired()
		return 0
	case c.state == closed || in <= 0:
		return -1
	}
	return in
}
