package likeness

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// awsKeys are those that both sides' STS know, and who has them.
var awsKeys = map[string]string{
	"AKIAUSER": "arn:aws:iam::123456789012:user/app",
	"AKIAPATH": "arn:aws:iam::123456789012:user/team/a/deep",
	"ASIAROLE": "arn:aws:sts::123456789012:assumed-role/App/i-123",
	"AKIAFED":  "arn:aws:sts::123456789012:federated-user/bob",
	"AKIAROOT": "arn:aws:iam::123456789012:root",
}

// newSTS is an AWS STS that believes who a request says that it is from, but for the keys that stand
// for an error of its own: "CODE/MESSAGE".
func newSTS(t *testing.T, errors map[string]string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, key, _ := strings.Cut(r.Header.Get("Authorization")+r.URL.Query().Get("X-Amz-Credential"), "Credential=")
		if key == "" {
			key = r.URL.Query().Get("X-Amz-Credential")
		}
		key, _, _ = strings.Cut(key, "/")
		w.Header().Set("Content-Type", "text/xml")
		// IAM tells a user or role by its name, with its path.
		switch name := r.FormValue("UserName") + r.FormValue("RoleName"); r.FormValue("Action") {
		case "GetUser":
			fmt.Fprintf(w, `<GetUserResponse><GetUserResult><User><Arn>%s</Arn></User></GetUserResult></GetUserResponse>`, awsKeys[map[string]string{"app": "AKIAUSER", "deep": "AKIAPATH"}[name]])
			return
		case "GetRole":
			fmt.Fprintf(w, `<GetRoleResponse><GetRoleResult><Role><Arn>arn:aws:iam::123456789012:role/%s</Arn></Role></GetRoleResult></GetRoleResponse>`, name)
			return
		}
		if code, message, isError := strings.Cut(errors[key], "/"); isError {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprintf(w, "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    <Type>Sender</Type>\n    <Code>%s</Code>\n"+
				"    <Message>%s</Message>\n  </Error>\n  <RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>\n</ErrorResponse>\n", code, message)
			return
		}
		fmt.Fprintf(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>`+
			`<Arn>%s</Arn><UserId>%s:x</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`, awsKeys[key], "ID"+key)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// awsSigned is a signed request, in parts that a step can change.
type awsSigned struct {
	method, url, body string
	header            map[string]string
}

const stsBody = "Action=GetCallerIdentity&Version=2011-06-15"

func sha(text string) string { sum := sha256.Sum256([]byte(text)); return hex.EncodeToString(sum[:]) }

// signAWS signs a request to sts.amazonaws.com with headers.
func signAWS(key, secret string, at time.Time, header map[string]string) awsSigned {
	date := at.UTC().Format("20060102T150405Z")
	all := map[string]string{"host": "sts.amazonaws.com", "x-amz-date": date, "content-type": "application/x-www-form-urlencoded; charset=utf-8"}
	for k, v := range header {
		all[strings.ToLower(k)] = v
	}
	names := slices.Sorted(maps.Keys(all))
	canonical := "POST\n/\n\n"
	for _, name := range names {
		canonical += name + ":" + all[name] + "\n"
	}
	signed := strings.Join(names, ";")
	scope := date[:8] + "/us-east-1/sts/aws4_request"
	text := "AWS4-HMAC-SHA256\n" + date + "\n" + scope + "\n" + sha(canonical+"\n"+signed+"\n"+sha(stsBody))
	sum := []byte("AWS4" + secret)
	for _, part := range append(strings.Split(scope, "/"), text) {
		h := hmac.New(sha256.New, sum)
		h.Write([]byte(part))
		sum = h.Sum(nil)
	}
	delete(all, "host")
	all["authorization"] = fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", key, scope, signed, sum)
	return awsSigned{"POST", "https://sts.amazonaws.com/", stsBody, all}
}

// fields are those of a login.
func (r awsSigned) fields(role string) map[string]any {
	encode := base64.StdEncoding.EncodeToString
	f := map[string]any{
		"role": role, "iam_http_request_method": r.method, "iam_request_url": encode([]byte(r.url)),
		"iam_request_body": encode([]byte(r.body)), "iam_request_headers": encode([]byte(jsonOf(r.header))),
	}
	if role == "" {
		delete(f, "role")
	}
	return f
}

// login is the body with fields changed; nil leaves one out.
func (r awsSigned) login(role string, changed map[string]any) string {
	f := r.fields(role)
	for k, v := range changed {
		if f[k] = v; v == nil {
			delete(f, k)
		}
	}
	return jsonOf(f)
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func awsPair(t *testing.T, stsErrors map[string]string) *pair {
	t.Helper()
	p := newPair(t)
	endpoint := newSTS(t, stsErrors)
	for mount, id := range map[string]string{"aws": "", "strict": "vault.test"} {
		p.real.Write("sys/auth/"+mount, map[string]any{"type": "aws"})
		p.real.Write("auth/"+mount+"/config/client", map[string]any{"sts_endpoint": endpoint, "iam_server_id_header_value": id, "max_retries": 0,
			"iam_endpoint": endpoint, "access_key": "AKIAVAULT", "secret_key": "x"})
		p.fake.AWS(vaulttest.AWSSpec{Mount: mount, IAMServerIDHeaderValue: id})
	}
	for key, arn := range awsKeys {
		p.fake.AWSAccessKey(vaulttest.AWSAccessKeySpec{ID: key, Secret: "secret-" + key, ARN: arn})
	}
	return p
}

func (p *pair) awsRole(mount, name string, params map[string]any, spec vaulttest.AWSRoleSpec) {
	p.t.Helper()
	spec.Mount = mount
	params["auth_type"], params["resolve_aws_unique_ids"], params["bound_iam_principal_arn"] = "iam", false, spec.BoundIAMPrincipalARNs
	p.real.Write("auth/"+mount+"/role/"+name, params)
	p.fake.AWSRole(name, spec)
}

func TestAWSLogins(t *testing.T) {
	t.Parallel()
	p := awsPair(t, nil)
	user, role, deep := awsKeys["AKIAUSER"], "arn:aws:iam::123456789012:role/App", "arn:aws:iam::123456789012:user/deep"
	p.awsRole("aws", "app", map[string]any{"token_policies": "app", "token_ttl": "5m", "token_max_ttl": "10m"}, vaulttest.AWSRoleSpec{
		BoundIAMPrincipalARNs: []string{user, role, deep}, Policies: []string{"app"}, TokenTTL: 5 * time.Minute, TokenMaxTTL: 10 * time.Minute,
	})
	p.awsRole("aws", "other", map[string]any{"token_type": "batch"}, vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: []string{role}, TokenType: "batch"})
	now := time.Now()
	good := signAWS("AKIAUSER", "secret-AKIAUSER", now, nil)
	assumed := signAWS("ASIAROLE", "secret-ASIAROLE", now, nil)
	path := signAWS("AKIAPATH", "secret-AKIAPATH", now, nil)
	lists := map[string][]string{}
	for k, v := range good.header {
		lists[k] = []string{v}
	}
	b64 := base64.StdEncoding.EncodeToString
	link := func(query string) map[string]any {
		return map[string]any{"iam_http_request_method": "GET", "iam_request_body": nil, "iam_request_url": b64([]byte("https://sts.amazonaws.com/?" + query))}
	}
	set := func(name string, value any) string { return good.login("app", map[string]any{name: value}) }
	p.play(
		step{do: "POST auth/aws/login", body: good.login("app", nil), save: "t=auth.client_token role_id=auth.metadata.role_id"},
		step{as: "t", do: "GET auth/token/lookup-self"},
		step{as: "t", do: "POST auth/token/renew-self", body: `{"increment":"1h"}`},
		step{do: "PUT auth/aws/login", body: good.login("APP", nil)},
		step{do: "POST auth/aws/login", body: good.login("", nil)},
		step{do: "POST auth/aws/login", body: assumed.login("", nil), save: "a=auth.client_token"},
		step{as: "a", do: "GET auth/token/lookup-self"},
		step{do: "POST auth/aws/login", body: assumed.login("other", nil), loose: "role_id"},
		step{do: "POST auth/aws/login", body: path.login("app", nil)},
		step{do: "POST auth/aws/login", body: path.login("", nil)},
		step{do: "POST auth/aws/login", body: good.login("other", nil)},
		step{do: "POST auth/aws/login", body: good.login("nobody", nil)},
		step{do: "POST auth/aws/login", body: signAWS("AKIAFED", "secret-AKIAFED", now, nil).login("app", nil)},
		step{do: "POST auth/aws/login", body: signAWS("AKIAROOT", "secret-AKIAROOT", now, nil).login("app", nil)},
		step{as: "root", do: "POST auth/aws/login", body: set("region", "us-east-1")},

		// Each form of the headers.
		step{do: "POST auth/aws/login", body: set("iam_request_headers", good.header)},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", lists)},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", jsonOf(good.header))},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", []string{"authorization:" + good.header["authorization"], "x-amz-date:" + good.header["x-amz-date"], "content-type:" + good.header["content-type"]})},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", "")},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", "!")},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", b64([]byte("x")))},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", b64([]byte("[]")))},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", b64([]byte("{}")))},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", b64([]byte(`{"a":{}}`)))},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", map[string]any{})},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", map[string]any{"a": true})},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", map[string]any{"a": []any{true}})},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", []string{"x"})},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", []string{":x"})},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", []any{5})},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", []any{true})},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", []any{})},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", 5)},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", true)},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", nil)},
		step{do: "POST auth/aws/login", body: strings.Replace(set("iam_request_headers", "HERE"), `"HERE"`, "null", 1)},
		step{do: "POST auth/aws/login", body: set("iam_request_headers", map[string]string{"X-Amz-Target": "x", "a": "b"})},

		// The request itself.
		step{do: "GET auth/aws/login"},
		step{do: "LIST auth/aws/login"},
		step{do: "POST auth/aws/login"},
		step{do: "POST auth/aws/login", body: `{"role":"app"}`},
		step{do: "POST auth/aws/login", body: `{"identity":"x","role":"app"}`},
		step{do: "POST auth/aws/login", body: set("pkcs7", "x")},
		step{do: "POST auth/aws/login", body: set("iam_http_request_method", nil)},
		step{do: "POST auth/aws/login", body: set("iam_http_request_method", "")},
		step{do: "POST auth/aws/login", body: set("iam_http_request_method", "post")},
		step{do: "POST auth/aws/login", body: set("iam_http_request_method", "PUT")},
		step{do: "POST auth/aws/login", body: set("iam_http_request_method", map[string]any{})},
		step{do: "POST auth/aws/login", body: set("iam_request_url", nil)},
		step{do: "POST auth/aws/login", body: set("iam_request_url", "")},
		step{do: "POST auth/aws/login", body: set("iam_request_url", "!")},
		step{do: "POST auth/aws/login", body: set("iam_request_url", b64([]byte("http://a b/")))},
		step{do: "POST auth/aws/login", body: set("iam_request_url", b64([]byte("https://sts.amazonaws.com/?Action=GetCallerIdentity")))},
		step{do: "POST auth/aws/login", body: set("iam_request_body", nil)},
		step{do: "POST auth/aws/login", body: set("iam_request_body", "")},
		step{do: "POST auth/aws/login", body: set("iam_request_body", "!")},
		step{do: "POST auth/aws/login", body: set("iam_request_body", b64([]byte("Action=AssumeRole")))},
		step{do: "POST auth/aws/login", body: set("iam_request_body", b64([]byte("Action=GetCallerIdentity&Action=GetCallerIdentity")))},
		step{do: "POST auth/aws/login", body: set("iam_request_body", b64([]byte("Action=GetCallerIdentity&RoleArn=x")))},
		step{do: "POST auth/aws/login", body: set("iam_request_body", b64([]byte("%zz")))},
		step{do: "POST auth/aws/login", body: set("role", []string{"app"})},
		step{do: "POST auth/aws/login", body: set("role", []any{map[string]any{}})},
		step{do: "POST auth/aws/login", body: set("role", "")},
		step{do: "POST auth/aws/login", body: good.login("app", link(""))},
		step{do: "POST auth/aws/login", body: good.login("app", link("Action=AssumeRole"))},
		step{do: "POST auth/aws/login", body: good.login("app", link("Action=GetCallerIdentity&Action=x"))},
		step{do: "POST auth/aws/login", body: good.login("app", link("Action=GetCallerIdentity&X-Amz-Expires=60"))},
		step{do: "POST auth/aws/login", body: good.login("app", link("Action=GetCallerIdentity&x-amz-date=60"))},

		step{as: "root", do: "GET auth/aws/role/app"},
		step{as: "root", do: "GET auth/aws/role/OTHER", loose: "role_id"},
		step{as: "root", do: "GET auth/aws/role/nobody"},
		step{as: "root", do: "LIST auth/aws/role"},
		step{as: "root", do: "LIST auth/aws/roles"},
		step{as: "root", do: "GET auth/aws/roles"},
		step{as: "root", do: "GET auth/aws/roles/app"},
		step{as: "t", do: "GET auth/aws/role/app"},
		step{as: "root", do: "GET auth/aws/nothing"},
	)
	// A role that changes binds what it has given, too.
	p.awsRole("aws", "app", map[string]any{"token_ttl": "1m", "token_max_ttl": 0}, vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: []string{role}, TokenTTL: time.Minute})
	p.play(
		step{as: "t", do: "POST auth/token/renew-self"},
		step{as: "a", do: "POST auth/token/renew-self"},
		step{as: "root", do: "DELETE auth/aws/role/app"},
		step{as: "a", do: "POST auth/token/renew-self"},
	)
}

func TestAWSServerID(t *testing.T) {
	t.Parallel()
	p := awsPair(t, nil)
	p.awsRole("strict", "app", map[string]any{}, vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: []string{awsKeys["AKIAUSER"]}})
	now := time.Now()
	sign := func(header map[string]string) awsSigned { return signAWS("AKIAUSER", "secret-AKIAUSER", now, header) }
	unsigned, bare := sign(nil), sign(map[string]string{"X-Vault-AWS-IAM-Server-ID": "vault.test"})
	unsigned.header["X-Vault-AWS-IAM-Server-ID"] = "vault.test"
	delete(bare.header, "authorization")
	broken := sign(map[string]string{"X-Vault-AWS-IAM-Server-ID": "vault.test"})
	broken.header["authorization"] = "AWS4-HMAC-SHA256 nothing"
	get := bare
	get.method, get.url = "GET", "https://sts.amazonaws.com/?Action=GetCallerIdentity&X-Amz-SignedHeaders=host"
	p.play(
		step{do: "POST auth/strict/login", body: sign(map[string]string{"X-Vault-AWS-IAM-Server-ID": "vault.test"}).login("app", nil), loose: "role_id"},
		step{do: "POST auth/strict/login", body: sign(nil).login("app", nil)},
		step{do: "POST auth/strict/login", body: sign(map[string]string{"X-Vault-AWS-IAM-Server-ID": "other.test"}).login("app", nil)},
		step{do: "POST auth/strict/login", body: unsigned.login("app", nil)},
		step{do: "POST auth/strict/login", body: bare.login("app", nil)},
		step{do: "POST auth/strict/login", body: broken.login("app", nil)},
		step{do: "POST auth/strict/login", body: get.login("app", nil)},
	)
}

// A "*" at the end of a bound ARN stands for anything, paths included, which Vault asks IAM for.
func TestAWSWildcards(t *testing.T) {
	t.Parallel()
	p := awsPair(t, nil)
	const account = "arn:aws:iam::123456789012:"
	for name, bound := range map[string][]string{
		"all": {account + "*"}, "users": {account + "user/*"}, "team": {account + "user/team/*"}, "a": {account + "user/a*", account + "role/A*"},
		"middle": {account + "user/*/deep"}, "exact": {awsKeys["AKIAPATH"]}, "anybody": {"*"}, "within": {"*team*"}, "session": {"arn:aws:sts::123456789012:assumed-role/App/*"},
	} {
		p.awsRole("aws", name, map[string]any{}, vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: bound})
	}
	now := time.Now()
	for _, name := range []string{"all", "users", "team", "a", "middle", "exact", "anybody", "within", "session"} {
		for _, key := range []string{"AKIAUSER", "AKIAPATH", "ASIAROLE"} {
			p.play(step{do: "POST auth/aws/login", body: signAWS(key, "secret-"+key, now, nil).login(name, nil), loose: "role_id"})
		}
	}
}

// What STS itself refuses, as Vault passes it on. Here it is the real side's STS that is told what to say.
func TestAWSRefusals(t *testing.T) {
	t.Parallel()
	now := time.Now()
	p := awsPair(t, map[string]string{
		"AKIANONE": "InvalidClientTokenId/The security token included in the request is invalid.",
		"AKIABAD":  "SignatureDoesNotMatch/The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
	})
	p.awsRole("aws", "app", map[string]any{}, vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: []string{awsKeys["AKIAUSER"]}})
	p.fake.AWSAccessKey(vaulttest.AWSAccessKeySpec{ID: "AKIABAD", Secret: "right", ARN: awsKeys["AKIAUSER"]})
	p.play(
		step{do: "POST auth/aws/login", body: signAWS("AKIANONE", "x", now, nil).login("app", nil)},
		step{do: "POST auth/aws/login", body: signAWS("AKIABAD", "wrong", now, nil).login("app", nil)},
	)
}
