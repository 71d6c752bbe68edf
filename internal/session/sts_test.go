package session

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/lease"
)

const awsLogin = "auth/aws/login"

// sts is Vault's text for a refusal of STS.
func sts(status, code, message string) string {
	return "error making upstream request: received error code " + status + " from STS: <ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n" +
		"  <Error>\n    <Type>Sender</Type>\n    <Code>" + code + "</Code>\n    <Message>" + message + "</Message>\n  </Error>\n" +
		"  <RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>\n</ErrorResponse>\n"
}

// TestA9WhatSTSSaysIsReadable, whole, and without what it would have signed: the session
// token is in that.
func TestA9WhatSTSSaysIsReadable(t *testing.T) {
	t.Parallel()
	const mismatch = "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
	canonical := "\n\nThe Canonical String for this request should have been\n&apos;POST\n/\n\nx-amz-security-token:canary\n&apos;"
	for name, tt := range map[string]struct{ text, want string }{
		"a refusal":            {sts("403", "ExpiredToken", "The security token included in the request is expired"), "error making upstream request: received error code 403 from STS: ExpiredToken: The security token included in the request is expired"},
		"escaped":              {sts("403", "SignatureDoesNotMatch", "&apos;Host&apos; &amp; &#39;Date&#39;"), "error making upstream request: received error code 403 from STS: SignatureDoesNotMatch: 'Host' & 'Date'"},
		"what would be signed": {sts("403", "SignatureDoesNotMatch", mismatch+canonical), "error making upstream request: received error code 403 from STS: SignatureDoesNotMatch: " + mismatch},
		"no message":           {sts("403", "Odd", ""), "error making upstream request: received error code 403 from STS: Odd: "},
		"another page":         {"error making upstream request: received error code 502 from STS: <html>bad</html>", "error making upstream request: received error code 502 from STS: <html>bad</html>"},
		"of another method":    {"invalid role or secret ID", "invalid role or secret ID"},
	} {
		assert.Equal(t, []string{tt.want}, vaultTexts([]string{tt.text}), name)
	}
}

// TestA9AnOutageOfSTSIsNoRefusal: both are a 400 of Vault's. Mutation: let a 5xx
// of STS be one.
func TestA9AnOutageOfSTSIsNoRefusal(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text string
		want lease.Class
		hint string
	}{
		{sts("503", "ServiceUnavailable", "x"), lease.Transient, "Vault does not reach AWS STS, or STS fails"},
		{sts("400", "Throttling", "Rate exceeded"), lease.Transient, "Vault does not reach AWS STS, or STS fails"},
		{"error making upstream request: error making request: POST http://127.0.0.1:1// giving up after 1 attempt(s): dial tcp", lease.Transient, "Vault does not reach AWS STS, or STS fails"},
		{sts("403", "SignatureDoesNotMatch", "received error code 503"), lease.Permanent, "is the secret access key right"},
		{sts("403", "ExpiredToken", "x"), lease.Permanent, "a session that has ended"},
		{sts("403", "InvalidClientTokenId", "x"), lease.Permanent, "AWS does not know the access key"},
		{sts("403", "SignatureDoesNotMatch", "Signature expired: x"), lease.Permanent, "is the clock of this machine right?"},
		{sts("403", "SignatureDoesNotMatch", "Signature not yet current: x"), lease.Permanent, "is the clock of this machine right?"},
		{sts("403", "SignatureDoesNotMatch", "Credential should be scoped to a valid region."), lease.Permanent, "signed for another region"},
		{`error validating X-Vault-AWS-IAM-Server-ID header: expected "a" but got "b"`, lease.Permanent, "iam_server_id_header_value"},
		{"error making upstream request: body of GetCallerIdentity is invalid", lease.Permanent, "check the role"},
		{"entry for role app not found", lease.Permanent, "check the role"},
	} {
		texts := vaultTexts([]string{tt.text})
		class := classify(awsLogin, 400, texts)
		assert.Equal(t, tt.want, class, tt.text)
		e := &Error{Path: awsLogin, Status: 400, Vault: texts}
		assert.Contains(t, hint(Request{Path: awsLogin}, e, class), tt.hint, tt.text)
	}
	assert.Equal(t, lease.Unknown, classify("secret/data/a", 400, []string{sts("503", "x", "x")}), "of no login")
	assert.NotContains(t, strings.ToUpper(stsHint(nil)), "STS")
}
