package aws_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/aws"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const arn = "arn:aws:iam::123456789012:user/app"

// keys are credentials that a test may change while they are used.
type keys struct {
	mu    sync.Mutex
	now   sdk.Credentials
	err   error
	asked int
}

func (k *keys) Retrieve(ctx context.Context) (sdk.Credentials, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	if ctx.Err() != nil {
		return sdk.Credentials{}, ctx.Err()
	}
	return k.now, k.err
}

func (k *keys) set(c sdk.Credentials, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.now, k.err = c, err
}

func static(id, secret, session string) *keys {
	return &keys{now: sdk.Credentials{AccessKeyID: id, SecretAccessKey: secret, SessionToken: session}}
}

var (
	userKeys    = vaulttest.AWSAccessKeySpec{ID: "AKIAUSER", Secret: "canary/secret/user", ARN: arn}
	sessionKeys = vaulttest.AWSAccessKeySpec{ID: "ASIASESSION", Secret: "canary/secret/session", SessionToken: "canary+token==", ARN: "arn:aws:sts::123456789012:assumed-role/app/i-1"}
)

// newServer is a Vault whose role "app" is for both keys.
func newServer(t *testing.T) *vaulttest.Server {
	t.Helper()
	s := vaulttest.New(t)
	s.AWSRole("app", vaulttest.AWSRoleSpec{
		BoundIAMPrincipalARNs: []string{arn, "arn:aws:iam::123456789012:role/app"}, TokenTTL: 10 * time.Minute, TokenMaxTTL: 20 * time.Minute,
	})
	s.AWSAccessKey(userKeys)
	s.AWSAccessKey(sessionKeys)
	return s
}

// wire remembers what was signed, and lets a test change the answer.
type wire struct {
	next   http.RoundTripper
	answer func(r *http.Request) *http.Response // nil: the server's

	mu     sync.Mutex
	logins []signed
}

// signed is the request to STS within a login.
type signed struct {
	Role, URL, Body string
	Header          http.Header
}

func (s signed) scope() string {
	_, credential, _ := strings.Cut(s.Header.Get("Authorization"), "Credential=")
	credential, _, _ = strings.Cut(credential, ",")
	return credential
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/login") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		var f struct {
			Role    string `json:"role"`
			Method  string `json:"iam_http_request_method"`
			URL     []byte `json:"iam_request_url"`
			Body    []byte `json:"iam_request_body"`
			Headers []byte `json:"iam_request_headers"`
		}
		if err := json.Unmarshal(body, &f); err != nil || f.Method != http.MethodPost {
			return nil, fmt.Errorf("a login by %q: %w", f.Method, err)
		}
		one := signed{Role: f.Role, URL: string(f.URL), Body: string(f.Body)}
		if err := json.Unmarshal(f.Headers, &one.Header); err != nil {
			return nil, err
		}
		w.mu.Lock()
		w.logins = append(w.logins, one)
		w.mu.Unlock()
		if w.answer != nil {
			return w.answer(r), nil
		}
	}
	return w.next.RoundTrip(r)
}

func start(ctx context.Context, transport http.RoundTripper, m auth.Method) (*leasehold.Client, error) {
	return leasehold.New(ctx, leasehold.Config{Address: "http://vault.test", Auth: m, HTTPClient: &http.Client{Transport: transport}})
}

// login logs in once and returns what was signed.
func login(t *testing.T, s *vaulttest.Server, m auth.Method) (signed, error) {
	t.Helper()
	w := &wire{next: s.Client().Transport}
	c, err := start(t.Context(), w, m)
	if err == nil {
		require.NoError(t, c.Close(t.Context()))
	}
	if len(w.logins) == 0 {
		return signed{}, err
	}
	return w.logins[0], err
}

