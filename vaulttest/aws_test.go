package vaulttest_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// awsRequest is a request to AWS STS before it is signed.
type awsRequest struct {
	key, secret, region, service string
	at                           time.Time
	header                       map[string]string // beyond host and date
	link                         bool              // GET with the signature in the query
}

// login signs the request as AWS's clients do and returns the body of a login with it.
func (r awsRequest) login(role string) string {
	const host, body = "sts.amazonaws.com", "Action=GetCallerIdentity&Version=2011-06-15"
	date := r.at.UTC().Format("20060102T150405Z")
	scope := date[:8] + "/" + r.region + "/" + r.service + "/aws4_request"
	sha := func(text string) string { sum := sha256.Sum256([]byte(text)); return hex.EncodeToString(sum[:]) }
	method, query, payload := "POST", url.Values{}, body
	header := map[string]string{"host": host}
	maps.Copy(header, r.header)
	if r.link {
		method, payload = "GET", ""
		query = url.Values{
			"Action": {"GetCallerIdentity"}, "X-Amz-Algorithm": {"AWS4-HMAC-SHA256"}, "X-Amz-Credential": {r.key + "/" + scope},
			"X-Amz-Date": {date}, "X-Amz-SignedHeaders": {strings.Join(slices.Sorted(maps.Keys(header)), ";")},
		}
	} else {
		header["x-amz-date"] = date
	}
	names := slices.Sorted(maps.Keys(header))
	canonical := method + "\n/\n" + strings.ReplaceAll(query.Encode(), "+", "%20") + "\n"
	for _, name := range names {
		canonical += name + ":" + header[name] + "\n"
	}
	canonical += "\n" + strings.Join(names, ";") + "\n" + sha(payload)
	sum := []byte("AWS4" + r.secret)
	for _, part := range append(strings.Split(scope, "/"), "AWS4-HMAC-SHA256\n"+date+"\n"+scope+"\n"+sha(canonical)) {
		h := hmac.New(sha256.New, sum)
		h.Write([]byte(part))
		sum = h.Sum(nil)
	}
	signature := hex.EncodeToString(sum)
	if r.link {
		query.Set("X-Amz-Signature", signature)
	} else {
		header["authorization"] = "AWS4-HMAC-SHA256 Credential=" + r.key + "/" + scope + ", SignedHeaders=" + strings.Join(names, ";") + ", Signature=" + signature
	}
	target := url.URL{Scheme: "https", Host: host, Path: "/", RawQuery: query.Encode()}
	encode := func(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }
	text, err := json.Marshal(map[string]any{
		"role": role, "iam_http_request_method": method, "iam_request_url": encode(target.String()),
		"iam_request_body": encode(payload), "iam_request_headers": header,
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func awsServer(t *testing.T) (*vaulttest.Server, caller, awsRequest) {
	t.Helper()
	s := vaulttest.New(t)
	s.AWSRole("App", vaulttest.AWSRoleSpec{
		BoundIAMPrincipalARNs: []string{"arn:aws:iam::123456789012:user/app"}, Policies: []string{"p"}, TokenTTL: time.Hour,
	})
	s.AWSAccessKey(vaulttest.AWSAccessKeySpec{ID: "AKIA1", Secret: "se/cret", ARN: "arn:aws:iam::123456789012:user/path/app"})
	return s, inProcess(t, s), awsRequest{key: "AKIA1", secret: "se/cret", region: "us-east-1", service: "sts", at: s.Now()}
}

func TestAWS(t *testing.T) {
	_, c, r := awsServer(t)
	a := c.want(200, `"auth_type":"iam"`, "", "POST", "auth/aws/login", r.login(""))
	assert.Equal(t, 3600, a.secret.Auth.LeaseDuration)
	c.want(200, `"display_name":"aws-app"`, a.secret.Auth.ClientToken, "GET", "auth/token/lookup-self", "")
	r.link = true
	c.want(200, `"account_id":"123456789012"`, "", "PUT", "auth/aws/login", r.login("APP"))
}

// What STS refuses, Vault passes on.
func TestAWSRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*awsRequest)
		want   string
	}{
		"unknown key":       {func(r *awsRequest) { r.key = "AKIA2" }, `\u003cCode\u003eInvalidClientTokenId\u003c`},
		"wrong secret":      {func(r *awsRequest) { r.secret = "x" }, "The request signature we calculated does not match"},
		"needless token":    {func(r *awsRequest) { r.header = map[string]string{"x-amz-security-token": "x"} }, "InvalidClientTokenId"},
		"wrong region":      {func(r *awsRequest) { r.region = "eu-west-1" }, "Credential should be scoped to a valid region."},
		"wrong service":     {func(r *awsRequest) { r.service = "iam" }, "Credential should be scoped to correct service: 'sts'."},
		"too old":           {func(r *awsRequest) { r.at = r.at.Add(-15*time.Minute - 2*time.Second) }, "SignatureDoesNotMatch"},
		"from the future":   {func(r *awsRequest) { r.at = r.at.Add(5*time.Minute + 5*time.Second) }, "Signature not yet current: "},
		"link, wrong token": {func(r *awsRequest) { r.link, r.secret = true, "x" }, "SignatureDoesNotMatch"},
	} {
		t.Run(name, func(t *testing.T) {
			_, c, r := awsServer(t)
			test.change(&r)
			c.want(400, test.want, "", "POST", "auth/aws/login", r.login("app"))
			c.want(400, "error making upstream request: received error code 403 from STS: ", "", "POST", "auth/aws/login", r.login("app"))
		})
	}
}

