package testvault

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Seen is a request that reached a Proxy.
type Seen struct {
	Time      time.Time
	Method    string // a list is "LIST", however it was asked for
	Path      string // without /v1/
	Host      string // as the client addressed it
	Namespace string
	Token     string // Proxy.TokenID of it; "" if there was none
	Header    http.Header
	Conn      int // the connections are numbered from 1
	Proto     string

	Fault     string // the name of the rule that struck, or UpstreamFailed
	Forwarded bool   // the server behind the proxy saw it
	Status    int    // of the answer; 0: none yet, or never
}

// Log returns what was seen since the last Reset, in order. A request is in there
// from its arrival on, and its Status before the client can read it.
func (p *Proxy) Log() []Seen {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	all := make([]Seen, 0, len(p.log.all))
	for _, n := range p.log.all {
		all = append(all, *n)
	}
	return all
}

// Count counts what Log returns, by Rule's Method and Path: "" stands for any.
func (p *Proxy) Count(method, path string) int {
	n := 0
	for _, s := range p.Log() {
		if fits(method, path, s.Method, s.Path) {
			n++
		}
	}
	return n
}

// Reset empties the log.
func (p *Proxy) Reset() {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	p.log.all = nil
}

// TokenID stands for a token in Seen, where the token itself must not be: tests
// print what they compare.
func (p *Proxy) TokenID(token string) string { return p.log.tokenID(token) }

// seenLog is a Proxy's log. Entries are written to under mu only.
type seenLog struct {
	salt string

	mu  sync.Mutex
	all []*Seen
}

func (l *seenLog) tokenID(token string) string {
	if token == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(l.salt + token))
	return hex.EncodeToString(sum[:4])
}

func (l *seenLog) begin(r *http.Request, conn int) *Seen {
	header := r.Header.Clone()
	token := header.Get("X-Vault-Token")
	if token == "" {
		token, _ = strings.CutPrefix(header.Get("Authorization"), "Bearer ")
	}
	header.Del("X-Vault-Token")
	header.Del("Authorization")
	n := &Seen{
		Time:      time.Now(),
		Method:    method(r),
		Path:      path(r),
		Host:      r.Host,
		Namespace: header.Get("X-Vault-Namespace"),
		Token:     l.tokenID(token),
		Header:    header,
		Conn:      conn,
		Proto:     r.Proto,
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, n)
	return n
}

func (l *seenLog) fault(n *Seen, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.Fault == "" {
		n.Fault = name
	}
}

func (l *seenLog) forwarded(n *Seen) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.Forwarded = true
}

func (l *seenLog) answered(n *Seen, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n.Status = status
}
