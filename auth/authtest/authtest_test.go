package authtest_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/auth/authtest"
	awsauth "github.com/seed-f5e1ac40/leasehold/auth/aws"
	"github.com/seed-f5e1ac40/leasehold/auth/jwt"
	"github.com/seed-f5e1ac40/leasehold/auth/kubernetes"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
	"github.com/seed-f5e1ac40/leasehold/auth/userpass"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

func TestMain(m *testing.M) {
	authtest.SetPatience(2 * time.Second)
	goleak.VerifyTestMain(m)
}

// source is a file with a credential that tests replace, and all that was in it.
type source struct {
	path string

	mu   sync.Mutex
	held []string
}

func newSource(t *testing.T, first string) *source {
	t.Helper()
	s := &source{path: filepath.Join(t.TempDir(), "credential")}
	s.put(t, first)
	return s
}

func (s *source) put(t *testing.T, text string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held = append(s.held, text)
	require.NoError(t, os.WriteFile(s.path, []byte(text+"\n"), 0o600))
}

func (s *source) secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.held...)
}

func TestAppRoleConforms(t *testing.T) {
	authtest.Run(t, func(t *testing.T) authtest.Harness {
		server := vaulttest.New(t)
		roleID, secretID := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		src := newSource(t, secretID)
		return authtest.Harness{
			Method:    approle.New(roleID, approle.SecretIDFile(src.path)),
			Transport: server.Client().Transport,
			Rotate: func(t *testing.T) {
				server.DestroySecretID(src.secrets()[len(src.secrets())-1])
				src.put(t, server.NewSecretID(roleID))
			},
			Spoil:   func(t *testing.T) { src.put(t, "11111111-2222-3333-4444-555555555555") },
			Secrets: src.secrets,
		}
	})
}

func TestWrappedAppRoleConforms(t *testing.T) {
	authtest.Run(t, func(t *testing.T) authtest.Harness {
		server := vaulttest.New(t)
		roleID, _ := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		src := newSource(t, server.WrappedSecretID(roleID, time.Minute))
		return authtest.Harness{
			Method:    approle.New(roleID, approle.Wrapped(auth.File(src.path))),
			Transport: server.Client().Transport,
			Rotate:    func(t *testing.T) { src.put(t, server.WrappedSecretID(roleID, time.Minute)) },
			Spoil:     func(t *testing.T) { src.put(t, server.Wrap(map[string]any{"secret_id": "x"}, time.Minute)) },
			Secrets:   src.secrets,
		}
	})
}

func TestTokenFileConforms(t *testing.T) {
	authtest.Run(t, func(t *testing.T) authtest.Harness {
		server := vaulttest.New(t)
		create := func() string { return server.CreateToken(vaulttest.TokenSpec{TTL: time.Hour}) }
		src := newSource(t, create())
		return authtest.Harness{
			Method:    token.File(src.path),
			Transport: server.Client().Transport,
			Rotate: func(t *testing.T) {
				for _, info := range server.Tokens() {
					server.RevokeToken(info.Accessor)
				}
				src.put(t, create())
			},
			Spoil:   func(t *testing.T) { src.put(t, "hvs.CAESIJcanarycanarycanarycanary") },
			Secrets: src.secrets,
		}
	})
}

func TestTokenConforms(t *testing.T) {
	authtest.Run(t, func(t *testing.T) authtest.Harness {
		server := vaulttest.New(t)
		value := server.CreateToken(vaulttest.TokenSpec{TTL: time.Hour})
		return authtest.Harness{
			Method: token.New(value), Transport: server.Client().Transport, Secrets: func() []string { return []string{value} },
		}
	})
}

func TestKubernetesConforms(t *testing.T) {
	authtest.Run(t, func(t *testing.T) authtest.Harness {
		server := vaulttest.New(t)
		server.KubernetesRole("app", vaulttest.KubernetesRoleSpec{
			BoundServiceAccountNames: []string{"app"}, BoundServiceAccountNamespaces: []string{"prod"},
		})
		create := func(name string) string { return server.ServiceAccountToken("prod", name, time.Hour) }
		src := newSource(t, create("app"))
		return authtest.Harness{
			Method:    kubernetes.New("app", kubernetes.TokenFile(src.path)),
			Transport: server.Client().Transport,
			Rotate: func(t *testing.T) {
				server.DeleteServiceAccount("prod", "app")
				src.put(t, create("app"))
			},
			Spoil:   func(t *testing.T) { src.put(t, create("other")) },
			Secrets: src.secrets,
		}
	})
}

func TestUserpassConforms(t *testing.T) {
	authtest.Run(t, func(t *testing.T) authtest.Harness {
		server := vaulttest.New(t)
		n := 0
		set := func() string {
			n++
			password := fmt.Sprintf("correct-horse-%d", n)
			server.Userpass("app", password, vaulttest.UserpassSpec{})
			return password
		}
		src := newSource(t, set())
		return authtest.Harness{
			Method:    userpass.New("app", auth.File(src.path)),
			Transport: server.Client().Transport,
			Rotate:    func(t *testing.T) { src.put(t, set()) },
			Spoil:     func(t *testing.T) { src.put(t, "battery-staple") },
			Secrets:   src.secrets,
		}
	})
}