// TestA9EachLoginIsSignedAnewWithTheCredentialsOfTheMoment has the keys replaced, and the old
// ones deleted, while a client lives on. Mutation: keep what the provider returned first.
func TestA9EachLoginIsSignedAnewWithTheCredentialsOfTheMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		source := static(userKeys.ID, userKeys.Secret, "")
		w := &wire{next: server.Client().Transport}
		c, err := start(t.Context(), w, aws.New("app", source, aws.GlobalRegion))
		require.NoError(t, err)

		source.set(sdk.Credentials{AccessKeyID: sessionKeys.ID, SecretAccessKey: sessionKeys.Secret, SessionToken: sessionKeys.SessionToken}, nil)
		server.AWSAccessKey(vaulttest.AWSAccessKeySpec{ID: userKeys.ID, Secret: "deleted", ARN: arn})
		time.Sleep(time.Hour)
		require.NoError(t, c.Ready())
		require.NoError(t, c.Close(t.Context()))

		require.GreaterOrEqual(t, len(w.logins), 3)
		for i, l := range w.logins {
			id, token := sessionKeys.ID, sessionKeys.SessionToken
			if i == 0 {
				id, token = userKeys.ID, ""
			}
			at, err := time.Parse("20060102T150405Z", l.Header.Get("X-Amz-Date"))
			require.NoError(t, err)
			assert.Equal(t, id+"/"+at.Format("20060102")+"/us-east-1/sts/aws4_request", l.scope())
			assert.Equal(t, token, l.Header.Get("X-Amz-Security-Token"))
			assert.Equal(t, "Action=GetCallerIdentity&Version=2011-06-15", l.Body)
			if i > 0 {
				assert.NotEqual(t, w.logins[i-1].Header.Get("X-Amz-Date"), l.Header.Get("X-Amz-Date"), "signed anew")
			}
		}
	})
}

// TestA9HostRegionAndScopeAgree, whichever way the endpoint is chosen.
// Mutation: sign for us-east-1 whatever the region is.
func TestA9HostRegionAndScopeAgree(t *testing.T) {
	for _, tt := range []struct{ region, endpoint, url, scope string }{
		{"eu-west-1", "", "https://sts.eu-west-1.amazonaws.com/", "eu-west-1"},
		{"us-east-1", "", "https://sts.us-east-1.amazonaws.com/", "us-east-1"},
		{"us-gov-west-1", "", "https://sts.us-gov-west-1.amazonaws.com/", "us-gov-west-1"},
		{"cn-north-1", "", "https://sts.cn-north-1.amazonaws.com.cn/", "cn-north-1"},
		{aws.GlobalRegion, "", "https://sts.amazonaws.com/", "us-east-1"},
		{"eu-west-1", "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com", "https://vpce-1.sts.eu-west-1.vpce.amazonaws.com/", "eu-west-1"},
		{"us-east-1", "https://sts-fips.us-east-1.amazonaws.com", "https://sts-fips.us-east-1.amazonaws.com/", "us-east-1"},
		{"eu-west-1", "https://sts.eu-west-1.api.aws", "https://sts.eu-west-1.api.aws/", "eu-west-1"},
		{"cn-north-1", "https://sts.cn-north-1.amazonaws.com.cn/", "https://sts.cn-north-1.amazonaws.com.cn/", "cn-north-1"},
		{aws.GlobalRegion, "https://sts.amazonaws.com", "https://sts.amazonaws.com/", "us-east-1"},
		{"eu-west-1", "https://sts.us-east-1.corp.test", "https://sts.us-east-1.corp.test/", "eu-west-1"}, // not AWS's name
		{"eu-west-1", "https://sts.test:443/", "https://sts.test/", "eu-west-1"},
		{"eu-west-1", "http://127.0.0.1:4566", "http://127.0.0.1:4566/", "eu-west-1"},
		{"eu-west-1", "http://sts.test:80/in/it", "http://sts.test/in/it", "eu-west-1"},
	} {
		t.Run(tt.region+tt.endpoint, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t)
				// It computes the signature anew, over the host and the region.
				server.AWS(vaulttest.AWSSpec{STSRegion: tt.scope, IAMServerIDHeaderValue: "vault.test"})
				one, err := login(t, server, aws.New("app", static(userKeys.ID, userKeys.Secret, ""), tt.region, aws.STSEndpoint(tt.endpoint), aws.ServerID("vault.test")))
				require.NoError(t, err)
				assert.Equal(t, tt.url, one.URL)
				assert.Contains(t, one.scope(), "/"+tt.scope+"/sts/aws4_request")
				assert.Equal(t, "vault.test", one.Header.Get("X-Vault-Aws-Iam-Server-Id"))
				assert.Contains(t, one.Header.Get("Authorization"), "SignedHeaders=content-length;content-type;host;x-amz-date;x-vault-aws-iam-server-id,")
			})
		})
	}
}