// What is not covered by the signature any more is refused.
func TestAWSTampering(t *testing.T) {
	_, c, r := awsServer(t)
	r.header = map[string]string{"x-vault-aws-iam-server-id": "a"}
	good := r.login("app")
	c.want(200, "client_token", "", "POST", "auth/aws/login", good)
	for _, change := range [][2]string{
		{`server-id":"a"`, `server-id":"b"`},
		{base64.StdEncoding.EncodeToString([]byte("Action=GetCallerIdentity&Version=2011-06-15")), base64.StdEncoding.EncodeToString([]byte("Action=GetCallerIdentity&Version=2011-06-16"))},
		{base64.StdEncoding.EncodeToString([]byte("https://sts.amazonaws.com/")), base64.StdEncoding.EncodeToString([]byte("https://sts.amazonaws.com/x"))},
		{base64.StdEncoding.EncodeToString([]byte("https://sts.amazonaws.com/")), base64.StdEncoding.EncodeToString([]byte("https://other.test/"))},
	} {
		assert.Contains(t, good, change[0])
		c.want(400, "SignatureDoesNotMatch", "", "POST", "auth/aws/login", strings.Replace(good, change[0], change[1], 1))
	}
	c.want(400, "MissingAuthenticationToken", "", "POST", "auth/aws/login", strings.Replace(good, "AWS4-HMAC-SHA256 ", "Basic ", 1))
	c.want(400, "IncompleteSignature", "", "POST", "auth/aws/login", strings.Replace(good, "SignedHeaders=", "Headers=", 1))
}

// A signed request is good for a quarter of an hour, as often as one likes.
func TestAWSSignatureGrowsOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c, r := awsServer(t)
		login := r.login("app")
		c.want(200, "client_token", "", "POST", "auth/aws/login", login)
		time.Sleep(15 * time.Minute)
		c.want(200, "client_token", "", "POST", "auth/aws/login", login)
		time.Sleep(time.Nanosecond)
		c.want(400, "Signature expired: 20000101T000000Z is now earlier than 20000101T000000Z (20000101T001500Z - 15 min.)", "", "POST", "auth/aws/login", login)
	})
}

func TestAWSConfiguration(t *testing.T) {
	s, c, r := awsServer(t)
	s.AWS(vaulttest.AWSSpec{IAMServerIDHeaderValue: "vault.test", STSRegion: "eu-west-1"})
	c.want(400, `error validating X-Vault-AWS-IAM-Server-ID header: missing header`, "", "POST", "auth/aws/login", r.login("app"))
	r.header = map[string]string{"x-vault-aws-iam-server-id": "vault.test"}
	c.want(400, "Credential should be scoped to a valid region.", "", "POST", "auth/aws/login", r.login("app"))
	r.region = "eu-west-1"
	c.want(200, "client_token", "", "POST", "auth/aws/login", r.login("app"))
	r.link = true
	c.want(200, "client_token", "", "POST", "auth/aws/login", r.login("app"))
}

// Temporary keys come with their session token, and an assumed role may be bound by a part of its name.
func TestAWSAssumedRole(t *testing.T) {
	s, c, r := awsServer(t)
	s.AWSAccessKey(vaulttest.AWSAccessKeySpec{ID: "ASIA1", Secret: "s", SessionToken: "tok", ARN: "arn:aws:sts::123456789012:assumed-role/team-app/i-1"})
	s.AWSRole("team", vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: []string{"arn:aws:iam::123456789012:role/team-*"}, Mount: "cloud"})
	r.key, r.secret = "ASIA1", "s"
	c.want(400, "InvalidClientTokenId", "", "POST", "auth/cloud/login", r.login("team"))
	r.header = map[string]string{"x-amz-security-token": "tok"}
	token := c.want(200, "client_token", "", "POST", "auth/cloud/login", r.login("team")).secret.Auth.ClientToken
	c.want(200, `"display_name":"cloud-team-app/i-1"`, token, "GET", "auth/token/lookup-self", "")
	c.want(400, `IAM Principal \"arn:aws:sts::123456789012:assumed-role/team-app/i-1\" does not belong to the role \"app\"`, "", "POST", "auth/aws/login", r.login("app"))

	s.AWSRole("team", vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: []string{"arn:aws:iam::123456789012:role/other-*"}, Mount: "cloud"})
	c.want(500, `role \"team\" no longer bound to ARN \"arn:aws:iam::123456789012:role/team-app\"`, token, "POST", "auth/token/renew-self", "")
}
