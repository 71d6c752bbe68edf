package session

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	renewPath = "sys/leases/renew"
	loginPath = "auth/approle/login"
)

// TestLaw06AnAnswerIsClassedByStatusFirstAndTextSecond is B2 and F11. Mutations:
// let any 403 mean a dead token; do not know an expired lease; take an unknown
// answer for a dead lease.
func TestLaw06AnAnswerIsClassedByStatusFirstAndTextSecond(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		path   string
		status int
		texts  []string
		want   lease.Class
	}{
		{"no answer", renewPath, 0, nil, lease.Transient},
		{"index state", "secret/data/a", 412, nil, lease.Transient},
		{"rate limit", renewPath, 429, []string{"request path: rate limit quota exceeded"}, lease.Transient},
		{"standby", "sys/health", 472, nil, lease.Transient},
		{"performance standby", "sys/health", 473, nil, lease.Transient},
		{"internal", renewPath, 500, []string{"internal error"}, lease.Transient},
		{"an outage that names a lease", renewPath, 500, []string{"failed: lease not found"}, lease.Transient},
		{"bad gateway", renewPath, 502, nil, lease.Transient},
		{"KV that is being upgraded", "secret/data/a", 400, []string{"Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly."}, lease.Transient},
		{"KV that waits for it", "secret/data/a", 400, []string{"Waiting for the primary to upgrade from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service when the primary is finished."}, lease.Transient},
		{"sealed", renewPath, 503, []string{"Vault is sealed"}, lease.Transient},
		{"gateway timeout", renewPath, 504, nil, lease.Transient},
		{"of a proxy", renewPath, 599, nil, lease.Transient},
		{"a login during an outage", loginPath, 503, nil, lease.Transient},
		{"a login over the limit", loginPath, 429, nil, lease.Transient},

		{"a dead token", renewPath, 403, []string{"2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"}, lease.ParentDead},
		{"in other letters", renewPath, 403, []string{"permission denied", "Invalid Token"}, lease.ParentDead},
		{"policy", "secret/data/a", 403, []string{"1 error occurred:\n\t* permission denied\n\n"}, lease.Refused},
		{"policy, without a word", "secret/data/a", 403, nil, lease.Refused},
		{"a login that is refused", loginPath, 403, []string{"permission denied"}, lease.Refused},

		{"lease not found", renewPath, 400, []string{"lease not found"}, lease.Dead},
		{"lease expired", renewPath, 400, []string{"lease expired"}, lease.Dead},
		{"not renewable", renewPath, 400, []string{"lease is not renewable"}, lease.Spent},
		{"invalid lease", "sys/leases/lookup", 400, []string{"invalid lease"}, lease.Dead},
		{"lease not found, by 404", renewPath, 404, []string{"Lease Not Found"}, lease.Dead},

		{"bad secret-id", loginPath, 400, []string{"invalid role or secret ID"}, lease.Permanent},
		{"bad secret-id that names a lease", loginPath, 400, []string{"lease not found"}, lease.Permanent},
		{"bad role", "auth/kubernetes/login", 400, []string{"invalid role name"}, lease.Permanent},
		{"userpass", "auth/userpass/login/me", 400, []string{"invalid username or password"}, lease.Permanent},
		{"an issuer that is away", "auth/jwt/login", 400, []string{"error validating token: error verifying token signature: fetching keys oidc: get keys failed: 503 Service Unavailable down"}, lease.Transient},
		{"an issuer that was never there", "auth/jwt/login", 400, []string{"error configuring token validator: keyset configuration error: 503 Service Unavailable: down"}, lease.Transient},
		{"a JWT of a stranger", "auth/jwt/login", 400, []string{"error validating token: error verifying token signature: failed to verify id token signature"}, lease.Permanent},
		{"no such auth method", "auth/nowhere/login", 404, []string{"no handler for route"}, lease.Permanent},
		{"no such path", "database/creds/nothing", 404, nil, lease.Permanent},

		{"a role that is wrong", "database/creds/bad", 400, []string{"unknown role: bad"}, lease.Unknown},
		{"a renewal that fails in the database", renewPath, 400, []string{"failed to renew entry: ERROR: syntax error"}, lease.Unknown},
		{"method not allowed", renewPath, 405, nil, lease.Unknown},
		{"not implemented", renewPath, 501, nil, lease.Unknown},
		{"teapot", renewPath, 418, nil, lease.Unknown},
		{"a redirect", renewPath, 307, nil, lease.Unknown},
		{"a path that only looks like a login", "secret/data/login", 400, nil, lease.Unknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, classify(tt.path, tt.status, tt.texts))
		})
	}
}

