package testvault

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signature is an Authorization header of AWS's version 4.
type signature struct {
	keyID, date, region, service string
	scope                        string
	headers                      []string // their names, in lower case
	value                        string
}

const signingAlgorithm = "AWS4-HMAC-SHA256"

// readSignature reads the header. What could be read comes also with a refusal.
func readSignature(r *http.Request) (signature, *stsError) {
	var sig signature
	text, found := strings.CutPrefix(r.Header.Get("Authorization"), signingAlgorithm+" ")
	if !found {
		return sig, &stsError{http.StatusForbidden, "MissingAuthenticationToken", "Request is missing Authentication Token"}
	}
	for part := range strings.SplitSeq(text, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "Credential":
			if p := strings.Split(value, "/"); len(p) == 5 && p[4] == "aws4_request" {
				sig.keyID, sig.date, sig.region, sig.service = p[0], p[1], p[2], p[3]
				sig.scope = strings.Join(p[1:], "/")
			}
		case "SignedHeaders":
			sig.headers = strings.Split(value, ";")
		case "Signature":
			sig.value = value
		}
	}
	if sig.scope == "" || sig.headers == nil || sig.value == "" || r.Header.Get("X-Amz-Date") == "" {
		return sig, &stsError{http.StatusBadRequest, "IncompleteSignature", "The request signature does not conform to AWS standards."}
	}
	return sig, nil
}

// How far the time of a signature may be from that of STS.
const (
	mayBeLate  = 15 * time.Minute
	mayBeEarly = 5 * time.Minute
)

// judge returns the key that has signed the request, or why it is refused. The caller holds mu.
func (s *STS) judge(r *http.Request, sig signature, body string) (STSKey, *stsError) {
	key, known := s.keys[sig.keyID]
	switch {
	case !known, key.SessionToken != r.Header.Get("X-Amz-Security-Token"):
		return key, &stsError{http.StatusForbidden, "InvalidClientTokenId", "The security token included in the request is invalid."}
	case key.Expired:
		return key, &stsError{http.StatusForbidden, "ExpiredToken", "The security token included in the request is expired"}
	}
	const layout = "20060102T150405Z"
	text := r.Header.Get("X-Amz-Date")
	at, err := time.Parse(layout, text)
	now := time.Now().Add(s.skew).UTC()
	switch {
	case err != nil, sig.date != text[:8]:
		return key, badSignature("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s', from '%s'.", sig.date, text)
	case at.Before(now.Add(-mayBeLate)):
		return key, badSignature("Signature expired: %s is now earlier than %s (%s - 15 min.)", text, now.Add(-mayBeLate).Format(layout), now.Format(layout))
	case at.After(now.Add(mayBeEarly)):
		return key, badSignature("Signature not yet current: %s is still later than %s (%s + 5 min.)", text, now.Add(mayBeEarly).Format(layout), now.Format(layout))
	case s.region != "" && sig.region != s.region:
		return key, badSignature("Credential should be scoped to a valid region.")
	case sig.service != "sts":
		return key, badSignature("Credential should be scoped to correct service: 'sts'.")
	case !slices.Contains(sig.headers, "host"):
		return key, badSignature("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
	}
	for name := range r.Header {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") && !slices.Contains(sig.headers, name) {
			return key, badSignature("'%s' must be a 'SignedHeader' in the AWS Authorization.", name)
		}
	}
	if !hmac.Equal([]byte(sig.value), []byte(sign(r, sig, body, key.Secret))) {
		return key, badSignature("The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	}
	form, err := url.ParseQuery(body)
	if err != nil || form.Get("Action") != "GetCallerIdentity" || form.Get("Version") != "2011-06-15" {
		return key, &stsError{http.StatusBadRequest, "InvalidAction", "Could not find the operation that was asked for."}
	}
	return key, nil
}

// sign returns the signature that the request should carry.
func sign(r *http.Request, sig signature, body, secret string) string {
	var canonical strings.Builder
	fmt.Fprintf(&canonical, "%s\n%s\n%s\n", r.Method, cleanPath(r.URL), strings.ReplaceAll(r.URL.Query().Encode(), "+", "%20"))
	for _, name := range sig.headers {
		fmt.Fprintf(&canonical, "%s:%s\n", name, headerValue(r, name))
	}
	fmt.Fprintf(&canonical, "\n%s\n%s", strings.Join(sig.headers, ";"), hexSum(body))
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(sig.scope, "/") {
		key = keyed(key, part)
	}
	return hex.EncodeToString(keyed(key, strings.Join([]string{signingAlgorithm, r.Header.Get("X-Amz-Date"), sig.scope, hexSum(canonical.String())}, "\n")))
}

// cleanPath is the path that was signed: Vault puts another slash before it.
func cleanPath(u *url.URL) string { return "/" + strings.TrimLeft(u.EscapedPath(), "/") }

// headerValue is a header as it was signed. net/http keeps two of them apart from the rest.
func headerValue(r *http.Request, name string) string {
	switch name {
	case "host":
		return r.Host
	case "content-length":
		return strconv.FormatInt(r.ContentLength, 10)
	}
	values := slices.Clone(r.Header.Values(name))
	for i, v := range values {
		values[i] = strings.Join(strings.Fields(v), " ")
	}
	return strings.Join(values, ",")
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func keyed(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	_, _ = mac.Write([]byte(text))
	return mac.Sum(nil)
}
