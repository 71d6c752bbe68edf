package figure

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

func TestLine(t *testing.T) {
	t.Parallel()

	type printer func(w io.Writer, name string, value float64, unit string, target float64, notes ...string) bool

	tests := []struct {
		name   string
		print  printer
		value  float64
		unit   string
		target float64
		notes  []string
		want   string
		ok     bool
	}{
		{
			name: "under an upper bound", print: AtMost, value: 1.25, unit: "x", target: 2,
			want: "figure read 1.25 x target=<=2 ok", ok: true,
		},
		{
			name: "on an upper bound", print: AtMost, value: 2, unit: "x", target: 2,
			want: "figure read 2 x target=<=2 ok", ok: true,
		},
		{
			name: "above an upper bound", print: AtMost, value: 3, unit: "x", target: 2,
			want: "figure read 3 x target=<=2 short", ok: false,
		},
		{
			name: "above by less than the rounding", print: AtMost, value: 2.00001, unit: "x", target: 2,
			want: "figure read 2.00001 x target=<=2 short", ok: false,
		},
		{
			name: "zero allocations", print: AtMost, value: 0, unit: "allocs", target: 0,
			want: "figure read 0 allocs target=<=0 ok", ok: true,
		},
		{
			name: "above a lower bound", print: AtLeast, value: 123456.7, unit: "req/s", target: 1000,
			want: "figure read 123500 req/s target=>=1000 ok", ok: true,
		},
		{
			name: "below a lower bound", print: AtLeast, value: 0.5, unit: "ratio", target: 0.75,
			want: "figure read 0.5 ratio target=>=0.75 short", ok: false,
		},
		{
			name: "below by less than the rounding", print: AtLeast, value: 999.99, unit: "n", target: 1000,
			want: "figure read 999.99 n target=>=1000 short", ok: false,
		},
		{
			name: "long values are rounded", print: AtMost, value: 1.0 / 3.0, unit: "x", target: 2,
			want: "figure read 0.3333 x target=<=2 ok", ok: true,
		},
		{
			name: "notes follow the verdict", print: AtMost, value: 1, unit: "logins", target: 24,
			notes: []string{"oracle=audit log", "n=1000"},
			want:  "figure read 1 logins target=<=24 ok oracle=audit_log n=1000", ok: true,
		},
		{
			name: "no field is empty", print: AtMost, value: 1, unit: "", target: 2,
			want: "figure read 1 - target=<=2 ok", ok: true,
		},
		{
			name: "not a number is short of an upper bound", print: AtMost, value: math.NaN(), unit: "x", target: 2,
			want: "figure read NaN x target=<=2 short", ok: false,
		},
		{
			name: "not a number is short of a lower bound", print: AtLeast, value: math.NaN(), unit: "x", target: 2,
			want: "figure read NaN x target=>=2 short", ok: false,
		},
		{
			name: "infinity is short of an upper bound", print: AtMost, value: math.Inf(1), unit: "x", target: 2,
			want: "figure read +Inf x target=<=2 short", ok: false,
		},
	}

	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			var out strings.Builder

			ok := tt.print(&out, "read", tt.value, tt.unit, tt.target, tt.notes...)
			if got := out.String(); got != tt.want+"\n" {
				t.Errorf("got %q, want %q", got, tt.want+"\n")
			}

			if ok != tt.ok {
				t.Errorf("got %v, want %v", ok, tt.ok)
			}
		})
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestUnprintedFigureIsNotMet(t *testing.T) {
	t.Parallel()

	if AtMost(brokenWriter{}, "read", 1, "x", 2) {
		t.Error("got true for a figure that nobody can read")
	}
}
