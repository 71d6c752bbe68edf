package testvault

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// kubeIssuer is who signs the tokens of service accounts, and who they are for when
// nothing else is said.
const kubeIssuer = "https://kubernetes.default.svc.cluster.local"

// Kube is a Kubernetes API server with an etcd behind it. It judges the tokens of
// service accounts as any cluster does. Nothing else of a cluster is there: no pod
// ever runs, and what controllers do (making "default" service accounts, emptying a
// namespace that is deleted) does not happen.
type Kube struct {
	tb testing.TB
	*apiServer
}

// apiServer is what all views of one API server share.
type apiServer struct {
	addr     string
	ca       string // its certificate, which is its own authority
	admin    string // the token of who may do everything
	reviewer string // the JWT of who may judge tokens: Vault
	signer   *rsa.PrivateKey
	client   *http.Client
	etcd     *process
	process  *process
}

// Kubernetes starts an API server that lives as long as the test. It takes some three
// seconds and 300 MB, so that several tests had better share one: see SharedKubernetes.
func Kubernetes(tb testing.TB) *Kube {
	tb.Helper()
	var shared SharedKubernetes
	tb.Cleanup(shared.Stop)
	return shared.For(tb)
}

// SharedKubernetes is one API server for many tests. The first that asks starts it.
type SharedKubernetes struct {
	once   sync.Once
	server *apiServer
	absent error // there is none to start
	err    error // it does not start
}

// For returns the server for tb, or ends that.
func (s *SharedKubernetes) For(tb testing.TB) *Kube {
	tb.Helper()
	s.once.Do(func() {
		ctx := context.WithoutCancel(tb.Context()) // it outlives the test
		var bin, storage string
		if bin, storage, s.absent = KubernetesBinaries(ctx, os.Stderr); s.absent == nil {
			s.server, s.err = startKubernetes(ctx, bin, storage)
		}
	})
	if s.absent != nil {
		missing(tb, fmt.Sprintf("there is no Kubernetes API server to test against: %v", s.absent))
	}
	if s.err != nil {
		tb.Fatalf("testvault: %v", s.err)
	}
	return &Kube{tb: tb, apiServer: s.server}
}

// Stop ends the server, if there is one. None is started afterwards.
func (s *SharedKubernetes) Stop() {
	s.once.Do(func() { s.err = errors.New("kubernetes: it was stopped") })
	if s.server != nil {
		s.server.stop()
	}
}

func startKubernetes(ctx context.Context, bin, storage string) (*apiServer, error) {
	var err error
	s := &apiServer{admin: "admin-" + rand.Text()}
	if s.signer, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	var etcdPort int
	if s.etcd, etcdPort, err = startEtcd(ctx, storage); err != nil {
		return nil, err
	}
	s.process, _, err = launch(ctx, "kube-apiserver",
		func(dir string, port int) (command, error) { return s.command(bin, dir, port, etcdPort) },
		s.ready)
	if err != nil {
		s.etcd.end()
		return nil, err
	}
	if err := s.createReviewer(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// startEtcd starts an etcd for one. It has no peers, but insists on a port for them.
func startEtcd(ctx context.Context, bin string) (*process, int, error) {
	name := "etcd-" + rand.Text()
	return launch(ctx, "etcd",
		func(dir string, port int) (command, error) {
			client := fmt.Sprintf("http://127.0.0.1:%d", port)
			return command{
				dir: dir,
				args: []string{
					bin, "--name=" + name, "--data-dir=data", "--log-level=warn",
					"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
					"--listen-peer-urls=http://127.0.0.1:0",
					"--initial-cluster=" + name + "=http://localhost:2380",
				},
				// Every flag of etcd can be set in the environment, too: take nothing of it.
				env: []string{"HOME=" + dir},
			}, nil
		},
		func(ctx context.Context, port int) error {
			// Its own name is what no stranger on the port would know.
			_, body, err := exchange(ctx, httpClient, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/v3/cluster/member/list", port), "", []byte("{}"))
			if err == nil && !strings.Contains(string(body), name) {
				err = errors.New("something else answers")
			}
			return err
		})
}

// command writes the keys and certificates into dir and says what to run there.
func (s *apiServer) command(bin, dir string, port, etcdPort int) (command, error) {
	cert, key, err := selfSigned()
	if err != nil {
		return command{}, err
	}
	s.ca = string(cert)
	s.addr = fmt.Sprintf("https://127.0.0.1:%d", port)
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(cert)
	s.client = &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true, // as in httpClient
		TLSClientConfig:   &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12},
	}}
	for name, content := range map[string][]byte{
		"tls.crt":    cert,
		"tls.key":    key,
		"sa.key":     pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(s.signer)}),
		"tokens.csv": []byte(s.admin + `,admin,admin-uid,"system:masters"` + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return command{}, err
		}
	}
	return command{
		dir: dir,
		args: []string{
			bin,
			fmt.Sprintf("--etcd-servers=http://127.0.0.1:%d", etcdPort),
			"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", port),
			"--tls-cert-file=tls.crt", "--tls-private-key-file=tls.key", "--cert-dir=.",
			"--token-auth-file=tokens.csv", "--authorization-mode=RBAC", "--anonymous-auth=false",
			"--service-account-issuer=" + kubeIssuer,
			"--service-account-signing-key-file=sa.key", "--service-account-key-file=sa.key",
			"--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none",
		},
		env:  append(scrubbed(os.Environ()), "HOME="+dir),
		stop: "KILL", // nobody will read its etcd again
	}, nil
}

// ready is asked over TLS: only the server that was started here has the key.
func (s *apiServer) ready(ctx context.Context, _ int) error {
	status, body, err := exchange(ctx, s.client, http.MethodGet, s.addr+"/readyz", s.admin, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("/readyz answers %d %s", status, body)
	}
	return err
}

// For returns a view of the server that reports to tb.
func (k *Kube) For(tb testing.TB) *Kube {
	tb.Helper()
	return &Kube{tb: tb, apiServer: k.apiServer}
}

// Addr is the server's address, https://host:port.
func (k *Kube) Addr() string { return k.addr }

// CACert is the certificate, in PEM, by which the server is known.
func (k *Kube) CACert() string { return k.ca }

func (s *apiServer) stop() {
	s.process.end()
	s.etcd.end()
}

// selfSigned makes a certificate for 127.0.0.1 that is its own authority.
func selfSigned() (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "testvault kube-apiserver"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	return cert, key, nil
}
