package dynamic

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/secret"
)

func TestAnAnswerWithoutAnEndIsNone(t *testing.T) {
	t.Parallel()
	for _, body := range []string{``, `null`, `{}`, `[]`, `"x"`, `{"lease_id":"a/b"}`, `{"lease_duration":null}`, `{"lease_duration":-1}`, `{"lease_duration":"60"}`, `{"lease_duration":1.5}`, `{"lease_duration":60`, `<html>`} {
		_, err := parse([]byte(body))
		require.ErrorIs(t, err, errMalformed, body)
	}
	a, err := parse([]byte(`{"lease_id":"a/b","lease_duration":60,"renewable":true,"data":{"username":"u"}}`))
	require.NoError(t, err)
	assert.Equal(t, time.Minute, a.ttl())
}

// FuzzParse has answers of any form be refused or be read as a time that makes sense.
func FuzzParse(f *testing.F) {
	f.Add(`{"lease_id":"database/creds/app/x","lease_duration":3600,"renewable":true,"data":{"username":"u","password":"p"},"warnings":["w"]}`)
	f.Add(`{"lease_duration":9223372036854775807}`)
	f.Add(`{"lease_duration":0}`)
	f.Add(`{"lease_duration":1e3}`)
	f.Add(`{"data":null}`)
	f.Fuzz(func(t *testing.T, body string) {
		a, err := parse([]byte(body))
		if err != nil {
			require.ErrorIs(t, err, errMalformed, "and nothing of the body")
			return
		}
		require.GreaterOrEqual(t, a.ttl(), time.Duration(0))
		require.LessOrEqual(t, a.ttl(), time.Duration(math.MaxInt64))
		if *a.Duration == 0 {
			require.Zero(t, a.ttl())
		} else {
			require.Positive(t, a.ttl())
		}
	})
}

// FuzzDecodeUserPass has credentials of any form be refused without being repeated, or be
// complete.
func FuzzDecodeUserPass(f *testing.F) {
	f.Add(`{"username":"u","password":"canary"}`)
	f.Add(`{"username":"u","password":12345678}`)
	f.Add(`{"username":null}`)
	f.Add(`{"password":{"a":"canary"}}`)
	f.Add(`null`)
	f.Fuzz(func(t *testing.T, data string) {
		up, err := decodeUserPass(&Grant{Data: secret.NewBytes([]byte(data))})
		if err != nil {
			require.Equal(t, "the answer holds no username and password", err.Error())
			return
		}
		require.NotEmpty(t, up.Username)
		require.True(t, json.Valid([]byte(data)))
		text, err := json.Marshal(up)
		require.NoError(t, err)
		require.Contains(t, string(text), "[redacted]")
	})
}
