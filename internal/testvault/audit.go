package testvault

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Entry is one line of Vault's audit log. Vault writes a "request" entry before
// it acts and a "response" entry before it answers, so that a request whose
// answer a client has seen is in the log. Tokens and accessors are HMACs: equal
// ones are equal, and that is all one can tell.
type Entry struct {
	Time        time.Time
	Type        string // "request" or "response"
	Operation   string // "read", "update", "list", "delete", ...
	Path        string // without "v1/", such as "auth/approle/login"
	Error       string // empty for a success
	Namespace   string // empty for the root namespace
	DisplayName string // of the token, such as "approle" or "root"
	ClientToken string // HMAC
	Accessor    string // HMAC, of the token that made the request
	Helper      bool   // made by this package, not by the code under test
}

// Audit reads Vault's audit log: the oracle for which requests were made, and
// how many. It leaves out those of this package.
type Audit struct {
	tb   testing.TB
	file string
	from *atomic.Int64
}

// Audit returns the server's audit log.
func (s *Server) Audit() *Audit {
	return &Audit{tb: s.tb, file: s.auditFile, from: &s.auditFrom}
}

// AuditRaw returns the whole log, whatever Reset said: to search for values
// that must be nowhere.
func (s *Server) AuditRaw() []byte {
	s.tb.Helper()
	return s.Audit().raw()
}

// Reset makes all counting begin now.
func (a *Audit) Reset() {
	a.tb.Helper()
	a.from.Store(int64(len(a.raw())))
}

// Count counts the answered requests with operation op, or any if op is empty,
// on paths that begin with pathPrefix. Refused ones count too.
func (a *Audit) Count(op, pathPrefix string) int {
	a.tb.Helper()
	n := 0
	for _, e := range a.Responses() {
		if (op == "" || e.Operation == op) && strings.HasPrefix(e.Path, pathPrefix) {
			n++
		}
	}
	return n
}

// Paths counts the answered requests by path.
func (a *Audit) Paths() map[string]int {
	a.tb.Helper()
	paths := map[string]int{}
	for _, e := range a.Responses() {
		paths[e.Path]++
	}
	return paths
}

// Responses returns the response entries of the code under test since Reset.
func (a *Audit) Responses() []Entry {
	a.tb.Helper()
	var responses []Entry
	for _, e := range a.Entries() {
		if e.Type == "response" && !e.Helper {
			responses = append(responses, e)
		}
	}
	return responses
}

// Entries returns everything since Reset, the requests of this package too.
func (a *Audit) Entries() []Entry {
	a.tb.Helper()
	entries, err := parseAudit(a.raw()[a.from.Load():])
	if err != nil {
		a.tb.Fatalf("testvault: the audit log: %v", err)
	}
	return entries
}

func (a *Audit) raw() []byte {
	a.tb.Helper()
	raw, err := os.ReadFile(a.file)
	if err != nil {
		a.tb.Fatalf("testvault: the audit log: %v", err)
	}
	return raw
}

// auditLine is the part of Vault's format that Entry needs.
type auditLine struct {
	Time  time.Time `json:"time"`
	Type  string    `json:"type"`
	Error string    `json:"error"`
	Auth  struct {
		DisplayName string `json:"display_name"`
		Accessor    string `json:"accessor"`
	} `json:"auth"`
	Request struct {
		Operation           string              `json:"operation"`
		Path                string              `json:"path"`
		ClientToken         string              `json:"client_token"`
		ClientTokenAccessor string              `json:"client_token_accessor"`
		Headers             map[string][]string `json:"headers"`
		Namespace           struct {
			Path string `json:"path"`
		} `json:"namespace"`
	} `json:"request"`
}

func parseAudit(raw []byte) ([]Entry, error) {
	var entries []Entry
	for line := range bytes.Lines(raw) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // still being written
		}
		var l auditLine
		if err := json.Unmarshal(line, &l); err != nil {
			return nil, err
		}
		e := Entry{
			Time: l.Time, Type: l.Type, Error: l.Error,
			Operation: l.Request.Operation, Path: l.Request.Path,
			Namespace:   l.Request.Namespace.Path,
			DisplayName: l.Auth.DisplayName,
			ClientToken: l.Request.ClientToken,
			Accessor:    l.Request.ClientTokenAccessor,
			Helper:      len(l.Request.Headers[helperHeader]) > 0,
		}
		if e.Accessor == "" {
			e.Accessor = l.Auth.Accessor
		}
		entries = append(entries, e)
	}
	return entries, nil
}
