package vaulttest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// AWSAccessKeySpec describes an access key that AWS STS knows.
type AWSAccessKeySpec struct {
	// ID and Secret are the two parts of the key.
	ID, Secret string
	// SessionToken is what must come with a temporary key; empty: nothing must.
	SessionToken string
	// ARN is who signs with the key: arn:aws:iam::123456789012:user/app, or
	// arn:aws:sts::123456789012:assumed-role/app/session.
	ARN string
}

// AWSAccessKey makes AWS STS know an access key, or changes it. All AWS methods of a server ask the
// same STS.
func (s *Server) AWSAccessKey(spec AWSAccessKeySpec) {
	s.tb.Helper()
	if spec.ID == "" || spec.Secret == "" || !strings.HasPrefix(spec.ARN, "arn:") {
		s.tb.Fatalf("vaulttest: AWSAccessKey: ID, Secret and ARN are needed, which begins with \"arn:\"")
		return
	}
	s.lock()
	defer s.unlock()
	if s.awsKeys == nil {
		s.awsKeys = map[string]AWSAccessKeySpec{}
	}
	s.awsKeys[spec.ID] = spec
}

// stsError is an answer of AWS STS's that is no identity, as Vault reports it.
type stsError struct {
	status        int
	code, message string
}

func (e *stsError) Error() string {
	return fmt.Sprintf("received error code %d from STS: <ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n"+
		"  <Error>\n    <Type>Sender</Type>\n    <Code>%s</Code>\n    <Message>%s</Message>\n  </Error>\n"+
		"  <RequestId>%s</RequestId>\n</ErrorResponse>\n", e.status, e.code, e.message, newUUID())
}

func badSignature(format string, args ...any) error {
	return &stsError{http.StatusForbidden, "SignatureDoesNotMatch", fmt.Sprintf(format, args...)}
}

// awsSignature is a signature of AWS's version 4 and what it covers.
type awsSignature struct {
	keyID, scope, date, region, service string
	headers                             []string
	signature, time, session            string
}

const awsTime = "20060102T150405Z"

// callerIdentity stands for AWS STS: it returns the ARN of who has signed a request.
func (s *Server) callerIdentity(r *awsRequest, region string, now time.Time) (string, error) {
	sig, err := r.signature()
	if err != nil {
		return "", err
	}
	key, known := s.awsKeys[sig.keyID]
	if !known || key.SessionToken != sig.session {
		return "", &stsError{http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid."}
	}
	signed, err := time.Parse(awsTime, sig.time)
	const format, window, ahead = awsTime, 15 * time.Minute, 5 * time.Minute
	now = now.UTC()
	switch {
	case err != nil:
		return "", badSignature("Date must be in ISO-8601 'basic format'. Got '%s'. See http://en.wikipedia.org/wiki/ISO_8601", sig.time)
	case sig.date != sig.time[:8]:
		return "", badSignature("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", sig.date, sig.time[:8], sig.time)
	case signed.Before(now.Add(-window)):
		return "", badSignature("Signature expired: %s is now earlier than %s (%s - 15 min.)", sig.time, now.Add(-window).Format(format), now.Format(format))
	case signed.After(now.Add(ahead)):
		return "", badSignature("Signature not yet current: %s is still later than %s (%s + 5 min.)", sig.time, now.Add(ahead).Format(format), now.Format(format))
	case sig.region != region:
		return "", badSignature("Credential should be scoped to a valid region.")
	case sig.service != "sts":
		return "", badSignature("Credential should be scoped to correct service: 'sts'.")
	case !slices.Contains(sig.headers, "host"):
		return "", badSignature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	case !hmac.Equal([]byte(sig.signature), []byte(r.sign(sig, key.Secret))):
		return "", badSignature("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	case r.method == http.MethodPost && !strings.Contains(r.body, "Action="):
		return "", &stsError{http.StatusBadRequest, "MissingAction", "The request is missing an action or a required parameter."}
	}
	return key.ARN, nil
}

// signature reads the signature from the header, or from the query of a request that is a link.
func (r *awsRequest) signature() (*awsSignature, error) {
	query := r.url.Query()
	sig := &awsSignature{time: r.header.Get("X-Amz-Date"), session: r.header.Get("X-Amz-Security-Token")}
	var credential, headers string
	authorization, isHeader := strings.CutPrefix(r.header.Get("Authorization"), "AWS4-HMAC-SHA256 ")
	switch {
	case isHeader:
		for part := range strings.SplitSeq(authorization, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			switch name {
			case "Credential":
				credential = value
			case "SignedHeaders":
				headers = value
			case "Signature":
				sig.signature = value
			}
		}
	case query.Get("X-Amz-Algorithm") == "AWS4-HMAC-SHA256":
		credential, headers, sig.signature = query.Get("X-Amz-Credential"), query.Get("X-Amz-SignedHeaders"), query.Get("X-Amz-Signature")
		sig.time, sig.session = query.Get("X-Amz-Date"), query.Get("X-Amz-Security-Token")
	default:
		return nil, &stsError{http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token"}
	}
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || headers == "" || sig.signature == "" || sig.time == "" {
		return nil, &stsError{http.StatusBadRequest, "IncompleteSignature", "The request signature does not conform to AWS standards."}
	}
	sig.keyID, sig.date, sig.region, sig.service = scope[0], scope[1], scope[2], scope[3]
	sig.scope, sig.headers = strings.Join(scope[1:], "/"), strings.Split(headers, ";")
	return sig, nil
}

// sign returns the signature that the request should have.
func (r *awsRequest) sign(sig *awsSignature, secret string) string {
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", r.method, r.canonicalPath(), r.canonicalQuery())
	for _, name := range sig.headers {
		fmt.Fprintf(&canonical, "%s:%s\n", name, r.canonicalHeader(name))
	}
	fmt.Fprintf(&canonical, "\n%s\n%s", strings.Join(sig.headers, ";"), hexSHA256(r.body))
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(sig.scope, "/") {
		key = hmacSHA256(key, part)
	}
	return hex.EncodeToString(hmacSHA256(key, "AWS4-HMAC-SHA256\n"+sig.time+"\n"+sig.scope+"\n"+hexSHA256(canonical.String())))
}

// canonicalPath is the path without dots and double slashes, escaped once more than it is sent.
func (r *awsRequest) canonicalPath() string {
	given := "/" + r.url.EscapedPath()
	cleaned := path.Clean(given)
	if strings.HasSuffix(given, "/") && cleaned != "/" {
		cleaned += "/"
	}
	return strings.ReplaceAll(awsEscape(cleaned), "%2F", "/")
}

func (r *awsRequest) canonicalQuery() string {
	var pairs []string
	query := r.url.Query()
	for _, name := range sortedKeys(query) {
		for _, value := range slices.Sorted(slices.Values(query[name])) {
			if name != "X-Amz-Signature" {
				pairs = append(pairs, awsEscape(name)+"="+awsEscape(value))
			}
		}
	}
	return strings.Join(pairs, "&")
}

// canonicalHeader is a header as the request is sent with it. Host and length are those of the
// request itself, whatever the list of headers says.
func (r *awsRequest) canonicalHeader(name string) string {
	switch name {
	case "host":
		return r.url.Host
	case "content-length":
		return strconv.Itoa(len(r.body))
	}
	values := slices.Clone(r.header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(values, ",")
}

// awsEscape escapes all but RFC 3986's unreserved characters.
func awsEscape(text string) string {
	return strings.NewReplacer("+", "%20", "%7E", "~").Replace(url.QueryEscape(text))
}

func hexSHA256(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func hmacSHA256(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