// TestTheRoleMayBeLeftToVaultAndTheMountBeElsewhere: Vault then takes the name of who signs.
func TestTheRoleMayBeLeftToVaultAndTheMountBeElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		server.AWSRole("app", vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: []string{arn}, TokenTTL: time.Hour, Mount: "cloud/aws"})
		one, err := login(t, server, aws.New("", static(userKeys.ID, userKeys.Secret, ""), aws.GlobalRegion, aws.Mount("/cloud/aws/")))
		require.NoError(t, err)
		assert.Empty(t, one.Role)
		assert.Equal(t, 1, server.Count("POST", "auth/cloud/aws/login"))
	})
}

// TestA9WhatCannotWorkIsRefusedBeforeARequest, with what to do.
func TestA9WhatCannotWorkIsRefusedBeforeARequest(t *testing.T) {
	good := static(userKeys.ID, userKeys.Secret, "")
	for name, tt := range map[string]struct {
		method *aws.Method
		says   string
	}{
		"no provider":        {aws.New("app", nil, "eu-west-1"), "pass the Credentials of what config.LoadDefaultConfig returns"},
		"no keys":            {aws.New("app", static("", "", ""), "eu-west-1"), "the credentials provider returned no access key"},
		"half of a key":      {aws.New("app", static("AKIAUSER", "", ""), "eu-west-1"), "the credentials provider returned no access key"},
		"no region":          {aws.New("app", good, ""), "pass that of the STS endpoint which Vault asks, such as cfg.Region, or aws.GlobalRegion"},
		"a zone":             {aws.New("app", good, "eu-west-1a"), `"eu-west-1a" is no region's name, such as eu-west-1`},
		"a host":             {aws.New("app", good, "x.evil.test/"), `"x.evil.test/" is no region's name`},
		"no mount":           {aws.New("app", good, "eu-west-1", aws.Mount("")), `the mount "" has an empty`},
		"a mount with ..":    {aws.New("app", good, "eu-west-1", aws.Mount("aws/../x")), `the mount "aws/../x"`},
		"a host as endpoint": {aws.New("app", good, "eu-west-1", aws.STSEndpoint("sts.test")), "the STS endpoint must be like https://"},
		"a broken endpoint":  {aws.New("app", good, "eu-west-1", aws.STSEndpoint("https://me:canary@%zz")), "the STS endpoint must be like https://"},
		"a password":         {aws.New("app", good, "eu-west-1", aws.STSEndpoint("https://me:canary@sts.test")), "without user, query and fragment"},
		"a query":            {aws.New("app", good, "eu-west-1", aws.STSEndpoint("https://sts.test/?a=canary")), "without user, query and fragment"},
		"another region":     {aws.New("app", good, "us-east-1", aws.STSEndpoint("https://sts.eu-west-1.amazonaws.com")), "the STS endpoint sts.eu-west-1.amazonaws.com takes signatures for eu-west-1, and the region is us-east-1"},
		"another's VPC":      {aws.New("app", good, aws.GlobalRegion, aws.STSEndpoint("https://vpce-1-2.sts.eu-west-1.vpce.amazonaws.com")), "takes signatures for eu-west-1, and the region is us-east-1"},
		"the global one":     {aws.New("app", good, "eu-west-1", aws.STSEndpoint("https://sts.amazonaws.com:443")), "takes signatures for us-east-1, and the region is eu-west-1"},
		"another partition":  {aws.New("app", good, "cn-north-1", aws.STSEndpoint("https://STS.cn-northwest-1.amazonaws.com.cn")), "for cn-northwest-1, and the region is cn-north-1"},
		"a header of two":    {aws.New("app", good, "eu-west-1", aws.ServerID("a\r\nX: y")), "no header can carry it"},
		"a blank at the end": {aws.New("app", good, "eu-west-1", aws.ServerID("vault.test ")), "no header can carry it"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t)
				_, err := login(t, server, tt.method)
				require.ErrorContains(t, err, "log in auth: aws: ")
				require.ErrorContains(t, err, tt.says)
				assert.NotContains(t, err.Error(), "canary")
				assert.Empty(t, server.Requests())
			})
		})
	}
}

