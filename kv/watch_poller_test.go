package kv_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/kv"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// watch is kv.Watch of app/flags.
func watch[T any](t *testing.T, c *leasehold.Client, opts ...kv.WatchOption) *cache.Value[T] {
	t.Helper()
	value, err := kv.Watch[T](t.Context(), c.KV("secret"), "app/flags", opts...)
	require.NoError(t, err)
	return value
}

// TestC2ManyWatchersOfOnePathCostOneRequest an interval, whatever they decode into; and one at the
// start. Mutation: Reads.join makes a poller for each.
func TestC2ManyWatchersOfOnePathCostOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		var structs []*cache.Value[flags]
		var maps []*cache.Value[map[string]string]
		for range 25 {
			structs = append(structs, watch[flags](t, c, kv.Every(10*time.Second)))
			maps = append(maps, watch[map[string]string](t, c, kv.Every(10*time.Second)))
		}
		require.Equal(t, 1, server.Count("GET", path), "requests for 50 values that begin")
		require.Len(t, c.Status().Values, 1)
		for i := range 10 {
			text := strconv.Itoa(i)
			server.PutKV("secret", "app/flags", map[string]any{"banner": text})
			time.Sleep(10 * time.Second)
			synctest.Wait()
			for j := range structs {
				require.Equal(t, text, structs[j].Get().Banner)
				require.Equal(t, text, maps[j].Get()["banner"])
			}
		}
		require.LessOrEqual(t, server.Count("GET", path), 1+1+100/7)
		for i := range structs {
			require.NoError(t, structs[i].Close())
			require.NoError(t, maps[i].Close())
		}
		asked := server.Count("GET", path)
		time.Sleep(time.Minute)
		require.Equal(t, asked, server.Count("GET", path))
		require.Empty(t, c.Status().Values)
	})
}

// TestC2TheShortestIntervalWins: for as long as somebody wants it, and nobody is read later than he
// asked for because of another. Mutation: poller.pace does not tell the manager.
func TestC2TheShortestIntervalWins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		slow := watch[flags](t, c, kv.Every(10*time.Minute))
		time.Sleep(time.Hour)
		require.LessOrEqual(t, server.Count("GET", path), 1+60/7)
		quick := watch[flags](t, c, kv.Every(5*time.Second))
		for i := range 10 {
			server.PutKV("secret", "app/flags", map[string]any{"banner": fmt.Sprint("quick", i)})
			time.Sleep(5 * time.Second)
			synctest.Wait()
			require.Equal(t, fmt.Sprint("quick", i), quick.Get().Banner)
			require.Equal(t, fmt.Sprint("quick", i), slow.Get().Banner)
		}
		require.NoError(t, quick.Close())
		for i := range 10 {
			server.PutKV("secret", "app/flags", map[string]any{"banner": fmt.Sprint("slow", i)})
			time.Sleep(10 * time.Minute)
			synctest.Wait()
			require.Equal(t, fmt.Sprint("slow", i), slow.Get().Banner)
		}
		asked := server.Count("GET", path)
		time.Sleep(time.Hour)
		require.LessOrEqual(t, server.Count("GET", path)-asked, 60/7)
	})
}

// TestC2ANewWatcherIsAsCurrentAsItsInterval: what was read for another, who asks for less, is too old
// for it. Mutation: Reads.within says yes to all.
func TestC2ANewWatcherIsAsCurrentAsItsInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		watch[flags](t, c, kv.Every(time.Hour))
		time.Sleep(2 * time.Second)
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		require.Equal(t, "two", watch[flags](t, c, kv.Every(10*time.Second)).Get().Banner)
	})
}

