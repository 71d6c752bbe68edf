package vaulttest

import (
	"bytes"
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// newCall notes the request in the log. The caller holds mu.
func newCall(s *Server, req *http.Request) *call {
	c := &call{s: s, method: req.Method, query: req.URL.Query(), header: req.Header}
	c.path, c.api = strings.CutPrefix(req.URL.Path, "/v1/")
	c.path = strings.TrimPrefix(c.path, "/")
	if list, err := strconv.ParseBool(c.query.Get("list")); err == nil && list && c.method == http.MethodGet {
		c.method = "LIST"
	}
	c.write = c.method == http.MethodPost || c.method == http.MethodPut
	c.tokenID = tokenOf(req.Header)
	entry := Request{
		Method: c.method, Path: c.path, Time: s.now(),
		Namespace: strings.Trim(req.Header.Get("X-Vault-Namespace"), "/"),
	}
	if t := s.tokens[c.tokenID]; t != nil && (t.end().IsZero() || entry.Time.Before(t.end())) {
		entry.Accessor = t.accessor
	}
	c.index = len(s.log)
	s.log = append(s.log, entry)
	return c
}

// tokenOf returns the token that a request brings, in either of the two headers that Vault knows.
func tokenOf(h http.Header) string {
	if id := h.Get("X-Vault-Token"); id != "" {
		return id
	}
	for _, v := range h.Values("Authorization") {
		if id, found := strings.CutPrefix(v, "Bearer "); found {
			return strings.TrimSpace(id)
		}
	}
	return ""
}

// read reads the body, and refuses what Vault's server refuses before it looks where a request goes.
func (c *call) read(req *http.Request) *reply {
	if strings.IndexFunc(req.URL.Path, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		return &reply{status: http.StatusBadRequest, header: http.Header{"Content-Type": nil, "Cache-Control": nil}}
	}
	if req.Body != nil {
		body, err := io.ReadAll(io.LimitReader(req.Body, maxBody+1))
		if err != nil {
			return &reply{err: err}
		}
		if len(body) > maxBody {
			return refused(http.StatusRequestEntityTooLarge, "http: request body too large")
		}
		if err := checkJSON(body); err != nil {
			return refused(http.StatusInternalServerError, err.Error())
		}
		c.body = body
	}
	return c.cleanPath(req.URL)
}

// cleanPath sends a client from a path such as a//b or a/./b to the plain one. Escaped dots are left
// as they are.
func (c *call) cleanPath(u *url.URL) *reply {
	given := u.EscapedPath()
	cleaned := path.Clean(given)
	if strings.HasSuffix(given, "/") && cleaned != "/" {
		cleaned += "/"
	}
	if cleaned == given {
		return nil
	}
	if u.RawQuery != "" {
		cleaned += "?" + u.RawQuery
	}
	r := &reply{status: http.StatusTemporaryRedirect, header: http.Header{"Location": {cleaned}, "Content-Type": nil}}
	if c.method == http.MethodGet || c.method == "LIST" && c.query.Has("list") {
		r.header.Set("Content-Type", "text/html; charset=utf-8")
		r.body = []byte(`<a href="` + html.EscapeString(cleaned) + `">Temporary Redirect</a>.` + "\n\n")
	}
	return r
}

// parse makes the call's parameters of the query or the body, as the method has it.
func (c *call) parse() *reply {
	c.params = map[string]any{}
	switch c.method {
	case http.MethodGet, http.MethodHead, http.MethodDelete, "LIST":
		if list := c.query.Get("list"); list != "" && c.method == http.MethodGet {
			if _, err := strconv.ParseBool(list); err != nil {
				return refused(http.StatusBadRequest)
			}
		}
		c.parseQuery()
	case http.MethodPatch:
		contentType := c.header.Get("Content-Type")
		mediaType, _, err := mime.ParseMediaType(contentType)
		if err != nil {
			return refused(http.StatusBadRequest, err.Error())
		}
		if mediaType != "application/merge-patch+json" {
			return refused(http.StatusUnsupportedMediaType, "PATCH requires Content-Type of application/merge-patch+json, provided "+mediaType)
		}
		if c.parseBody() != nil {
			return refused(http.StatusBadRequest, "error parsing JSON")
		}
	case http.MethodPost, http.MethodPut:
		if err := c.parseBody(); err != nil {
			return refused(http.StatusBadRequest, "error parsing JSON: failed to parse JSON input: "+err.Error())
		}
	case http.MethodOptions, "HELP":
	default:
		return refused(http.StatusMethodNotAllowed)
	}
	return c.parseWrapTTL()
}

func refused(status int, messages ...string) *reply {
	r := fail(status, messages...)
	return &r
}

func (c *call) parseQuery() {
	for name, values := range c.query {
		switch {
		case name == "help", name == "list" && c.method == "LIST":
		case len(values) == 1:
			c.params[name] = values[0]
		default:
			list := make([]any, len(values))
			for i, v := range values {
				list[i] = v
			}
			c.params[name] = list
		}
	}
}

func (c *call) parseBody() error {
	body := bytes.TrimSpace(c.body)
	if len(body) == 0 {
		return nil
	}
	// Vault takes a form from clients that send one, and JSON whatever its declared type.
	if mediaType, _, _ := mime.ParseMediaType(c.header.Get("Content-Type")); mediaType == "application/x-www-form-urlencoded" && body[0] != '{' && body[0] != '[' {
		form, _ := url.ParseQuery(string(body))
		for k, v := range form {
			c.params[k] = strings.Join(v, ",")
		}
		return nil
	}
	params, err := decodeObject(body)
	if err != nil {
		return err
	}
	c.params = params
	return nil
}

// parseWrapTTL reads the header by which a client asks for a wrapped answer.
func (c *call) parseWrapTTL() *reply {
	text := c.header.Get("X-Vault-Wrap-Ttl")
	ttl, err := durationOf(text)
	if err == nil && ttl < 0 {
		err = errors.New("requested wrap ttl cannot be negative")
	}
	if err != nil {
		return refused(http.StatusBadRequest, "error parsing X-Vault-Wrap-TTL header: "+err.Error())
	}
	if ttl > 0 && c.header.Get("X-Vault-Wrap-Format") == "jwt" {
		r := unmodelled("wrapping tokens in the form of a JWT")
		return &r
	}
	c.wrapTTL = ttl
	return nil
}

// durationOf reads a duration as Vault does: whole seconds, days, or what Go can read.
func durationOf(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	unit := time.Second
	number := text
	if days, found := strings.CutSuffix(text, "d"); found {
		number, unit = days, 24*time.Hour
	}
	n, err := strconv.ParseInt(number, 10, 64)
	switch {
	case err == nil && time.Duration(n)*unit/unit != time.Duration(n):
		return 0, errors.New("multiplication of durations resulted in overflow, one operand may be too large")
	case err == nil:
		return time.Duration(n) * unit, nil
	case unit != time.Second:
		return 0, fmt.Errorf("%w", err)
	}
	return time.ParseDuration(text)
}