// TestA9WhatSTSSaysReachesTheErrorWithAHint, and nothing secret does.
// Mutation: leave STS's answer in XML.
func TestA9WhatSTSSaysReachesTheErrorWithAHint(t *testing.T) {
	user, session := static(userKeys.ID, userKeys.Secret, ""), static(sessionKeys.ID, sessionKeys.Secret, sessionKeys.SessionToken)
	for name, tt := range map[string]struct {
		keys   *keys
		region string
		opts   []aws.Option
		set    func(s *vaulttest.Server)
		says   []string
	}{
		"a wrong secret key": {keys: static(userKeys.ID, "canary/wrong", ""), says: []string{
			"received error code 403 from STS: SignatureDoesNotMatch: The request signature we calculated does not match",
			"is the secret access key right",
		}},
		"an unknown key": {keys: static("AKIANOBODY", "canary/wrong", ""), says: []string{
			"InvalidClientTokenId: The security token included in the request is invalid.", "AWS does not know the access key",
		}},
		"a missing session token": {keys: static(sessionKeys.ID, sessionKeys.Secret, ""), says: []string{"InvalidClientTokenId: ", "not with this session token"}},
		"a slow clock": {keys: session, set: func(s *vaulttest.Server) { s.Advance(16 * time.Minute) }, says: []string{
			"SignatureDoesNotMatch: Signature expired: 20000101T000000Z is now earlier than 20000101T000100Z (20000101T001600Z - 15 min.)",
			"is the clock of this machine right?",
		}},
		"another region": {keys: user, region: "eu-west-1", says: []string{
			"SignatureDoesNotMatch: Credential should be scoped to a valid region.", "signed for another region",
		}},
		"no server ID": {keys: user, set: func(s *vaulttest.Server) { s.AWS(vaulttest.AWSSpec{IAMServerIDHeaderValue: "vault.test"}) }, says: []string{
			`error validating X-Vault-AWS-IAM-Server-ID header: missing header "X-Vault-AWS-IAM-Server-ID"`, "the server ID must be the iam_server_id_header_value",
		}},
		"another server ID": {keys: user, opts: []aws.Option{aws.ServerID("other.test")}, set: func(s *vaulttest.Server) { s.AWS(vaulttest.AWSSpec{IAMServerIDHeaderValue: "vault.test"}) }, says: []string{
			`expected "vault.test" but got "other.test"`, "the server ID must be the iam_server_id_header_value",
		}},
		"a role of others": {keys: user, set: func(s *vaulttest.Server) {
			s.AWSRole("app", vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: []string{"arn:aws:iam::123456789012:user/else"}})
		}, says: []string{`IAM Principal "arn:aws:iam::123456789012:user/app" does not belong to the role "app"`, "check the role"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server := newServer(t)
				if tt.set != nil {
					tt.set(server)
				}
				if tt.region == "" {
					tt.region = aws.GlobalRegion
				}
				began := time.Now()
				one, err := login(t, server, aws.New("app", tt.keys, tt.region, tt.opts...))
				require.ErrorContains(t, err, "leasehold: log in auth/aws/login: 400 Bad Request: ")
				for _, says := range tt.says {
					require.ErrorContains(t, err, says)
				}
				assert.Zero(t, time.Since(began), "nothing will change by waiting")
				_, signature, _ := strings.Cut(one.Header.Get("Authorization"), "Signature=")
				for _, secret := range []string{"canary", signature, "<Error", "RequestId"} {
					require.NotEmpty(t, secret)
					assert.NotContains(t, err.Error(), secret)
				}
			})
		})
	}
}