// TestC2ASecretOfVersion1: which has no versions, changes with its data; and its ttl, where
// that is shorter, is how often it is read. Mutation: identify leaves the hash out.
func TestC2ASecretOfVersion1(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		server.MountKV1("old")
		put := func(banner, ttl string) {
			data := map[string]any{"banner": banner}
			if ttl != "" {
				data["ttl"] = ttl
			}
			server.PutKV("old", "app", data)
		}
		put("one", "")
		value, err := kv.Watch[flags](t.Context(), c.KV("old"), "app", kv.Every(10*time.Minute))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		require.EqualValues(t, 1, value.Snapshot().Generation)
		require.LessOrEqual(t, server.Count("GET", "old/app"), 1+60/7)
		put("two", "30s")
		time.Sleep(10 * time.Minute)
		require.Equal(t, "two", value.Get().Banner)
		put("three", "30s")
		time.Sleep(30 * time.Second)
		require.Equal(t, "three", value.Get().Banner)
		asked := server.Count("GET", "old/app")
		time.Sleep(30 * time.Minute)
		require.LessOrEqual(t, server.Count("GET", "old/app")-asked, 81)
		require.GreaterOrEqual(t, server.Count("GET", "old/app")-asked, 60)
		require.EqualValues(t, 3, value.Snapshot().Generation)
		put("four", "")
		time.Sleep(time.Minute)
		require.Equal(t, "four", value.Get().Banner)
		asked = server.Count("GET", "old/app")
		time.Sleep(time.Hour)
		require.LessOrEqual(t, server.Count("GET", "old/app")-asked, 60/7+1)
	})
}

// TestC3WhatCannotBeReadKeepsTheLastGoodValue: Err says why, and it recovers by itself.
func TestC3WhatCannotBeReadKeepsTheLastGoodValue(t *testing.T) {
	for _, tc := range []struct {
		name     string
		spoil    func(*vaulttest.Server)
		says     func(error) bool
		recovers func(*vaulttest.Server)
	}{
		{
			"deleted", func(s *vaulttest.Server) { s.DeleteKV("secret", "app/flags") },
			func(err error) bool { return errors.Is(err, kv.ErrDeleted) },
			func(s *vaulttest.Server) { s.PutKV("secret", "app/flags", map[string]any{"banner": "two"}) },
		},
		{
			"destroyed", func(s *vaulttest.Server) { s.DestroyKV("secret", "app/flags", 1) },
			func(err error) bool { return errors.Is(err, kv.ErrDestroyed) },
			func(s *vaulttest.Server) { s.PutKV("secret", "app/flags", map[string]any{"banner": "two"}) },
		},
		{
			"forbidden", func(s *vaulttest.Server) { s.Policy("app") },
			func(err error) bool {
				var e *leasehold.Error
				return errors.As(err, &e) && e.Status == http.StatusForbidden
			},
			func(s *vaulttest.Server) {
				s.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
				s.Policy("app", vaulttest.Rule{Path: "secret/data/*", Capabilities: []string{"read"}})
			},
		},
		{
			"undecodable", func(s *vaulttest.Server) { s.PutKV("secret", "app/flags", map[string]any{"banner": 7}) },
			func(err error) bool { var e *kv.DecodeError; return errors.As(err, &e) && e.Field == "banner" },
			func(s *vaulttest.Server) { s.PutKV("secret", "app/flags", map[string]any{"banner": "two"}) },
		},
		{
			"not Vault's answer", func(s *vaulttest.Server) {
				s.Fail(vaulttest.Fault{Path: path, Status: http.StatusOK, Body: "<html>"})
			},
			func(err error) bool { return err != nil },
			func(s *vaulttest.Server) {
				s.ClearFaults()
				s.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, server := root(t)
				server.Policy("app", vaulttest.Rule{Path: "secret/data/*", Capabilities: []string{"read"}})
				c, err := leasehold.New(t.Context(), leasehold.Config{
					Address: "http://vault.test", HTTPClient: server.Client(),
					Auth: token.New(server.CreateToken(vaulttest.TokenSpec{Policies: []string{"app"}})),
				})
				require.NoError(t, err)
				defer func() { require.NoError(t, c.Close(context.Background())) }()
				value := watch[flags](t, c, kv.Every(10*time.Second))
				tc.spoil(server)
				time.Sleep(11 * time.Second)
				require.Equal(t, "one", value.Get().Banner)
				require.True(t, tc.says(value.Err()), value.Err())
				require.Error(t, c.Status().Values[0].Err)
				asked := server.Count("GET", path)
				time.Sleep(10 * time.Minute)
				require.LessOrEqual(t, server.Count("GET", path)-asked, 600/5+1, "no storm")
				require.Equal(t, "one", value.Get().Banner)
				tc.recovers(server)
				time.Sleep(time.Minute)
				require.NoError(t, value.Err())
				require.Equal(t, "two", value.Get().Banner)
				require.EqualValues(t, 2, value.Snapshot().Generation)
				require.NoError(t, c.Status().Values[0].Err)
			})
		})
	}
}

