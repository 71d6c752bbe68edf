// Command mutate breaks the library one line at a time and checks that the test
// of the broken law notices.
//
//	mutate [-law 3] [-list] [-j 2]
//
// The mutations are the table in mutations.go. Each is laid over the source by
// go test -overlay, so that the working tree is never touched, and with it the
// test files without what the test does not need. A mutation is killed when a test
// fails under it. It is an error when the mutated text does not occur exactly once,
// when the mutant does not compile, and when no test ran. The program exits with 1
// after any survivor or error, and when a law that holds has no mutation.
//
// Before that all of the tests must pass on the code as it is.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

func main() {
	law := flag.Int("law", 0, "try the mutations of this `law` only")
	list := flag.Bool("list", false, "list the mutations and try none")
	workers := flag.Int("j", min(2, runtime.NumCPU()), "how many `mutants` to test at once")
	flag.Parse()

	root, err := moduleRoot()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}

	chosen := choose(mutations, *law)

	if *list {
		for _, m := range chosen {
			fmt.Printf("%s\n        in %s, seen by %s %s\n", m, m.File, m.Package, m.Test)
		}

		return
	}

	ok := sound(context.Background(), os.Stdout, root, chosen) &&
		try(context.Background(), os.Stdout, root, chosen, *workers)

	if *law == 0 {
		ok = complete(os.Stdout, mutations, laws) && ok
	} else if len(chosen) == 0 {
		fmt.Println("no mutation of law", *law)

		ok = false
	}

	if !ok {
		os.Exit(1)
	}
}

// moduleRoot is the folder that mutation.File starts from.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}

	file := strings.TrimSpace(string(out))
	if filepath.Base(file) != "go.mod" {
		return "", fmt.Errorf("run it inside the module, not in a folder without go.mod")
	}

	return filepath.Dir(file), nil
}

// choose returns the mutations of one law, or of all when law is 0, in the order
// of the laws.
func choose(all []mutation, law int) []mutation {
	var chosen []mutation

	for _, m := range all {
		if law == 0 || m.Law == law {
			chosen = append(chosen, m)
		}
	}

	slices.SortStableFunc(chosen, func(a, b mutation) int { return a.Law - b.Law })

	return chosen
}

// sound reports whether the tests pass without a mutation, compiled as they are with
// one: else they would kill every mutant.
func sound(ctx context.Context, w io.Writer, root string, all []mutation) bool {
	var packages []mutation

	for _, m := range all {
		i := slices.IndexFunc(packages, func(p mutation) bool { return p.Module == m.Module && p.Package == m.Package })
		if i < 0 {
			packages = append(packages, mutation{Module: m.Module, Package: m.Package, Test: m.Test})
		} else {
			packages[i].Test += "|" + m.Test
		}
	}

	ok := true

	for _, p := range packages {
		if r := p.run(ctx, root, nil, patience); r.verdict != survived {
			fmt.Fprintf(w, "%s fails without a mutation %s\n%s\n", p.Package, r.note, r.output)

			ok = false
		}
	}

	return ok
}

// try tests each mutant, a few at a time, prints a line for each in the order of
// the table, and reports whether all were killed.
func try(ctx context.Context, w io.Writer, root string, all []mutation, workers int) bool {
	results := make([]chan result, len(all))
	for i := range results {
		results[i] = make(chan result, 1)
	}

	slots := make(chan struct{}, max(1, workers))

	go func() {
		for i, m := range all {
			slots <- struct{}{}

			go func() {
				defer func() { <-slots }()

				results[i] <- m.try(ctx, root)
			}()
		}
	}()

	count := make(map[verdict]int)

	for i, m := range all {
		r := <-results[i]
		count[r.verdict]++

		fmt.Fprintf(w, "law %-2d  %-8s  %s: %s", m.Law, r.verdict, m.File, m.What)

		if r.note != "" {
			fmt.Fprintf(w, " (%s)", r.note)
		}

		fmt.Fprintln(w)

		if r.verdict == broken && r.output != "" {
			fmt.Fprintln(w, "        "+strings.ReplaceAll(strings.TrimSpace(r.output), "\n", "\n        "))
		}
	}

	fmt.Fprintf(w, "%d mutations: %d killed, %d survived, %d errors\n",
		len(all), count[killed], count[survived], count[broken])

	return count[killed] == len(all)
}

// complete names the laws that no mutation breaks and reports whether there are
// none.
func complete(w io.Writer, all []mutation, laws []int) bool {
	var missing []string

	for _, law := range laws {
		if len(choose(all, law)) == 0 {
			missing = append(missing, strconv.Itoa(law))
		}
	}

	if len(missing) == 0 {
		fmt.Fprintf(w, "each of the %d laws that hold has a mutation\n", len(laws))

		return true
	}

	fmt.Fprintf(w, "laws without a mutation: %s\n", strings.Join(missing, ", "))

	return false
}
