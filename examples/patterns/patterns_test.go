// Package patterns_test is the code of docs/patterns.md, docs/auth.md and README.md, which a test
// compares with it.
package patterns_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// program is what vaulttest needs where there is no test.
type program struct{}

func (program) Helper()                   {}
func (program) Cleanup(func())            {}
func (program) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// start returns a client of a Vault in memory. A program has leasehold.New with its own
// Config here, and closes the client at its end.
func start(ctx context.Context) (*leasehold.Client, func()) {
	server := vaulttest.New(program{})
	server.PutKV("secret", "payments/stripe", map[string]any{"api_key": "sk_live_x", "retries": 3})
	server.PutKV("secret", "payments/env", map[string]any{"STRIPE_API_KEY": "sk_live_x", "RETRIES": "3"})
	client, err := leasehold.New(ctx, leasehold.Config{
		Address: "http://vault.internal:8200", Auth: token.New(server.RootToken()), HTTPClient: server.Client(),
	})
	check(err)
	return client, func() { check(client.Close(ctx)) }
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// TestTheCodeInTheDocumentationIsThisCode, but for its indentation and for check, which
// stands for a program's own handling of errors.
func TestTheCodeInTheDocumentationIsThisCode(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*_test.go")
	check(err)
	var code strings.Builder
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(err)
		code.WriteString(squeeze(string(text)))
	}
	for document, least := range map[string]int{"docs/patterns.md": 6, "docs/auth.md": 14, "README.md": 4} {
		text, err := os.ReadFile("../../" + document)
		check(err)
		blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(text), -1)
		if len(blocks) < least {
			t.Errorf("%s: %d blocks of code", document, len(blocks))
		}
		for _, block := range blocks {
			if !heavy.MatchString(block[1]) && !strings.Contains(code.String(), squeeze(block[1])) {
				t.Errorf("%s: not in any file here:\n%s", document, block[1])
			}
		}
	}
}

// heavy is what is not compiled: each of these would bring a whole cloud's SDK.
var heavy = regexp.MustCompile(`// github\.com/hashicorp/vault/api/auth/(gcp|azure)\n`)

func squeeze(code string) string {
	return strings.Join(strings.Fields(apart.ReplaceAllString(code, "")), " ")
}

// apart is what does not count.
var apart = regexp.MustCompile(`(?m)^\s*check\(err\)$|//nolint:.*`)
