package leasehold_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// rich has a field of each kind that Load knows.
type rich struct {
	Whole   richest            `vault:"secret:a"`
	Pointer **richest          `vault:"secret:a"`
	Map     map[string]richest `vault:"secret:a,optional"`
	Any     any                `vault:"secret:a#any,optional"`
	Int     *int               `vault:"secret:a#int"`
	Float   float32            `vault:"secret:a#float,default=1"`
	Bool    bool               `vault:"secret:a#bool,optional"`
	Text    secret.String      `vault:"secret:a#text"`
	Bytes   []byte             `vault:"secret:a#bytes"`
	Wait    time.Duration      `vault:"secret:a#wait"`
	Addr    netip.Addr         `vault:"secret:a#addr"`
	Big     *big.Int           `vault:"secret:a#int"`
	JSON    richest            `vault:"secret:a#text,json"`
	Doc     json.RawMessage    `vault:"secret:a#any,json,optional"`
	Noisy   noisy              `vault:"secret:a#text"`
	Cert    tls.Certificate    `vault:"secret:a"`
	CertP   *tls.Certificate   `vault:"secret:a#text"`
	Static  dynamic.UserPass   `vault:"database:static-creds/a,static"`

	Live     *cache.Value[int]     `vault:"secret:a#int"`
	LiveRich *cache.Value[richest] `vault:"secret:a,optional"`
}

type richest struct {
	Int    int
	Small  *uint8        `json:"small"`
	Float  float64       `json:"float,omitempty"`
	Quoted int           `json:"quoted,string"`
	Bool   bool          `json:"bool"`
	Wait   time.Duration `json:"wait"`
	Waits  []*time.Duration
	Ports  map[string]int
	Arrays [2][]bool
	Key    secret.Bytes
	Noisy  noisy
	Next   *richest
	Any    any
	certs
}

type certs struct {
	Certificate string `json:"certificate"`
	PrivateKey  string `json:"private_key"`
}

// FuzzLoad: whatever the server sends, there is no panic, and no value of it in an error.
func FuzzLoad(f *testing.F) {
	for _, data := range []string{
		`{"any": [1], "int": "12", "float": 1.5, "bool": "true", "text": "{\"int\": \"x\"}", "bytes": "x", "wait": "5s", "addr": "::1"}`,
		`{"int": "x", "wait": 12, "waits": ["1s", null, 5], "ports": {"x": "x"}, "arrays": [["true"], [false, 1]], "next": {"next": {"int": "x"}}}`,
		`{"certificate": "x", "private_key": "x", "ca_chain": ["x"], "text": "-----BEGIN x-----\nx\n-----END x-----\n"}`,
		`{"INT": 1, "Int": "2", "int": "x", "quoted": "x", "small": "300", "key": "AA==", "float": "1e999"}`,
		`null`, `[]`, `"x"`, `{`, `{"int": 1}}`, `{"a": 1,}`, "{\"text\": \"\xff\x00\"}", `{"noisy": "x", "any": {"x": null}}`,
	} {
		f.Add([]byte(data))
	}
	var answer atomic.Pointer[[]byte]
	c, err := leasehold.New(context.Background(), leasehold.Config{
		Address: "http://vault.test", Auth: token.New("hvs.0123456789012345678901234"),
		HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			body := `{"data":{"accessor":"a","creation_ttl":0,"expire_time":null,"num_uses":0,"policies":["root"],"renewable":false,"ttl":0,"type":"service"}}`
			switch {
			case strings.Contains(r.URL.Path, "/sys/internal/ui/mounts/"):
				body = `{"data":{"type":"kv","path":"secret/","options":{"version":"2"}}}`
			case strings.HasSuffix(r.URL.Path, "/secret/data/a"):
				body = `{"data":{"metadata":{"version":1,"created_time":"2026-01-02T03:04:05Z"},"data":` + string(*answer.Load()) + `}}`
			case strings.Contains(r.URL.Path, "/static-creds/"):
				body = `{"data":` + string(*answer.Load()) + `}`
			}
			return reply(r, http.StatusOK, body), nil
		})},
	})
	require.NoError(f, err)
	f.Cleanup(func() { _ = c.Close(context.Background()) })
	f.Fuzz(func(t *testing.T, data []byte) {
		data = bytes.ReplaceAll(data, []byte("x"), []byte("8675309"))
		answer.Store(&data)
		var cfg rich
		err := c.Load(t.Context(), &cfg)
		if err == nil {
			_ = cfg.Live.Close()
			if cfg.LiveRich != nil {
				_ = cfg.LiveRich.Close()
			}
			return
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err)} {
			if strings.Contains(text, "8675309") {
				t.Errorf("%q: %s", data, text)
			}
		}
		if cfg.Live != nil || cfg.Int != nil || cfg.Pointer != nil {
			t.Errorf("%q: it failed, and has changed something", data)
		}
	})
}