// TestC2AServerThatLagsBehindTakesNothingBack: an older version is not published, and Err says so,
// unless it was created later. Mutation: identity.behind is always false.
func TestC2AServerThatLagsBehindTakesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		client := server.Client()
		old := func() string { // as a server answers that has not got further
			req, err := http.NewRequest(http.MethodGet, "http://vault.test/v1/"+path, http.NoBody)
			require.NoError(t, err)
			req.Header.Set("X-Vault-Token", server.RootToken())
			resp, err := client.Do(req)
			require.NoError(t, err)
			defer func() { require.NoError(t, resp.Body.Close()) }()
			var body json.RawMessage
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&body))
			return string(body)
		}()
		time.Sleep(time.Second)
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		value := watch[flags](t, c, kv.Every(10*time.Second))
		require.Equal(t, "two", value.Get().Banner)
		server.Fail(vaulttest.Fault{Path: path, Status: http.StatusOK, Body: old, Header: http.Header{"Content-Type": {"application/json"}}})
		time.Sleep(11 * time.Second)
		require.Equal(t, "two", value.Get().Banner)
		require.ErrorContains(t, value.Err(), "version 1, and version 2 is in use")
		server.ClearFaults()
		time.Sleep(11 * time.Second)
		require.NoError(t, value.Err())
		require.EqualValues(t, 1, value.Snapshot().Generation)

		require.NoError(t, c.Vault().KVv2("secret").DeleteMetadata(t.Context(), "app/flags"))
		require.Equal(t, 1, server.PutKV("secret", "app/flags", map[string]any{"banner": "anew"}))
		time.Sleep(11 * time.Second)
		require.Equal(t, "anew", value.Get().Banner)
	})
}

// TestLaw13ASlowVerifierHoldsUpNoOtherWatcher: of the same path. Mutation: poller.tell waits for verifiers as long as
// they take.
func TestLaw13ASlowVerifierHoldsUpNoOtherWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		quick := watch[flags](t, c, kv.Every(2*time.Second))
		let := make(chan struct{})
		var running, most atomic.Int32
		slow := watch[flags](t, c, kv.Every(2*time.Second), kv.Verify(func(_ context.Context, f flags) error {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			if f.Banner != "one" {
				<-let
			}
			return nil
		}))
		for i := range 20 {
			server.PutKV("secret", "app/flags", map[string]any{"banner": strconv.Itoa(i)})
			time.Sleep(3 * time.Second) // its interval, and a poll's patience
			synctest.Wait()
			require.Equal(t, strconv.Itoa(i), quick.Get().Banner)
			require.Equal(t, "one", slow.Get().Banner)
		}
		close(let)
		time.Sleep(3 * time.Second)
		require.Equal(t, "19", slow.Get().Banner)
		require.EqualValues(t, 1, most.Load(), "one version at a time")
	})
}

