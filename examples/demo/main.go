// Command demo shows what leasehold does, in about ten seconds and with
// nothing to install: a small service logs in to Vault, loads its configuration,
// and queries a database ten times a second with a credential that lives five
// seconds, while Vault goes away and an administrator revokes its token.
//
//	go run ./demo          an in-memory Vault and a database that asks it who may log in
//	go run ./demo -real    a real Vault and a real PostgreSQL, started for the purpose
//
// All times are real. What the service held is compared with what the servers
// say, never with what the library says: the exit code is 1 if it ever held an
// expired credential, if a query failed for want of a valid one, or if anything
// is left behind.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	onReal := flag.Bool("real", false, "play against a real Vault and PostgreSQL instead of in-memory ones")
	flag.Parse()

	// The first Ctrl-C ends the play, which then tidies up; the second ends the program.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)

	h := &host{ctx: ctx}
	code := newPlay(os.Stdout, open(h, *onReal)).run(ctx)
	h.end()
	os.Exit(code)
}

func open(h *host, onReal bool) stage {
	if !onReal {
		return newFake(h)
	}
	fmt.Println("Starting a real Vault and a real PostgreSQL ...")
	return newReal(h)
}

// run plays the whole story, prints the closing tally and returns the exit code.
func (p *play) run(ctx context.Context) int {
	p.screen.textf("A service and its secrets, on %s.", p.stage.Name())
	err := p.perform(ctx)
	complaints := p.tally.complaints(p.left)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		complaints = append(complaints, "interrupted before the end")
	default:
		complaints = append(complaints, err.Error())
	}
	p.screen.headingf("Tally")
	p.tally.print(p.screen, p.stage, p.left)
	if len(complaints) > 0 {
		for _, c := range complaints {
			p.screen.textf("NOT GOOD: %s", c)
		}
		return 1
	}
	p.screen.textf("The service never held an expired credential, and left nothing behind.")
	return 0
}
