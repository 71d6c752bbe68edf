// Command vaultbuild makes sure that there is a Vault to test against, building
// it if need be, and prints its path. It runs before the suite because the
// first build takes about as long as a test may.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	path, err := testvault.Binary(ctx, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "vaultbuild:", err)
		os.Exit(1)
	}
	fmt.Println(path)
}
