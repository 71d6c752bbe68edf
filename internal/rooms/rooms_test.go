package rooms

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	root     = "github.com/seed-f5e1ac40/leasehold"
	vaultAPI = "github.com/hashicorp/vault/api"
)

// A room may import the standard library, the packages named here, and nothing
// else. Tests are exempt.
type room struct {
	// The package from the root, "." being the root itself. With a trailing /... all
	// packages below are meant too, unless they have a row of their own.
	name string

	ours   []string // packages of this module
	theirs []string // packages of others, with all packages below them
}

var table = []room{
	{name: "cache"},
	{name: "lease"},
	{name: "secret"},
	{name: "vaulttest/..."},

	{name: "auth", ours: []string{"secret"}, theirs: []string{vaultAPI}},
	{name: "auth/authtest", ours: []string{"auth"}, theirs: []string{vaultAPI}},
	{name: "auth/internal/wrapping", ours: []string{"auth", "secret"}, theirs: []string{vaultAPI}},
	{name: "auth/token", ours: []string{"auth", "auth/internal/wrapping", "secret"}, theirs: []string{vaultAPI}},
	{
		name:   "auth/approle",
		ours:   []string{"auth", "auth/internal/wrapping", "secret"},
		theirs: []string{vaultAPI, vaultAPI + "/auth/approle"},
	},
	{name: "auth/kubernetes", ours: []string{"auth"}, theirs: []string{vaultAPI, vaultAPI + "/auth/kubernetes"}},
	{name: "auth/jwt", ours: []string{"auth"}, theirs: []string{vaultAPI}},
	{name: "auth/cert", ours: []string{"auth"}, theirs: []string{vaultAPI}},
	{name: "auth/userpass", ours: []string{"auth"}, theirs: []string{vaultAPI}},
	{name: "auth/aws", ours: []string{"auth", "secret"}, theirs: []string{vaultAPI, "github.com/aws/aws-sdk-go-v2/aws"}},

	{name: "internal/members"},
	{name: "internal/session", ours: []string{"auth", "lease", "secret"}, theirs: []string{vaultAPI}},
	{name: "kv", ours: []string{"cache", "lease", "secret", "internal/members", "internal/session"}},
	{name: "dynamic", ours: []string{"cache", "lease", "secret", "internal/session"}},
	{name: "dynamic/sqldb", ours: []string{"cache", "lease", "secret", "internal/session", "dynamic"}},

	{
		name: ".",
		ours: []string{
			"auth", "auth/token", "auth/approle", "auth/kubernetes", "auth/jwt",
			"cache", "dynamic", "internal/members", "internal/session", "kv", "lease", "secret",
		},
		theirs: []string{vaultAPI},
	},

	// Tools of the project; no program of a user links them.
	{name: "internal/bubble"},
	{name: "internal/cireport", ours: []string{"internal/figure"}},
	{name: "internal/figure"},
	{name: "internal/mutate"},
	{name: "internal/rooms"},
}

// find returns the row for a package, the most precise one first.
func find(name string) (room, bool) {
	var (
		best  room
		found bool
	)

	for _, r := range table {
		below, deep := strings.CutSuffix(r.name, "/...")

		switch {
		case r.name == name:
			return r, true
		case deep && (name == below || strings.HasPrefix(name, below+"/")) && len(r.name) > len(best.name):
			best, found = r, true
		}
	}

	return best, found
}

// judge returns what is wrong with an import, or "".
func (r room) judge(imported pkg) string {
	switch name := short(imported.ImportPath); {
	case imported.Standard:
		return ""
	case name == ".":
		return "no package imports the root"
	case name != "":
		if slices.Contains(r.ours, name) {
			return ""
		}
	case slices.ContainsFunc(r.theirs, func(p string) bool {
		// The helpers of vault/api are below it as paths, and are not part of it.
		return imported.ImportPath == p || strings.HasPrefix(imported.ImportPath, p+"/") &&
			(p != vaultAPI || !strings.HasPrefix(imported.ImportPath, vaultAPI+"/auth/"))
	}):
		return ""
	}

	return "is not among what it may import"
}

// short is a package's path from the root, "." for the root, and "" for a
// package of another module.
func short(importPath string) string {
	if importPath == root {
		return "."
	}

	name, ours := strings.CutPrefix(importPath, root+"/")
	if !ours {
		return ""
	}

	return name
}

// pkg is a package as go list prints it.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
	GoFiles    []string
}

// list returns the named packages and all that they depend on, without tests.
func list(t *testing.T, patterns ...string) map[string]pkg {
	t.Helper()

	args := append([]string{"list", "-e", "-deps", "-json=ImportPath,Standard,Imports,GoFiles"}, patterns...)
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = folder(t)
	cmd.Stderr = os.Stderr

	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}

	packages := make(map[string]pkg)

	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg

		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return packages
		}

		if err != nil {
			t.Fatalf("go list: %v", err)
		}

		packages[p.ImportPath] = p
	}
}

// folder is the root's folder.
func folder(t *testing.T) string {
	t.Helper()

	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}

	return dir
}

