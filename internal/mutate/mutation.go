package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	// testTimeout is for the tests of one mutant. A mutant that hangs is killed by
	// it, which is a failure like any other, but a slow one.
	testTimeout = 120 * time.Second

	// patience bounds one mutant with its compilation.
	patience = 10 * time.Minute
)

// A mutation is one small change to the code that a test must notice.
type mutation struct {
	Law  int    // the law that it breaks
	What string // what is wrong then, in a few words

	File string // from the root, with slashes
	Old  string // occurs exactly once in File
	New  string

	Module  string // the folder of the module that has the test; empty: the root
	Package string // as given to go test in that folder
	Test    string // regular expression, as for go test -run
}

func (m mutation) String() string { return fmt.Sprintf("law %-2d  %s", m.Law, m.What) }

type verdict string

const (
	killed   verdict = "killed"
	survived verdict = "SURVIVED"
	broken   verdict = "ERROR"
)

type result struct {
	verdict verdict
	note    string
	output  string // what the go command printed, but for a survivor
}

// apply returns the text of the file after the mutation.
func (m mutation) apply(text string) (string, error) {
	switch n := strings.Count(text, m.Old); {
	case m.Old == "":
		return "", errors.New("the text to replace is empty")
	case m.Old == m.New:
		return "", errors.New("the mutation changes nothing")
	case n != 1:
		return "", fmt.Errorf("the text to replace occurs %d times, not once", n)
	}

	return strings.Replace(text, m.Old, m.New, 1), nil
}

// mutated returns the text of the file below root after the mutation.
func (m mutation) mutated(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.File)))
	if err != nil {
		return "", err
	}

	return m.apply(string(text))
}

// try tests the mutant.
func (m mutation) try(ctx context.Context, root string) result {
	mutated, err := m.mutated(root)
	if err != nil {
		return result{verdict: broken, note: err.Error()}
	}

	return m.run(ctx, root, map[string][]byte{filepath.Join(root, filepath.FromSlash(m.File)): []byte(mutated)}, testTimeout)
}

// quick has the compiler spend its time on nothing that a test notices: it takes
// half as long. Only what may be mutated is compiled so.
const quick = "-gcflags=github.com/seed-f5e1ac40/leasehold/...=-dwarf=false -N -l"

// run runs m's test with some files replaced, and says what a failure means for a
// mutant.
func (m mutation) run(ctx context.Context, root string, replaced map[string][]byte, timeout time.Duration) result {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return result{verdict: broken, note: err.Error()}
	}
	defer os.RemoveAll(dir)

	module := filepath.Join(root, filepath.FromSlash(m.Module))

	tests, err := trim(filepath.Join(module, filepath.FromSlash(m.Package)), m.Test)
	if err != nil {
		return result{verdict: broken, note: err.Error()}
	}

	maps.Copy(tests, replaced)

	overlay, err := overlay(dir, tests)
	if err != nil {
		return result{verdict: broken, note: err.Error()}
	}

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	// Without vet: it may refuse a mutant that compiles, and what must notice the
	// mutation is the test.
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-vet=off", "-count=1", quick,
		"-overlay="+overlay, "-timeout="+timeout.String(), "-run="+m.Test, m.Package)
	cmd.Dir = module

	var stderr bytes.Buffer

	cmd.Stderr = &stderr
	stdout, err := cmd.Output()

	r := judge(stdout, err)
	r.output += stderr.String()

	return r
}

// overlay writes files and the table that lays them over the real ones into dir, and
// returns the table's path. An empty file is laid over as if there were none.
func overlay(dir string, files map[string][]byte) (string, error) {
	replace := make(map[string]string, len(files))

	for path, text := range files {
		if len(text) == 0 {
			replace[path] = ""

			continue
		}

		replace[path] = filepath.Join(dir, strconv.Itoa(len(replace))+"_"+filepath.Base(path))
		if err := os.WriteFile(replace[path], text, 0o600); err != nil {
			return "", err
		}
	}

	table, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}

	path := filepath.Join(dir, "overlay.json")

	return path, os.WriteFile(path, table, 0o600)
}

// judge reads what go test -json printed about a mutant; err is how it exited.
func judge(stdout []byte, err error) result {
	var (
		ran, failed      int
		noBuild, timeout bool
		output           strings.Builder
	)

	for line := range bytes.Lines(stdout) {
		var event struct {
			Action      string `json:"Action"`
			Test        string `json:"Test"`
			Output      string `json:"Output"`
			FailedBuild string `json:"FailedBuild"`
		}

		if json.Unmarshal(line, &event) != nil {
			output.Write(line) // The go command's own word.

			continue
		}

		output.WriteString(event.Output)

		timeout = timeout || strings.HasPrefix(event.Output, "panic: test timed out after ")
		noBuild = noBuild || event.Action == "build-fail" || event.FailedBuild != ""

		switch {
		case event.Test == "":
		case event.Action == "run":
			ran++
		case event.Action == "fail":
			failed++
		}
	}

	var exit *exec.ExitError

	switch {
	case noBuild:
		return result{broken, "the mutant does not compile", output.String()}
	case ran == 0:
		return result{broken, "no test ran", output.String()}
	case err == nil:
		return result{survived, fmt.Sprintf("tests that passed: %d", ran), ""}
	case !errors.As(err, &exit) || !exit.Exited():
		return result{broken, err.Error(), output.String()}
	case timeout:
		return result{killed, "by the timeout of " + testTimeout.String(), output.String()}
	case failed == 0:
		return result{killed, "outside of the tests, by TestMain", output.String()}
	}

	return result{killed, "", output.String()}
}
