package testvault

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
)

// recorder is a test that remembers how it ended. A panic stands for the end
// that Fatalf is.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper()                          {}
func (r *recorder) Skipf(format string, args ...any) { r.skipped = fmt.Sprintf(format, args...) }
func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	panic(r)
}

func TestMissingSkipsOnADevelopersMachine(t *testing.T) {
	t.Setenv("CI", "")
	r := &recorder{TB: t}
	missing(r, "there is no Vault")
	assert.Equal(t, "testvault: there is no Vault", r.skipped)
	assert.Empty(t, r.failed)
}

func TestMissingFailsInCI(t *testing.T) {
	t.Setenv("CI", "true")
	r := &recorder{TB: t}
	assert.Panics(t, func() { missing(r, "there is no Vault") })
	assert.Contains(t, r.failed, "there is no Vault")
	assert.Empty(t, r.skipped)
}
