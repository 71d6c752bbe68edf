package sqldb

import (
	"database/sql/driver"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
)

// generation is one credential with what was built on it. It is forgotten once there
// is a newer one and its last connection has gone.
type generation struct {
	snap dynamic.Snapshot[dynamic.UserPass]

	opening sync.Mutex // held while open runs; Dialer.mu is not, since open is foreign code

	// The rest is guarded by Dialer.mu.
	inner    driver.Connector // nil before open has succeeded
	conns    map[*conn]struct{}
	holders  int       // dials under way
	older    bool      // there is a newer generation
	retireBy time.Time // when the last of its connections is to go; set with older
}

// endless is over how long connections are retired whose credential does not end:
// nothing presses, but those who changed it want to see the end of the old one.
const endless = 10 * time.Minute

// hold returns the generation of a snapshot, which stays known until release.
func (d *Dialer) hold(snap dynamic.Snapshot[dynamic.UserPass]) *generation {
	d.newest()
	d.mu.Lock()
	defer d.mu.Unlock()
	g := d.generations[snap.Generation]
	if g == nil {
		g = &generation{snap: snap, conns: map[*conn]struct{}{}}
		if snap.Generation < d.seen.Load() {
			g.outdate(time.Now())
		}
		d.generations[snap.Generation] = g
	}
	g.holders++
	return g
}

func (d *Dialer) release(g *generation) {
	d.mu.Lock()
	g.holders--
	d.mu.Unlock()
	_ = d.closeUnused()
}

// connector returns the driver's connector of a generation. A failure is not kept: it
// may be of the moment, while the credential lives for hours.
func (d *Dialer) connector(g *generation) (driver.Connector, error) {
	g.opening.Lock()
	defer g.opening.Unlock()
	d.mu.Lock()
	inner := g.inner
	d.mu.Unlock()
	if inner != nil {
		return inner, nil
	}
	inner, err := d.open(g.snap.Value)
	if err == nil && inner == nil {
		err = errors.New("open returned no connector")
	}
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	g.inner = inner
	d.driver = inner.Driver()
	return inner, nil
}

// closeUnused forgets the generations that nobody needs any more, and closes their
// connectors where the driver has something to close.
func (d *Dialer) closeUnused() error {
	var closers []io.Closer
	d.mu.Lock()
	for number, g := range d.generations {
		if (!g.older && !d.closed) || g.holders > 0 || len(g.conns) > 0 {
			continue
		}
		delete(d.generations, number)
		if closer, ok := g.inner.(io.Closer); ok {
			closers = append(closers, closer)
		}
	}
	d.mu.Unlock()
	var errs []error
	for _, closer := range closers {
		errs = append(errs, closer.Close())
	}
	return errors.Join(errs...)
}

// register makes a connection of what was dialled.
func (d *Dialer) register(g *generation, inner driver.Conn) *conn {
	c := &conn{dialer: d, generation: g, inner: inner}
	d.mu.Lock()
	defer d.mu.Unlock()
	g.conns[c] = struct{}{}
	if g.older {
		c.retireAt = g.draw(time.Now())
		if d.nudge != nil {
			d.nudge() // the goroutine may be waiting for a replacement only
		}
	}
	return c
}

func (d *Dialer) forget(c *conn) {
	d.mu.Lock()
	delete(c.generation.conns, c)
	d.mu.Unlock()
	_ = d.closeUnused()
}

// newest returns the newest generation's number, and sees to it that all earlier ones
// are being retired. Without a newer one it is two atomic loads.
func (d *Dialer) newest() uint64 {
	number := d.creds.Snapshot().Generation
	if number > d.seen.Load() {
		d.supersede(number)
	}
	return d.seen.Load()
}

// supersede begins the retirement of everything older than a generation.
func (d *Dialer) supersede(number uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if number <= d.seen.Load() {
		return
	}
	now := time.Now()
	for n, g := range d.generations {
		if n < number && !g.older {
			g.outdate(now)
		}
	}
	// Last: who sees the new number may rely on the times being drawn.
	d.seen.Store(number)
}

// outdate draws the times at which the connections go: uniformly over half of what the
// credential has left, so that neither the database nor Vault's other clients meet all
// new dials at once (failure code P4), and that all is done long before the end. Of a
// dead credential all go now. Dialer.mu is held.
func (g *generation) outdate(now time.Time) {
	g.older = true
	overlap := g.snap.Left()
	if g.snap.Life() == 0 && overlap > 0 {
		overlap = endless
	}
	g.retireBy = now.Add(max(overlap, 0) / 2)
	for c := range g.conns {
		c.mu.Lock()
		c.retireAt = g.draw(now)
		c.mu.Unlock()
	}
}

// draw returns one connection's time.
func (g *generation) draw(now time.Time) time.Time {
	span := g.retireBy.Sub(now)
	if span <= 0 {
		return now
	}
	return now.Add(rand.N(span)) //nolint:gosec // nobody gains by guessing it
}

// margin is how long before a credential's end its connections are no longer handed
// out, if there is a newer one.
func (d *Dialer) margin(g *generation) time.Duration {
	if d.fixedMargin >= 0 {
		return d.fixedMargin
	}
	return min(g.snap.Life()/10, maxMargin)
}
