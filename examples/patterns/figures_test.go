//go:build figures

package patterns_test

import (
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
)

// TestFigureSizes measures what docs/auth.md says that each method adds to a binary, and
// prints how far off the table is. The row of auth/aws/official, which has a module of its
// own, is measured there.
func TestFigureSizes(t *testing.T) {
	text, err := os.ReadFile("../../docs/auth.md")
	if err != nil {
		t.Fatal(err)
	}
	const config = "cfg, err := config.LoadDefaultConfig(ctx)\nif err != nil {\npanic(err)\n}"
	for _, tc := range []struct{ row, imports, setup, method string }{
		{"`leasehold`, `kv`, `approle`", "auth/approle", "", `approle.New("a", approle.SecretIDString("b"))`},
		{"`kubernetes`, `jwt`, `token`", "auth/kubernetes", "", `kubernetes.New("a")`},
		{"`kubernetes`, `jwt`, `token`", "auth/jwt", "", `jwt.New("a", nil)`},
		{"`kubernetes`, `jwt`, `token`", "auth/token", "", `token.New("a")`},
		{"`cert`, `userpass`", "auth/cert", "", `cert.New("a")`},
		{"`cert`, `userpass`", "auth/userpass", "", `userpass.New("a", nil)`},
		{"`auth/aws`", "auth/aws", "", `aws.New("a", nil, "eu-west-1")`},
		{"`auth/aws` and the SDK's `config`", "auth/aws config", config, `aws.New("a", cfg.Credentials, cfg.Region)`},
	} {
		var imports []string
		for path := range strings.FieldsSeq(tc.imports) {
			if path == "config" {
				imports = append(imports, `"github.com/aws/aws-sdk-go-v2/config"`)
				continue
			}
			imports = append(imports, `"github.com/seed-f5e1ac40/leasehold/`+path+`"`)
		}
		mb, err := figure.Size(t.Context(), ".", strings.Join(imports, "\n"), tc.setup, tc.method)
		if err != nil {
			t.Fatal(err)
		}
		row := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(tc.row) + ` \| ([0-9.]+) \|`).FindSubmatch(text)
		if row == nil {
			t.Fatalf("docs/auth.md has no row for %s", tc.row)
		}
		told, err := strconv.ParseFloat(string(row[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.ReplaceAll(strings.ReplaceAll(tc.imports, "auth/", ""), " ", "-")
		figure.AtMost(os.Stdout, "size-off-"+name, math.Abs(mb-told), "MB", 0.05, "oracle=go-build", fmt.Sprintf("measured=%.2fMB", mb), "documented="+string(row[1])+"MB")
	}
}