func TestAForeignMethodInFreshConforms(t *testing.T) {
	authtest.Run(t, func(t *testing.T) authtest.Harness {
		server := vaulttest.New(t)
		roleID, secretID := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
		src := newSource(t, secretID)
		return authtest.Harness{
			Method: auth.Fresh(func(ctx context.Context) (auth.Method, error) {
				id, err := auth.File(src.path).Read(ctx)
				return foreign{roleID, id}, err
			}),
			Transport: server.Client().Transport,
			Rotate: func(t *testing.T) {
				server.DestroySecretID(src.secrets()[len(src.secrets())-1])
				src.put(t, server.NewSecretID(roleID))
			},
			Spoil:   func(t *testing.T) { src.put(t, "11111111-2222-3333-4444-555555555555") },
			Secrets: src.secrets,
		}
	})
}

// foreign keeps what it was built with, as methods for the official client do.
type foreign struct{ roleID, secretID string }

func (f foreign) Login(ctx context.Context, c *api.Client) (*api.Secret, error) {
	return c.Logical().WriteWithContext(ctx, "auth/approle/login", map[string]any{"role_id": f.roleID, "secret_id": f.secretID})
}

func TestJWTConforms(t *testing.T) {
	authtest.Run(t, func(t *testing.T) authtest.Harness {
		server := vaulttest.New(t)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		require.NoError(t, err)
		server.JWT(vaulttest.JWTSpec{Keys: []crypto.PublicKey{&key.PublicKey}})
		server.JWTRole("app", vaulttest.JWTRoleSpec{BoundAudiences: []string{"vault"}})
		n := 0
		sign := func(audience string) string {
			n++
			return server.SignJWT(key, map[string]any{"sub": "app", "aud": audience, "jti": strconv.Itoa(n), "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()})
		}
		src := newSource(t, sign("vault"))
		return authtest.Harness{
			Method:    jwt.New("app", auth.File(src.path)),
			Transport: server.Client().Transport,
			Rotate:    func(t *testing.T) { src.put(t, sign("vault")) },
			Spoil:     func(t *testing.T) { src.put(t, sign("others")) },
			Secrets:   src.secrets,
		}
	})
}

func TestAWSConforms(t *testing.T) {
	authtest.Run(t, func(t *testing.T) authtest.Harness {
		server := vaulttest.New(t)
		const arn = "arn:aws:iam::123456789012:user/app"
		server.AWS(vaulttest.AWSSpec{STSRegion: "eu-west-1"})
		server.AWSRole("app", vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: []string{arn}})
		var current atomic.Pointer[aws.Credentials]
		var secrets []string
		set := func(known bool) {
			c := aws.Credentials{AccessKeyID: fmt.Sprintf("AKIATEST%012d", len(secrets)), SecretAccessKey: fmt.Sprintf("canary%034d", len(secrets))}
			secrets = append(secrets, c.SecretAccessKey)
			if known {
				server.AWSAccessKey(vaulttest.AWSAccessKeySpec{ID: c.AccessKeyID, Secret: c.SecretAccessKey, ARN: arn})
			}
			current.Store(&c)
		}
		set(true)
		provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return *current.Load(), nil })
		return authtest.Harness{
			Method:    awsauth.New("app", provider, "eu-west-1"),
			Transport: server.Client().Transport,
			Rotate:    func(*testing.T) { set(true) },
			Spoil:     func(*testing.T) { set(false) },
			Secrets:   func() []string { return secrets },
		}
	})
}

// bad is a method with one thing wrong with it, and what is said of it.
type bad struct {
	method auth.Method
	rotate func(*testing.T)
	spoil  func(*testing.T)
	check  string
	says   string
}

