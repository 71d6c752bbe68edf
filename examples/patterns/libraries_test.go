package patterns_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/go-viper/mapstructure/v2"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/kelseyhightower/envconfig"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"
	"github.com/spf13/viper"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/seed-f5e1ac40/leasehold/secret"
)

const canary = "hunter2-canary-5f1d"

type secrets struct {
	S secret.String  `mapstructure:"s" toml:"s" yaml:"s"`
	B secret.Bytes   `mapstructure:"b" toml:"b" yaml:"b"`
	P *secret.String `mapstructure:"p" toml:"p" yaml:"p"`
}

func (s secrets) filled(t *testing.T) {
	t.Helper()
	assert.Equal(t, canary, s.S.Reveal())
	assert.Equal(t, canary, string(s.B.Reveal()))
	require.NotNil(t, s.P)
	assert.Equal(t, canary, s.P.Reveal())
}

func TestYAMLAndTOMLFillSecretsAndWriteNone(t *testing.T) {
	t.Parallel()
	document := strings.ReplaceAll("s: X\nb: X\np: X\n", "X", canary)
	var s secrets
	require.NoError(t, yaml.Unmarshal([]byte(document), &s))
	s.filled(t)
	out, err := yaml.Marshal(map[string]any{"all": s, "key": map[secret.String]int{s.S: 1}})
	require.NoError(t, err)
	assert.NotContains(t, string(out), canary)
	assert.Contains(t, string(out), "[redacted]")

	document = strings.ReplaceAll("s = 'X'\nb = 'X'\np = 'X'\n", "X", canary)
	s = secrets{}
	require.NoError(t, toml.Unmarshal([]byte(document), &s))
	s.filled(t)
	out, err = toml.Marshal(s)
	require.NoError(t, err)
	assert.NotContains(t, string(out), canary)
	assert.Contains(t, string(out), "[redacted]")
}

// A program that wants secrets from viper itself names the hook.
func TestViperFillsSecretsWithItsHook(t *testing.T) {
	t.Parallel()
	v := viper.New()
	for _, key := range []string{"s", "b", "p"} {
		v.Set(key, canary)
	}
	var s secrets
	require.NoError(t, v.Unmarshal(&s, viper.DecodeHook(mapstructure.TextUnmarshallerHookFunc())))
	s.filled(t)
	err := v.Unmarshal(&s) // without it
	require.Error(t, err)
	assert.NotContains(t, err.Error(), canary)
}

func TestEnvconfigFillsSecrets(t *testing.T) {
	for _, key := range []string{"APP_S", "APP_B", "APP_P"} {
		t.Setenv(key, canary)
	}
	var s secrets
	require.NoError(t, envconfig.Process("app", &s))
	s.filled(t)
}

func TestPflagShowsNoDefault(t *testing.T) {
	t.Parallel()
	var s secret.String
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	flags.TextVar(&s, "s", secret.NewString(canary), "usage")
	assert.NotContains(t, flags.FlagUsages(), canary)
	require.NoError(t, flags.Parse([]string{"--s", "other"}))
	assert.Equal(t, "other", s.Reveal())
	assert.NotContains(t, fmt.Sprintf("%+v", flags.Lookup("s")), "other")
}

// TestPgxStoresTheSecretItself: for a type that only prints itself, pgx would store what is
// printed.
func TestPgxStoresTheSecretItself(t *testing.T) {
	t.Parallel()
	types := pgtype.NewMap()
	text, binary := secret.NewString(canary), secret.NewBytes([]byte{0, 1, 255})
	for _, format := range []int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode} {
		for _, oid := range []uint32{pgtype.TextOID, pgtype.VarcharOID} {
			sent, err := types.Encode(oid, format, text, nil)
			require.NoError(t, err)
			assert.Equal(t, canary, string(sent))
			var back secret.String
			require.NoError(t, types.Scan(oid, format, sent, &back))
			assert.Equal(t, text, back)
		}
		sent, err := types.Encode(pgtype.ByteaOID, format, binary, nil)
		require.NoError(t, err)
		var back secret.Bytes
		require.NoError(t, types.Scan(pgtype.ByteaOID, format, sent, &back))
		assert.True(t, bytes.Equal(binary.Reveal(), back.Reveal()), "format %d", format)
	}
}
