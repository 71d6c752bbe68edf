package suite

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	helper "github.com/hashicorp/vault/api/auth/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/aws"
	"github.com/seed-f5e1ac40/leasehold/auth/aws/official"
	"github.com/seed-f5e1ac40/leasehold/internal/figure"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

const (
	awsUser    = "arn:aws:iam::123456789012:user/app"
	awsRole    = "arn:aws:iam::123456789012:role/app"
	awsSession = "arn:aws:sts::123456789012:assumed-role/app/i-123"
)

// userKey and sessionKey are those that an STS of newSTS knows. What is secret of them begins
// with "canary".
var (
	userKey    = testvault.STSKey{ID: "AKIAUSER", Secret: "canary/of/the/user", ARN: awsUser}
	sessionKey = testvault.STSKey{ID: "ASIASESSION", Secret: "canary/of/the/session", SessionToken: "canary+token==", ARN: awsSession}
)

func newSTS(t *testing.T) *testvault.STS {
	t.Helper()
	s := testvault.NewSTS(t)
	s.Know(userKey)
	s.Know(sessionKey)
	return s
}

// awsKeys are credentials that a test replaces while they are used.
type awsKeys struct {
	mu  sync.Mutex
	key testvault.STSKey
}

func holding(key testvault.STSKey) *awsKeys { return &awsKeys{key: key} }

func (k *awsKeys) hold(key testvault.STSKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.key = key
}

func (k *awsKeys) Retrieve(context.Context) (sdk.Credentials, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return sdk.Credentials{AccessKeyID: k.key.ID, SecretAccessKey: k.key.Secret, SessionToken: k.key.SessionToken}, nil
}

// newAWSVault is a Vault with a secret, and a policy to read it.
func newAWSVault(t *testing.T) *testvault.Server {
	t.Helper()
	v := testvault.Vault(t)
	v.Policy("app", `path "secret/data/*" { capabilities = ["read"] }`)
	v.Write("secret/data/payments/stripe", map[string]any{"data": map[string]any{"api_key": canaryValue, "retries": 3}})
	return v
}

// withAWS enables the AWS method at mount, with the role "app" for both keys.
func withAWS(v *testvault.Server, mount string, sts *testvault.STS, config, role map[string]any) {
	v.AWS(mount, sts, config)
	params := map[string]any{"token_policies": "app", "token_ttl": "1h"}
	maps.Copy(params, role)
	v.AWSRole(mount, "app", awsUser+","+awsRole, params)
}

