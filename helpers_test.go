package leasehold_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// address names no host: requests reach the server inside the process.
const address = "http://vault.test:8200"

// Paths that the oracle counts.
const (
	loginPath  = "auth/approle/login"
	renewToken = "auth/token/renew-self"
	revokeSelf = "auth/token/revoke-self"
	lookupSelf = "auth/token/lookup-self"
	renewLease = "sys/leases/renew"
	credsPath  = "database/creds/app"
	configPath = "secret/data/app/config"
)

// world is a Vault with one application: an AppRole, its policy, a secret and a
// database role. The server is the oracle of what the library did.
type world struct {
	*vaulttest.Server
	t                *testing.T
	roleID, secretID string
	wire             *wire
	events           *eventLog
}

// appPolicy is what the application may do.
var appPolicy = []vaulttest.Rule{
	{Path: "secret/data/*", Capabilities: []string{"read"}},
	{Path: "database/creds/*", Capabilities: []string{"read"}},
	{Path: "sys/leases/revoke", Capabilities: []string{"update"}},
}

// newWorld makes a world whose AppRole is as in spec, with the policy "app" besides.
func newWorld(t *testing.T, spec vaulttest.AppRoleSpec) *world {
	t.Helper()
	w := &world{Server: vaulttest.New(t), t: t, events: &eventLog{}}
	w.wire = &wire{next: w.Client().Transport}
	w.Policy("app", appPolicy...)
	spec.Policies = append(spec.Policies, "app")
	w.roleID, w.secretID = w.AppRole("app", spec)
	w.database(vaulttest.RoleSpec{DefaultTTL: time.Hour, MaxTTL: 24 * time.Hour})
	w.PutKV("secret", "app/config", map[string]any{"banner": "hello", "api_key": "k-1"})
	return w
}

// database sets the role "app".
func (w *world) database(spec vaulttest.RoleSpec) { w.DynamicRole("database", "app", spec) }

// config returns a configuration for this world, and lets adjust change it.
func (w *world) config(adjust ...func(*leasehold.Config)) leasehold.Config {
	cfg := leasehold.Config{
		Address:    address,
		Auth:       approle.New(w.roleID, approle.SecretIDString(w.secretID)),
		HTTPClient: &http.Client{Transport: w.wire},
		OnEvent:    w.events.add,
	}
	for _, a := range adjust {
		a(&cfg)
	}
	return cfg
}

// start returns a client that is closed when the test ends.
func (w *world) start(adjust ...func(*leasehold.Config)) *leasehold.Client {
	w.t.Helper()
	c, err := leasehold.New(w.t.Context(), w.config(adjust...))
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = c.Close(context.Background()) })
	return c
}

// open returns a credential of the role "app".
func (w *world) open(c *leasehold.Client, opts ...dynamic.Option) *dynamic.Credential[dynamic.UserPass] {
	w.t.Helper()
	creds, err := dynamic.Database(w.t.Context(), c, "app", opts...)
	require.NoError(w.t, err)
	return creds
}

// logins, creations and reads count what reached the server.
func (w *world) logins() int    { return w.Count("POST", loginPath) }
func (w *world) creations() int { return w.Count("GET", "database/creds/") }
func (w *world) reads() int     { return w.Count("GET", configPath) }

// named returns the requests with a path that begins so, the oldest first.
func (w *world) named(prefix string) []vaulttest.Request {
	var found []vaulttest.Request
	for _, r := range w.Requests() {
		if strings.HasPrefix(r.Path, prefix) {
			found = append(found, r)
		}
	}
	return found
}

// token returns the accessor of the newest living token.
func (w *world) token() string {
	w.t.Helper()
	all := w.Tokens()
	require.NotEmpty(w.t, all)
	return all[len(all)-1].Accessor
}

// nothingLeft asserts that the client left neither a token nor a lease behind.
func (w *world) nothingLeft() {
	w.t.Helper()
	require.Empty(w.t, w.Tokens(), "tokens that are left")
	require.Empty(w.t, w.Leases(), "leases that are left")
}

// fragile serves w's Vault over sockets and returns its address. A connection that is used again
// breaks, with what was asked done and the answer lost: net/http repeats a GET then, by itself.
func fragile(w *world) string {
	var used sync.Map
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if _, again := used.LoadOrStore(r.RemoteAddr, true); again {
			w.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		w.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(server.Close)
	return server.URL
}

// every calls f at each step of the bubble's clock until d has passed.
func every(d, step time.Duration, f func(at time.Duration)) {
	for at := time.Duration(0); at < d; at += step {
		time.Sleep(step)
		synctest.Wait()
		f(at + step)
	}
}

// wire is the way to the server: it keeps what was sent.
type wire struct {
	next http.RoundTripper

	mu   sync.Mutex // guards the rest
	sent []sent
}

type sent struct {
	path, token, namespace, body string
	header                       http.Header
	host                         string
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		_ = r.Body.Close()
		clone := *r
		clone.Body = io.NopCloser(bytes.NewReader(body))
		r = &clone
	}
	w.mu.Lock()
	w.sent = append(w.sent, sent{
		path: strings.TrimPrefix(r.URL.Path, "/v1/"), token: r.Header.Get("X-Vault-Token"),
		namespace: r.Header.Get("X-Vault-Namespace"), body: string(body), header: r.Header.Clone(), host: r.URL.Host,
	})
	w.mu.Unlock()
	return w.next.RoundTrip(r)
}

func (w *wire) all() []sent {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]sent(nil), w.sent...)
}

// eventLog keeps events.
type eventLog struct {
	mu  sync.Mutex
	all []leasehold.Event
}

func (l *eventLog) add(e leasehold.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, e)
}

func (l *eventLog) list() []leasehold.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]leasehold.Event(nil), l.all...)
}

// of returns the events of one kind about the named thing; an empty name is any.
func (l *eventLog) of(kind lease.EventKind, name string) []leasehold.Event {
	var found []leasehold.Event
	for _, e := range l.list() {
		if e.Kind == kind && (name == "" || e.Name == name) {
			found = append(found, e)
		}
	}
	return found
}

// rewrite changes the answers of one path on their way back.
type rewrite struct {
	next          http.RoundTripper
	path, old, to string
}

func (r rewrite) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if err != nil || strings.TrimPrefix(req.URL.Path, "/v1/") != r.path {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	body = bytes.ReplaceAll(body, []byte(r.old), []byte(r.to))
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

// withSecretID logs in with the secret-id that f returns then.
func withSecretID(w *world, f func() string) func(*leasehold.Config) {
	return func(c *leasehold.Config) {
		c.Auth = approle.New(w.roleID, approle.SecretIDFrom(func(context.Context) (string, error) { return f(), nil }))
	}
}

// cut takes "mount:path" apart.
func cut(s string) (mount, path string, ok bool) { return strings.Cut(s, ":") }
