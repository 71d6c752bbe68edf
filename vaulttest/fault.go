package vaulttest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Fault is something that goes wrong with the requests it fits. Set one at least of Status, Delay,
// Hang, DropBefore, DropAfter and Refuse. Of several Delay comes first, then Hang, then the answer or
// the cut; a request that a Hang alone has held is answered as usual when it is let go. Refuse stands
// alone.
//
//	s.Fail(Fault{Path: "auth/", Count: 2, Status: 429, Header: http.Header{"Retry-After": {"7"}}})
//	s.Fail(Fault{Every: 3, DropAfter: true})                       // a third of the answers is lost
//	s.Fail(Fault{Path: "secret/", Delay: time.Minute, After: true}) // a slow answer
//	s.Fail(Fault{Status: 502, Body: "<html>Bad Gateway</html>"})   // what a proxy says
//	s.Fail(Fault{Status: 307, Header: http.Header{"Location": {"http://other:8200/v1/sys/health"}}})
//	time.AfterFunc(time.Minute, s.Fail(Fault{Refuse: true}))       // nobody there for a minute
type Fault struct {
	// Method is the requests' method, LIST for lists; empty for all. PUT and POST, which are the
	// same to Vault, stand for each other.
	Method string
	// Path is a prefix of the requests' paths, or with "*" for any text in it a pattern for the
	// whole path. /v1/ may stand before it. Empty: all.
	Path string
	// Count is how many requests it hits before it is over; zero: all until it is ended.
	Count int
	// Every makes it hit only every so many of the requests it fits, such as each third; zero: all
	// of them. With a Count of 1 it hits the third alone.
	Every int

	// Status answers with this status, Body and Header in the server's place. An empty Body
	// becomes Vault's error form with the status's name. Without a Content-Type in Header, that of
	// the Body is found by looking at it.
	Status int
	Body   string
	Header http.Header

	// Delay lets that much time pass first, by the clock of the test (of the bubble, in one). A
	// request whose context ends meanwhile goes no further.
	Delay time.Duration
	// Hang holds the request until its context or the fault ends. A request that was made in a
	// bubble must be let go in it.
	Hang bool
	// After makes Status, Delay and Hang strike when the request has taken effect already, instead
	// of before: a proxy that fails on the way back.
	After bool

	// DropBefore cuts the connection before the request has an effect, DropAfter after it: io.EOF
	// to the client either way.
	DropBefore, DropAfter bool
	// Refuse refuses the connection. Through URL, where one request cannot be refused, the
	// connection is reset.
	Refuse bool

	pattern *regexp.Regexp
	seen    int // how many requests it has fitted
}

// waiter is a request that a fault holds.
type waiter struct {
	fault *Fault
	// end has room for one result, and exists only while a request is held: a channel made with
	// the server would belong to the bubble of New, and a Close from outside it would panic.
	end chan error
}

// Fail adds a fault, and returns what ends it again: requests that it holds go on then. Of several
// faults that fit a request, the first added strikes.
func (s *Server) Fail(f Fault) (end func()) {
	s.tb.Helper()
	end = func() { s.endFaults(func(other *Fault) bool { return other == &f }) }
	if why := f.refusal(); why != "" {
		s.tb.Fatalf("vaulttest: Fail: %s", why)
		return end
	}
	f.Method, f.Path, f.Header = strings.ToUpper(f.Method), apiPath(f.Path), f.Header.Clone()
	if strings.Contains(f.Path, "*") {
		f.pattern = regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(f.Path), `\*`, ".*") + "$")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
	return end
}

// refusal is why a fault makes no sense; empty: it does.
func (f *Fault) refusal() string {
	acts := f.Status != 0 || f.Delay > 0 || f.Hang || f.DropBefore || f.DropAfter
	switch {
	case f.Count < 0, f.Every < 0, f.Delay < 0:
		return "Count, Every and Delay cannot be negative"
	case !acts && !f.Refuse:
		return "this fault does nothing: set Status, Delay, Hang, DropBefore, DropAfter or Refuse"
	case acts && f.Refuse:
		return "Refuse stands alone: a connection that is refused carries nothing else"
	case f.DropBefore && f.DropAfter:
		return "DropBefore and DropAfter exclude each other"
	case f.Status != 0 && (f.Status < 200 || f.Status > 999):
		return fmt.Sprintf("no final HTTP status: %d", f.Status)
	}
	return ""
}

// ClearFaults ends all faults. Requests that they hold go on.
func (s *Server) ClearFaults() { s.endFaults(func(*Fault) bool { return true }) }

func (s *Server) endFaults(which func(*Fault) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = slices.DeleteFunc(s.faults, which)
	for w := range s.waiting {
		if which(w.fault) {
			delete(s.waiting, w)
			w.end <- nil
		}
	}
}

func (f *Fault) fits(method, path string) bool {
	if f.Method != "" && !sameMethod(f.Method, method) {
		return false
	}
	if f.pattern != nil {
		return f.pattern.MatchString(path)
	}
	return strings.HasPrefix(path, f.Path)
}

// takeFault returns the fault for a request, or nil, and counts it. The caller holds mu.
func (s *Server) takeFault(method, path string) *Fault {
	for i, f := range s.faults {
		if !f.fits(method, path) {
			continue
		}
		if f.seen++; f.Every > 1 && f.seen%f.Every != 0 {
			continue
		}
		if f.Count > 0 {
			if f.Count--; f.Count == 0 {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			}
		}
		return f
	}
	return nil
}

// withFault runs the request with what the fault does to it. Nothing is locked while it waits.
func (s *Server) withFault(ctx context.Context, f *Fault, handle func() reply) reply {
	switch {
	case f == nil:
		return handle()
	case f.Refuse:
		return reply{err: errRefused()}
	}
	if !f.After {
		if err := s.hold(ctx, f); err != nil {
			return reply{err: err}
		}
		if f.DropBefore {
			return reply{err: io.EOF}
		}
		if f.Status != 0 && !f.DropAfter {
			return f.reply()
		}
	}
	r := handle()
	if f.After {
		if err := s.hold(ctx, f); err != nil {
			return reply{err: err}
		}
		if f.Status != 0 {
			r = f.reply()
		}
	}
	if f.DropAfter || f.DropBefore {
		return reply{err: io.EOF}
	}
	return r
}

func (f *Fault) reply() reply {
	if f.Body == "" {
		r := fail(f.Status, http.StatusText(f.Status))
		r.header = f.Header
		return r
	}
	header := f.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if header.Get("Content-Type") == "" && !json.Valid([]byte(f.Body)) {
		header.Set("Content-Type", http.DetectContentType([]byte(f.Body)))
	}
	return reply{status: f.Status, header: header, body: []byte(f.Body)}
}

// hold waits for as long as the fault says.
func (s *Server) hold(ctx context.Context, f *Fault) error {
	var over <-chan time.Time // never, for a request that hangs
	switch {
	case f.Hang:
	case f.Delay > 0:
		t := time.NewTimer(f.Delay)
		defer t.Stop()
		over = t.C
	default:
		return nil
	}
	w := &waiter{fault: f, end: make(chan error, 1)}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return io.EOF
	}
	s.waiting[w] = struct{}{}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, w)
		s.mu.Unlock()
	}()
	select {
	case <-over:
		return nil
	case err := <-w.end:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