// TestLaw13ARefusedVersionIsVerifiedAgain: sooner than the interval, with back-off, and published once it is accepted.
func TestLaw13ARefusedVersionIsVerifiedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		var refuse atomic.Bool
		var tried atomic.Int32
		value := watch[flags](t, c, kv.Every(time.Minute), kv.Verify(func(context.Context, flags) error {
			tried.Add(1)
			if refuse.Load() {
				return errors.New("no")
			}
			return nil
		}))
		refuse.Store(true)
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		time.Sleep(10 * time.Minute)
		require.ErrorContains(t, value.Err(), "version 2 was not accepted: no")
		require.ErrorContains(t, c.Status().Values[0].Err, "version 2 was not accepted: no")
		require.InDelta(t, 18, tried.Load(), 10)
		refuse.Store(false)
		time.Sleep(time.Minute)
		require.NoError(t, value.Err())
		require.Equal(t, "two", value.Get().Banner)
	})
}

// TestWatchersDoNotAnswerForEachOther: one type does not fit, and the other does.
func TestWatchersDoNotAnswerForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		texts := watch[flags](t, c, kv.Every(10*time.Second))
		whatever := watch[map[string]any](t, c, kv.Every(10*time.Second))
		server.PutKV("secret", "app/flags", map[string]any{"banner": 7})
		time.Sleep(11 * time.Second)
		require.ErrorContains(t, texts.Err(), "#banner: want string")
		require.Equal(t, "one", texts.Get().Banner)
		require.NoError(t, whatever.Err())
		require.Equal(t, json.Number("7"), whatever.Get()["banner"])
		require.ErrorContains(t, c.Status().Values[0].Err, "#banner: want string")
	})
}

func TestWhatWatchDoesNotTake(t *testing.T) {
	t.Parallel()
	c, server := root(t)
	for says, opt := range map[string]kv.WatchOption{
		"Every(10ms): at least 1s":                                             kv.Every(10 * time.Millisecond),
		"MaxStale(-1s) is negative":                                            kv.MaxStale(-time.Second),
		"MaxStale(59s): longer than the interval of 1m0s":                      kv.MaxStale(59 * time.Second),
		"Verify takes a func(context.Context, int) error, not a kv_test.flags": kv.Verify(func(context.Context, int) error { return nil }),
		"OnChange takes a func(int, int), not two of kv_test.flags":            kv.OnChange(func(_, _ int) {}),
		"takes no AtVersion":                                                   kv.Reading(kv.AtVersion(1)),
		"no MaxAge":                                                            kv.Reading(kv.MaxAge(time.Second)),
	} {
		_, err := kv.Watch[flags](t.Context(), c.KV("secret"), "app/flags", opt)
		require.ErrorContains(t, err, "leasehold: watch secret/app/flags: ")
		require.ErrorContains(t, err, says)
	}
	_, err := kv.Watch[flags](t.Context(), c.KV("secret"), "app/flags", kv.OnChange[flags](nil))
	require.ErrorContains(t, err, "OnChange")
	require.Zero(t, server.Count("GET", path))
}

// TestReadingIsForWatchesToo: what an option of Get refuses is not published.
func TestReadingIsForWatchesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		value := watch[flags](t, c, kv.Every(10*time.Second), kv.Reading(kv.RefuseUnknown()))
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two", "baner": "x"})
		time.Sleep(11 * time.Second)
		require.Equal(t, "one", value.Get().Banner)
		var misfit *kv.DecodeError
		require.ErrorAs(t, value.Err(), &misfit)
		_, err := kv.Watch[flags](t.Context(), c.KV("secret"), "app/flags", kv.Reading(kv.RefuseUnknown()))
		require.ErrorAs(t, err, &misfit)
	})
}

