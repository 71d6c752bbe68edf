package official_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/api"
	helper "github.com/hashicorp/vault/api/auth/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/aws/official"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// wire remembers the requests, with their bodies.
type wire struct {
	next http.RoundTripper

	mu     sync.Mutex
	header []http.Header
	bodies []map[string]any
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	var fields map[string]any
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		_ = json.Unmarshal(body, &fields) // of a request without one nothing is read
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	w.mu.Lock()
	w.header, w.bodies = append(w.header, r.Header.Clone()), append(w.bodies, fields)
	w.mu.Unlock()
	return w.next.RoundTrip(r)
}

// newServer is a Vault whose role "app" is for the user with the keys that keysIn writes.
func newServer(t *testing.T) *vaulttest.Server {
	t.Helper()
	ownEnvironment(t)
	s := vaulttest.New(t)
	s.AWS(vaulttest.AWSSpec{IAMServerIDHeaderValue: "vault.test"})
	s.AWSRole("app", vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: []string{arn}, TokenTTL: 10 * time.Minute, TokenMaxTTL: 10 * time.Minute})
	return s
}

// ownEnvironment keeps the machine's own AWS settings out.
func ownEnvironment(t *testing.T) {
	t.Helper()
	for _, name := range []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SDK_LOAD_CONFIG",
		"AWS_CA_BUNDLE", // the SDK would change http.DefaultClient, in a race
	} {
		t.Setenv(name, "")
	}
}

const arn = "arn:aws:iam::123456789012:user/app"

// added is the header that the method adds to its client, as net/http writes it.
const added = "Iam_server_id_header_value"

// keysIn writes keys into a credentials file, which the method is told of.
func keysIn(t *testing.T, path, id string) {
	t.Helper()
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = secret-of-%s\n", id, id)
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", path)
}

func know(s *vaulttest.Server, id string) {
	s.AWSAccessKey(vaulttest.AWSAccessKeySpec{ID: id, Secret: "secret-of-" + id, ARN: arn})
}

func forget(s *vaulttest.Server, id string) {
	s.AWSAccessKey(vaulttest.AWSAccessKeySpec{ID: id, Secret: "deleted", ARN: arn})
}

var options = []helper.LoginOption{helper.WithRole("app"), helper.WithIAMServerIDHeader("vault.test")}

// TestA9EachLoginFindsTheCredentialsAnew, and adds its header to no other request.
// Mutation: build the method once.
func TestA9EachLoginFindsTheCredentialsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		file := filepath.Join(t.TempDir(), "credentials")
		know(server, "AKIAOLD")
		keysIn(t, file, "AKIAOLD")
		w := &wire{next: server.Client().Transport}
		c, err := leasehold.New(t.Context(), leasehold.Config{Address: "http://vault.test", Auth: official.New(options...), HTTPClient: &http.Client{Transport: w}})
		require.NoError(t, err)

		know(server, "AKIANEW")
		keysIn(t, file, "AKIANEW")
		forget(server, "AKIAOLD")
		time.Sleep(time.Hour)
		require.NoError(t, c.Ready())
		require.NoError(t, c.Close(t.Context()))

		logins := server.Count("", "auth/aws/login")
		assert.GreaterOrEqual(t, logins, 6)
		with := 0
		for _, h := range w.header {
			n := len(h.Values(added))
			assert.LessOrEqual(t, n, 1, "the header grows")
			with += n
		}
		assert.Equal(t, logins, with, "requests other than logins have the header")
		assert.Greater(t, len(w.header), with)
	})
}

// TestA9WhatItCures: without being built anew the method keeps the credentials that it found
// first, and makes the client's header grow. If this fails, HashiCorp has cured it.
func TestA9WhatItCures(t *testing.T) {
	server := newServer(t)
	file := filepath.Join(t.TempDir(), "credentials")
	know(server, "AKIAOLD")
	keysIn(t, file, "AKIAOLD")
	plain, err := helper.NewAWSAuth(options...)
	require.NoError(t, err)
	client := clientOf(t, server.Client())
	_, err = plain.Login(t.Context(), client)
	require.NoError(t, err)
	_, err = plain.Login(t.Context(), client)
	require.NoError(t, err)
	assert.Len(t, client.Headers().Values(added), 2)

	know(server, "AKIANEW")
	keysIn(t, file, "AKIANEW")
	forget(server, "AKIAOLD")
	_, err = plain.Login(t.Context(), client)
	require.ErrorContains(t, err, "SignatureDoesNotMatch")
	_, err = official.New(options...).Login(t.Context(), clientOf(t, server.Client()))
	require.NoError(t, err)
}

// TestA9MayLogInTwiceAtOnce is for the race detector: the method itself writes what it has
// found without a lock.
func TestA9MayLogInTwiceAtOnce(t *testing.T) {
	server := newServer(t)
	know(server, "AKIAOLD")
	keysIn(t, filepath.Join(t.TempDir(), "credentials"), "AKIAOLD")
	m := official.New(options...)
	var wg sync.WaitGroup
	for range 8 {
		client := clientOf(t, server.Client())
		wg.Go(func() {
			_, err := m.Login(t.Context(), client)
			assert.NoError(t, err)
		})
	}
	wg.Wait()
}

// TestA9TheNonceOfAnInstanceStays, since Vault refuses the second login with another one.
// Mutation: leave the nonce to the method.
func TestA9TheNonceOfAnInstanceStays(t *testing.T) {
	ownEnvironment(t)
	metadata := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
		}
		fmt.Fprint(w, "x")
	}))
	defer metadata.Close()
	defer http.DefaultClient.CloseIdleConnections() //nolint:forbidigo // it is the SDK that asks with it
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", metadata.URL)
	nonces := func(m auth.Method) [2]any {
		w := &wire{next: refusing{}}
		for range 2 {
			_, err := m.Login(t.Context(), clientOf(t, &http.Client{Transport: w}))
			require.ErrorContains(t, err, "not today")
		}
		require.Len(t, w.bodies, 2)
		return [2]any{w.bodies[0]["nonce"], w.bodies[1]["nonce"]}
	}
	made := nonces(official.New(helper.WithEC2Auth()))
	assert.NotEmpty(t, made[0])
	assert.Equal(t, made[0], made[1])
	assert.NotEqual(t, made, nonces(official.New(helper.WithEC2Auth())), "of another instance")
	assert.Equal(t, [2]any{"mine", "mine"}, nonces(official.New(helper.WithEC2Auth(), helper.WithNonce("mine"))))
}

// TestAnOptionsErrorIsThatOfTheLogin, since options are tried then.
func TestAnOptionsErrorIsThatOfTheLogin(t *testing.T) {
	m := official.New(func(*helper.AWSAuth) error { return errors.New("wrong option") })
	_, err := m.Login(t.Context(), clientOf(t, &http.Client{Transport: refusing{}}))
	require.ErrorContains(t, err, "wrong option")
}

type refusing struct{}

func (refusing) RoundTrip(*http.Request) (*http.Response, error) { return nil, errors.New("not today") }

func clientOf(t *testing.T, c *http.Client) *api.Client {
	t.Helper()
	conf := api.DefaultConfig()
	conf.Address, conf.HttpClient, conf.MaxRetries = "http://vault.test", c, 0
	client, err := api.NewClient(conf)
	require.NoError(t, err)
	client.ClearToken()
	return client
}
