package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/dynamic/sqldb"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/lease"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// play is one performance.
type play struct {
	stage  stage
	screen *screen
	tally  *tally
	left   left // behind, at the end

	mu   sync.Mutex // guards the rest
	seen map[lease.EventKind]int
	last time.Time // of the latest of these events
}

func newPlay(out io.Writer, s stage) *play {
	return &play{
		stage:  s,
		screen: &screen{out: out, began: time.Now()},
		tally:  &tally{},
		seen:   make(map[lease.EventKind]int),
	}
}

// Config is what the service needs to know at start-up.
type Config struct {
	Stripe struct {
		APIKey  secret.String `json:"api_key"`
		Retries int           `json:"retries"`
	} `vault:"secret:payments/stripe"`
	Banner string `vault:"secret:payments/ui#banner,optional"`
}

// Flags may change while the service runs.
type Flags struct {
	NewCheckout bool `json:"new_checkout"`
}

// The secrets that an administrator has put there.
func (p *play) dress() {
	p.stage.PutSecret("payments/stripe", map[string]any{"api_key": "sk_live_51-do-not-print", "retries": 3})
	p.stage.PutSecret("payments/flags", map[string]any{"new_checkout": false})
}

// perform plays all acts. Whatever happens, the service is closed and what it left
// is counted.
func (p *play) perform(ctx context.Context) (err error) {
	p.dress()
	roleID, secretID := p.stage.AppRole()

	p.screen.headingf("Log in, load the configuration, open the database")
	conf := leasehold.Config{
		Auth:    approle.New(roleID, approle.SecretIDString(secretID)),
		OnEvent: p.event,
	}
	p.stage.Connect(&conf)
	client, err := leasehold.New(ctx, conf)
	if err != nil {
		return err
	}
	defer func() {
		closeErr := client.Close(context.WithoutCancel(ctx))
		p.left = p.stage.Left()
		if err == nil {
			err = closeErr
			p.screen.linef("service", "closed", "in Vault and the database: %s", p.left)
		}
	}()

	var cfg Config
	if err := client.Load(ctx, &cfg); err != nil {
		return err
	}
	p.screen.linef("config", "loaded", "Stripe.APIKey=%v Stripe.Retries=%d Banner=%q", cfg.Stripe.APIKey, cfg.Stripe.Retries, cfg.Banner)

	flags, err := kv.Watch[Flags](ctx, client.KV("secret"), "payments/flags", kv.Every(time.Second))
	if err != nil {
		return err
	}
	p.screen.linef("value", "watched", "secret/payments/flags  NewCheckout=%v", flags.Get().NewCheckout)

	creds, err := dynamic.Database(ctx, client, role)
	if err != nil {
		return err
	}
	db := sql.OpenDB(sqldb.Connector(creds, p.dial))
	serving, stop := context.WithCancel(ctx)
	var work sync.WaitGroup
	work.Go(func() { p.serve(serving, db, creds) })
	defer func() {
		stop()
		work.Wait()
		if closeErr := db.Close(); err == nil { // pools close before the client
			err = closeErr
		}
	}()

	if err := p.await(ctx, 5*time.Second, "the first query", func() bool {
		good, _ := p.tally.counts()
		return good > 0 && p.count(lease.Obtained) > 0
	}); err != nil {
		return err
	}
	for _, act := range []func(context.Context) error{
		func(ctx context.Context) error { return p.change(ctx, flags.Get) },
		p.renewal,
		p.replacement,
		func(ctx context.Context) error { return p.outage(ctx, creds) },
		func(ctx context.Context) error { return p.revocation(ctx, client, creds) },
	} {
		if err := act(ctx); err != nil {
			return err
		}
		queries, failed := p.tally.counts()
		p.screen.linef("query", "count", "%d so far, %d failed", queries, failed)
	}
	p.screen.headingf("The service ends, and everything it had is revoked")
	return nil
}

