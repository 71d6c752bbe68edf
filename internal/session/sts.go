package session

import (
	"html"
	"regexp"
	"strings"
)

// A login by the AWS method fails with 400 whatever AWS STS had to say to Vault, and what it
// said is XML (failure code A9).

// stsAnswer is a refusal of STS, within Vault's text, on one line.
var stsAnswer = regexp.MustCompile(`(from STS: )<.*?<Code>(.*?)</Code>\s*<Message>(.*?)</Message>.*`)

// readSTS makes STS's refusal readable. What STS would have signed is left out, since
// the session token is in it.
func readSTS(text string) string {
	m := stsAnswer.FindStringSubmatchIndex(text)
	if m == nil {
		return text
	}
	message, _, _ := strings.Cut(html.UnescapeString(text[m[6]:m[7]]), " The Canonical String")
	return text[:m[3]] + text[m[4]:m[5]] + ": " + message
}

// stsDown reports, from texts in lower case, that STS did not judge the login: it was not
// reached, failed, or asked for patience.
func stsDown(text string) bool {
	_, text, found := strings.Cut(text, "error making upstream request: ")
	return found && (strings.HasPrefix(text, "error making request") || strings.HasPrefix(text, "received error code 5") ||
		strings.Contains(text, "throttling") || strings.Contains(text, "requestlimitexceeded"))
}

// stsHint says what to do about a login by the AWS method, or nothing.
func stsHint(texts []string) string {
	text := strings.Join(texts, "\n")
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case stsDown(strings.ToLower(text)):
		return "Vault does not reach AWS STS, or STS fails: is sts_endpoint in Vault's AWS config/client right?"
	case has("Signature expired: "), has("Signature not yet current: "):
		return "is the clock of this machine right? AWS takes a signature for 15 minutes, and for 5 before its time"
	case has("X-Vault-AWS-IAM-Server-ID"):
		return "the server ID must be the iam_server_id_header_value in Vault's AWS config/client"
	case has("Credential should be scoped to a valid region"):
		return "signed for another region than that of the STS endpoint which Vault asks: sign for that one, or set sts_endpoint and sts_region in Vault's AWS config/client"
	case has("from STS: SignatureDoesNotMatch"):
		return "is the secret access key right, and the request signed for the STS endpoint which Vault asks?"
	case has("from STS: ExpiredToken"):
		return "the credentials provider returned a session that has ended"
	case has("from STS: InvalidClientTokenId"):
		return "AWS does not know the access key, or not with this session token: was it deleted, or is it of another partition?"
	}
	return ""
}
