package secret

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
)

var errGob = errors.New("secret: a gob does not hold secrets")

// notA says that b is not what into wants, by types alone: what was refused may be
// the secret itself. encoding/json adds the field's name to an error of this type.
func notA(b []byte, into any) error {
	kind := "string" // of the wrong form
	var c byte
	if len(b) > 0 { // encoding/json never passes nothing, but others may
		c = b[0]
	}
	switch {
	case c == '{':
		kind = "object"
	case c == '[':
		kind = "array"
	case c == 't', c == 'f':
		kind = "bool"
	case c == '-', c >= '0' && c <= '9':
		kind = "number"
	}
	return &json.UnmarshalTypeError{Value: kind, Type: reflect.TypeOf(into)}
}

// Bytes is a secret of binary form, such as a key. The zero value is empty. It
// keeps its own copy and may be used by many goroutines at once.
type Bytes struct {
	// A pointer to a string is never followed by fmt. One to a struct or a slice
	// is, even inside a struct, under a verb that does not fit pointers such as %s.
	p *string
}

// NewBytes returns a secret with a copy of b.
func NewBytes(b []byte) Bytes {
	if len(b) == 0 {
		return Bytes{}
	}
	text := string(b)
	return Bytes{p: &text}
}

// Reveal returns a copy of the bytes. Do not log them.
func (s Bytes) Reveal() []byte {
	if s.p == nil {
		return nil
	}
	return []byte(*s.p)
}

// Len returns the number of bytes.
func (s Bytes) Len() int {
	if s.p == nil {
		return 0
	}
	return len(*s.p)
}

// String returns "[redacted]".
func (s Bytes) String() string { return redacted }

// GoString returns "[redacted]", for %#v.
func (s Bytes) GoString() string { return redacted }

// Format writes "[redacted]" whatever the verb.
func (s Bytes) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue returns "[redacted]", for log/slog.
func (s Bytes) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON encodes "[redacted]".
func (s Bytes) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// UnmarshalJSON takes a JSON string of standard base64, as encoding/json does
// for []byte; null leaves s unchanged.
func (s *Bytes) UnmarshalJSON(b []byte) error {
	var raw []byte
	if err := json.Unmarshal(b, &raw); err != nil {
		return notA(b, Bytes{})
	}
	if raw != nil {
		*s = NewBytes(raw)
	}
	return nil
}

// MarshalText encodes "[redacted]".
func (s Bytes) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText sets the secret to the text's own bytes.
func (s *Bytes) UnmarshalText(b []byte) error {
	*s = NewBytes(b)
	return nil
}

// GobEncode encodes "[redacted]".
func (s Bytes) GobEncode() ([]byte, error) { return []byte(redacted), nil }

// GobDecode refuses: a gob never holds the secret.
func (s *Bytes) GobDecode([]byte) error { return errGob }
