package vaulttest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// awsRequest is the request to AWS STS that a client has signed and that Vault sends in its stead.
type awsRequest struct {
	method string
	url    *url.URL
	body   string
	header http.Header
}

const awsServerID = "X-Vault-AWS-IAM-Server-ID"

// signedRequest reads the request out of a login and checks all that Vault checks before it sends
// it: that it can do nothing but ask who has signed it.
func (e *awsMethod) signedRequest(f fields, header http.Header) (*awsRequest, error) {
	r := &awsRequest{method: f.text("iam_http_request_method"), header: header}
	switch {
	case r.method == "":
		return nil, errors.New("missing iam_http_request_method")
	case r.method != http.MethodGet && r.method != http.MethodPost:
		return nil, errors.New("invalid iam_http_request_method; currently only 'GET' and 'POST' are supported")
	case f.text("iam_request_url") == "":
		return nil, errors.New("missing iam_request_url")
	}
	text, err := base64.StdEncoding.DecodeString(f.text("iam_request_url"))
	if err != nil {
		return nil, errors.New("failed to base64 decode iam_request_url")
	}
	if r.url, err = url.Parse(string(text)); err != nil {
		return nil, errors.New("error parsing iam_request_url")
	}
	if err := r.checkURL(); err != nil {
		return nil, err
	}
	if f.text("iam_request_body") == "" && r.method == http.MethodPost {
		return nil, errors.New("missing iam_request_body which is required for POST requests")
	}
	if text, err = base64.StdEncoding.DecodeString(f.text("iam_request_body")); err != nil {
		return nil, errors.New("failed to base64 decode iam_request_body")
	}
	r.body = string(text)
	if err := r.checkBody(); err != nil {
		return nil, err
	}
	if len(header) == 0 {
		return nil, errors.New("missing iam_request_headers")
	}
	if want := e.config.IAMServerIDHeaderValue; want != "" {
		if err := r.checkServerID(want); err != nil {
			return nil, fmt.Errorf("error validating %s header: %w", awsServerID, err)
		}
	}
	if err := r.checkNames(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *awsRequest) checkURL() error {
	if r.method == http.MethodPost {
		if r.url.RawQuery != "" {
			return errors.New("invalid request")
		}
		return nil
	}
	switch actions := r.url.Query()["Action"]; {
	case len(actions) == 0:
		return errors.New("no action found in request")
	case len(actions) != 1:
		return errors.New("found multiple actions")
	case actions[0] != "GetCallerIdentity":
		return fmt.Errorf("unexpected action parameter, %s", actions[0])
	}
	return nil
}

func (r *awsRequest) checkBody() error {
	form, err := url.ParseQuery(r.body)
	if err != nil {
		return err
	}
	for name, values := range form {
		if name != "Version" && (name != "Action" || !slices.Equal(values, []string{"GetCallerIdentity"})) {
			return errors.New("iam request body is invalid")
		}
	}
	return nil
}

// checkServerID checks that the request was signed for this server: else another server that a
// client logs in to could use the request here.
func (r *awsRequest) checkServerID(want string) error {
	got := strings.Join(r.header[http.CanonicalHeaderKey(awsServerID)], ",")
	switch {
	case got == "":
		return fmt.Errorf("missing header %q", awsServerID)
	case got != want:
		return fmt.Errorf("expected %q but got %q", want, got)
	}
	signed := r.url.Query().Get("X-Amz-SignedHeaders")
	if r.method == http.MethodPost {
		authorization, found := r.header["Authorization"]
		if !found {
			return errors.New("missing Authorization header")
		}
		text := strings.Join(authorization, ",")
		const name = "SignedHeaders="
		if at := strings.LastIndex(text, name); at >= 0 {
			signed, _, _ = strings.Cut(text[at+len(name):], ",")
		}
	}
	if !slices.Contains(strings.Split(signed, ";"), strings.ToLower(awsServerID)) {
		return errors.New("vault header wasn't signed")
	}
	return nil
}

// awsNames are the headers and parameters of AWS's that Vault passes on.
var awsNames = map[string]bool{
	"X-Amz-Algorithm": true, "X-Amz-Content-Sha256": true, "X-Amz-Credential": true, "X-Amz-Date": true,
	"X-Amz-Security-Token": true, "X-Amz-Signature": true, "X-Amz-SignedHeaders": true, "X-Amz-User-Agent": true,
}

func (r *awsRequest) checkNames() error {
	forbidden := func(name string) bool {
		canonical := http.CanonicalHeaderKey(name)
		return strings.HasPrefix(canonical, "X-Amz-") && !awsNames[name] && canonical != "X-Amz-Signedheaders"
	}
	for _, name := range slices.Sorted(maps.Keys(r.header)) {
		if forbidden(name) {
			return errors.New("invalid request header: " + name)
		}
	}
	if r.method == http.MethodGet {
		for _, name := range slices.Sorted(maps.Keys(r.url.Query())) {
			if forbidden(name) {
				return errors.New("invalid request query param: " + name)
			}
		}
	}
	return nil
}

// awsHeaders reads headers in each form that Vault takes: an object of texts and lists, the same as
// JSON in a text with base64 or without, or a list of "name:value".
func awsHeaders(v any) (http.Header, error) {
	h := http.Header{}
	switch v := v.(type) {
	case nil:
	case map[string]any:
		return headersOf(v)
	case string:
		text, err := base64.StdEncoding.DecodeString(v)
		if err != nil {
			text = []byte(v)
		}
		if len(text) == 0 {
			return nil, errors.New("'data' being decoded is nil")
		}
		var object map[string]any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err := d.Decode(&object); err != nil {
			return nil, err
		}
		return headersOf(object)
	case []any:
		for _, e := range v {
			pair, _ := e.(string)
			name, value, found := strings.Cut(pair, ":")
			if !found || name == "" {
				return nil, fmt.Errorf("invalid key pair %q", pair)
			}
			h.Add(name, value)
		}
	default:
		return nil, errors.New(`invalid key pair ""`)
	}
	return h, nil
}

func headersOf(object map[string]any) (http.Header, error) {
	h := http.Header{}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		list, isList := object[name].([]any)
		if !isList {
			list = []any{object[name]}
		}
		for _, e := range list {
			switch e := e.(type) {
			case string:
				h.Add(name, e)
			case json.Number:
				h.Add(name, e.String())
			default:
				if isList {
					return nil, fmt.Errorf("received non-string value for header key:%s, val:%s", name, list)
				}
				return nil, fmt.Errorf("unrecognized type for %s", e)
			}
		}
	}
	return h, nil
}
