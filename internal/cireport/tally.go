package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// slow is the time, in seconds, from which a test that passed is named as soon
// as it ends: a suite of minutes should not look as if it hung.
const slow = 5

// Outcome is what a run of go test came to. Tests, subtests and examples are
// counted one by one; a package that failed outside all of its tests (it does
// not build, or its TestMain found a leak) counts as one failure.
type Outcome struct {
	Stage   string   `json:"stage"`
	Passed  int      `json:"passed"`
	Failed  int      `json:"failed"`
	Skipped int      `json:"skipped"`
	Figures []string `json:"figures,omitempty"`
}

// Add adds another run's numbers.
func (o *Outcome) Add(other Outcome) {
	o.Passed += other.Passed
	o.Failed += other.Failed
	o.Skipped += other.Skipped
	o.Figures = append(o.Figures, other.Figures...)
}

// Ran is the number of tests that ran to an end.
func (o *Outcome) Ran() int { return o.Passed + o.Failed }

func (o *Outcome) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", o.Passed, o.Failed, o.Skipped)
}

// event is a line of go test -json; see go doc test2json and go help buildjson.
type event struct {
	Action      string  `json:"Action"`
	Package     string  `json:"Package"`
	ImportPath  string  `json:"ImportPath"`
	Test        string  `json:"Test"`
	Elapsed     float64 `json:"Elapsed"`
	Output      string  `json:"Output"`
	FailedBuild string  `json:"FailedBuild"`
}

// Tally reads the events of go test -json, prints them for a reader, and counts.
func Tally(w io.Writer, r io.Reader) (Outcome, error) {
	t := tally{w: w, output: make(map[string]*strings.Builder), packages: make(map[string]*Outcome)}
	lines := bufio.NewReader(r)

	for {
		line, err := lines.ReadString('\n')
		t.line(line)

		if errors.Is(err, io.EOF) {
			return t.total, nil
		}

		if err != nil {
			return t.total, err
		}
	}
}

type tally struct {
	w        io.Writer
	total    Outcome
	output   map[string]*strings.Builder // by package or build, and test
	packages map[string]*Outcome         // those that have not ended
}

func (t *tally) line(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}

	var e event
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		fmt.Fprint(t.w, line) // The go command's own word.

		return
	}

	switch e.Action {
	case "output", "build-output":
		t.keep(e)
	case "pass", "fail", "skip":
		if e.Test == "" {
			t.endPackage(e)
		} else {
			t.endTest(e)
		}
	}
}

func (e event) key() string { return e.Package + e.ImportPath + "\n" + e.Test }

func (t *tally) keep(e event) {
	if strings.HasPrefix(e.Output, "=== ") {
		return // RUN, PAUSE, CONT and NAME: who is at work, not what went wrong.
	}

	if strings.HasPrefix(e.Output, "figure ") {
		t.total.Figures = append(t.total.Figures, strings.TrimSpace(e.Output))
	}

	b := t.output[e.key()]
	if b == nil {
		b = new(strings.Builder)
		t.output[e.key()] = b
	}

	b.WriteString(e.Output)
}

// take returns what was printed under a key and forgets it.
func (t *tally) take(key string) string {
	b := t.output[key]
	if b == nil {
		return ""
	}

	delete(t.output, key)

	return b.String()
}

func (t *tally) pkg(name string) *Outcome {
	if t.packages[name] == nil {
		t.packages[name] = new(Outcome)
	}

	return t.packages[name]
}

func (t *tally) endTest(e event) {
	out, p := t.take(e.key()), t.pkg(e.Package)

	switch e.Action {
	case "pass":
		p.Passed++

		if e.Elapsed >= slow && !strings.Contains(e.Test, "/") {
			fmt.Fprintf(t.w, "      %s.%s passed after %.1fs\n", e.Package, e.Test, e.Elapsed)
		}
	case "fail":
		p.Failed++

		fmt.Fprintf(t.w, "FAIL  %s.%s\n%s", e.Package, e.Test, indent(out))
	case "skip":
		p.Skipped++

		fmt.Fprintf(t.w, "SKIP  %s.%s\n%s", e.Package, e.Test, indent(out))
	}
}

func (t *tally) endPackage(e event) {
	p, out := t.pkg(e.Package), t.take(e.key())
	delete(t.packages, e.Package)

	switch {
	case e.Action == "skip": // No test files.
		return
	case e.Action == "pass" && p.Ran()+p.Skipped == 0: // No test matched.
		return
	case e.Action == "fail":
		if p.Failed == 0 {
			p.Failed++
		}

		// A test that was still running when the package died has no end of its own.
		for key := range t.output {
			if strings.HasPrefix(key, e.Package+"\n") {
				out += t.take(key)
			}
		}

		if e.FailedBuild != "" {
			out += t.take(event{ImportPath: e.FailedBuild}.key())
		}

		fmt.Fprint(t.w, indent(out))
	}

	word := "ok  "
	if e.Action == "fail" {
		word = "FAIL"
	}

	fmt.Fprintf(t.w, "%s  %s  %.1fs  %v\n", word, e.Package, e.Elapsed, p)
	t.total.Add(*p)
}

func indent(s string) string {
	if s = strings.TrimRight(s, "\n"); s == "" {
		return ""
	}

	return "      " + strings.ReplaceAll(s, "\n", "\n      ") + "\n"
}