// startWith starts a client of Vault v that logs in by m.
func startWith(t *testing.T, v *testvault.Server, m auth.Method, change ...func(*leasehold.Config)) (*app, error) {
	t.Helper()
	a := &app{said: &buffer{}}
	cfg := leasehold.Config{
		Address: v.Addr(), Auth: m,
		Logger:  slog.New(slog.NewTextHandler(a.said, &slog.HandlerOptions{Level: slog.LevelDebug})),
		OnEvent: func(e leasehold.Event) { _, _ = fmt.Fprintf(a.said, "%+v %v\n", e, e.Err) },
	}
	for _, f := range change {
		f(&cfg)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var err error
	if a.Client, err = leasehold.New(ctx, cfg); err != nil {
		return a, err
	}
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	return a, nil
}

// TestA9VaultAndSTSAcceptWhatIsSigned, and see the host, the region and the scope that they
// should. The oracle is an STS that computes each signature anew from what Vault has sent it.
func TestA9VaultAndSTSAcceptWhatIsSigned(t *testing.T) {
	t.Parallel()
	v := newAWSVault(t)
	for name, tt := range map[string]struct {
		key      testvault.STSKey
		region   string
		opts     []aws.Option
		config   map[string]any
		host     string
		scope    string
		serverID string
	}{
		"user":    {key: userKey, region: "eu-west-1", host: "sts.eu-west-1.amazonaws.com", scope: "eu-west-1"},
		"session": {key: sessionKey, region: "us-east-1", host: "sts.us-east-1.amazonaws.com", scope: "us-east-1"},
		"global":  {key: sessionKey, region: aws.GlobalRegion, host: "sts.amazonaws.com", scope: "us-east-1"},
		"china":   {key: userKey, region: "cn-north-1", host: "sts.cn-north-1.amazonaws.com.cn", scope: "cn-north-1"},
		"endpoint": {
			key: userKey, region: "eu-west-1", opts: []aws.Option{aws.STSEndpoint("https://vpce-1.sts.eu-west-1.vpce.amazonaws.com:443")},
			host: "vpce-1.sts.eu-west-1.vpce.amazonaws.com", scope: "eu-west-1",
		},
		"server-id": {
			key: sessionKey, region: "eu-west-1", opts: []aws.Option{aws.ServerID("vault.test")}, config: map[string]any{"iam_server_id_header_value": "vault.test"},
			host: "sts.eu-west-1.amazonaws.com", scope: "eu-west-1", serverID: "vault.test",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, sts, mount := v.For(t), newSTS(t), "aws-right-"+name
			sts.Region(tt.scope)
			withAWS(v, mount, sts, tt.config, nil)
			a, err := startWith(t, v, aws.New("app", holding(tt.key), tt.region, append(tt.opts, aws.Mount(mount))...))
			require.NoError(t, err)
			got, err := kv.Get[stripe](t.Context(), a.KV("secret"), "payments/stripe")
			require.NoError(t, err)
			assert.Equal(t, canaryValue, got.Value.APIKey.Reveal())
			require.NoError(t, a.Close(t.Context()))
			want := testvault.STSRequest{Host: tt.host, KeyID: tt.key.ID, Region: tt.scope, ServerID: tt.serverID}
			// Vault asks twice for one login: whose it will be, and then to let him in.
			assert.Equal(t, []testvault.STSRequest{want, want}, sts.Asked())
			assert.Equal(t, 1, v.Audit().Count("", "auth/"+mount+"/login"))
			assert.NotContains(t, a.said.String(), "canary")
		})
	}
}

