package leasehold_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/auth/jwt"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/auth/userpass"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/secret"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// safe is a user's configuration whose secret fields have the type for it.
type safe struct {
	APIKey secret.String `json:"api_key"`
}

// TestLaw20NothingSecretIsEverPrinted (X1): through logins, renewals, replacements, outages, refusals and
// deaths, with all output gathered: events, errors, the log at debug level, every exported value with
// every verb, alone and inside a user's struct with unexported fields. No token, secret-id, password,
// lease ID or secret field appears. Mutation: vaultTexts does not take out the lease ID that Vault repeats.
func TestLaw20NothingSecretIsEverPrinted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, vaulttest.AppRoleSpec{TokenTTL: 60 * time.Second, TokenMaxTTL: 3 * time.Minute})
		w.database(vaulttest.RoleSpec{DefaultTTL: 30 * time.Second, MaxTTL: time.Hour})
		w.PutKV("secret", "app/config", map[string]any{"banner": "hello", "api_key": "canary-of-kv-4711"})
		o := &output{}
		config := w.config(func(c *leasehold.Config) {
			c.Logger = slog.New(slog.NewTextHandler(o, &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}))
		})
		c, err := leasehold.New(t.Context(), config)
		require.NoError(t, err)
		var refuse atomic.Bool
		creds := w.open(c, dynamic.Verify(func(context.Context, dynamic.UserPass) error {
			if refuse.Load() {
				return errors.New("not yet")
			}
			return nil
		}))
		value, err := kv.Watch[safe](t.Context(), c.KV("secret"), "app/config", kv.Every(10*time.Second))
		require.NoError(t, err)
		got, err := kv.Get[safe](t.Context(), c.KV("secret"), "app/config")
		require.NoError(t, err)
		require.Equal(t, "canary-of-kv-4711", got.Value.APIKey.Reveal(), "Reveal is the way out")

		canaries := map[string]string{"canary-of-kv-4711": "KV value", w.secretID: "secret-id", w.RootToken(): "root token"}
		look := func() {
			for _, s := range w.wire.all() {
				if s.token != "" {
					canaries[s.token] = "token"
				}
			}
			for _, l := range w.Leases() {
				canaries[l.ID[strings.LastIndex(l.ID, "/")+1:]] = "lease ID"
				canaries[l.Data["password"].(string)] = "password"
			}
		}
		everything := func() {
			look()
			up, _ := creds.Get()
			status, ready := c.Status(), c.Ready()
			// fmt looks into living structs without their locks, which is a race to the detector.
			if !raceDetector || errors.Is(ready, leasehold.ErrClosed) {
				synctest.Wait()
				o.add(c, creds, value, c.KV("secret"), c.Session(), c.Session().Session, c.Vault())
			}
			o.add(config, config.Auth, approle.SecretIDString(w.secretID), token.New(w.RootToken()), status, status.Token, up, creds.Snapshot(),
				value.Get(), value.Snapshot(), got, ready, value.Err(), dynamic.Request{Path: credsPath})
			for _, e := range w.events.list() {
				o.add(e, e.Err)
			}
			for _, s := range append(status.Leases, status.Values...) {
				o.add(s, s.Err)
			}
		}
		ask := func() {
			_, err := kv.Get[safe](t.Context(), c.KV("secret"), "app/config")
			o.add(err)
			_, err = kv.Get[struct {
				APIKey int `json:"api_key"`
			}](t.Context(), c.KV("secret"), "app/config")
			o.add(err)
			short, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err = creds.Current(short)
			o.add(err)
			_, err = dynamic.Open(short, c, dynamic.Request{Path: credsPath}, func(g *dynamic.Grant) (int, error) {
				o.add(g, *g)
				return 0, errors.New("cannot decode")
			})
			o.add(err)
			var cfg struct {
				Key int `vault:"secret:app/config#api_key"`
			}
			o.add(c.Load(short, &cfg))
		}
		everything()
		// Vault repeats what it was asked about, and the token, in its errors.
		tok, id := w.wire.all()[2].token, w.Leases()[0].ID
		look()
		for _, step := range []func(){
			func() {},
			func() {
				w.Fail(vaulttest.Fault{Status: 500, Body: fmt.Sprintf(`{"errors":["failed on %s for %s"]}`, id, tok)})
			},
			func() {
				w.Fail(vaulttest.Fault{Path: "sys/", Status: 400, Body: fmt.Sprintf(`{"errors":["lease not found: %s"]}`, id)})
			},
			func() { w.Fail(vaulttest.Fault{Status: 403, Body: invalidToken, Count: 3}) },
			func() { w.Fail(vaulttest.Fault{Status: 403, Body: deniedByPolicy, Count: 5}) },
			func() { w.Fail(vaulttest.Fault{DropAfter: true, Count: 6}) },
			func() { w.Fail(vaulttest.Fault{Status: 200, Body: `{"data": not JSON ` + tok, Count: 4}) },
			func() { refuse.Store(true) },
			func() { w.RevokeToken(w.token()) },
			func() { w.DestroySecretID(w.secretID) },
		} {
			step()
			time.Sleep(25 * time.Second)
			ask()
			everything()
			w.ClearFaults()
			time.Sleep(25 * time.Second)
			ask()
			everything()
		}
		o.add(c.Close(t.Context()))
		everything()
		require.Greater(t, len(canaries), 10)
		for canary, what := range canaries {
			if i := strings.Index(o.text.String(), canary); i >= 0 {
				text := o.text.String()
				t.Errorf("%s is printed: ...%s...", what, text[max(0, i-200):min(len(text), i+len(canary)+50)])
			}
		}
	})
}

