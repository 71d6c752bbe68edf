package testvault

import (
	"context"
	"net/http"
	"strings"
	"time"
)

// outcome is what the client of a Proxy gets to see.
type outcome struct {
	end    ending
	status int
	header http.Header
	body   []byte
}

type ending int

const (
	gone  ending = iota // nothing: the client waits no more, or the proxy ends
	cut                 // the end of its connection
	half                // an answer that breaks off
	whole               // an answer
)

// forever is longer than any test.
const forever = time.Duration(1<<63 - 1)

// apply runs the request through what the rule says. forward asks Vault, and is
// called once or not at all.
func (f *fault) apply(r *http.Request, forward func() (outcome, error)) outcome {
	if !f.After && !f.holds(r.Context()) {
		return outcome{end: gone}
	}
	switch {
	case f.DropBefore:
		return outcome{end: cut}
	case f.Redirect != "":
		return f.redirect(r)
	case f.Status != 0 && !f.After:
		return f.answer()
	}

	o, err := forward()
	if err != nil {
		if r.Context().Err() != nil {
			return outcome{end: gone}
		}
		return outcome{end: cut}
	}
	if f.After && !f.holds(r.Context()) {
		return outcome{end: gone}
	}
	switch {
	case f.DropAfter:
		return outcome{end: cut}
	case f.Status != 0:
		return f.answer()
	case f.Rewrite != nil:
		o.status, o.body = f.Rewrite(o.status, o.header, o.body)
	case f.HalfClose && len(o.body) == 0:
		return outcome{end: cut} // there is no half of nothing, and all of it would be an answer
	case f.HalfClose:
		o.end = half
	}
	return o
}

// holds waits as the rule says, until the rule is undone. It returns false if
// meanwhile the client has gone or the test has ended.
func (f *fault) holds(ctx context.Context) bool {
	d := f.Delay
	if f.BlackHole {
		d = forever
	}
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-f.undone:
		case <-ctx.Done():
		}
	}
	return ctx.Err() == nil
}

func (f *fault) answer() outcome {
	return outcome{end: whole, status: f.Status, header: f.Header.Clone(), body: []byte(f.Body)}
}

func (f *fault) redirect(r *http.Request) outcome {
	o := f.answer()
	if o.status == 0 {
		o.status = http.StatusTemporaryRedirect
	}
	if o.header == nil {
		o.header = http.Header{}
	}
	o.header.Set("Location", strings.TrimSuffix(f.Redirect, "/")+r.URL.RequestURI())
	return o
}