// TestWhatQuotesTheRequestIsRedacted: what stands in for STS may show all that it was sent.
// Mutation: return Vault's answer as it is.
func TestWhatQuotesTheRequestIsRedacted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		w := &wire{next: server.Client().Transport}
		w.answer = func(r *http.Request) *http.Response {
			body, _ := json.Marshal(map[string]any{"errors": []string{fmt.Sprint("error making upstream request: quoted: ", w.logins[0].Header)}})
			return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(body)), Request: r}
		}
		_, err := start(t.Context(), w, aws.New("app", static(sessionKeys.ID, sessionKeys.Secret, sessionKeys.SessionToken), aws.GlobalRegion))
		require.ErrorContains(t, err, "quoted: ")
		_, signature, _ := strings.Cut(w.logins[0].Header.Get("Authorization"), "Signature=")
		assert.NotContains(t, err.Error(), signature)
		assert.NotContains(t, err.Error(), "canary")
	})
}

// TestA9AnOutageOfSTSIsWaitedFor: Vault answers 400 for it, as for a wrong key.
// Mutation: take what Vault says of an unreachable STS for a refusal.
func TestA9AnOutageOfSTSIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		w := &wire{next: server.Client().Transport}
		began := time.Now()
		w.answer = func(r *http.Request) *http.Response {
			if time.Since(began) > 10*time.Second {
				w.answer = nil
			}
			body := `{"errors":["error making upstream request: error making request: POST https://sts.amazonaws.com// giving up after 4 attempt(s)"]}`
			return &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}
		}
		c, err := start(t.Context(), w, aws.New("app", static(userKeys.ID, userKeys.Secret, ""), aws.GlobalRegion))
		require.NoError(t, err)
		require.NoError(t, c.Close(t.Context()))
		assert.Greater(t, time.Since(began), 10*time.Second)
	})
}

// TestAProvidersErrorIsReportedWithoutItsKeys. Mutation: show a provider's error as it is.
func TestAProvidersErrorIsReportedWithoutItsKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		source := static(sessionKeys.ID, sessionKeys.Secret, sessionKeys.SessionToken)
		source.err = fmt.Errorf("cannot refresh %s/%s: AccessDenied", sessionKeys.Secret, sessionKeys.SessionToken)
		_, err := login(t, server, aws.New("app", source, "eu-west-1"))
		require.ErrorContains(t, err, "log in auth: aws: the credentials provider: cannot refresh [redacted]/[redacted]: AccessDenied")
		assert.Empty(t, server.Requests())
	})
}

// TestAProviderThatIsNotReachedIsWaitedFor, such as a metadata service that starts later than we
// do; the URL that was asked is as good as a key. Mutation: take what
// the provider did not reach for Vault.
func TestAProviderThatIsNotReachedIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		source := static(userKeys.ID, userKeys.Secret, "")
		source.err = fmt.Errorf("request send failed, %w", &url.Error{
			Op: "Get", URL: "http://169.254.170.2/v2/credentials/canary", Err: &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")},
		})
		m := aws.New("app", source, aws.GlobalRegion)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		_, err := start(ctx, server.Client().Transport, m)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, `aws: the credentials provider: request send failed, Get "http://169.254.170.2": dial tcp: connection refused`)
		assert.NotContains(t, err.Error(), "canary")
		assert.NotContains(t, err.Error(), "is Vault running", "it was not Vault that was asked")
		assert.Greater(t, source.asked, 2)

		time.AfterFunc(5*time.Second, func() { source.set(source.now, nil) })
		c, err := start(t.Context(), server.Client().Transport, m)
		require.NoError(t, err)
		require.NoError(t, c.Close(t.Context()))
	})
}

