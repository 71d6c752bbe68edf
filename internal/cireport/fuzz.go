package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
)

// A fuzzed package is compiled once, with the instruments of fuzzing, and has these targets.
type fuzzed struct {
	dir     string
	targets []string
}

// fuzz runs each fuzz target of the modules for so long and returns the exit code. Each is one
// test of the outcome, and a figure says how much was tried.
func fuzz(w io.Writer, modules []string, record, stage, duration string, without []string) int {
	total := Outcome{Stage: stage}

	for _, module := range modules {
		packages, err := fuzzTargets(module, without)
		for _, p := range packages {
			err = errors.Join(err, p.fuzz(w, duration, &total))
		}

		if err != nil {
			fmt.Fprintln(w, "cireport:", err)

			total.Failed++
		}
	}

	return finish(w, total, record)
}

var target = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(\w+ \*testing\.F\)`)

// fuzzTargets looks for them in a module's folder, but for what is in other modules and in the
// folders to be left out.
func fuzzTargets(module string, without []string) ([]fuzzed, error) {
	var found []fuzzed

	err := filepath.WalkDir(filepath.FromSlash(module), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}

		if d.IsDir() {
			_, other := os.Stat(filepath.Join(path, "go.mod"))
			for _, name := range without {
				if filepath.Clean(name) == path {
					return fs.SkipDir
				}
			}

			if path != filepath.Clean(module) && (other == nil || strings.HasPrefix(d.Name(), ".")) {
				return fs.SkipDir
			}

			return nil
		}

		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}

		text, err := os.ReadFile(path) //nolint:gosec // of a checkout that nobody else changes
		for _, m := range target.FindAllSubmatch(text, -1) {
			if dir := filepath.Dir(path); len(found) == 0 || found[len(found)-1].dir != dir {
				found = append(found, fuzzed{dir: dir})
			}

			last := &found[len(found)-1]
			last.targets = append(last.targets, string(m[1]))
		}

		return err
	})

	return found, err
}

// fuzz runs the targets of one package, one after the other, with all cores.
func (p fuzzed) fuzz(w io.Writer, duration string, total *Outcome) error {
	work, err := os.MkdirTemp("", "fuzz")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	binary := filepath.Join(work, "fuzz.test")

	build := exec.Command("go", "test", "-c", "-fuzz=.", "-o", binary, ".")
	build.Dir, build.Stdout, build.Stderr = p.dir, w, w

	if err := build.Run(); err != nil {
		return fmt.Errorf("%s: go test -c -fuzz: %w", p.dir, err)
	}

	for _, name := range p.targets {
		// What it learns is thrown away: the next run shall not depend on this one's.
		run := exec.Command(binary, "-test.run=^$", "-test.fuzz=^"+name+"$", "-test.fuzztime="+duration,
			"-test.fuzzcachedir="+filepath.Join(work, "cache"), "-test.timeout=0")
		run.Dir = p.dir
		out, err := run.CombinedOutput()
		execs, crashed := judgeFuzz(out, err)

		if crashed {
			total.Failed++

			fmt.Fprintf(w, "FAIL  %s.%s\n%s", p.dir, name, indent(string(out)))
		} else {
			total.Passed++

			fmt.Fprintf(w, "ok    %s.%s\n", p.dir, name)
		}

		var line bytes.Buffer

		figure.AtMost(&line, "fuzz-crashes-"+filepath.ToSlash(p.dir)+"."+name, count(crashed), "crashes", 0, "execs="+execs, "oracle=go-test-fuzz")
		total.Figures = append(total.Figures, strings.TrimSpace(line.String()))
	}

	return nil
}

func count(happened bool) float64 {
	if happened {
		return 1
	}

	return 0
}

var (
	execsSoFar = regexp.MustCompile(`execs: (\d+)`)
	// endOfTime is how go test ends at times when the time is up, in place of a success: its
	// coordinator races with its own deadline (golang/go#75804).
	endOfTime = regexp.MustCompile(`--- FAIL: Fuzz\w+ \([^)]*\)\n\s+context deadline exceeded\n`)
)

// judgeFuzz reads what fuzzing printed; err is how it exited. Where nothing was tried, nothing was
// shown, and that counts as a crash.
func judgeFuzz(out []byte, err error) (execs string, crashed bool) {
	execs = "0"
	if all := execsSoFar.FindAllSubmatch(out, -1); len(all) > 0 {
		execs = string(all[len(all)-1][1])
	}

	return execs, execs == "0" || (err != nil && !endOfTime.Match(out))
}
