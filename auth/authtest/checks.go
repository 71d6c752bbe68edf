package authtest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// patience is how long a login may take that has no reason to.
var patience = 10 * time.Second // but less in this package's own tests

// client is what a session gives to a login: private, without a token, and without retries.
func (h Harness) client() (*api.Client, *counter, error) {
	address := h.Address
	if address == "" {
		address = "http://vault.test"
	}
	count := &counter{next: h.Transport}
	conf := &api.Config{Address: address, HttpClient: &http.Client{
		Transport:     count,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	c, err := api.NewClient(conf)
	if err != nil {
		return nil, nil, err
	}
	c.SetMaxRetries(0)
	c.ClearToken()
	return c, count, nil
}

// counter counts the requests that Vault refused.
type counter struct {
	next    http.RoundTripper
	refused atomic.Int64
}

// RoundTrip implements http.RoundTripper.
func (c *counter) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(req)
	if err == nil && resp.StatusCode >= http.StatusBadRequest {
		c.refused.Add(1)
	}
	return resp, err
}

// logIn logs in with a client of its own.
func (h Harness) logIn(ctx context.Context) error {
	c, _, err := h.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	s, err := h.Method.Login(ctx, c)
	if err == nil && (s == nil || s.Auth == nil || s.Auth.ClientToken == "") {
		err = errors.New("no error, and no token")
	}
	return err
}

func logsIn(t *testing.T, h Harness) error {
	t.Helper()
	for range 2 {
		if err := h.logIn(t.Context()); err != nil {
			return err
		}
	}
	return nil
}

func readsAfresh(t *testing.T, h Harness) error {
	t.Helper()
	if h.Rotate == nil {
		t.Log("left out: Harness.Rotate is nil")
		return nil
	}
	for range 3 {
		if err := h.logIn(t.Context()); err != nil {
			return err
		}
		h.Rotate(t)
	}
	return h.logIn(t.Context())
}

func heedsContext(t *testing.T, h Harness) error {
	t.Helper()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := within(patience, func() error { return h.logIn(ended) }); err == nil {
		return errors.New("no error although its context had ended before")
	} else if !errors.Is(err, context.Canceled) {
		return fmt.Errorf("errors.Is(err, context.Canceled) is false of %w", err)
	}

	asked := make(chan struct{})
	var once sync.Once
	h.Transport = roundTripper(func(req *http.Request) (*http.Response, error) {
		once.Do(func() { close(asked) })
		<-req.Context().Done()
		return nil, req.Context().Err()
	})
	waiting, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		select {
		case <-asked:
		case <-waiting.Done():
		}
		cancel()
	}()
	if err := within(patience, func() error { return h.logIn(waiting) }); !errors.Is(err, context.Canceled) {
		return fmt.Errorf("its context was cancelled while Vault did not answer: want context.Canceled, got %w", orNone(err))
	}
	return nil
}

func saysRefused(t *testing.T, h Harness) error {
	t.Helper()
	if h.Spoil == nil {
		t.Log("left out: Harness.Spoil is nil")
		return nil
	}
	h.Spoil(t)
	c, count, err := h.client()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = h.Method.Login(ctx, c)
	var answer *api.ResponseError
	switch {
	case err == nil:
		return errors.New("no error with a credential that Vault refuses")
	case count.refused.Load() == 0:
		return nil // it was found worthless otherwise
	case !errors.As(err, &answer):
		return fmt.Errorf("no *api.ResponseError in %w", err)
	case answer.StatusCode >= http.StatusInternalServerError:
		return fmt.Errorf("status %d of a refusal", answer.StatusCode)
	case count.refused.Load() > 2: // a source that was just replaced may be read once more
		return fmt.Errorf("%d refusals in one login: Vault locks a user out after five", count.refused.Load())
	}
	return nil
}

var errAway = errors.New("authtest: connection refused")

func saysAway(t *testing.T, h Harness) error {
	t.Helper()
	var requests atomic.Int64
	h.Transport = roundTripper(func(*http.Request) (*http.Response, error) { requests.Add(1); return nil, errAway })
	err := h.logIn(t.Context())
	switch asked := requests.Load(); {
	case err == nil:
		return errors.New("no error although no request got through")
	case asked == 0:
		return fmt.Errorf("it asked nothing: %w", err)
	case asked > 1:
		return fmt.Errorf("%d requests: only the client repeats, with pauses, since a login whose answer was lost has made a token", asked)
	case !errors.Is(err, errAway):
		return fmt.Errorf("the cause is not in the chain of %w", err)
	}
	return nil
}

func hasFingerprint(t *testing.T, h Harness) error {
	t.Helper()
	f, ok := h.Method.(auth.Fingerprinter)
	if !ok {
		return nil
	}
	seen := make(map[string]string)
	look := func(when string) error {
		first, err := f.Fingerprint(t.Context())
		if err != nil {
			return fmt.Errorf("%s: %w", when, err)
		}
		second, err := f.Fingerprint(t.Context())
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", when, err)
		case first == "" || first != second:
			return fmt.Errorf("%s: it is empty, or another each time", when)
		case seen[first] != "":
			return fmt.Errorf("%s: the same as %s", when, seen[first])
		}
		seen[first] = when
		return h.shows(first, "the fingerprint")
	}
	if err := look("at first"); err != nil {
		return err
	}
	if h.Rotate != nil {
		h.Rotate(t)
		if err := look("after the credential was rotated"); err != nil {
			return err
		}
	}
	if h.Spoil != nil {
		h.Spoil(t)
		if _, err := f.Fingerprint(t.Context()); err != nil {
			return h.shows(err.Error(), "the error of the fingerprint") // of what makes no sense there need be none
		}
		return look("after the credential was spoilt")
	}
	return nil
}

func concurrently(t *testing.T, h Harness) error {
	t.Helper()
	const clients = 8
	errs := make([]error, clients)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { errs[i] = h.logIn(t.Context()) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func leavesNothing(t *testing.T, h Harness) error {
	t.Helper()
	if err := h.logIn(t.Context()); err != nil { // what is made once, such as connections
		return err
	}
	before := runtime.NumGoroutine()
	for range 5 {
		if err := h.logIn(t.Context()); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(patience)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for runtime.NumGoroutine() > before {
		if time.Now().After(deadline) {
			return fmt.Errorf("%d goroutines after five logins, %d before", runtime.NumGoroutine(), before)
		}
		<-tick.C
	}
	return nil
}

// within runs f, which must not take longer than d.
func within(d time.Duration, f func() error) error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("it still runs after %s", d)
	}
}

func orNone(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