// TestTheContextReachesTheProvider, which may ask the network.
func TestTheContextReachesTheProvider(t *testing.T) {
	type key struct{}
	ctx := context.WithValue(t.Context(), key{}, "mine")
	provider := sdk.CredentialsProviderFunc(func(ctx context.Context) (sdk.Credentials, error) {
		return sdk.Credentials{}, fmt.Errorf("got %v", ctx.Value(key{}))
	})
	client, err := api.NewClient(nil)
	require.NoError(t, err)
	_, err = aws.New("app", provider, "eu-west-1").Login(ctx, client)
	require.ErrorContains(t, err, "got mine")
}

// TestTheFingerprintIsThatOfTheCredentials, whatever else the provider says of them.
func TestTheFingerprintIsThatOfTheCredentials(t *testing.T) {
	source := static("AKIA1", "canary", "")
	m := aws.New("app", source, "eu-west-1")
	prints := map[string]bool{}
	for _, c := range []sdk.Credentials{
		{AccessKeyID: "AKIA1", SecretAccessKey: "canary"},
		{AccessKeyID: "AKIA1", SecretAccessKey: "canary", Source: "elsewhere"}, // the same
		{AccessKeyID: "AKIA1", SecretAccessKey: "canary2"},
		{AccessKeyID: "AKIA1", SecretAccessKey: "canary", SessionToken: "a"},
		{AccessKeyID: "AKIA2", SecretAccessKey: "canary", SessionToken: "a"},
	} {
		source.set(c, nil)
		hash, err := m.Fingerprint(t.Context())
		require.NoError(t, err)
		prints[hash] = true
		assert.NotContains(t, hash, "canary")
	}
	assert.Len(t, prints, 4)
	source.set(sdk.Credentials{}, errors.New("not now"))
	_, err := m.Fingerprint(t.Context())
	require.ErrorContains(t, err, "the credentials provider: not now")
}

// TestA9NewKeysEndTheBackOffOfARefusedLogin, since nobody should wait for it to run out.
// Mutation: let the fingerprint be always the same.
func TestA9NewKeysEndTheBackOffOfARefusedLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		source := static(userKeys.ID, userKeys.Secret, "")
		c, err := start(t.Context(), server.Client().Transport, aws.New("app", source, aws.GlobalRegion))
		require.NoError(t, err)
		server.AWSAccessKey(vaulttest.AWSAccessKeySpec{ID: userKeys.ID, Secret: "deleted", ARN: arn})
		time.Sleep(time.Hour) // its tokens have ended, and logins have been refused for long
		require.Error(t, c.Ready())
		refused := server.Count("POST", "auth/aws/login")
		source.set(sdk.Credentials{AccessKeyID: sessionKeys.ID, SecretAccessKey: sessionKeys.Secret, SessionToken: sessionKeys.SessionToken}, nil)
		time.Sleep(15 * time.Second)
		require.NoError(t, c.Ready())
		assert.Equal(t, refused+1, server.Count("POST", "auth/aws/login"))
		require.NoError(t, c.Close(t.Context()))
	})
}

// TestNothingSecretIsPrintedOfAMethod: many providers are structs that hold their keys.
// Mutation: let the
// method hold what fmt prints of its provider.
func TestNothingSecretIsPrintedOfAMethod(t *testing.T) {
	m := aws.New("app", held{"canary"}, "eu-west-1")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.NotContains(t, fmt.Sprintf(verb, m), "canary")
		assert.NotContains(t, fmt.Sprintf(verb, *m), "canary")
	}
}

// held is a provider like the SDK's StaticCredentialsProvider.
type held struct{ secret string }

func (h held) Retrieve(context.Context) (sdk.Credentials, error) {
	return sdk.Credentials{AccessKeyID: "AKIA1", SecretAccessKey: h.secret}, nil
}

