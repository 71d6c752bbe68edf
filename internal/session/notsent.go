package session

import (
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// notSentError is the failure of a request that certainly did nothing: it never left, or
// who got it only pointed elsewhere. A creation that failed so may be repeated (law 7).
type notSentError struct{ err error }

func (e *notSentError) Error() string { return e.err.Error() }

func (e *notSentError) Unwrap() error { return e.err }

func isNotSent(err error) bool {
	var e *notSentError
	return errors.As(err, &e)
}

// watched returns req, and whether there was a connection for it. Without one nothing was
// sent, although a failed handshake looks like a lost answer. Only net/http tells; of
// another transport it is assumed.
func watched(req *http.Request, rt http.RoundTripper) (out *http.Request, connected func() bool) {
	if _, ok := rt.(*http.Transport); !ok {
		return req, func() bool { return true }
	}
	var got atomic.Bool
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { got.Store(true) }}
	return req.WithContext(httptrace.WithClientTrace(req.Context(), trace)), got.Load
}
