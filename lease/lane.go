package lease

import "time"

// lane is work of one kind, of which only so much is done at once. What takes long gives
// its worker free, so that others go on, and what belongs together, but for polls, gets only
// half of the workers, so that an engine that hangs is not asked by everybody (law 23).
type lane struct {
	working int            // but for those that take long
	slow    int            // those
	groups  map[string]int // of both, by group
	waiting []*Entry       // due, and waiting for a worker
}

const (
	// slowAfter is when work has taken long.
	slowAfter = time.Second
	// slowLimit bounds what takes long, as a multiple of the workers. After that others wait.
	slowLimit = 8
)

func (m *Manager) lane(e *Entry) *lane {
	if e.read != nil {
		return &m.polls
	}
	if e.action == Replace {
		return &m.mints
	}
	return &m.leases
}

// room reports whether e may start.
func (m *Manager) room(l *lane, e *Entry) bool {
	return l.working < m.workers && (e.read != nil || l.groups[e.group] < max(1, m.workers/2))
}

// job is one piece of work that holds a worker.
type job struct {
	l     *lane
	group string
	slow  bool
	over  bool
	timer *time.Timer
}

// begin takes a worker of the lane for e.
func (m *Manager) begin(l *lane, e *Entry) *job {
	j := &job{l: l, group: e.group}
	if l.groups == nil {
		l.groups = make(map[string]int)
	}
	l.working++
	l.groups[j.group]++
	j.timer = time.AfterFunc(slowAfter, func() {
		m.do(func() {
			switch {
			case j.over:
			case l.slow >= slowLimit*m.workers:
				j.timer.Reset(slowAfter) // until there is room
			default:
				j.slow = true
				l.slow++
				l.working--
				m.wakeWaiting(l)
			}
		})
	})
	return j
}

// end gives the worker back.
func (m *Manager) end(j *job) {
	j.timer.Stop()
	j.over = true
	if j.slow {
		j.l.slow--
	} else {
		j.l.working--
	}
	if j.l.groups[j.group]--; j.l.groups[j.group] == 0 {
		delete(j.l.groups, j.group)
	}
	m.wakeWaiting(j.l)
}

// wakeWaiting starts what waits and now may.
func (m *Manager) wakeWaiting(l *lane) {
	if m.ctx.Err() != nil {
		return
	}
	kept := l.waiting[:0]
	for i, e := range l.waiting {
		if l.working >= m.workers {
			kept = append(kept, l.waiting[i:]...)
			break
		}
		switch {
		case e.queued != l: // not any more
		case m.room(l, e):
			m.start(e)
		default:
			kept = append(kept, e)
		}
	}
	clear(l.waiting[len(kept):])
	l.waiting = kept
}
