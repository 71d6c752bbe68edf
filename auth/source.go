package auth

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Source yields an input of a login, such as a secret-id. It is called for every
// login, and by Fingerprint; what it returns is used without surrounding white space. It
// must heed its ctx, and an error must not contain the value.
type Source func(ctx context.Context) (string, error)

// String is a source that is always s.
func String(s string) Source {
	return func(context.Context) (string, error) { return s, nil }
}

// Env is a source that reads the environment variable afresh each time.
func Env(name string) Source {
	return func(context.Context) (string, error) {
		v, ok := os.LookupEnv(name) //nolint:forbidigo // it is named by who calls us
		if !ok {
			return "", fmt.Errorf("the environment variable %s is not set", name)
		}
		if strings.TrimSpace(v) == "" {
			return "", fmt.Errorf("the environment variable %s is empty", name)
		}
		return v, nil
	}
}

// maxSource bounds what is read from a file: a secret-id or a JWT is far smaller,
// and a wrong path may name anything.
const maxSource = 1 << 20

// File is a source that reads the file afresh each time, also after it, or a link
// above it, was replaced.
func File(path string) Source {
	return func(context.Context) (string, error) {
		f, err := os.Open(path) //nolint:gosec // the path is the caller's own configuration
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }()
		b, err := io.ReadAll(io.LimitReader(f, maxSource+1))
		if err != nil {
			return "", err
		}
		if len(b) > maxSource {
			return "", fmt.Errorf("%s is larger than %d bytes", path, maxSource)
		}
		if strings.TrimSpace(string(b)) == "" {
			return "", fmt.Errorf("%s is empty", path)
		}
		return string(b), nil
	}
}

// Read returns what the source yields, trimmed. An empty value is an error.
func (s Source) Read(ctx context.Context) (string, error) {
	if s == nil {
		return "", errors.New("no source was given")
	}
	v, err := s(ctx)
	if err != nil {
		return "", err
	}
	if v = strings.TrimSpace(v); v == "" {
		return "", errors.New("the source is empty")
	}
	return v, nil
}

// Fingerprint reads the sources and returns a hash over what they yield, for
// [Fingerprinter].
func Fingerprint(ctx context.Context, sources ...Source) (string, error) {
	values := make([]string, len(sources))
	for i, s := range sources {
		v, err := s.Read(ctx)
		if err != nil {
			return "", err
		}
		values[i] = v
	}
	return Hash(values...), nil
}

// Hash is a hash over values, for [Fingerprinter].
func Hash(values ...string) string {
	h := sha256.New()
	for _, v := range values {
		_ = binary.Write(h, binary.BigEndian, int64(len(v))) // "ab","c" is not "a","bc"
		_, _ = io.WriteString(h, v)
	}
	return hex.EncodeToString(h.Sum(nil))
}
