package figure

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Size builds a program that logs in and reads a secret, in the module in dir, and returns
// its size without symbols in MB. imports are lines of an import declaration, setup is what comes
// before, and method is the expression of how to log in.
func Size(ctx context.Context, dir, imports, setup, method string) (float64, error) {
	folder, err := os.MkdirTemp("", "size")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)

	source, binary := filepath.Join(folder, "main.go"), filepath.Join(folder, "program")
	if err := os.WriteFile(source, fmt.Appendf(nil, program, imports, setup, method), 0o600); err != nil {
		return 0, err
	}

	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, source) //nolint:gosec // what is built is written here

	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}

	info, err := os.Stat(binary)
	if err != nil {
		return 0, err
	}

	return float64(info.Size()) / 1e6, nil
}

const program = `package main

import (
	"context"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/kv"
	%s
)

func main() {
	ctx := context.Background()
	%s
	client, err := leasehold.New(ctx, leasehold.Config{Address: "http://127.0.0.1:8200", Auth: %s})
	if err != nil {
		panic(err)
	}
	secret, err := kv.Get[map[string]string](ctx, client.KV("secret"), "app")
	println(len(secret.Value), err != nil)
}
`
