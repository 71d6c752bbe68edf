// Package bubble looks into a [testing/synctest] bubble, for tests.
package bubble

import (
	"runtime"
	"strings"
)

// Running returns the stacks of the other goroutines of the caller's bubble that run code of
// that name. Those of earlier tests are of no concern: who waits for a goroutine's last
// statement may go on before the runtime has taken it from the list.
func Running(code string) (stacks []string) {
	all := make([]byte, 4<<20)
	own, others, _ := strings.Cut(string(all[:runtime.Stack(all, true)]), "\n\n")
	_, rest, _ := strings.Cut(own, ", synctest bubble ")
	number, _, _ := strings.Cut(rest, "]")
	for stack := range strings.SplitSeq(others, "\n\n") {
		head, _, _ := strings.Cut(stack, "\n")
		if strings.Contains(head, ", synctest bubble "+number+"]") && strings.Contains(stack, code) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}
