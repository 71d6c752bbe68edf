package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestApply(t *testing.T) {
	t.Parallel()

	const text = "if a {\n\treturn b\n}\nif c {\n\treturn d\n}\n"

	tests := []struct {
		name     string
		old, new string
		want     string
		err      string
	}{
		{name: "replaces the text", old: "return b", new: "return d", want: "if a {\n\treturn d\n}\nif c {\n\treturn d\n}\n"},
		{name: "may remove it", old: "if a {\n\treturn b\n}\n", new: "", want: "if c {\n\treturn d\n}\n"},
		{name: "text that is gone", old: "return e", new: "return b", err: "occurs 0 times"},
		{name: "text that occurs twice", old: "return", new: "panic", err: "occurs 2 times"},
		{name: "no text", old: "", new: "x", err: "is empty"},
		{name: "no change", old: "return b", new: "return b", err: "changes nothing"},
	}

	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			got, err := mutation{Old: tt.old, New: tt.new}.apply(text)
			if tt.err == "" && err != nil {
				t.Fatal(err)
			}

			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got error %v, want one that says %q", err, tt.err)
			}

			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestMutationsApply finds a mutation that its file has outgrown, without the
// minutes that running them takes.
func TestMutationsApply(t *testing.T) {
	t.Parallel()

	root, err := moduleRoot()
	if err != nil {
		t.Fatal(err)
	}

	for _, m := range mutations {
		if _, err := m.mutated(root); err != nil {
			t.Errorf("law %d: %s: %s: %v", m.Law, m.File, m.What, err)
		}

		if m.What == "" || m.Package == "" || m.Test == "" {
			t.Errorf("law %d: %s: the mutation must say what it breaks and which test sees it", m.Law, m.File)
		}
	}
}

// TestTheTestsMustPassWithoutAMutation, or each mutant would seem to be noticed.
func TestTheTestsMustPassWithoutAMutation(t *testing.T) {
	t.Parallel()

	root := t.TempDir()

	for name, text := range map[string]string{
		"go.mod":    "module p\n\ngo 1.25.0\n",
		"p.go":      "package p\n",
		"p_test.go": "package p\n\nimport \"testing\"\n\nfunc TestGood(*testing.T) {}\n\nfunc TestBad(t *testing.T) { t.Error(\"as always\") }\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o600))
	}

	good, bad := mutation{Package: ".", Test: "^TestGood$"}, mutation{Package: ".", Test: "^TestBad$"}

	var out strings.Builder

	assert.True(t, sound(t.Context(), &out, root, []mutation{good, good}))
	assert.Empty(t, out.String())
	assert.False(t, sound(t.Context(), &out, root, []mutation{good, bad}))
	assert.Contains(t, out.String(), ". fails without a mutation")
	assert.Contains(t, out.String(), "as always")
}

