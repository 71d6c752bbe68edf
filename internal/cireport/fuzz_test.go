package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestWhatFuzzingPrinted(t *testing.T) {
	const tried = "fuzz: elapsed: 0s, gathering baseline coverage: 0/7 completed\nfuzz: elapsed: 3s, execs: 12 (4/sec)\nfuzz: elapsed: 3s, execs: 5674 (0/sec)\n"

	exit := errors.New("exit status 1")
	for name, tc := range map[string]struct {
		out     string
		err     error
		execs   string
		crashed bool
	}{
		"well":        {tried + "PASS\n", nil, "5674", false},
		"a crash":     {tried + "--- FAIL: FuzzX (1.00s)\n    --- FAIL: FuzzX (0.00s)\n        x\n    Failing input written to testdata/fuzz/FuzzX/1\n", exit, "5674", true},
		"its own end": {tried + "--- FAIL: FuzzX (3.05s)\n    context deadline exceeded\nFAIL\n", exit, "5674", false},
		"a bad seed":  {"--- FAIL: FuzzX (0.00s)\n    --- FAIL: FuzzX/seed#1 (0.00s)\n", exit, "0", true},
		"nothing":     {"testing: warning: no fuzz tests to fuzz\nPASS\n", nil, "0", true},
	} {
		t.Run(name, func(t *testing.T) {
			execs, crashed := judgeFuzz([]byte(tc.out), tc.err)
			if execs != tc.execs || crashed != tc.crashed {
				t.Errorf("%s, %t", execs, crashed)
			}
		})
	}
}

// TestFuzzTargetsAreFound, but for those of other modules and those that are left out.
func TestFuzzTargetsAreFound(t *testing.T) {
	t.Chdir(t.TempDir())

	for path, text := range map[string]string{
		"x_test.go":         "package x\n\nfunc FuzzOne(f *testing.F) {}\n\nfunc FuzzTwo(f *testing.F) {}\n",
		"y_test.go":         "package x_test\n\nfunc FuzzThree(t *testing.F) {}\n\n// func FuzzNone(f *testing.F)\n",
		"x.go":              "package x\n\nfunc FuzzOff(f *testing.F) {}\n",
		"in/x_test.go":      "package in\n\nfunc FuzzIn(f *testing.F) {}\n",
		"out/x_test.go":     "package out\n\nfunc FuzzOut(f *testing.F) {}\n",
		"another/go.mod":    "module y\n",
		"another/x_test.go": "package y\n\nfunc FuzzAnother(f *testing.F) {}\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}

	found, err := fuzzTargets(".", []string{"out"})
	if got, want := fmt.Sprint(found, err), "[{in [FuzzIn]} {. [FuzzOne FuzzTwo FuzzThree]}] <nil>"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}
