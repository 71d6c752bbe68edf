package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestTrimLeavesWhatATestNeeds and nothing else, with each line where it was.
func TestTrimLeavesWhatATestNeeds(t *testing.T) {
	t.Parallel()

	const a = `package p_test

import (
	"strings"
	str "strconv"
	"testing"

	"p"
)

// TestA is wanted.
func TestA(t *testing.T) {
	strings := world{}
	if strings.Grow(); p.Twice(1) != 2 {
		t.Fatal(str.Itoa(1))
	}
}

`

	dir := t.TempDir()

	for name, text := range map[string]string{
		"a_test.go": a + `func TestB(t *testing.T) {
	unwanted(strings.ToUpper(""))
}
`,
		"b_test.go": `package p_test

import "path"

type world struct{}

func (w *world) Grow() { w.more(path.Base("")) }
func (w *world) more(string) {}

func unwanted(string) {}
`,
		"c_test.go":      "package p_test\n\nfunc TestC() { unwanted(``) }\n",
		"export_test.go": "package p\n\nvar Twice = twice\n\nfunc (c *Client) Reset() {}\n",
		"main_test.go":   "package p_test\n\nfunc TestMain() { setUp() }\n\nfunc setUp() {}\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}

	got, err := trim(dir, "^TestA$")
	require.NoError(t, err)

	want := map[string]string{
		"a_test.go": strings.Replace(a, `"strings"`, `_ "strings"`, 1) + "\n\n\n",
		"b_test.go": `package p_test

import "path"

type world struct{}

func (w *world) Grow() { w.more(path.Base("")) }
func (w *world) more(string) {}


`,
		"c_test.go":      "",
		"export_test.go": "package p\n\nvar Twice = twice\n\n\n",
		"main_test.go":   "package p_test\n\nfunc TestMain() { setUp() }\n\nfunc setUp() {}\n",
	}
	for name, text := range want {
		got := string(got[filepath.Join(dir, name)])
		assert.Equal(t, text, regexp.MustCompile(` +\n`).ReplaceAllString(got, "\n"), name)
	}

	assert.Len(t, got, len(want))
}
