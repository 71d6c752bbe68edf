// Package leasehold lets a service hold valid secrets from HashiCorp Vault at all
// times.
//
// A [Client] logs in and keeps its token alive. From it come typed configuration
// ([Client.Load], package kv), values that follow Vault (kv.Watch), and dynamic
// credentials that are renewed and replaced before they end (package dynamic, and
// dynamic/sqldb for database/sql). Applications read all of them from memory.
//
// # What can be relied on
//
// A credential is never handed out past its true deadline, which is the earlier of
// its lease's and its token's. Reading a valid one never waits for Vault. While
// Vault is down everything is served until it truly ends, and no new credentials
// are minted because of an outage. See the README for the whole picture.
//
// # Errors
//
// What Vault refused is an [*Error] with a hint of what to do. No error, event, log
// line or status holds a token, a secret or a lease ID.
package leasehold

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// Client is one identity at one Vault. Make one for the life of the program; its
// methods may be called by many goroutines at once.
type Client struct {
	session *session.Session
	view    session.View
	reads   *kv.Reads
	events  *events
	loaded  loaded
	address string

	closeOnce sync.Once
	closed    chan struct{} // closed when Close has done its work
	closeErr  error         // set before that
}

// closeLimit bounds Close whatever its ctx says.
const closeLimit = 5 * time.Second

// New logs in and returns a client. It blocks until there is a token, or until ctx ends or
// would end before the next attempt, and retries what may pass (no connection, a sealed
// Vault); wrong credentials, a missing permission and a bad configuration are returned at
// once, but for a refusal behind a Vault Proxy ([auth.None]), which is given ten seconds to
// log in itself. ctx is for New alone: the client lives until Close. When ctx is cancelled
// while a login is under way, New takes up to a second longer, to revoke what that login
// obtains.
func New(ctx context.Context, cfg Config) (*Client, error) {
	sc, err := cfg.session()
	if err != nil {
		return nil, err
	}
	ev := newEvents(cfg.Logger, cfg.OnEvent)
	sc.OnEvent = ev.put
	s, err := session.New(ctx, sc)
	if err != nil {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = ev.close(limited)
		return nil, err
	}
	return &Client{
		session: s,
		view:    session.View{Session: s, Namespace: sc.Namespace},
		reads:   kv.NewReads(),
		events:  ev,
		address: sc.Address,
		closed:  make(chan struct{}),
	}, nil
}

// KV returns the KV engine mounted at mount, such as "secret" or "team/secret". It asks
// nothing; a wrong mount shows at the first read, which also finds out the engine's version
// unless kv.Version1 or kv.Version2 says it.
func (c *Client) KV(mount string, opts ...kv.StoreOption) *kv.Store {
	return kv.NewStore(c.view, c.reads, mount, opts...)
}

// Format writes what the client is for, whatever the verb: without it, fmt would read
// fields that other goroutines are writing.
func (c *Client) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "leasehold.Client(%s)", c.address)
}

// Session connects package dynamic to the client; it is of no use outside of this
// module.
func (c *Client) Session() session.View { return c.view }

// Vault returns the official client, for what this library does not do. It always
// sends the current token: do not call SetToken, Clone or SetAddress on it. It does not
// retry. A request ends with the client, and after a minute if it has no deadline; an
// answer may have 32 MiB. For streams, such as snapshots, make a client of your own.
func (c *Client) Vault() *api.Client { return c.session.API() }

// Close ends all upkeep, waits for what is under way and revokes the tokens that this
// client obtained, and with them everything obtained under them; a token that was given
// is left alone, and each lease under it is revoked by itself. Close pools and whatever
// else uses credentials first: it does not wait for them.
//
// It takes no longer than ctx and 5 seconds; what could not be revoked by then ends by
// itself. The error says what was left. Further calls wait for it and return the same.
// Called from within a callback (OnEvent, a verifier) it does not wait for that
// callback, and finishes after it.
func (c *Client) Close(ctx context.Context) error {
	inside := insideCallback()
	if inside {
		ctx = context.WithoutCancel(ctx) // of the callback, which returns now
	}
	first := false
	c.closeOnce.Do(func() {
		first = true
		go func() {
			defer close(c.closed)
			c.closeErr = c.close(ctx)
		}()
	})
	if inside {
		return nil
	}
	if first { // the work ends with ctx, and its error says more
		<-c.closed
		return c.closeErr
	}
	select {
	case <-c.closed:
		return c.closeErr
	case <-ctx.Done():
		return fmt.Errorf("leasehold: close: still under way: %w", context.Cause(ctx))
	}
}

func (c *Client) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, closeLimit, errors.New("5 seconds have passed"))
	defer cancel()
	err := errors.Join(c.session.Close(ctx), c.events.close(ctx))
	if err != nil {
		return fmt.Errorf("leasehold: close: %w", err)
	}
	return nil
}
