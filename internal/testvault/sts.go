package testvault

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// STS answers GetCallerIdentity as AWS STS does: it computes each request's signature anew,
// from what has arrived and from the secret key that it knows. Vault asks it if its
// sts_endpoint is URL; see Server.AWS.
type STS struct {
	server *httptest.Server

	mu     sync.Mutex
	keys   map[string]STSKey // by ID
	region string
	skew   time.Duration
	outage int
	asked  []STSRequest
}

// STSKey is an access key.
type STSKey struct {
	ID, Secret   string
	SessionToken string // comes with a temporary key
	Expired      bool   // the session has ended
	ARN          string // of who has the key
}

// STSRequest is what STS has seen of a request.
type STSRequest struct {
	Host     string
	KeyID    string
	Region   string // of the signature's scope
	ServerID string // the header X-Vault-AWS-IAM-Server-ID
	Code     string // of the error that was answered; empty: it was accepted
}

// NewSTS starts an STS that knows no key, and ends it with the test.
func NewSTS(tb testing.TB) *STS {
	tb.Helper()
	s := &STS{keys: make(map[string]STSKey)}
	// No ServeMux: Vault asks for the path "//", which that would redirect.
	s.server = httptest.NewServer(s)
	tb.Cleanup(s.server.Close)
	return s
}

// URL is the endpoint, for Vault's sts_endpoint.
func (s *STS) URL() string { return s.server.URL }

// Know adds a key, or replaces the one with its ID.
func (s *STS) Know(key STSKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[key.ID] = key
}

// Forget deletes a key.
func (s *STS) Forget(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, id)
}

// Region has only requests accepted that were signed for this region; empty: for any.
func (s *STS) Region(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.region = name
}

// Skew puts the clock of STS ahead by d: to it, a client's clock is as much behind.
func (s *STS) Skew(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skew = d
}

// Outage has every request answered with status, such as 503; zero ends it.
func (s *STS) Outage(status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.outage = status
}

// Asked returns the requests so far.
func (s *STS) Asked() []STSRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// stsError is a refusal, with the words of AWS.
type stsError struct {
	status        int
	code, message string
}

func badSignature(format string, args ...any) *stsError {
	return &stsError{http.StatusForbidden, "SignatureDoesNotMatch", fmt.Sprintf(format, args...)}
}

// stsBodyLimit is far more than a question without parameters needs.
const stsBodyLimit = 1 << 16

// ServeHTTP implements http.Handler.
func (s *STS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, stsBodyLimit))
	if err != nil {
		return // the client has gone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sig, refusal := readSignature(r)
	var key STSKey
	if refusal == nil {
		key, refusal = s.judge(r, sig, string(body))
	}
	if s.outage != 0 {
		refusal = &stsError{s.outage, "ServiceUnavailable", "Service is unavailable. Please try again later."}
	}
	seen := STSRequest{Host: r.Host, KeyID: sig.keyID, Region: sig.region, ServerID: r.Header.Get("X-Vault-Aws-Iam-Server-Id")}
	// Vault takes no other type, such as one with a charset.
	w.Header().Set("Content-Type", "text/xml")
	if refusal != nil {
		seen.Code = refusal.code
		s.asked = append(s.asked, seen)
		w.WriteHeader(refusal.status)
		fmt.Fprintf(w, "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <Error>\n    <Type>Sender</Type>\n"+
			"    <Code>%s</Code>\n    <Message>%s</Message>\n  </Error>\n  <RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>\n</ErrorResponse>\n",
			refusal.code, escaped(refusal.message))
		return
	}
	s.asked = append(s.asked, seen)
	fmt.Fprintf(w, "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <GetCallerIdentityResult>\n"+
		"    <Arn>%s</Arn>\n    <UserId>AIDA%s</UserId>\n    <Account>123456789012</Account>\n  </GetCallerIdentityResult>\n"+
		"  <ResponseMetadata>\n    <RequestId>01234567-89ab-cdef-0123-456789abcdef</RequestId>\n  </ResponseMetadata>\n</GetCallerIdentityResponse>\n",
		escaped(key.ARN), key.ID)
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

// AWS enables the AWS method at auth/mount and has it ask sts. config is added to its
// configuration, such as iam_server_id_header_value.
func (s *Server) AWS(mount string, sts *STS, config map[string]any) {
	s.tb.Helper()
	s.Write("sys/auth/"+mount, map[string]any{"type": "aws"})
	body := map[string]any{"sts_endpoint": sts.URL(), "max_retries": 0}
	maps.Copy(body, config)
	s.Write("auth/"+mount+"/config/client", body)
}

// AWSRole writes a role of the AWS method at auth/mount for who has the ARN, which is
// without its path: a wildcard would have Vault ask IAM, too. params are added, such as
// token_ttl.
func (s *Server) AWSRole(mount, role, arn string, params map[string]any) {
	s.tb.Helper()
	body := map[string]any{"auth_type": "iam", "bound_iam_principal_arn": arn, "resolve_aws_unique_ids": false}
	maps.Copy(body, params)
	s.Write("auth/"+mount+"/role/"+role, body)
}