func FuzzClassify(f *testing.F) {
	f.Add(renewPath, 400, "lease not found")
	f.Add(loginPath, 403, "invalid token")
	f.Add("auth/", -1, "\xff")
	f.Fuzz(func(t *testing.T, path string, status int, text string) {
		got := classify(path, status, []string{text})
		switch {
		case got < lease.Unknown || got > lease.Spent:
			t.Errorf("class %d", got)
		case got == lease.ParentDead && (status != 403 || !strings.Contains(strings.ToLower(text), "invalid token")):
			t.Errorf("%d %q takes the token for dead", status, text)
		case got == lease.Dead && status != 400 && status != 404:
			t.Errorf("%d %q takes the lease for dead", status, text)
		case (got == lease.Refused || got == lease.ParentDead) != (status == 403):
			t.Errorf("%d is %v", status, got)
		case got == lease.Dead && !strings.Contains(strings.ToLower(text), "lease"):
			t.Errorf("%q takes the lease for dead", text)
		case (status == 0 || status == 412 || status == 429 || (status >= 500 && status != 501)) && got != lease.Transient:
			t.Errorf("%d is %v", status, got) // and so never a login
		}
	})
}

// fakeClock is set by hand.
type fakeClock struct{ now time.Duration }

func (c *fakeClock) read() lease.Instant { return lease.Instant{Mono: c.now} }

func newCreations() (*creations, *fakeClock) {
	c := new(fakeClock)
	return &creations{clock: c.read}, c
}

// TestLaw05CreationsAtAPathAreLimited. Mutations: a burst of three hundred; a
// bucket that fills ten times as fast.
func TestLaw05CreationsAtAPathAreLimited(t *testing.T) {
	t.Parallel()
	const path = "database/creds/app"
	tests := []struct {
		name  string
		life  time.Duration
		every time.Duration
	}{
		{"a tenth of the life", time.Minute, 6 * time.Second},
		{"at least a second", 2 * time.Second, time.Second},
		{"a second where the life is unknown", 0, time.Second},
		{"at most a minute", 24 * time.Hour, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, clock := newCreations()
			b.hold(path)
			for range 3 {
				require.NoError(t, b.take(path, tt.life))
			}
			err := b.take(path, tt.life)
			var le *lease.Error
			require.ErrorAs(t, err, &le)
			assert.Equal(t, lease.Transient, le.Class)
			assert.InDelta(t, tt.every, le.RetryAfter, float64(time.Microsecond))
			assert.Contains(t, err.Error(), path+": too many creations")

			clock.now += le.RetryAfter + time.Microsecond
			require.NoError(t, b.take(path, tt.life), "as promised")
			require.Error(t, b.take(path, tt.life))
			require.NoError(t, b.take("another/path", tt.life), "a path that nobody holds is not counted")

			taken := 0
			for end := clock.now + 100*tt.every; clock.now < end; clock.now += tt.every / 7 {
				if b.take(path, tt.life) == nil {
					taken++
				}
			}
			assert.InDelta(t, 100, taken, 1)

			clock.now += 1000 * tt.every
			for range 3 {
				require.NoError(t, b.take(path, tt.life))
			}
			require.Error(t, b.take(path, tt.life), "rest does not save up more than the burst")
		})
	}
}

