package session

import (
	"context"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/lease"
)

// plain is a method without a fingerprint of its own, such as that of TLS certificates.
type plain struct{}

func (plain) Login(context.Context, *api.Client) (*api.Secret, error) { return &api.Secret{}, nil }

// TestE7AnotherCertificateIsAnotherCredential: a login that was refused is tried again when it comes,
// rather than when a slow back-off says so. One for the wires below a method with a
// fingerprint of its own does not count.
// Mutations: the certificate is no fingerprint; what is counted is not what is shown.
func TestE7AnotherCertificateIsAnotherCredential(t *testing.T) {
	t.Parallel()
	ca, dir := newAuthority(t), t.TempDir()
	put := func() TLS {
		cert, key := ca.issue("client")
		return TLS{ClientCert: write(t, dir, "cert", cert), ClientKey: write(t, dir, "key", key)}
	}
	s := &Session{clock: lease.SystemClock(), cfg: Config{Auth: plain{}}}
	none, err := s.mark(t.Context())
	require.NoError(t, err)
	require.Empty(t, none)

	s.cfg.TLS = put()
	connect(t, s)
	first, err := s.mark(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, first)
	same, err := s.mark(t.Context())
	require.NoError(t, err)
	require.Equal(t, first, same)
	put()
	second, err := s.mark(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, first, second)
	onDisk, err := s.cfg.TLS.read()
	require.NoError(t, err)
	require.Equal(t, onDisk, s.wire.conns.files.used, "a refusal counts against what the next connection shows")

	s.cfg.Auth = fixed{}
	own, err := s.mark(t.Context())
	require.NoError(t, err)
	require.Equal(t, "own", own)
}

// connect gives s its connections, which nobody uses.
func connect(t *testing.T, s *Session) {
	t.Helper()
	conns, err := newConnections(s)
	require.NoError(t, err)
	s.wire = &transport{conns: conns}
}

type fixed struct{ plain }

func (fixed) Fingerprint(context.Context) (string, error) { return "own", nil }

var _ auth.Fingerprinter = fixed{}

// TestA8ACertificateBesideAPasswordDoesNotMakeItTheSame: a method without a fingerprint of its own may have read another
// password each time, whatever certificate is shown on the way.
// Mutation: any mark is the credential's.
func TestA8ACertificateBesideAPasswordDoesNotMakeItTheSame(t *testing.T) {
	t.Parallel()
	ca, dir := newAuthority(t), t.TempDir()
	cert, key := ca.issue("client")
	s := &Session{clock: lease.SystemClock(), cfg: Config{Auth: plain{}, TLS: TLS{ClientCert: write(t, dir, "cert", cert), ClientKey: write(t, dir, "key", key)}}}
	connect(t, s)
	mark, err := s.mark(t.Context())
	require.NoError(t, err)
	for range strikes {
		require.NoError(t, s.spared(mark))
		s.noteLogin(mark, &lease.Error{Class: lease.Permanent, Err: &Error{Status: 400, Vault: []string{"invalid username or password"}}})
	}
	require.Error(t, s.spared(mark))
}