// TestA9EachRefusalIsReportedWell: what STS or Vault said, with a hint, and nothing secret.
func TestA9EachRefusalIsReportedWell(t *testing.T) {
	t.Parallel()
	v := newAWSVault(t)
	const mismatch = "received error code 403 from STS: SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided."
	const wrongly = "(is the secret access key right, and the request signed for the STS endpoint which Vault asks?)"
	strict := map[string]any{"iam_server_id_header_value": "vault.test"}
	for name, tt := range map[string]struct {
		key    testvault.STSKey
		region string
		opts   []aws.Option
		config map[string]any
		sts    func(*testvault.STS)
		change func(header http.Header) // on the way from the client to Vault
		says   []string
		code   string // that STS has answered; empty: Vault did not ask
	}{
		"wrong-key": {
			key:  testvault.STSKey{ID: userKey.ID, Secret: "canary/wrong"},
			says: []string{mismatch, wrongly}, code: "SignatureDoesNotMatch",
		},
		"unknown-key": {
			key:  testvault.STSKey{ID: "AKIANOBODY", Secret: "canary/wrong"},
			says: []string{"InvalidClientTokenId: The security token included in the request is invalid.", "(AWS does not know the access key"}, code: "InvalidClientTokenId",
		},
		"no-session-token": {
			key:  testvault.STSKey{ID: sessionKey.ID, Secret: sessionKey.Secret},
			says: []string{"InvalidClientTokenId: ", "or not with this session token"}, code: "InvalidClientTokenId",
		},
		"ended-session": {
			key: sessionKey, sts: func(s *testvault.STS) { ended := sessionKey; ended.Expired = true; s.Know(ended) },
			says: []string{"ExpiredToken: The security token included in the request is expired", "(the credentials provider returned a session that has ended)"}, code: "ExpiredToken",
		},
		"slow-clock": {
			key: userKey, sts: func(s *testvault.STS) { s.Skew(16 * time.Minute) },
			says: []string{"SignatureDoesNotMatch: Signature expired: ", " is now earlier than ", " - 15 min.)", "(is the clock of this machine right?"}, code: "SignatureDoesNotMatch",
		},
		"fast-clock": {
			key: userKey, sts: func(s *testvault.STS) { s.Skew(-6 * time.Minute) },
			says: []string{"SignatureDoesNotMatch: Signature not yet current: ", " + 5 min.)", "(is the clock of this machine right?"}, code: "SignatureDoesNotMatch",
		},
		"other-region": {
			key: userKey, region: "us-east-1",
			says: []string{"Credential should be scoped to a valid region.", "(signed for another region than that of the STS endpoint which Vault asks"}, code: "SignatureDoesNotMatch",
		},
		"no-server-id": {
			key: userKey, config: strict,
			says: []string{`error validating X-Vault-AWS-IAM-Server-ID header: missing header "X-Vault-AWS-IAM-Server-ID"`, "(the server ID must be the iam_server_id_header_value"},
		},
		"other-server-id": {
			key: userKey, config: strict, opts: []aws.Option{aws.ServerID("other.test")},
			says: []string{`expected "vault.test" but got "other.test"`, "(the server ID must be the iam_server_id_header_value"},
		},
		// A login for another Vault is no login for this one, also with its header put right.
		"altered-server-id": {
			key: userKey, config: strict, opts: []aws.Option{aws.ServerID("other.test")},
			change: func(h http.Header) { h.Set("X-Vault-Aws-Iam-Server-Id", "vault.test") },
			says:   []string{mismatch, wrongly}, code: "SignatureDoesNotMatch",
		},
		"altered-date": {
			key: userKey, change: func(h http.Header) { h.Set("X-Amz-Date", time.Now().UTC().Add(time.Second).Format("20060102T150405Z")) },
			says: []string{mismatch, wrongly}, code: "SignatureDoesNotMatch",
		},
		"other-role": {
			key: testvault.STSKey{ID: "AKIAOTHER", Secret: "canary"}, sts: func(s *testvault.STS) {
				s.Know(testvault.STSKey{ID: "AKIAOTHER", Secret: "canary", ARN: "arn:aws:iam::123456789012:user/other"})
			},
			says: []string{`IAM Principal "arn:aws:iam::123456789012:user/other" does not belong to the role "app"`, "(check the role"}, code: "-",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, sts, mount := v.For(t), newSTS(t), "aws-wrong-"+name
			sts.Region("eu-west-1")
			if tt.sts != nil {
				tt.sts(sts)
			}
			if tt.region == "" {
				tt.region = "eu-west-1"
			}
			withAWS(v, mount, sts, tt.config, nil)
			wire := &meddler{change: tt.change}
			a, err := startWith(t, v, aws.New("app", holding(tt.key), tt.region, append(tt.opts, aws.Mount(mount))...),
				func(c *leasehold.Config) { c.HTTPClient = &http.Client{Transport: wire} })
			require.ErrorContains(t, err, "leasehold: log in auth/"+mount+"/login: 400 Bad Request: ")
			for _, says := range tt.says {
				require.ErrorContains(t, err, says)
			}
			assert.Equal(t, 1, v.Audit().Count("", "auth/"+mount+"/login"), "nothing changes by asking again")
			if tt.code == "" {
				assert.Empty(t, sts.Asked())
			} else if asked := sts.Asked(); assert.NotEmpty(t, asked) {
				assert.Equal(t, strings.Trim(tt.code, "-"), asked[0].Code)
			}
			require.NotEmpty(t, wire.signature)
			for _, secret := range []string{"canary", wire.signature, "<Error"} {
				assert.NotContains(t, err.Error(), secret)
				assert.NotContains(t, a.said.String(), secret)
			}
		})
	}
}

// meddler changes the signed headers in a login, after they were signed.
type meddler struct {
	change    func(http.Header) // nil: nothing
	signature string
}

