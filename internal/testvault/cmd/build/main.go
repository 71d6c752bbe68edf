// Command build makes sure that there are servers to test against, building them if
// need be, and prints their paths. Its arguments say which: "vault", "kubernetes". It
// runs before the suite because a first build takes about as long as a test may.
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
	err := build(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		os.Exit(1)
	}
}

func build(ctx context.Context, servers []string) error {
	if len(servers) == 0 {
		return fmt.Errorf("say what: vault, kubernetes, or both")
	}
	for _, server := range servers {
		switch server {
		case "vault":
			path, err := testvault.Binary(ctx, os.Stderr)
			if err != nil {
				return err
			}
			fmt.Println(path)
		case "kubernetes":
			apiServer, storage, err := testvault.KubernetesBinaries(ctx, os.Stderr)
			if err != nil {
				return err
			}
			fmt.Printf("%s\n%s\n", apiServer, storage)
		default:
			return fmt.Errorf("there is no %q to build: vault, kubernetes", server)
		}
	}
	return nil
}