// output gathers what can be printed, also by the client's logger.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer // under mu
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

// wrapped is a user's struct: fmt calls no methods on unexported fields.
type wrapped struct {
	hidden  any
	Visible any
}

func (o *output) add(values ...any) {
	for _, v := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			fmt.Fprintf(o, verb+"\n", v)
			if verb[len(verb)-1] != 'x' && verb[len(verb)-1] != 'X' {
				fmt.Fprintf(o, verb+"\n", wrapped{v, v})
				fmt.Fprintf(o, verb+"\n", &wrapped{v, v})
			}
		}
		if b, err := json.Marshal(v); err == nil {
			_, _ = o.Write(b)
		}
		_ = gob.NewEncoder(o).Encode(v)
		slog.New(slog.NewJSONHandler(o, nil)).Info("value", "v", v)
		slog.New(slog.NewTextHandler(o, nil)).Info("value", "v", v)
	}
}

// TestLaw20WhatQuotesALoginShowsNoSecret: Vault, or what answers in its place, repeats the request that it
// refuses. Mutation: what a login has shown is not taken out.
func TestLaw20WhatQuotesALoginShowsNoSecret(t *testing.T) {
	const canary = `canary-of-a<login"4711`
	for name, method := range map[string]auth.Method{
		"secret-id": approle.New("a-role", approle.SecretIDString(canary)),
		"password":  userpass.New("app", auth.String(canary)),
		"jwt":       jwt.New("app", auth.String(canary)),
		"foreign":   foreign(canary),
	} {
		for form, quote := range map[string]func(string) string{
			"a page":     func(body string) string { return "<p>bad request: " + body + "</p>" },
			"Vault's":    func(body string) string { return fmt.Sprintf(`{"errors":[%q]}`, "failed on "+body) },
			"one by one": func(string) string { return fmt.Sprintf(`{"errors":[%q, "and more"]}`, canary) },
		} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, vaulttest.AppRoleSpec{})
				o := &output{}
				_, err := leasehold.New(t.Context(), w.config(
					through(w, func(r *http.Request, _ http.RoundTripper) (*http.Response, error) {
						sent, err := io.ReadAll(r.Body)
						require.NoError(t, err)
						require.Contains(t, string(sent), "4711")
						return reply(r, http.StatusBadRequest, quote(string(sent))), nil
					}),
					func(c *leasehold.Config) {
						c.Auth = method
						c.Logger = slog.New(slog.NewTextHandler(o, nil))
					}))
				require.ErrorContains(t, err, "400 Bad Request: ", "%s, %s", name, form)
				require.ErrorContains(t, err, "[redacted]", "%s, %s", name, form)
				require.NotContains(t, err.Error(), "4711", "%s, %s", name, form)
				synctest.Wait()
				require.NotContains(t, o.text.String(), "4711", "%s, %s", name, form)
			})
		}
	}
}

// foreign is a method for the official client that logs in with a password.
type foreign string

func (f foreign) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	return client.Logical().WriteWithContext(ctx, "auth/ldap/login/app", map[string]any{"password": string(f)})
}