func TestEachCredentialBringsItsOwnCreations(t *testing.T) {
	t.Parallel()
	b, clock := newCreations()
	for range 4 {
		b.hold("p")
	}
	for range 12 {
		require.NoError(t, b.take("p", time.Minute))
	}
	require.Error(t, b.take("p", time.Minute))
	clock.now += 6*time.Second + time.Microsecond
	for range 4 {
		require.NoError(t, b.take("p", time.Minute))
	}
	require.Error(t, b.take("p", time.Minute))

	clock.now += time.Hour
	for range 3 {
		b.drop("p")
	}
	n := 0
	for b.take("p", time.Minute) == nil {
		n++
	}
	assert.Equal(t, 3, n, "one is left")
	b.drop("p")
	b.drop("p")
	assert.Empty(t, b.paths)
	b.hold("p")
	for range 3 {
		require.NoError(t, b.take("p", time.Minute))
	}
	require.Error(t, b.take("p", time.Minute))
}

func TestACreationThatDidNotHappenIsGivenBack(t *testing.T) {
	t.Parallel()
	b, _ := newCreations()
	b.refund("p") // nobody holds it
	b.hold("p")
	for range 100 {
		require.NoError(t, b.take("p", time.Minute))
		b.refund("p")
	}
	for range 5 {
		b.refund("p")
	}
	for range 3 {
		require.NoError(t, b.take("p", time.Minute))
	}
	require.Error(t, b.take("p", time.Minute), "never more than the burst")
}

func TestCreationsAreCountedRightUnderLoad(t *testing.T) {
	t.Parallel()
	b, _ := newCreations()
	for range 10 {
		b.hold("p")
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	n := 0
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if b.take("p", time.Minute) == nil {
					mu.Lock()
					n++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	assert.Equal(t, 30, n)
}

// TestLaw21APathThatLeavesItsMountIsRefused. Mutation: know only "..".
func TestLaw21APathThatLeavesItsMountIsRefused(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"":                    "empty",
		"/":                   "empty segment",
		"/secret/a":           "empty segment",
		"secret/a/":           "empty segment",
		"secret//a":           "empty segment",
		".":                   `"." segment`,
		"..":                  `".." segment`,
		"secret/./a":          `"." segment`,
		"secret/data/../../x": `".." segment`,
		"secret/..":           `".." segment`,
		"secret/a\n":          "control character",
		"secret/a\x00b":       "control character",
		"secret/a\x7f":        "control character",
		"secret\t/a":          "control character",
	} {
		require.ErrorContains(t, CheckPath(path), want, "%q", path)
	}
	for _, path := range []string{"a", "secret/data/a", "a.b/..c/d..", "...", "ä/é", "a b", "%2e%2e/x", "a?b=c#d", "a\\b"} {
		require.NoError(t, CheckPath(path), "%q", path)
	}
}

func FuzzCheckPath(f *testing.F) {
	for _, p := range []string{"", "a", "a/../b", "..", "a//b", "a\x00", "%2e%2e", "\xff", "a/b/", "…/．．"} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if CheckPath(p) != nil {
			return
		}
		if got := path.Join("/v1", p); got != "/v1/"+p {
			t.Errorf("%q passes and becomes %q", p, got)
		}
		u := url.URL{Scheme: "https", Host: "v", Path: "/v1/" + p}
		back, err := url.Parse(u.String())
		if err != nil || back.Path != u.Path || back.RawQuery != "" || back.Fragment != "" {
			t.Errorf("%q passes and is sent as %q: %v", p, u.String(), err)
		}
		req, err := http.NewRequest(http.MethodGet, u.String(), http.NoBody)
		if err != nil || req.URL.Path != u.Path {
			t.Errorf("%q cannot be sent: %v", p, err)
		}
	})
}

