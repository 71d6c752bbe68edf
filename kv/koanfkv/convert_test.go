package koanfkv

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestANumberIsHeldExactlyOrAsItsDigits(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text string
		want any
	}{
		{"0", int64(0)},
		{"-0", int64(0)},
		{"-9223372036854775808", int64(math.MinInt64)},
		{"9223372036854775807", int64(math.MaxInt64)},
		{"9223372036854775808", uint64(math.MaxInt64 + 1)},
		{"18446744073709551615", uint64(math.MaxUint64)},
		{"18446744073709551616", "18446744073709551616"},
		{"18446744073709551617", "18446744073709551617"},
		{"-9223372036854775809", "-9223372036854775809"},
		{"1.50", 1.5},
		{"0.1", 0.1},
		{"1e3", 1000.0},
		{"-1.5E-07", -1.5e-7},
		{"100000000000000000000000", 1e23},
		{"0.30000000000000004", math.Nextafter(0.3, 1)}, // what floats make of 0.1 + 0.2
		{"0.1000000000000000055", "0.1000000000000000055"},
		{"1e400", "1e400"},
		{"1e-400", "1e-400"},
		{"0e999999999999999999999", 0.0},
		{"1e-999999999999999999999", "1e-999999999999999999999"},
		{"0.000", 0.0},
		{"5e-324", 5e-324},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, number(tt.text), tt.text)
	}
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-1", "1.5e3", "1e400", "0.1000000000000000055", "9007199254740993.0", "123456789012345678901234567890e-10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 60 || strings.Trim(text, "0123456789.eE+-") != "" || !json.Valid([]byte(text)) {
			return
		}
		got, ok := number(text).(float64)
		if !ok {
			return // whole numbers are strconv's, digits are the text
		}
		if got == 0 {
			mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
			require.Empty(t, strings.Trim(mantissa, "-0."))
			return
		}
		// The shortest text that means the same float64 is the number that was written.
		want, _ := new(big.Rat).SetString(text)
		short, err := json.Marshal(got)
		require.NoError(t, err)
		have, _ := new(big.Rat).SetString(string(short))
		require.Zero(t, want.Cmp(have), text)
	})
}
