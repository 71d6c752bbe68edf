// Package auth says what a way of logging in to Vault is.
//
// A [Method] is the official client's api.AuthMethod, so that every method
// written for that client plugs in. Login is called with a private client that
// carries no token, at most once at a time, and for every login anew: a method
// reads its inputs afresh each time, since secret-ids, projected tokens and keys
// rotate (failure codes A7 to A9).
package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/hashicorp/vault/api"
)

// Method logs in. It may implement [Owner], too.
type Method = api.AuthMethod

// Owner is an optional interface of a Method. A method that does not have it
// makes tokens of its own at each login, which the client revokes at Close.
type Owner interface {
	// Owned reports whether the token was made by the login. One that was given to
	// us is never revoked: others may be using it (failure code S2).
	Owned() bool
}

// Source yields an input of a login, such as a secret-id. It is called for every
// login, and what it returns is used without surrounding white space. An
// error must not contain the value.
type Source func(ctx context.Context) (string, error)

// String is a source that is always s.
func String(s string) Source {
	return func(context.Context) (string, error) { return s, nil }
}

// maxSource bounds what is read from a file: a secret-id or a JWT is far smaller,
// and a wrong path may name anything.
const maxSource = 1 << 20

// File is a source that reads the file afresh each time.
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

// CheckMount refuses a path for an auth method's mount that is empty or would lead
// elsewhere: the official client resolves ".." and would send a credential there.
func CheckMount(path string) error {
	for seg := range strings.SplitSeq(path, "/") {
		if seg == "" || seg == "." || seg == ".." {
			return fmt.Errorf("the mount %q has an empty, \".\" or \"..\" segment", path)
		}
	}
	return nil
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
