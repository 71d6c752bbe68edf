// Package figure prints the numbers that the project holds itself to.
//
// A figure is one line on standard output,
//
//	figure NAME VALUE UNIT target=<=2 ok
//	figure NAME VALUE UNIT target=>=100 short
//
// where ok or short is computed here, from the measured value, and nowhere else.
// Behind it may stand key=value notes: the oracle that was asked, the raw count.
//
// A figure that falls short is visible and fails nothing: durations and ratios
// depend on the machine. What must hold everywhere is asserted by a test.
package figure

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

// AtMost prints a figure that should not exceed target and reports whether it
// did not. Each note is a key=value pair.
func AtMost(w io.Writer, name string, value float64, unit string, target float64, notes ...string) bool {
	return report(w, name, value, unit, "<=", target, notes)
}

// AtLeast prints a figure that should not fall below target and reports whether
// it did not. Each note is a key=value pair.
func AtLeast(w io.Writer, name string, value float64, unit string, target float64, notes ...string) bool {
	return report(w, name, value, unit, ">=", target, notes)
}

func report(w io.Writer, name string, value float64, unit, op string, target float64, notes []string) bool {
	// The line is written in one call, so that figures printed by tests that run
	// in parallel do not cut each other in two.
	ok := meets(value, op, target)
	fields := []string{
		"figure", word(name), number(value, op, target), word(unit),
		"target=" + op + strconv.FormatFloat(target, 'f', -1, 64), verdict(ok),
	}
	for _, note := range notes {
		fields = append(fields, word(note))
	}

	_, err := fmt.Fprintln(w, strings.Join(fields, " "))

	return ok && err == nil
}

// meets is false for a value that is not a number: what was not measured did not
// reach its target.
func meets(value float64, op string, target float64) bool {
	if op == "<=" {
		return value <= target
	}

	return value >= target
}

func verdict(ok bool) string {
	if ok {
		return "ok"
	}

	return "short"
}

// number rounds to four significant digits, and to none where the rounded value
// would contradict the verdict printed beside it.
func number(value float64, op string, target float64) string {
	exact := strconv.FormatFloat(value, 'f', -1, 64)
	if value == 0 || math.IsNaN(value) || math.IsInf(value, 0) {
		return exact
	}

	rounded, err := strconv.ParseFloat(strconv.FormatFloat(value, 'g', 4, 64), 64)
	if err != nil || meets(rounded, op, target) != meets(value, op, target) {
		return exact
	}

	return strconv.FormatFloat(rounded, 'f', -1, 64)
}

// word keeps the line's fields apart: no field is empty or holds a blank.
func word(s string) string {
	if s = strings.Join(strings.Fields(s), "_"); s == "" {
		return "-"
	}

	return s
}
