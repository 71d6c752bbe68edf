package vaulttest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// reply is an answer before it is sent: a response, or the network error that takes its place.
type reply struct {
	status int
	header http.Header
	body   []byte
	err    error
}

// envelope is the shape of every answer of Vault's that is not an error.
type envelope struct {
	RequestID     string         `json:"request_id"`
	LeaseID       string         `json:"lease_id"`
	Renewable     bool           `json:"renewable"`
	LeaseDuration int64          `json:"lease_duration"`
	Data          map[string]any `json:"data"`
	WrapInfo      any            `json:"wrap_info"`
	Warnings      []string       `json:"warnings"`
	Auth          *authInfo      `json:"auth"`
	MountType     string         `json:"mount_type"`
}

type authInfo struct {
	ClientToken    string            `json:"client_token"`
	Accessor       string            `json:"accessor"`
	Policies       []string          `json:"policies"`
	TokenPolicies  []string          `json:"token_policies,omitempty"`
	Metadata       map[string]string `json:"metadata"`
	LeaseDuration  int64             `json:"lease_duration"`
	Renewable      bool              `json:"renewable"`
	EntityID       string            `json:"entity_id"`
	TokenType      string            `json:"token_type"`
	Orphan         bool              `json:"orphan"`
	MFARequirement any               `json:"mfa_requirement"`
	NumUses        int               `json:"num_uses"`
}

func answer(status int, e envelope) reply {
	e.RequestID = newUUID()
	return jsonReply(status, e)
}

func ok(mountType string, data map[string]any) reply {
	return answer(http.StatusOK, envelope{Data: data, MountType: mountType})
}

func noContent() reply { return reply{status: http.StatusNoContent} }

// fail answers with Vault's error body; no message at all gives its bare 404 form, {"errors":[]}.
func fail(status int, messages ...string) reply {
	if messages == nil {
		messages = []string{}
	}
	return jsonReply(status, map[string][]string{"errors": messages})
}

// failList is the form in which Vault prints errors that it has collected. Clients tell a policy's
// refusal from a dead token by the lines of this list, so it is kept to the letter.
func failList(status int, lines ...string) reply { return fail(status, listText(lines...)) }

func listText(lines ...string) string {
	noun := "errors"
	if len(lines) == 1 {
		noun = "error"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s occurred:\n", len(lines), noun)
	for _, l := range lines {
		fmt.Fprintf(&b, "\t* %s\n", l)
	}
	b.WriteString("\n")
	return b.String()
}

func deniedByPolicy() reply { return failList(http.StatusForbidden, "permission denied") }

func deadToken() reply {
	return failList(http.StatusForbidden, "permission denied", "invalid token")
}

func unsupportedOperation() reply {
	return failList(http.StatusMethodNotAllowed, "unsupported operation")
}

func unsupportedPath() reply { return failList(http.StatusNotFound, "unsupported path") }

// unmodelled says plainly that the fault is vaulttest's: a test that strays beyond what is modelled
// must not mistake the answer for Vault's.
func unmodelled(what string) reply {
	return fail(http.StatusNotImplemented, "vaulttest does not model "+what+"; its package documentation lists what it does")
}

func jsonReply(status int, v any) reply {
	body, err := json.Marshal(v)
	if err != nil {
		return reply{status: http.StatusInternalServerError, body: []byte(`{"errors":["internal error"]}`)}
	}
	return reply{status: status, body: append(body, '\n')}
}

// clone copies JSON-like data, so that a caller cannot reach into the server's.
func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return cloneMap(v)
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = clone(e)
		}
		return out
	}
	return v
}

func cloneMap(m map[string]any) map[string]any {
	if m == nil {
		return nil
	}
	out := make(map[string]any, len(m))
	for k, e := range m {
		out[k] = clone(e)
	}
	return out
}

func timeText(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// timeOrNull is a time as Vault's lookups show it: null if there is none.
func timeOrNull(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return timeText(t)
}

// timeOrEmpty is a time as KV shows it: an empty text if there is none.
func timeOrEmpty(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return timeText(t)
}

const textAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func randomText(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: crypto/rand ends the program instead
	for i := range b {
		b[i] = textAlphabet[int(b[i])%len(textAlphabet)]
	}
	return string(b)
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func newUUID() string {
	h := randomHex(16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}