func TestEachPackageImportsOnlyWhatItsRoomMay(t *testing.T) {
	t.Parallel()

	packages := list(t, "./...")

	for _, p := range packages {
		name := short(p.ImportPath)
		if name == "" {
			continue
		}

		r, ok := find(name)
		if !ok {
			t.Errorf("%s has no row in the table of rooms", name)

			continue
		}

		for _, imported := range p.Imports {
			if imported == "C" {
				t.Errorf("%s uses cgo", name)

				continue
			}

			if wrong := r.judge(packages[imported]); wrong != "" {
				t.Errorf("%s imports %s: %s", name, imported, wrong)
			}
		}
	}
}

// TestKVProgramLinksNoMoreThanItUses is about what a program pays that reads
// configuration and nothing else.
func TestKVProgramLinksNoMoreThanItUses(t *testing.T) {
	t.Parallel()

	used := []string{root, root + "/kv", root + "/auth/approle"}
	packages := list(t, used...)

	for _, name := range used {
		if len(packages[name].GoFiles) == 0 {
			t.Errorf("%s is not there", name)
		}
	}

	unwanted := []string{
		"testing",
		"github.com/aws",
		"github.com/jackc",
		"github.com/stretchr",
		"go.uber.org/goleak",
		"k8s.io",
		root + "/dynamic/sqldb",
		root + "/vaulttest",
		root + "/internal/figure",
	}

	for importPath := range packages {
		for _, prefix := range unwanted {
			if importPath == prefix || strings.HasPrefix(importPath, prefix+"/") {
				t.Errorf("a program that uses the root, kv and auth/approle links %s", importPath)
			}
		}
	}
}

// TestNobodySleeps: a test that sleeps is slow, and wrong on a slow machine. In a
// testing/synctest bubble a sleep costs nothing and moves the clock.
func TestNobodySleeps(t *testing.T) {
	t.Parallel()

	dir := folder(t)

	err := filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}

		if d.IsDir() && file != dir {
			// Nested modules live in real time.
			if _, err := os.Stat(filepath.Join(file, "go.mod")); err == nil || strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
		}

		if !strings.HasSuffix(file, "_test.go") {
			return nil
		}

		set := token.NewFileSet()

		f, err := parser.ParseFile(set, file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}

		for _, pos := range sleeps(f) {
			t.Errorf("%s sleeps outside of a testing/synctest bubble", set.Position(pos))
		}

		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// sleeps returns where a file sleeps in real time: where it calls time.Sleep and
// does not import testing/synctest.
func sleeps(f *ast.File) []token.Pos {
	for _, spec := range f.Imports {
		if p, err := strconv.Unquote(spec.Path.Value); err == nil && p == "testing/synctest" {
			return nil
		}
	}

	var found []token.Pos

	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" {
				found = append(found, s.Pos())
			}
		}

		return true
	})

	return found
}

func TestJudge(t *testing.T) {
	t.Parallel()

	ours := func(name string) pkg { return pkg{ImportPath: path.Join(root, name)} }
	tests := []struct {
		room     string
		imported pkg
		allowed  bool
	}{
		{"secret", pkg{ImportPath: "fmt", Standard: true}, true},
		{"secret", ours("cache"), false},
		{"secret", pkg{ImportPath: vaultAPI}, false},
		{"vaulttest", ours("secret"), false},
		{"vaulttest/fault", pkg{ImportPath: vaultAPI}, false},
		{"auth", pkg{ImportPath: vaultAPI}, true},
		{"auth", ours("lease"), false},
		{"auth/token", pkg{ImportPath: vaultAPI + "/auth/approle"}, false},
		{"auth/approle", pkg{ImportPath: vaultAPI + "/auth/approle"}, true},
		{"auth/approle", pkg{ImportPath: vaultAPI + "/auth/aws"}, false},
		{"internal/session", ours("lease"), true},
		{"internal/session", ours("kv"), false},
		{"kv", ours("internal/session"), true},
		{"kv", pkg{ImportPath: vaultAPI}, false},
		{"kv", ours("dynamic"), false},
		{"dynamic", ours("kv"), false},
		{"dynamic/sqldb", ours("dynamic"), true},
		{"dynamic/sqldb", ours("."), false},
		{".", ours("kv"), true},
		{".", ours("auth/approle"), true},
		{".", ours("dynamic/sqldb"), false},
		{".", ours("vaulttest"), false},
		{".", pkg{ImportPath: "github.com/aws/aws-sdk-go-v2/aws"}, false},
		{"kv", pkg{ImportPath: root + "ish/kv"}, false},
	}

	for _, tt := range tests {
		r, ok := find(tt.room)
		if !ok {
			t.Errorf("%s: no row in the table", tt.room)

			continue
		}

		if got := r.judge(tt.imported) == ""; got != tt.allowed {
			t.Errorf("%s imports %s: got %v, want %v", tt.room, tt.imported.ImportPath, got, tt.allowed)
		}
	}

	if _, ok := find("newroom"); ok {
		t.Error("got a row for a package that is not in the table")
	}
}