// TestLaw20TokensAndLeaseIDsAreTakenOutOfTextsThatAreNotOurs. Mutations: leave in the
// tokens; leave in the lease IDs; leave in JWTs.
func TestLaw20TokensAndLeaseIDsAreTakenOutOfTextsThatAreNotOurs(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("Ab0", 9)
	for _, token := range []string{
		"hvs.CAESIJ" + long, "hvb.AAAAAQ" + long, "hvr." + long, "s." + long, "b." + long, "hvs." + long + "-_x", "s.1234567890abcdefABCDEF12.ns1",
		"hvr.0123456789abcdefghijkl", "b.AAAA-_" + long + long, "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlIn0.c2lnbmF0dXJl" + long,
	} {
		got := scrub("bad token " + token + ", at\n\tvault")
		assert.NotContains(t, got, token[:20], token)
		assert.True(t, strings.HasPrefix(got, "bad token [redacted]"), got)
		assert.True(t, strings.HasSuffix(got, ", at vault"), got)
	}
	assert.Equal(t, "lease database/creds/app/[redacted] not found", scrub("lease database/creds/app/0123456789abcdefGHIJKLMN not found"))
	for _, text := range []string{"", "plain", "a.b.c", "v1.2.3", "s.short", "hvs.", "dial tcp 127.0.0.1:8200: connect: connection refused"} {
		assert.Equal(t, text, scrub(text))
	}
}

func TestVaultsTextsAreMadeOneLineWithoutSecrets(t *testing.T) {
	t.Parallel()
	const id = "database/creds/app/0123456789abcdefghijklmn"
	tests := []struct {
		name string
		in   []string
		want []string
	}{
		{"one error", []string{"1 error occurred:\n\t* permission denied\n\n"}, []string{"permission denied"}},
		{"two errors", []string{"2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"}, []string{"permission denied, invalid token"}},
		{"a list", []string{"a", "", "b"}, []string{"a", "b"}},
		{"nothing", nil, nil},
		{"the lease's ID", []string{"lease " + id + " not found: " + id}, []string{"lease [redacted] not found: [redacted]"}},
		{"a token", []string{"bad hvs.0123456789abcdef"}, []string{"bad [redacted]"}},
		{"a long one", []string{strings.Repeat("x", 1000)}, []string{strings.Repeat("x", 500) + "..."}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, vaultTexts(tt.in, id))
		})
	}
}

func TestAnErrorSaysWhatToDo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		r     Request
		e     Error
		class lease.Class
		want  string
	}{
		{"a read by policy", Request{Method: "GET"}, Error{Path: "secret/data/a", Status: 403}, lease.Refused, `path "secret/data/a" { capabilities = ["read"] }`},
		{"a renewal by policy", Request{Method: "PUT"}, Error{Path: renewPath, Status: 403}, lease.Refused, `["update"]`},
		{"a list by policy", Request{Method: "LIST"}, Error{Path: "x", Status: 403}, lease.Refused, `["list"]`},
		{"a delete by policy", Request{Method: "DELETE"}, Error{Path: "x", Status: 403}, lease.Refused, `["delete"]`},
		{"a dead token", Request{}, Error{Status: 403}, lease.ParentDead, "revoked or has expired"},
		{"a login", Request{Path: loginPath}, Error{Status: 400}, lease.Permanent, "check the role"},
		{"a login that is locked out", Request{Path: loginPath}, Error{Path: loginPath, Status: 403}, lease.Refused, "user lockout"},
		{"sealed", Request{}, Error{Status: 503}, lease.Transient, "sealed"},
		{"a limit", Request{}, Error{Status: 429}, lease.Transient, "rate limit"},
		{"no engine", Request{Create: true}, Error{Status: 404}, lease.Permanent, "mounted"},
		{"nobody there", Request{}, Error{Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}, lease.Transient, "is Vault running"},
		{"plain", Request{}, Error{Err: errors.New("server gave HTTP response to HTTPS client")}, lease.Transient, "speaks http"},
		{"plain, as the TLS client of net/http says it", Request{}, Error{Err: tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}}, lease.Transient, "Address says https"},
		{"TLS", Request{}, Error{Path: "auth/token/lookup-self", Status: 400, Vault: []string{"Client sent an HTTP request to an HTTPS server."}}, lease.Permanent, "Address says http, but"},
		{"a stranger", Request{}, Error{Err: errors.New("x509: unknown authority")}, lease.Transient, "TLS.CACert"},
		{"unknown", Request{}, Error{Status: 418}, lease.Unknown, ""},
		{"no cause", Request{}, Error{}, lease.Transient, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := hint(tt.r, &tt.e, tt.class)
			assert.Contains(t, got, tt.want)
			assert.Equal(t, tt.want == "", got == "")
		})
	}
}