// TestC2ALateAnswerTakesNothingBack: a new watcher has read what another's read, which is still on its way, does
// not know. Version 1 has nothing else to tell the two apart by. Mutation: Watch does not note when it has read.
func TestC2ALateAnswerTakesNothingBack(t *testing.T) {
	for _, mount := range []string{"old", "secret"} {
		t.Run(mount, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, server := root(t)
				server.MountKV1("old")
				store := c.KV(mount)
				server.PutKV(mount, "x", map[string]any{"banner": "one"})
				first, err := kv.Watch[flags](t.Context(), store, "x", kv.Every(8*time.Second))
				require.NoError(t, err)
				end := server.Fail(vaulttest.Fault{Method: "GET", Path: mount + "/*x", Hang: true, After: true, Count: 1})
				time.Sleep(8 * time.Second)
				synctest.Wait()
				_, err = store.Put(t.Context(), "x", map[string]string{"banner": "two"})
				require.NoError(t, err)
				second, err := kv.Watch[flags](t.Context(), store, "x", kv.Every(8*time.Second))
				require.NoError(t, err)
				require.Equal(t, "two", second.Get().Banner)
				end()
				synctest.Wait()
				require.Equal(t, "one", first.Get().Banner, "the late answer was that of before")
				require.Equal(t, "two", second.Get().Banner)
				require.NoError(t, second.Err())
			})
		})
	}
}

// TestLaw22AVerifierThatHangsIsTold: nothing is published before it returns, and nobody may take what is served
// for current. Mutation: watcher.offer waits for it in silence.
func TestLaw22AVerifierThatHangsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		held := make(chan struct{})
		release := sync.OnceFunc(func() { close(held) })
		defer release()
		value := watch[flags](t, c, kv.Every(10*time.Second), kv.Verify(func(_ context.Context, f flags) error {
			if f.Banner == "two" {
				<-held // it does not heed its context
			}
			return nil
		}))
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		time.Sleep(20 * time.Second)
		require.NoError(t, value.Err(), "it has half a minute")
		time.Sleep(time.Minute)
		require.ErrorContains(t, value.Err(), "leasehold: watch secret/app/flags: Verify has not returned for ")
		require.ErrorContains(t, c.Status().Values[0].Err, "Verify has not returned")
		require.ErrorContains(t, value.Refresh(t.Context()), "Verify has not returned")
		require.Equal(t, "one", value.Get().Banner)
		release()
		synctest.Wait()
		require.NoError(t, value.Err())
		require.Equal(t, "two", value.Get().Banner)
		time.Sleep(time.Minute)
		require.NoError(t, c.Status().Values[0].Err)
	})
}

type brittle struct{ Banner string }

func (b *brittle) UnmarshalJSON(data []byte) error {
	if strings.Contains(string(data), "three") {
		panic(string(data))
	}
	return json.Unmarshal(data, (*flags)(b))
}

// TestADecoderThatPanicsIsItsOwnValuesFailure, and not that of others who watch the path. Mutation: offer calls decode as
// it is.
func TestADecoderThatPanicsIsItsOwnValuesFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		sound := make([]*cache.Value[flags], 20)
		for i := range sound {
			sound[i] = watch[flags](t, c, kv.Every(time.Second))
		}
		value := watch[brittle](t, c, kv.Every(time.Second))
		server.PutKV("secret", "app/flags", map[string]any{"banner": "three"})
		time.Sleep(5 * time.Second)
		for _, other := range sound {
			require.NoError(t, other.Err())
			require.Equal(t, "three", other.Get().Banner)
		}
		require.ErrorContains(t, value.Err(), "panic (string)")
		require.NotContains(t, value.Err().Error(), "three")
		require.Error(t, value.Refresh(t.Context()))
		require.Equal(t, "one", value.Get().Banner)
		server.PutKV("secret", "app/flags", map[string]any{"banner": "four"})
		time.Sleep(2 * time.Minute)
		require.NoError(t, value.Err())
		require.Equal(t, "four", value.Get().Banner)
	})
}

// TestC2ASlowServerIsHeard: though it takes longer than the interval. Mutation: a read may take no longer than the interval.
func TestC2ASlowServerIsHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, server := root(t)
		value := watch[flags](t, c, kv.Every(time.Second))
		server.Fail(vaulttest.Fault{Method: "GET", Path: path, Delay: 3 * time.Second})
		server.PutKV("secret", "app/flags", map[string]any{"banner": "two"})
		time.Sleep(time.Minute)
		require.NoError(t, value.Err())
		require.Equal(t, "two", value.Get().Banner)
		require.LessOrEqual(t, server.Count("GET", path), 1+60/3)
	})
}
