package testvault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// startWithin bounds the time from starting a server to its first good answer.
// It is generous: a busy CI machine may be initialising several databases.
const startWithin = 60 * time.Second

// launch starts a server on a free port and waits until it is ready. command
// makes what to run in a fresh directory; ready is nil when the server answers
// and is known to be the one that was started, not a stranger on its port.
//
// Between choosing a port and binding it, another process may take it. Servers
// cannot be handed a socket, so that case is seen in their output and tried
// again on another port.
func launch(
	ctx context.Context,
	name string,
	makeCommand func(dir string, port int) (command, error),
	ready func(context.Context, int) error,
) (*process, int, error) {
	const attempts = 5
	var err error
	for range attempts {
		var p *process
		var port int
		p, port, err = launchOnce(ctx, makeCommand, ready)
		if err == nil {
			return p, port, nil
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	return nil, 0, fmt.Errorf("start %s: %w", name, err)
}

var errPortTaken = errors.New("the port was taken by another process")

func launchOnce(
	ctx context.Context,
	makeCommand func(dir string, port int) (command, error),
	ready func(context.Context, int) error,
) (*process, int, error) {
	port, err := freePort(ctx)
	if err != nil {
		return nil, 0, err
	}
	// Not tb.TempDir: its parents are closed to the user that PostgreSQL runs as.
	dir, err := os.MkdirTemp("", "testvault-")
	if err != nil {
		return nil, 0, err
	}
	c, err := makeCommand(dir, port)
	if err != nil {
		return nil, 0, errors.Join(err, os.RemoveAll(dir))
	}
	p, err := start(c)
	if err != nil {
		return nil, 0, errors.Join(err, os.RemoveAll(dir))
	}
	if err := p.await(ctx, func(ctx context.Context) error { return ready(ctx, port) }); err != nil {
		p.end()
		return nil, 0, err
	}
	return p, port, nil
}

// await returns when ready does, or with the tail of the server's output when
// it exits first or takes too long.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-p.exited:
			tail := p.tail()
			if strings.Contains(strings.ToLower(tail), "address already in use") {
				return errPortTaken
			}
			return fmt.Errorf("it exited with status %s; its last words:\n%s", p.status, tail)
		case <-ctx.Done():
			return fmt.Errorf("not ready within %v (%w); its last words:\n%s", startWithin, err, p.tail())
		}
	}
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	port := l.Addr().(*net.TCPAddr).Port //nolint:forcetypeassert // it listens on tcp
	return port, l.Close()
}