func TestAnErrorIsOneLineWithAllThatIsKnown(t *testing.T) {
	t.Parallel()
	cause := errors.New("read hvs.0123456789abcdef:\nreset")
	e := &Error{Op: "read", Path: "secret/data/a", Namespace: "team", Status: 403, Vault: []string{"a", "b"}, Hint: "do this", Err: cause, body: []byte("canary")}
	want := "leasehold: read secret/data/a (namespace team): 403 Forbidden: a; b: read [redacted]: reset (do this)"
	assert.Equal(t, want, e.Error())
	assert.Equal(t, want, fmt.Sprintf("%+v", e))
	require.ErrorIs(t, e, cause)
	assert.Equal(t, "leasehold: read x", (&Error{Op: "read", Path: "x"}).Error())
}

// TestLaw07AnAmbiguousCreationIsToldFromOneThatDidNothing (B11). Mutation: Vault's own list of
// reasons is not looked at.
func TestLaw07AnAmbiguousCreationIsToldFromOneThatDidNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		err  error
		want bool
	}{
		"nobody was there":        {&Error{Err: &net.OpError{Op: "dial", Err: errors.New("refused")}}, false},
		"the answer was lost":     {&Error{Err: &net.OpError{Op: "read", Err: errors.New("reset")}}, true},
		"cut off":                 {&Error{Err: errors.New("unexpected EOF")}, true},
		"a bad gateway":           {&Error{Status: 502}, true},
		"and it has Vault's form": {&Error{Status: 502, listed: true}, true},
		"a gateway's timeout":     {&Error{Status: 504, listed: true}, true},
		"a proxy's page":          {&Error{Status: 500}, true},
		"an unknown one of those": {&Error{Status: 520}, true},
		"an error of the engine":  {&Error{Status: 500, listed: true}, false},
		"not implemented":         {&Error{Status: 501, listed: true}, false},
		"sealed":                  {&Error{Status: 503, listed: true}, false},
		"a proxy's maintenance":   {&Error{Status: 503}, false},
		"index state":             {&Error{Status: 412}, false},
		"rate limit":              {&Error{Status: 429}, false},
		"not redirected":          {&Error{Err: &redirectError{host: "x"}}, false},
		"before it was sent":      {&unsentError{&Error{Status: 502}}, false},
		"refused":                 {&Error{Status: 403}, false},
		"bad request":             {&Error{Status: 400}, false},
		"another error":           {errors.New("x"), false},
	} {
		assert.Equal(t, tt.want, Ambiguous(&lease.Error{Class: lease.Transient, Err: tt.err}), name)
	}
}

func TestARetryWaitsLongerEachTimeAndAtLeastWhatTheServerAsks(t *testing.T) {
	t.Parallel()
	for attempt := range 100 {
		top := min(100*time.Millisecond<<min(attempt, 6), 5*time.Second)
		d := retryPause(attempt, errors.New("x"))
		assert.GreaterOrEqual(t, d, top/2)
		assert.LessOrEqual(t, d, top)
	}
	assert.Equal(t, time.Minute, retryPause(0, &lease.Error{Class: lease.Transient, RetryAfter: time.Minute, Err: errors.New("x")}))
}