// change puts another version of a watched secret.
func (p *play) change(ctx context.Context, flags func() Flags) error {
	p.screen.headingf("An administrator turns a flag on")
	p.stage.PutSecret("payments/flags", map[string]any{"new_checkout": true})
	p.screen.linef("vault", "written", "secret/payments/flags")
	err := p.await(ctx, 3*time.Second, "the flag to change", func() bool { return flags().NewCheckout })
	if err == nil {
		p.screen.linef("value", "changed", "secret/payments/flags  NewCheckout=%v", flags().NewCheckout)
	}
	return err
}

// renewal waits for the first one.
func (p *play) renewal(ctx context.Context) error {
	p.screen.headingf("The database lease lives %v, and is renewed in time", leaseTTL)
	return p.await(ctx, leaseTTL, "a renewal", func() bool { return p.count(lease.Renewed) > 0 })
}

// replacement waits until the lease cannot be renewed any more.
func (p *play) replacement(ctx context.Context) error {
	p.screen.headingf("After %v it cannot be renewed any more, and is replaced before that", leaseMax)
	return p.await(ctx, leaseMax, "a replacement", func() bool { return p.count(lease.Replaced) > 0 })
}

// outage takes Vault away for less than the lease's rest, at a moment when a
// renewal is about to fall due.
func (p *play) outage(ctx context.Context, creds *dynamic.Credential[dynamic.UserPass]) error {
	const off = 2 * time.Second
	soon := leaseTTL - leaseTTL/4 // a quarter of its life has passed; it is renewed after a third
	if err := p.await(ctx, leaseMax, "a lease a quarter through", func() bool {
		return creds.Snapshot().Left() <= soon && p.quiet(creds)
	}); err != nil {
		return err
	}
	p.screen.headingf("Vault goes away for %v", off)
	p.stage.StopVault()
	p.screen.linef("vault", "DOWN", "the credential is good for another %.1fs", creds.Snapshot().Left().Seconds())
	select {
	case <-time.After(off):
	case <-ctx.Done(): // Vault must be there for the end
	}
	renewed := p.count(lease.Renewed) + p.count(lease.Replaced)
	p.stage.StartVault()
	p.screen.linef("vault", "UP", "the credential is good for another %.1fs", creds.Snapshot().Left().Seconds())
	return p.await(ctx, leaseTTL, "the lease to be renewed or replaced after the outage",
		func() bool { return p.count(lease.Renewed)+p.count(lease.Replaced) > renewed })
}

// revocation kills the service's token, and with it all that hangs on it.
func (p *play) revocation(ctx context.Context, client *leasehold.Client, creds *dynamic.Credential[dynamic.UserPass]) error {
	// A credential that is made while the token dies would be among the dead
	// without being among the excused.
	if err := p.await(ctx, leaseMax, "a lease at rest", func() bool { return p.quiet(creds) }); err != nil {
		return err
	}
	p.screen.headingf("An administrator revokes the service's token, and nobody tells the service")
	p.tally.excuse(p.stage.Users())
	p.stage.RevokeToken(client.Status().Token.Accessor)
	began := time.Now()
	p.screen.linef("vault", "revoked", "the token, and the credential with it")
	err := p.await(ctx, leaseTTL, "the service to recover", p.tally.recovered)
	p.tally.excuseOver()
	if err != nil {
		return err
	}
	p.screen.linef("service", "recovered", "%.1fs after the revocation", time.Since(began).Seconds())
	before, _ := p.tally.counts()
	return p.await(ctx, leaseTTL, "more queries", func() bool { now, _ := p.tally.counts(); return now >= before+5 })
}

// quiet reports whether nothing is under way for the lease, nor due soon.
func (p *play) quiet(creds *dynamic.Credential[dynamic.UserPass]) bool {
	p.mu.Lock()
	last := p.last
	p.mu.Unlock()
	return time.Since(last) > leaseTTL/10 && creds.Snapshot().Left() > leaseTTL*2/3+leaseTTL/50
}

// event is the library's OnEvent.
func (p *play) event(e leasehold.Event) {
	p.screen.event(e)
	if e.Name != credsPath {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen[e.Kind]++
	p.last = e.Time
}

// count returns how many events of a kind there were for the database lease.
func (p *play) count(kind lease.EventKind) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[kind]
}

// await waits until what is true.
func (p *play) await(ctx context.Context, within time.Duration, what string, cond func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("waited %v for %s", within, what))
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
