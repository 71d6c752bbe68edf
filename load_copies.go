package leasehold

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/internal/session"
)

// loaded are the dynamic credentials that plain fields were filled from. They are kept for as
// long as the client lives, and a later Load takes the credential of that moment from them:
// one for each path, however often it is loaded, and by how many at once.
type loaded struct {
	mu     sync.Mutex
	byPath map[string]*copied
	wasted map[string]bool // by path: made for a Load that failed, and given back
}

// inTurn sorts sources by when to ask for them. Who repeats a Load until it succeeds would make a
// credential and give it back each time: what was made for nothing is made again
// only when all else is there.
func (l *loaded) inTurn(all []*source) (first, then []*source) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range all {
		if l.wasted[s.mount+"/"+s.path] {
			then = append(then, s)
		} else {
			first = append(first, s)
		}
	}
	return first, then
}

// waste notes what is given back for a Load that has failed, or forgets it after one that has not.
func (l *loaded) waste(all []*source, failed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range all {
		switch path := s.mount + "/" + s.path; {
		case s.engine != dynamicEngine:
		case !failed, s.err != nil && s.giveBack == nil: // what fails by itself is to be known before others are made
			delete(l.wasted, path)
		case s.giveBack != nil:
			if l.wasted == nil {
				l.wasted = make(map[string]bool)
			}
			l.wasted[path] = true
		}
	}
}

// copied is the credential of one path.
type copied struct {
	opened     chan struct{} // closed when the next three are set
	credential *dynamic.Credential[rawKey]
	err        error
	hurried    bool // err came since who opened it had no more time

	users int  // Loads that are not done; guarded as byPath
	kept  bool // by one that has succeeded
}

// obtain reads the source from the credential that is kept, or opens one.
func (c *Client) obtain(whole, ctx context.Context, s *source, path string) error {
	k, err := c.loaded.use(ctx, path, func() (*dynamic.Credential[rawKey], error) {
		return dynamic.Open(session.Slotted(whole, ctx), c, dynamic.Request{Path: path}, func(g *dynamic.Grant) (rawKey, error) { return g.Data, nil })
	})
	if err != nil {
		return err
	}
	s.kept = k
	s.giveBack = func(ctx context.Context) error {
		if c.loaded.done(path, k, false) {
			return k.credential.Close(ctx)
		}
		return nil
	}
	for attempt := 0; ; attempt++ { // the one that is kept may have ended, in an outage
		value, err := k.credential.Current(ctx)
		if s.data = value.Reveal(); err == nil || !session.MayPass(err) {
			return err
		}
		if pauseErr := c.session.Pause(ctx, attempt, err); pauseErr != nil {
			return fmt.Errorf("%w; given up: %w", err, pauseErr)
		}
	}
}

// use returns the credential of path to one more user. The first opens it, and the others
// wait for that; if it fails for want of time, the next one tries.
func (l *loaded) use(ctx context.Context, path string, open func() (*dynamic.Credential[rawKey], error)) (*copied, error) {
	for {
		l.mu.Lock()
		k := l.byPath[path]
		first := k == nil
		if first {
			if l.byPath == nil {
				l.byPath = make(map[string]*copied)
			}
			k = &copied{opened: make(chan struct{})}
			l.byPath[path] = k
		}
		if first || k.credential != nil {
			k.users++
		}
		there := k.credential != nil
		l.mu.Unlock()
		switch {
		case there:
			return k, nil
		case first:
			return k, l.open(ctx, path, k, open)
		}
		select {
		case <-k.opened:
		case <-ctx.Done():
			return nil, fmt.Errorf("leasehold: obtain %s: %w while another Load does", path, context.Cause(ctx))
		}
		if k.err != nil && !k.hurried {
			return nil, k.err
		}
	}
}

func (l *loaded) open(ctx context.Context, path string, k *copied, open func() (*dynamic.Credential[rawKey], error)) (err error) {
	var credential *dynamic.Credential[rawKey]
	err = errNotOpened // unless it panics, and others wait
	defer func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		k.credential, k.err, k.hurried = credential, err, ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded)
		if err != nil {
			delete(l.byPath, path)
		}
		close(k.opened)
	}()
	credential, err = open()
	return err
}

var errNotOpened = errors.New("leasehold: load: another Load that obtained the credential has panicked")

// done ends a use of k, after which it is kept if anybody says so. It reports whether nobody
// wants it any more.
func (l *loaded) done(path string, k *copied, keep bool) (unwanted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.users--
	k.kept = k.kept || keep
	if k.users > 0 || k.kept {
		return false
	}
	delete(l.byPath, path)
	return true
}
