package authtest

import (
	"fmt"
	"testing"
	"time"
)

// Check runs one check by its name.
func Check(t *testing.T, name string, h Harness) error {
	t.Helper()
	for _, c := range checks {
		if c.name == name {
			return c.run(t, h)
		}
	}
	return fmt.Errorf("no check %s", name)
}

// SetPatience shortens what a check waits for.
func SetPatience(d time.Duration) { patience = d }