// TestTry runs the go command on a module made for it, whose test notices only
// some mutations.
func TestTry(t *testing.T) {
	t.Parallel()

	root := t.TempDir()

	// The second test would not compile: no mutant has the tests that it does not need.
	files := map[string]string{
		"q_test.go": "package p\n\nfunc TestOther() { nothing() }\n",
		"go.mod":    "module p\n\ngo 1.25.0\n",
		"p.go":      "package p\n\nfunc Add(a, b int) int { return a + b }\n\nvar Unused = 1\n\nvar Leak = false\n",
		"p_test.go": "package p\n\nimport (\n\t\"os\"\n\t\"testing\"\n)\n\nfunc TestMain(m *testing.M) {\n\tcode := m.Run()\n\tif Leak {\n\t\tcode = 1\n\t}\n\tos.Exit(code)\n}\n\nfunc TestAdd(t *testing.T) {\n\tif Add(1, 2) != 3 {\n\t\tt.Error(\"wrong\")\n\t}\n}\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}

	tests := []struct {
		name     string
		old, new string
		run      string
		want     string
		ok       bool
	}{
		{name: "noticed", old: "a + b", new: "a - b", run: "^TestAdd$", want: "law 3   killed    p.go: noticed\n", ok: true},
		{name: "panic", old: "a + b", new: "a / (b - 2)", run: "^TestAdd$", want: "law 3   killed    p.go: panic\n", ok: true},
		{name: "unnoticed", old: "Unused = 1", new: "Unused = 2", run: "^TestAdd$", want: "law 3   SURVIVED  p.go: unnoticed (tests that passed: 1)\n"},
		{name: "leak", old: "Leak = false", new: "Leak = true", run: "^TestAdd$", want: "law 3   killed    p.go: leak (outside of the tests, by TestMain)\n", ok: true},
		{name: "no mutant", old: "a + b", new: "a + c", run: "^TestAdd$", want: "law 3   ERROR     p.go: no mutant (the mutant does not compile)\n"},
		{name: "no test", old: "a + b", new: "a - b", run: "^TestNone$", want: "law 3   ERROR     p.go: no test (no test ran)\n"},
		{name: "no text", old: "a * b", new: "a - b", run: "^TestAdd$", want: "law 3   ERROR     p.go: no text (the text to replace occurs 0 times, not once)\n"},
	}

	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			m := mutation{Law: 3, What: tt.name, File: "p.go", Old: tt.old, New: tt.new, Package: ".", Test: tt.run}

			var out strings.Builder

			ok := try(t.Context(), &out, root, []mutation{m}, 1)
			if !strings.HasPrefix(out.String(), tt.want) || ok != tt.ok {
				t.Errorf("got %q, %v, want it to start with %q, %v", out.String(), ok, tt.want, tt.ok)
			}
		})
	}

	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(got) != want {
			t.Errorf("%s: got %q, %v, want it untouched", name, got, err)
		}
	}
}

func TestJudgeNamesTheTimeout(t *testing.T) {
	t.Parallel()

	exit := exitError(t)
	got := judge([]byte(`{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"panic: test timed out after 2m0s\n"}
{"Action":"fail","Package":"p","Test":"TestA"}
{"Action":"fail","Package":"p"}
`), exit)

	want := result{verdict: killed, note: "by the timeout of 2m0s", output: "panic: test timed out after 2m0s\n"}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLawsWithoutAMutationAreNamed(t *testing.T) {
	t.Parallel()

	all := []mutation{{Law: 1}, {Law: 3}}

	var out strings.Builder

	if ok := complete(&out, all, []int{1, 2, 3, 11}); ok || out.String() != "laws without a mutation: 2, 11\n" {
		t.Errorf("got %v, %q, want 2 and 11 named", ok, out.String())
	}

	if ok := complete(&out, all, []int{1, 3}); !ok {
		t.Errorf("got %v, %q, want nothing missing", ok, out.String())
	}
}

func TestMutationsAreTriedInTheOrderOfTheLaws(t *testing.T) {
	t.Parallel()

	got := choose([]mutation{{Law: 20}, {Law: 3, What: "a"}, {Law: 3, What: "b"}}, 0)
	if len(got) != 3 || got[0].What != "a" || got[1].What != "b" || got[2].Law != 20 {
		t.Errorf("got %v, want 3a, 3b, 20", got)
	}

	if got := choose(got, 20); len(got) != 1 {
		t.Errorf("got %v, want law 20 alone", got)
	}
}

// exitError is what a command that exits with 1 returns.
func exitError(t *testing.T) error {
	t.Helper()

	err := exec.CommandContext(t.Context(), "go", "help", "no-such-topic").Run()

	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		t.Fatalf("got %v, want an exit code", err)
	}

	return err
}

// A test whose comment names a mutation has one in the table: what is said to have
// been seen to fail is seen to fail by make mutate.
func TestEveryMutationThatATestNamesIsInTheTable(t *testing.T) {
	t.Parallel()
	named := regexp.MustCompile(`((?://[^\n]*\n)+)func (Test\w+)\(`)
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, m := range named.FindAllSubmatch(text, -1) {
			test := string(m[2])
			if !regexp.MustCompile(`Mutations?:`).Match(m[1]) {
				continue
			}
			known := slices.ContainsFunc(mutations, func(m mutation) bool {
				return regexp.MustCompile(m.Test).MatchString(test)
			})
			assert.True(t, known, "%s: %s names a mutation that is not in the table", path, test)
		}
		return nil
	})
	require.NoError(t, err)
}