func (m *meddler) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	var header http.Header
	if err := json.Unmarshal(body, &fields); err != nil {
		return nil, err
	}
	text, err := base64.StdEncoding.DecodeString(fields["iam_request_headers"].(string))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &header); err != nil {
		return nil, err
	}
	_, m.signature, _ = strings.Cut(header.Get("Authorization"), "Signature=")
	if m.change != nil {
		m.change(header)
		if text, err = json.Marshal(header); err != nil {
			return nil, err
		}
		fields["iam_request_headers"] = base64.StdEncoding.EncodeToString(text)
		if body, err = json.Marshal(fields); err != nil {
			return nil, err
		}
	}
	r = r.Clone(r.Context())
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
}

// TestA9AnOutageOfSTSIsWaitedFor: Vault answers 400 when STS fails or is not there, as it does
// for a wrong key. A program that starts just then must not give up, nor must one that runs.
func TestA9AnOutageOfSTSIsWaitedFor(t *testing.T) {
	t.Parallel()
	v := newAWSVault(t)
	for name, outage := range map[string]struct {
		begin, end func(*testvault.Server, *testvault.STS, string)
	}{
		"fails": {
			begin: func(_ *testvault.Server, s *testvault.STS, _ string) { s.Outage(http.StatusServiceUnavailable) },
			end:   func(_ *testvault.Server, s *testvault.STS, _ string) { s.Outage(0) },
		},
		"unreachable": {
			begin: func(v *testvault.Server, _ *testvault.STS, mount string) {
				v.Write("auth/"+mount+"/config/client", map[string]any{"sts_endpoint": "http://127.0.0.1:1"})
			},
			end: func(v *testvault.Server, s *testvault.STS, mount string) {
				v.Write("auth/"+mount+"/config/client", map[string]any{"sts_endpoint": s.URL()})
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, sts, mount := v.For(t), newSTS(t), "aws-outage-"+name
			withAWS(v, mount, sts, nil, nil)
			outage.begin(v, sts, mount)
			var wg sync.WaitGroup
			wg.Go(func() {
				<-time.After(3 * time.Second)
				outage.end(v, sts, mount)
			})
			began := time.Now()
			a, err := startWith(t, v, aws.New("app", holding(userKey), "eu-west-1", aws.Mount(mount)))
			wg.Wait()
			require.NoError(t, err)
			assert.GreaterOrEqual(t, time.Since(began), 3*time.Second)
			assert.Contains(t, a.said.String(), "Vault does not reach AWS STS, or STS fails")
			assert.LessOrEqual(t, v.Audit().Count("", "auth/"+mount+"/login"), 8, "logins in the audit log, with a back-off between")
			require.NoError(t, a.Close(t.Context()))
		})
	}
}

// TestA9KeysAreRotatedUnderLoad replaces the keys in the middle of the tokens' lives, deletes the
// old ones at AWS, and has the tokens die every 6 s. Who keeps what it was given at first
// stops at the first death after that.
func TestA9KeysAreRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	const mount, watched = "aws-load", 24 * time.Second
	v, sts := newAWSVault(t), newSTS(t)
	withAWS(v, mount, sts, nil, map[string]any{"token_ttl": "4s", "token_max_ttl": "6s"})
	source := holding(userKey)
	a, err := startWith(t, v, aws.New("app", source, "eu-west-1", aws.Mount(mount)))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), watched)
	defer cancel()
	var rotated int
	var wg sync.WaitGroup
	wg.Go(func() {
		<-time.After(watched / 3)
		source.hold(sessionKey)
		rotated = len(sts.Asked())
		<-time.After(time.Second) // a login that has begun may still go by the old ones
		sts.Forget(userKey.ID)
	})
	log, stop := a.load(ctx)
	wg.Wait()
	<-ctx.Done()
	stop()

	var asked []testvault.STSRequest
	logins := 0
	testvault.Poll(t, 5*time.Second, func() bool { // a login may be under way
		asked, logins = sts.Asked(), v.Audit().Count("", "auth/"+mount+"/login")
		return len(asked) == 2*logins
	}, "two questions for each login in the audit log")
	after := 0
	for i, r := range asked {
		assert.Empty(t, r.Code, "refused by STS")
		if i > rotated && r.KeyID == sessionKey.ID {
			after++
		}
	}
	assert.Greater(t, log.done, int(workers*watched/queries)/2, "too few reads to say anything")
	assert.Empty(t, log.failed, "failed reads")
	assert.GreaterOrEqual(t, after, 4, "questions with the new keys, two for each login, seen by STS")
	assert.Equal(t, userKey.ID, asked[0].KeyID)
	assert.Equal(t, sessionKey.ID, asked[len(asked)-1].KeyID)
	figure.AtMost(stdout, "a9-rotated-failed", float64(len(log.failed)), "reads", 0, "oracle=read-log",
		fmt.Sprintf("reads=%d", log.done), fmt.Sprintf("logins=%d", logins), fmt.Sprintf("after_rotation=%d", after/2))
	require.NoError(t, a.Close(t.Context()))
	assert.NotContains(t, a.said.String(), "canary/of")
}