// TestBadMethodsAreFound, each by the check that is there for it.
func TestBadMethodsAreFound(t *testing.T) {
	const secretID = "canary-secret-id"
	server := vaulttest.New(t)
	roleID, good := server.AppRole("app", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	login := func(ctx context.Context, c *api.Client) (*api.Secret, error) {
		return foreign{roleID, good}.Login(ctx, c)
	}
	// Roles of their own for those that fail to log in: Vault locks one out after five failures.
	refused, _ := server.AppRole("refused", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	rotated, frozen := server.AppRole("rotated", vaulttest.AppRoleSpec{TokenTTL: time.Hour})
	for name, tc := range map[string]bad{
		"no token": {
			method: method(func(context.Context, *api.Client) (*api.Secret, error) { return &api.Secret{}, nil }),
			check:  "LogsIn", says: "no error, and no token",
		},
		"a frozen credential": {
			method: foreign{rotated, frozen},
			rotate: func(*testing.T) { server.DestroySecretID(frozen); server.NewSecretID(rotated) },
			check:  "ReadsItsSourceAfresh", says: "invalid role or secret ID",
		},
		"a deaf one": {
			method: method(func(ctx context.Context, c *api.Client) (*api.Secret, error) {
				return login(context.WithoutCancel(ctx), c)
			}),
			check: "HeedsItsContext", says: "no error although its context had ended before",
		},
		"an error of its own": {
			method: method(func(ctx context.Context, c *api.Client) (*api.Secret, error) {
				_, err := foreign{refused, secretID}.Login(ctx, c)
				return nil, fmt.Errorf("it did not work: %v", err) //nolint:errorlint // what is to be found
			}),
			spoil: func(*testing.T) {}, check: "SaysThatVaultRefused", says: "no *api.ResponseError in it did not work",
		},
		"one that tries a refused credential again": {
			method: method(func(ctx context.Context, c *api.Client) (s *api.Secret, err error) {
				for range 4 {
					if s, err = (foreign{refused, secretID}).Login(ctx, c); err == nil {
						break
					}
				}
				return s, err
			}),
			spoil: func(*testing.T) {}, check: "SaysThatVaultRefused", says: "4 refusals in one login",
		},
		"one that repeats what got no answer": {
			method: method(func(ctx context.Context, c *api.Client) (*api.Secret, error) {
				s, err := login(ctx, c)
				if err != nil {
					s, err = login(ctx, c)
				}
				return s, err
			}),
			check: "SaysThatVaultIsAway", says: "2 requests",
		},
		"a cause that is lost": {
			method: method(func(ctx context.Context, c *api.Client) (*api.Secret, error) {
				_, err := login(ctx, c)
				return nil, fmt.Errorf("it did not work: %v", err) //nolint:errorlint // what is to be found
			}),
			check: "SaysThatVaultIsAway", says: "the cause is not in the chain",
		},
		"a fingerprint of nothing": {
			method: fingerprinted{foreign{roleID, good}, func() string { return "the same" }},
			rotate: func(*testing.T) {}, check: "HasAFingerprintOfItsSource", says: "after the credential was rotated: the same as at first",
		},
		"a fingerprint that does not last": {
			method: fingerprinted{foreign{roleID, good}, rand.Text},
			check:  "HasAFingerprintOfItsSource", says: "another each time",
		},
		"a credential in an error": {
			method: method(func(ctx context.Context, c *api.Client) (*api.Secret, error) {
				_, err := login(ctx, c)
				return nil, fmt.Errorf("with %s: %w", secretID, err)
			}),
			check: "ShowsNoSecret", says: "holds secret number 0",
		},
		"one login at a time": {
			method: oneByOne(login),
			check:  "LogsInConcurrently", says: "another login is under way",
		},
		"a goroutine": {
			method: method(func(ctx context.Context, c *api.Client) (*api.Secret, error) {
				done := t.Context().Done()
				go func() { <-done }()
				return login(ctx, c)
			}),
			check: "LeavesNothingRunning", says: "goroutines after five logins",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := authtest.Check(t, tc.check, authtest.Harness{
				Method: tc.method, Transport: server.Client().Transport, Rotate: tc.rotate, Spoil: tc.spoil,
				Secrets: func() []string { return []string{secretID} },
			})
			require.ErrorContains(t, err, tc.says)
		})
	}
}

// fingerprinted is a method with a fingerprint.
type fingerprinted struct {
	auth.Method

	print func() string
}

func (f fingerprinted) Fingerprint(context.Context) (string, error) { return f.print(), nil }

// oneByOne is a method whose state only one login can use. The first waits for another to begin: else they
// might follow each other by chance.
func oneByOne(login method) method {
	var busy atomic.Bool
	met := make(chan struct{})
	var once sync.Once
	return func(ctx context.Context, c *api.Client) (*api.Secret, error) {
		if !busy.CompareAndSwap(false, true) {
			once.Do(func() { close(met) })
			return nil, errors.New("another login is under way")
		}
		defer busy.Store(false)
		select {
		case <-met:
		case <-ctx.Done():
		}
		return login(ctx, c)
	}
}

// TestWithoutItsSecretsNothingIsSaidOfSecrecy: a harness that forgets them must not pass for one
// that shows none.
func TestWithoutItsSecretsNothingIsSaidOfSecrecy(t *testing.T) {
	server := vaulttest.New(t)
	err := authtest.Check(t, "ShowsNoSecret", authtest.Harness{Method: token.New(server.RootToken()), Transport: server.Client().Transport})
	require.ErrorContains(t, err, "Secrets is nil")
}

// method makes a function a method.
type method func(context.Context, *api.Client) (*api.Secret, error)

func (m method) Login(ctx context.Context, c *api.Client) (*api.Secret, error) { return m(ctx, c) }
