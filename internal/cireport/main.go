// Command cireport runs go test over the modules and says what happened: a line
// per package, the whole output of what failed, the reason of what was skipped,
// the figures, and a closing tally.
//
//	cireport [-modules ". examples"] [-record FILE] [-stage NAME] [-- GO TEST ARGUMENTS]
//	cireport -fuzz 10s [-without "vaulttest"] [-modules ". examples"] [-record FILE] [-stage NAME]
//	cireport -sum FILE [BROKEN STAGE...]
//
// With -fuzz it runs each fuzz target for so long instead, and prints a figure for each.
//
// With -record the outcome is also appended to FILE, one JSON object a line, and
// -sum adds up what several runs have recorded: it prints all figures and, as
// its last line, "N passed, N failed, N skipped". It fails if anything failed,
// was skipped, or if nothing ran at all. A stage named as broken, in which no
// test failed, counts as one failure.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

func main() {
	modules := flag.String("modules", ".", "the `folders` of the modules to test, separated by blanks")
	record := flag.String("record", "", "append the outcome to this `file`")
	stage := flag.String("stage", "test", "the `name` under which the outcome is recorded")
	sum := flag.String("sum", "", "add up the outcomes recorded in this `file` and run nothing")
	fuzzTime := flag.String("fuzz", "", "run no tests, but each fuzz target, for this `time`")
	without := flag.String("without", "", "the `folders` whose fuzz targets are left out, separated by blanks")
	flag.Parse()

	if *sum != "" {
		os.Exit(add(os.Stdout, *sum, flag.Args()))
	}

	if *fuzzTime != "" {
		os.Exit(fuzz(os.Stdout, strings.Fields(*modules), *record, *stage, *fuzzTime, strings.Fields(*without)))
	}

	os.Exit(test(os.Stdout, strings.Fields(*modules), *record, *stage, flag.Args()))
}

// test runs go test in each module and returns the exit code.
func test(w io.Writer, modules []string, record, stage string, args []string) int {
	total := Outcome{Stage: stage}

	for _, module := range modules {
		outcome, err := goTest(w, module, args)
		if err != nil {
			fmt.Fprintln(w, "cireport:", err)
			outcome.Failed++
		}

		total.Add(outcome)
	}

	return finish(w, total, record)
}

// finish prints what a stage came to, records it, and returns the exit code.
func finish(w io.Writer, total Outcome, record string) int {
	if total.Ran() == 0 {
		fmt.Fprintln(w, "cireport: no test ran")
		total.Failed++
	}

	fmt.Fprintln(w)

	for _, line := range total.Figures {
		fmt.Fprintln(w, line)
	}

	// Not the closing line's own form: a reader of the whole log, who looks for
	// that, should find it once.
	fmt.Fprintf(w, "stage %s: %v\n", total.Stage, &total)

	if record != "" {
		if err := write(record, total); err != nil {
			fmt.Fprintln(w, "cireport:", err)

			return 1
		}
	}

	if total.Failed > 0 {
		return 1
	}

	return 0
}

// goTest runs go test in one module's folder.
func goTest(w io.Writer, module string, args []string) (Outcome, error) {
	cmd := exec.Command("go", append([]string{"test", "-json"}, args...)...)
	cmd.Dir = filepath.FromSlash(module)
	cmd.Stderr = os.Stderr

	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return Outcome{}, err
	}

	if err := cmd.Start(); err != nil {
		return Outcome{}, fmt.Errorf("%s: %w", module, err)
	}

	outcome, readErr := Tally(w, stdout)
	err = cmd.Wait()

	// An exit code that nothing in the events accounts for is a failure of its
	// own, and one that they do account for has been counted.
	if err != nil && outcome.Failed == 0 {
		return outcome, fmt.Errorf("%s: go test: %w", module, err)
	}

	return outcome, readErr
}

// add prints the sum of what the stages recorded and returns the exit code.
func add(w io.Writer, file string, broken []string) int {
	outcomes, err := read(file)
	if err != nil {
		fmt.Fprintln(w, "cireport:", err)

		broken = append(broken, "cireport")
	}

	var total Outcome

	failed := make(map[string]bool)

	for _, o := range outcomes {
		total.Add(o)
		failed[o.Stage] = failed[o.Stage] || o.Failed > 0
	}

	for _, stage := range broken {
		if !failed[stage] {
			total.Failed++
		}
	}

	for _, line := range total.Figures {
		fmt.Fprintln(w, line)
	}

	fmt.Fprintln(w, &total)

	if total.Failed > 0 || total.Skipped > 0 || total.Ran() == 0 {
		return 1
	}

	return 0
}

func write(file string, o Outcome) (err error) {
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}

	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}

	defer func() { err = errors.Join(err, f.Close()) }()

	_, err = f.Write(append(line, '\n'))

	return err
}

func read(file string) ([]Outcome, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()

	var outcomes []Outcome

	for dec := json.NewDecoder(bufio.NewReader(f)); ; {
		var o Outcome

		err := dec.Decode(&o)
		if errors.Is(err, io.EOF) {
			return outcomes, nil
		}

		if err != nil {
			return outcomes, fmt.Errorf("%s: %w", file, err)
		}

		outcomes = append(outcomes, o)
	}
}
