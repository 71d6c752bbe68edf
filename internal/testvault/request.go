package testvault

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// helperHeader marks the requests of this package, so that the audit log can
// tell them from those of the code under test, even if that too uses the root
// token. Vault writes it into the log because enableAudit asks it to.
const helperHeader = "x-testvault"

// methodList is Vault's own verb.
const methodList = "LIST"

// httpClient ignores proxies and keeps no connection: an idle one would be a
// goroutine that the tests of the library have to explain to goleak.
var httpClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// Read returns the answer to a GET. It fails the test unless that is 200.
func (s *Server) Read(path string) map[string]any {
	s.tb.Helper()
	return s.must(http.MethodGet, path, nil)
}

// Write sends body and returns the answer, nil if that is empty (204).
func (s *Server) Write(path string, body map[string]any) map[string]any {
	s.tb.Helper()
	return s.must(http.MethodPut, path, body)
}

// Delete deletes path.
func (s *Server) Delete(path string) {
	s.tb.Helper()
	s.must(http.MethodDelete, path, nil)
}

// List returns the keys under path, none if Vault knows of none (404).
func (s *Server) List(path string) []string {
	s.tb.Helper()
	status, body, err := s.TryList(path)
	if err == nil && status == http.StatusNotFound {
		return nil
	}
	s.check(methodList, path, status, body, err)
	data, _ := body["data"].(map[string]any)
	keys, _ := data["keys"].([]any)
	var list []string
	for _, key := range keys {
		list = append(list, fmt.Sprint(key))
	}
	return list
}

// TryRead is Read for an answer that may be a refusal. err is for the network.
func (s *Server) TryRead(path string) (status int, body map[string]any, err error) {
	return s.do(s.tb.Context(), http.MethodGet, path, nil)
}

// TryWrite is Write for an answer that may be a refusal.
func (s *Server) TryWrite(path string, body map[string]any) (int, map[string]any, error) {
	return s.do(s.tb.Context(), http.MethodPut, path, body)
}

// TryList is List for an answer that may be a refusal.
func (s *Server) TryList(path string) (int, map[string]any, error) {
	return s.do(s.tb.Context(), methodList, path, nil)
}

// TryDelete is Delete for an answer that may be a refusal.
func (s *Server) TryDelete(path string) (int, map[string]any, error) {
	return s.do(s.tb.Context(), http.MethodDelete, path, nil)
}

func (s *Server) must(method, path string, body map[string]any) map[string]any {
	s.tb.Helper()
	status, answer, err := s.do(s.tb.Context(), method, path, body)
	s.check(method, path, status, answer, err)
	return answer
}

// check fails the test unless the answer is a success. Of a refusal it prints
// Vault's own errors only, never what was sent.
func (s *Server) check(method, path string, status int, answer map[string]any, err error) {
	s.tb.Helper()
	switch {
	case err != nil:
		s.tb.Fatalf("testvault: %s %s: %s", method, path, s.redact(err.Error()))
	case status >= 300:
		s.tb.Fatalf("testvault: %s %s: %d %s", method, path, status, s.redact(fmt.Sprint(answer["errors"])))
	}
}

// redact takes the tokens that this view knows out of text meant for a human.
func (s *Server) redact(text string) string {
	for _, token := range []string{s.root, s.token} {
		if token != "" {
			text = strings.ReplaceAll(text, token, "[token]")
		}
	}
	return text
}

func (s *Server) do(ctx context.Context, method, path string, body map[string]any) (int, map[string]any, error) {
	// A cleanup function runs after the test's context has ended, and may well
	// ask what is left.
	if errors.Is(ctx.Err(), context.Canceled) {
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()

	var payload io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return 0, nil, err
		}
		payload = bytes.NewReader(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.addr+"/v1/"+strings.TrimPrefix(path, "/"), payload)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("X-Vault-Token", s.token)
	req.Header.Set("X-Vault-Request", "true")
	req.Header.Set(helperHeader, "1") //nolint:canonicalheader // the audit log shows it in lower case
	resp, err := httpClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || len(raw) == 0 {
		return resp.StatusCode, nil, err
	}
	var answer map[string]any
	if err := json.Unmarshal(raw, &answer); err != nil {
		return resp.StatusCode, nil, fmt.Errorf("%d with a body that is not JSON: %w", resp.StatusCode, err)
	}
	return resp.StatusCode, answer, nil
}
