package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name    string
		events  string
		want    string
		figures []string
		printed []string
	}{
		{
			name: "tests and subtests are counted one by one",
			events: `{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}
{"Action":"pass","Package":"p","Test":"TestA/sub","Elapsed":0}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"pass","Package":"p","Test":"ExampleA","Elapsed":0}
{"Action":"pass","Package":"p","Elapsed":0.1}
`,
			want: "3 passed, 0 failed, 0 skipped", printed: []string{"ok    p  0.1s  3 passed"},
		},
		{
			name: "a failing test prints what it printed",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: got 1, want 2\n"}
{"Action":"fail","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"fail","Package":"p","Elapsed":0.1}
`,
			want: "0 passed, 1 failed, 0 skipped", printed: []string{"FAIL  p.TestA", "got 1, want 2", "FAIL  p  0.1s"},
		},
		{
			name: "a skipped test says why",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: no server\n"}
{"Action":"skip","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"pass","Package":"p","Elapsed":0.1}
`,
			want: "0 passed, 0 failed, 1 skipped", printed: []string{"SKIP  p.TestA", "no server"},
		},
		{
			name: "a package that does not build is a failure",
			events: `{"ImportPath":"p [p.test]","Action":"build-output","Output":"a.go:3:1: syntax error\n"}
{"ImportPath":"p [p.test]","Action":"build-fail"}
{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}
{"Action":"fail","Package":"p","Elapsed":0,"FailedBuild":"p [p.test]"}
`,
			want: "0 passed, 1 failed, 0 skipped", printed: []string{"syntax error", "[build failed]"},
		},
		{
			name: "a leak found after the tests is a failure",
			events: `{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"output","Package":"p","Output":"goleak: Errors on successful test run\n"}
{"Action":"fail","Package":"p","Elapsed":0.1}
`,
			want: "1 passed, 1 failed, 0 skipped", printed: []string{"goleak: Errors"},
		},
		{
			name: "a test cut short by the end of its package is shown",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"p","Elapsed":0.1}
`,
			want: "0 passed, 1 failed, 0 skipped", printed: []string{"panic: test timed out"},
		},
		{
			name: "a package without tests counts for nothing",
			events: `{"Action":"output","Package":"p","Output":"?   \tp\t[no test files]\n"}
{"Action":"skip","Package":"p","Elapsed":0}
`,
			want: "0 passed, 0 failed, 0 skipped",
		},
		{
			name: "figures are collected in their order",
			events: `{"Action":"output","Package":"p","Test":"TestA","Output":"figure b 1 x target=<=2 ok\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"figure a 3 x target=<=2 short\n"}
{"Action":"pass","Package":"p","Test":"TestA","Elapsed":0}
{"Action":"pass","Package":"p","Elapsed":0.1}
`,
			want:    "1 passed, 0 failed, 0 skipped",
			figures: []string{"figure b 1 x target=<=2 ok", "figure a 3 x target=<=2 short"},
		},
		{
			name:   "what is no event is passed on",
			events: "go: warning: matched no packages\n",
			want:   "0 passed, 0 failed, 0 skipped", printed: []string{"matched no packages"},
		},
	}

	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			var out strings.Builder

			got, err := Tally(&out, strings.NewReader(tt.events))
			if err != nil {
				t.Fatal(err)
			}

			if got.String() != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}

			if !slices.Equal(got.Figures, tt.figures) {
				t.Errorf("got figures %q, want %q", got.Figures, tt.figures)
			}

			for _, s := range tt.printed {
				if !strings.Contains(out.String(), s) {
					t.Errorf("got output %q, want %q in it", out.String(), s)
				}
			}
		})
	}
}

func TestSumOfStages(t *testing.T) {
	t.Parallel()

	fine := Outcome{Stage: "test", Passed: 3, Figures: []string{"figure a 1 x target=<=2 ok"}}

	tests := []struct {
		name     string
		outcomes []Outcome
		broken   []string
		want     string
		code     int
	}{
		{name: "all passed", outcomes: []Outcome{fine}, want: "figure a 1 x target=<=2 ok\n3 passed, 0 failed, 0 skipped\n"},
		{
			name:     "a failure",
			outcomes: []Outcome{{Stage: "test", Passed: 1, Failed: 1}}, broken: []string{"test"},
			want: "1 passed, 1 failed, 0 skipped\n", code: 1,
		},
		{
			name:     "a skip is no pass",
			outcomes: []Outcome{{Stage: "test", Passed: 1, Skipped: 2}},
			want:     "1 passed, 0 failed, 2 skipped\n", code: 1,
		},
		{
			name:     "a broken stage without tests is a failure",
			outcomes: []Outcome{fine}, broken: []string{"lint"},
			want: "figure a 1 x target=<=2 ok\n3 passed, 1 failed, 0 skipped\n", code: 1,
		},
		{name: "nothing ran", outcomes: []Outcome{{Stage: "test"}}, want: "0 passed, 0 failed, 0 skipped\n", code: 1},
	}

	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			file := filepath.Join(t.TempDir(), "record")

			for _, o := range tt.outcomes {
				if err := write(file, o); err != nil {
					t.Fatal(err)
				}
			}

			var out strings.Builder

			code := add(&out, file, tt.broken)
			if out.String() != tt.want || code != tt.code {
				t.Errorf("got %q, exit %d, want %q, exit %d", out.String(), code, tt.want, tt.code)
			}
		})
	}
}

func TestSumWithoutARecordFails(t *testing.T) {
	t.Parallel()

	var out strings.Builder

	code := add(&out, filepath.Join(t.TempDir(), "absent"), nil)
	if code != 1 || !strings.HasSuffix(out.String(), "\n0 passed, 1 failed, 0 skipped\n") {
		t.Errorf("got %q, exit %d, want a failure counted", out.String(), code)
	}
}

// TestRunOfGoTest runs the go command on modules made for it.
func TestRunOfGoTest(t *testing.T) {
	t.Parallel()

	tests := []struct {
		name string
		body string
		want string
		code int
	}{
		{
			name: "a pass with a figure",
			body: "package p\nimport (\"fmt\"; \"testing\")\nfunc TestA(t *testing.T) { fmt.Println(\"figure a 1 x target=<=2 ok\") }\n",
			want: "\nfigure a 1 x target=<=2 ok\nstage test: 1 passed, 0 failed, 0 skipped\n",
		},
		{
			name: "a failure",
			body: "package p\nimport \"testing\"\nfunc TestA(t *testing.T) { t.Error(\"no\") }\n",
			want: "\nstage test: 0 passed, 1 failed, 0 skipped\n", code: 1,
		},
		{
			name: "a build failure",
			body: "package p\nfunc\n",
			want: "\nstage test: 0 passed, 1 failed, 0 skipped\n", code: 1,
		},
		{name: "no test", body: "package p\n", want: "no test ran\n\nstage test: 0 passed, 1 failed, 0 skipped\n", code: 1},
	}

	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			dir := t.TempDir()

			for name, text := range map[string]string{"go.mod": "module p\n\ngo 1.25.0\n", "p_test.go": tt.body} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}

			var out strings.Builder

			record := filepath.Join(dir, "record")

			code := test(&out, []string{dir}, record, "test", []string{"-count=1", "./..."})
			if code != tt.code || !strings.HasSuffix(out.String(), tt.want) {
				t.Errorf("got %q, exit %d, want it to end in %q, exit %d", out.String(), code, tt.want, tt.code)
			}

			if outcomes, err := read(record); err != nil || len(outcomes) != 1 {
				t.Errorf("got %v, %v, want one outcome recorded", outcomes, err)
			}
		})
	}
}