// TestMayBeUsedAtOnce is for the race detector: two clients may share a method.
func TestMayBeUsedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newServer(t)
		m := aws.New("app", static(userKeys.ID, userKeys.Secret, ""), aws.GlobalRegion)
		var wg sync.WaitGroup
		for range 8 {
			conf := api.DefaultConfig()
			conf.Address, conf.HttpClient = "http://vault.test", server.Client()
			client, err := api.NewClient(conf)
			require.NoError(t, err)
			wg.Go(func() {
				secret, err := m.Login(t.Context(), client)
				if assert.NoError(t, err) {
					assert.NotEmpty(t, secret.Auth.ClientToken)
				}
			})
		}
		wg.Wait()
	})
}

// TestFromEnvChoosesByTheEnvironment, and says all that is wrong.
func TestFromEnvChoosesByTheEnvironment(t *testing.T) {
	type variables = map[string]string
	made := func(provider sdk.CredentialsProvider, set variables) (auth.Method, error) {
		from := aws.FromEnv(provider)
		assert.Equal(t, "aws", from.Name)
		return from.New(auth.NewEnvironment(func(name string) (string, bool) { v, ok := set[name]; return v, ok }))
	}
	source := static(userKeys.ID, userKeys.Secret, "")
	for _, tt := range []struct {
		set              variables
		url, path, ident string
	}{
		{variables{"VAULT_ROLE": "app", "AWS_REGION": "eu-west-1"}, "https://sts.eu-west-1.amazonaws.com/", "auth/aws/login", ""},
		{variables{"AWS_DEFAULT_REGION": "eu-west-2"}, "https://sts.eu-west-2.amazonaws.com/", "auth/aws/login", ""},
		{variables{"VAULT_STS_ENDPOINT_REGION": "aws-global", "AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, "https://sts.amazonaws.com/", "auth/aws/login", ""},
		{variables{"AWS_REGION": "eu-west-1", "VAULT_STS_ENDPOINT": "https://vpce-1-2.sts.eu-west-1.vpce.amazonaws.com"}, "https://vpce-1-2.sts.eu-west-1.vpce.amazonaws.com/", "auth/aws/login", ""},
		{variables{"AWS_REGION": "eu-west-1", "VAULT_AUTH_MOUNT": "cloud", "VAULT_IAM_SERVER_ID": "vault.test"}, "https://sts.eu-west-1.amazonaws.com/", "auth/cloud/login", "vault.test"},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, err := made(source, tt.set)
			require.NoError(t, err)
			server := vaulttest.New(t)
			one, err := login(t, server, m)
			require.Error(t, err) // the server has no such role
			assert.Equal(t, 1, server.Count("POST", tt.path))
			assert.Equal(t, tt.set["VAULT_ROLE"], one.Role)
			assert.Equal(t, tt.url, one.URL)
			assert.Equal(t, tt.ident, one.Header.Get("X-Vault-Aws-Iam-Server-Id"))
		})
	}
	_, err := made(nil, variables{})
	require.ErrorContains(t, err, "no credentials provider to aws.FromEnv")
	require.ErrorContains(t, err, "none of VAULT_STS_ENDPOINT_REGION, AWS_REGION and AWS_DEFAULT_REGION is set")
	_, err = made(source, variables{"AWS_REGION": "Ireland"})
	require.ErrorContains(t, err, `AWS_REGION or AWS_DEFAULT_REGION: "Ireland" is no region's name`)
	_, err = made(source, variables{"AWS_REGION": "eu-west-1", "VAULT_STS_ENDPOINT": "https://sts.us-east-1.amazonaws.com"})
	require.ErrorContains(t, err, "VAULT_STS_ENDPOINT: the STS endpoint sts.us-east-1.amazonaws.com takes signatures for us-east-1")

	env := auth.NewEnvironment(func(string) (string, bool) { return "", false })
	_, err = aws.FromEnv(source).New(env)
	require.Error(t, err)
	for _, name := range []string{"VAULT_ROLE", "VAULT_AUTH_MOUNT", "VAULT_IAM_SERVER_ID", "VAULT_STS_ENDPOINT"} {
		assert.True(t, env.Asked(name), "else %s counts as one that the method does not use", name)
	}
}
