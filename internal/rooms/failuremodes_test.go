package rooms_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// covered are the codes of docs/failure-modes.md that a test must stand for.
const covered = "A1 A2 A3 A4 A5 A6 A7 A8 A9 A10 A11 A12 A13 A14 B1 B2 B3 B4 B5 B9 B10 B11 B13 " +
	"C2 C3 C4 C5 C6 D1 D2 D3 D4 D5 D6 D7 E1 E2 E3 E4 E5 E6 E7 E8 E9 K1 K2 S1 S2 T1"

// TestEveryFailureModeNamesTestsThatExist keeps docs/failure-modes.md true.
func TestEveryFailureModeNamesTestsThatExist(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	text, err := os.ReadFile(filepath.Join(root, "docs", "failure-modes.md"))
	require.NoError(t, err)
	exist := testsIn(t, root)

	named := regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`)
	rows := make(map[string]int) // named tests by code
	for line := range strings.Lines(string(text)) {
		tests := named.FindAllString(line, -1)
		for _, name := range tests {
			assert.True(t, exist[name], "docs/failure-modes.md names %s, which does not exist", name)
		}
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			rows[strings.TrimSpace(cells[1])] += len(tests)
		}
	}
	for code := range strings.FieldsSeq(covered) {
		assert.Positive(t, rows[code], "docs/failure-modes.md has no test for %s", code)
	}
}

// testsIn returns the names of all tests under root, of all modules.
func testsIn(t *testing.T, root string) map[string]bool {
	t.Helper()
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	found := make(map[string]bool)
	require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range declared.FindAllStringSubmatch(string(source), -1) {
			found[m[1]] = true
		}
		return err
	}))
	return found
}
