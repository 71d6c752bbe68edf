package secret

import (
	"database/sql/driver"
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

// scan is what both types take from a database. The error is of types alone.
func scan(src, into any) (string, error) {
	switch v := src.(type) {
	case string:
		return v, nil
	case []byte:
		return string(v), nil // a copy: the driver uses these bytes again
	case nil:
		return "", nil
	default:
		return "", fmt.Errorf("secret: a database's %T is no %T: select it as text", src, into)
	}
}

// Bytes is a secret of binary form, such as a key. The zero value is empty. Values
// compare with == by their content, and may be copied and used by many goroutines at once.
type Bytes struct {
	// Kept as a String is, and not as a slice: fmt follows a pointer to a slice, even
	// inside a struct, under a verb that does not fit pointers such as %s.
	s String
}

// NewBytes returns a secret with a copy of b.
func NewBytes(b []byte) Bytes { return Bytes{s: NewString(string(b))} }

// Reveal returns a copy of the bytes, nil if there are none. Do not log them.
func (s Bytes) Reveal() []byte {
	if s.IsZero() {
		return nil
	}
	return []byte(s.s.Reveal())
}

// IsZero reports whether there are no bytes.
func (s Bytes) IsZero() bool { return s.s.IsZero() }

// Len returns the number of bytes.
func (s Bytes) Len() int { return len(s.s.Reveal()) }

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

// UnmarshalText sets the secret to the text's own bytes, not to what base64 would make
// of them. It never fails.
func (s *Bytes) UnmarshalText(b []byte) error {
	*s = NewBytes(b)
	return nil
}

// Set sets the secret to the text's own bytes, for flag.Var. It never fails.
func (s *Bytes) Set(text string) error { return s.s.Set(text) }

// Scan takes bytes or a text from database/sql; NULL makes the secret empty, and a
// sql.Null[secret.Bytes] tells the two apart. The error for anything else names its type.
func (s *Bytes) Scan(src any) error {
	text, err := scan(src, Bytes{})
	if err != nil {
		return err
	}
	s.s = NewString(text)
	return nil
}

// Value returns the bytes themselves, for database/sql and the drivers; empty ones are
// not NULL, a nil *Bytes is. A secret that is a query's argument is seen by whatever logs
// arguments, and quoted by some drivers' errors where it does not fit the column's type.
func (s Bytes) Value() (driver.Value, error) { return []byte(s.s.Reveal()), nil }

// GobEncode encodes "[redacted]".
func (s Bytes) GobEncode() ([]byte, error) { return []byte(redacted), nil }

// GobDecode refuses: a gob never holds the secret.
func (s *Bytes) GobDecode([]byte) error { return errGob }
