package cert_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold/auth/cert"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder is a Vault that keeps what it is sent.
type recorder struct {
	paths  []string
	bodies []map[string]any
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body map[string]any
	if err := json.NewDecoder(req.Body).Decode(&body); err != nil {
		return nil, err
	}
	r.paths, r.bodies = append(r.paths, req.URL.Path), append(r.bodies, body)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(`{"auth":{"client_token":"x"}}`)), Request: req}, nil
}

// TestTheRoleIsNamedOrVaultChooses. That a certificate logs in is shown by the integration suite:
// vaulttest has no connections that could have one.
func TestTheRoleIsNamedOrVaultChooses(t *testing.T) {
	var vault recorder
	conf := api.DefaultConfig()
	conf.Address, conf.HttpClient = "http://vault.test", &http.Client{Transport: &vault}
	client, err := api.NewClient(conf)
	require.NoError(t, err)
	for _, method := range []*cert.Method{cert.New("app"), cert.New("", cert.Mount("/team/tls/"))} {
		s, err := method.Login(t.Context(), client)
		require.NoError(t, err)
		require.Equal(t, "x", s.Auth.ClientToken)
	}
	require.Equal(t, []string{"/v1/auth/cert/login", "/v1/auth/team/tls/login"}, vault.paths)
	require.Equal(t, []map[string]any{{"name": "app"}, {}}, vault.bodies)

	_, err = cert.New("app", cert.Mount("../sys")).Login(t.Context(), client)
	require.ErrorContains(t, err, "segment")
	require.Len(t, vault.paths, 2)
}
