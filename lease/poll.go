package lease

import "time"

// SetInterval changes how often a polled value is read. The next read comes no later than
// it would have come without: who counted on the old interval is not let down.
func (e *Entry) SetInterval(d time.Duration) {
	e.m.do(func() {
		e.interval = d
		if e.busy || e.queued != nil {
			return // the outcome decides what comes next, or it is due already
		}
		at := e.at
		e.m.schedule(e)
		if at < e.at && !e.removed {
			e.at = at
			e.m.push(e)
		}
	})
}

// Polled takes the outcome of a read of a polled value that somebody else made, and
// counts the interval from now.
func (e *Entry) Polled(err error) {
	e.m.do(func() {
		if !e.busy && e.queued == nil {
			e.m.polled(e, err)
		}
	})
}