// TestA9TheOfficialMethodFollowsItsCredentialsToo, as found in a file that is replaced. By
// itself it would keep the first for ever.
func TestA9TheOfficialMethodFollowsItsCredentialsToo(t *testing.T) {
	const mount, watched = "aws-official", 9 * time.Second
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_SDK_LOAD_CONFIG", "AWS_CA_BUNDLE"} {
		t.Setenv(name, "")
	}
	file := filepath.Join(t.TempDir(), "credentials")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
	t.Setenv("AWS_STS_REGIONAL_ENDPOINTS", "regional")
	write := func(key testvault.STSKey) {
		text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\naws_session_token = %s\n", key.ID, key.Secret, key.SessionToken)
		assert.NoError(t, os.WriteFile(file+".new", []byte(text), 0o600))
		assert.NoError(t, os.Rename(file+".new", file))
	}
	v, sts := newAWSVault(t), newSTS(t)
	withAWS(v, mount, sts, map[string]any{"iam_server_id_header_value": "vault.test"}, map[string]any{"token_ttl": "4s", "token_max_ttl": "4s"})
	write(userKey)
	a, err := startWith(t, v, official.New(helper.WithRole("app"), helper.WithMountPath(mount), helper.WithRegion("eu-west-1"), helper.WithIAMServerIDHeader("vault.test")))
	require.NoError(t, err)
	write(sessionKey)
	sts.Forget(userKey.ID)
	ctx, cancel := context.WithTimeout(t.Context(), watched)
	defer cancel()
	log, stop := a.load(ctx)
	<-ctx.Done()
	stop()

	asked := sts.Asked()
	assert.Greater(t, log.done, int(workers*watched/queries)/2, "too few reads to say anything")
	assert.Empty(t, log.failed, "failed reads")
	require.GreaterOrEqual(t, len(asked), 6, "questions for three logins, seen by STS")
	for i, r := range asked {
		key := sessionKey
		if i < 2 {
			key = userKey
		}
		assert.Equal(t, testvault.STSRequest{Host: "sts.eu-west-1.amazonaws.com", KeyID: key.ID, Region: "eu-west-1", ServerID: "vault.test"}, r)
	}
	require.NoError(t, a.Close(t.Context()))

	// What is wrong is reported as with auth/aws.
	write(testvault.STSKey{ID: sessionKey.ID, Secret: "canary/wrong", SessionToken: sessionKey.SessionToken})
	_, err = startWith(t, v, official.New(helper.WithRole("app"), helper.WithMountPath(mount), helper.WithRegion("eu-west-1"), helper.WithIAMServerIDHeader("vault.test")))
	require.ErrorContains(t, err, "received error code 403 from STS: SignatureDoesNotMatch: ")
	require.ErrorContains(t, err, "(is the secret access key right")
	assert.NotContains(t, err.Error(), "canary")
}
