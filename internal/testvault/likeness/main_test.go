// Package likeness plays the same requests against vaulttest and against real Vault, and
// compares the answers: status, headers that clients read, JSON shape, error texts, warnings
// and the arithmetic of TTLs. A difference is a failure, or is listed in vaulttest's
// documentation with its reason.
package likeness

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold/internal/figure"
)

// compared counts the requests whose answers were compared.
var compared atomic.Int64

func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 && !figure.AtLeast(os.Stdout, "vaulttest-likeness", float64(compared.Load()), "requests", 150, "oracle=vault") && wholeRun() {
		fmt.Println("too few requests were compared")
		code = 1
	}
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Println(err)
		code = 1
	}
	os.Exit(code)
}
