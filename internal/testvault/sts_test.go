package testvault

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// askSTS signs a question as the AWS SDK does, has change tamper with it and returns the status
// and the answer.
func askSTS(t *testing.T, s *STS, keys aws.Credentials, region string, at time.Time, change func(*http.Request)) (int, string) {
	t.Helper()
	const question = "Action=GetCallerIdentity&Version=2011-06-15"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL()+"/", strings.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	req.Header.Set("X-Vault-Aws-Iam-Server-Id", "a  b")
	sum := sha256.Sum256([]byte(question))
	if err := v4.NewSigner().SignHTTP(t.Context(), keys, req, hex.EncodeToString(sum[:]), "sts", region, at); err != nil {
		t.Fatal(err)
	}
	req.URL.Path = "//" // as Vault asks
	change(req)
	resp, err := httpClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// TestSTSAcceptsWhatTheSDKSignsAndNothingElse: the SDK's signer is the oracle.
func TestSTSAcceptsWhatTheSDKSignsAndNothingElse(t *testing.T) {
	t.Parallel()
	long := STSKey{ID: "AKIALONG", Secret: "long/secret", ARN: "arn:aws:iam::123456789012:user/app"}
	short := STSKey{ID: "ASIASHORT", Secret: "short", SessionToken: "tok/en+==", ARN: "arn:aws:sts::123456789012:assumed-role/app/i-1"}
	ended := STSKey{ID: "ASIAENDED", Secret: "ended", SessionToken: "old", Expired: true}
	unchanged := func(*http.Request) {}
	keys := func(k STSKey) aws.Credentials {
		return aws.Credentials{AccessKeyID: k.ID, SecretAccessKey: k.Secret, SessionToken: k.SessionToken}
	}
	for name, tt := range map[string]struct {
		keys   aws.Credentials
		region string
		late   time.Duration
		change func(*http.Request)
		status int
		says   string
	}{
		"a user":           {keys: keys(long), status: 200, says: "<Arn>" + long.ARN + "</Arn>"},
		"an assumed role":  {keys: keys(short), status: 200, says: "<Arn>" + short.ARN + "</Arn>"},
		"nearly late":      {keys: keys(long), late: 15*time.Minute - 10*time.Second, status: 200, says: "<Arn>"},
		"late":             {keys: keys(long), late: 15*time.Minute + 10*time.Second, status: 403, says: "Signature expired: "},
		"early":            {keys: keys(long), late: -5*time.Minute - 10*time.Second, status: 403, says: "Signature not yet current: "},
		"another region":   {keys: keys(long), region: "eu-west-1", status: 403, says: "Credential should be scoped to a valid region."},
		"an unknown key":   {keys: keys(STSKey{ID: "AKIANOBODY", Secret: "x"}), status: 403, says: "<Code>InvalidClientTokenId</Code>"},
		"a wrong secret":   {keys: keys(STSKey{ID: long.ID, Secret: "other"}), status: 403, says: "<Code>SignatureDoesNotMatch</Code>"},
		"no session token": {keys: keys(STSKey{ID: short.ID, Secret: short.Secret}), status: 403, says: "<Code>InvalidClientTokenId</Code>"},
		"an ended session": {keys: keys(ended), status: 403, says: "<Code>ExpiredToken</Code>"},
		"another host":     {keys: keys(long), change: func(r *http.Request) { r.Host = "sts.test" }, status: 403, says: "SignatureDoesNotMatch"},
		"another header":   {keys: keys(long), change: func(r *http.Request) { r.Header.Set("X-Vault-Aws-Iam-Server-Id", "c") }, status: 403, says: "SignatureDoesNotMatch"},
		"an added header":  {keys: keys(long), change: func(r *http.Request) { r.Header.Set("X-Amz-Meta", "c") }, status: 403, says: "&#39;x-amz-meta&#39; must be"},
		"another path":     {keys: keys(long), change: func(r *http.Request) { r.URL.Path = "/x" }, status: 403, says: "SignatureDoesNotMatch"},
		"a query":          {keys: keys(long), change: func(r *http.Request) { r.URL.RawQuery = "a=b" }, status: 403, says: "SignatureDoesNotMatch"},
		"another body": {keys: keys(long), change: func(r *http.Request) {
			r.Body = io.NopCloser(bytes.NewReader([]byte("Action=GetCallerIdentity&Version=2011-06-16")))
		}, status: 403, says: "SignatureDoesNotMatch"},
		"no signature":   {keys: keys(long), change: func(r *http.Request) { r.Header.Del("Authorization") }, status: 403, says: "MissingAuthenticationToken"},
		"half of one":    {keys: keys(long), change: func(r *http.Request) { r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Signature=x") }, status: 400, says: "IncompleteSignature"},
		"a date of text": {keys: keys(long), change: func(r *http.Request) { r.Header.Set("X-Amz-Date", "x") }, status: 403, says: "Date in Credential scope"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := NewSTS(t)
			s.Region("us-east-1")
			for _, k := range []STSKey{long, short, ended} {
				s.Know(k)
			}
			if tt.region == "" {
				tt.region = "us-east-1"
			}
			if tt.change == nil {
				tt.change = unchanged
			}
			status, body := askSTS(t, s, tt.keys, tt.region, time.Now().Add(-tt.late), tt.change)
			if status != tt.status || !strings.Contains(body, tt.says) {
				t.Errorf("got %d %s, want %d with %q", status, body, tt.status, tt.says)
			}
		})
	}
}

// TestSTSForgetsAndFails is about what a test can do to it while it runs.
func TestSTSForgetsAndFails(t *testing.T) {
	t.Parallel()
	s := NewSTS(t)
	s.Know(STSKey{ID: "AKIA1", Secret: "x", ARN: "arn:aws:iam::123456789012:user/app"})
	try := func() int {
		status, _ := askSTS(t, s, aws.Credentials{AccessKeyID: "AKIA1", SecretAccessKey: "x"}, "eu-west-1", time.Now(), func(*http.Request) {})
		return status
	}
	var got []int
	got = append(got, try())
	s.Skew(time.Hour)
	got = append(got, try())
	s.Skew(0)
	s.Outage(http.StatusServiceUnavailable)
	got = append(got, try())
	s.Outage(0)
	s.Forget("AKIA1")
	got = append(got, try())
	for i, want := range []int{200, 403, 503, 403} {
		if got[i] != want {
			t.Errorf("got %v", got)
		}
	}
	asked := s.Asked()
	if len(asked) != 4 || asked[0] != (STSRequest{Host: strings.TrimPrefix(s.URL(), "http://"), KeyID: "AKIA1", Region: "eu-west-1", ServerID: "a  b"}) ||
		asked[3].Code != "InvalidClientTokenId" {
		t.Errorf("got %+v", asked)
	}
}
