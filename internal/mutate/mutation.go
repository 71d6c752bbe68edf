package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
	output  string // what the go command printed, for an error
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

// try tests the mutant.
func (m mutation) try(ctx context.Context, root string) result {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return result{verdict: broken, note: err.Error()}
	}
	defer os.RemoveAll(dir)

	overlay, err := m.overlay(root, dir)
	if err != nil {
		return result{verdict: broken, note: err.Error()}
	}

	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()

	// Without vet: it may refuse a mutant that compiles, and what must notice the
	// mutation is the test.
	cmd := exec.CommandContext(ctx, "go", "test", "-json", "-vet=off", "-count=1",
		"-overlay="+overlay, "-timeout="+testTimeout.String(), "-run="+m.Test, m.Package)
	cmd.Dir = filepath.Join(root, filepath.FromSlash(m.Module))

	var stderr bytes.Buffer

	cmd.Stderr = &stderr
	stdout, err := cmd.Output()

	r := judge(stdout, err)
	if r.verdict == broken {
		r.output += stderr.String()
	}

	return r
}

// overlay writes the mutated file and the table that lays it over the real one
// into dir, and returns the table's path.
func (m mutation) overlay(root, dir string) (string, error) {
	file := filepath.Join(root, filepath.FromSlash(m.File))

	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}

	mutated, err := m.apply(string(text))
	if err != nil {
		return "", err
	}

	copied := filepath.Join(dir, filepath.Base(file))
	if err := os.WriteFile(copied, []byte(mutated), 0o600); err != nil {
		return "", err
	}

	table, err := json.Marshal(map[string]map[string]string{"Replace": {file: copied}})
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
		return result{killed, "by the timeout of " + testTimeout.String(), ""}
	case failed == 0:
		return result{killed, "outside of the tests, by TestMain", ""}
	}

	return result{verdict: killed}
}
