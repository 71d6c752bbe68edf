// Package aws logs in with the IAM type of Vault's AWS method: a request that asks AWS STS
// who has signed it, GetCallerIdentity, is signed here, and Vault sends it.
//
// It signs with the core of the AWS SDK for Go v2 and takes the credentials from a provider
// of yours, as the SDK's config package makes it:
//
//	import "github.com/aws/aws-sdk-go-v2/config"
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	if err != nil {
//		return err
//	}
//	method := aws.New("payments", cfg.Credentials, cfg.Region)
//
// These lines are right on each platform; what differs is where AWS tells the SDK what:
//
//   - EKS, with a service account that has an IAM role (web identity) or with Pod Identity:
//     credentials and region come by environment variables that EKS puts into the pod.
//   - ECS: the credentials come from the task's role. The agent sets AWS_REGION for tasks on
//     Fargate; for others pass config.WithRegion("eu-west-1") to LoadDefaultConfig.
//   - EC2: the credentials come from the instance's profile. Pass config.WithEC2IMDSRegion()
//     to LoadDefaultConfig to take the instance's region, too.
//
// This package does not call config itself: that would put 2.5 MB into the binary of each
// program that logs in by AWS, also of one that has its credentials from elsewhere.
//
// # Setting up Vault
//
//	vault auth enable aws
//	vault write auth/aws/config/client sts_endpoint=https://sts.eu-west-1.amazonaws.com \
//	    sts_region=eu-west-1 iam_server_id_header_value=vault.internal
//	vault write auth/aws/role/payments auth_type=iam resolve_aws_unique_ids=false \
//	    bound_iam_principal_arn=arn:aws:iam::123456789012:role/payments \
//	    token_policies=payments token_ttl=1h
//
// and here aws.New("payments", cfg.Credentials, "eu-west-1", aws.ServerID("vault.internal")). The
// ARN is that of the role without its path. With resolve_aws_unique_ids, which is Vault's
// default, or an ARN that ends in "*", Vault asks IAM as well, with credentials of its own.
//
// # Credentials that rotate
//
// The provider is asked at each login, so it decides how fresh its credentials are. That of
// LoadDefaultConfig keeps temporary credentials until shortly before they expire and then gets
// others. Keys in the environment or in a file it reads once. To follow a file with keys that
// is replaced, load it each time:
//
//	provider := sdk.CredentialsProviderFunc(func(ctx context.Context) (sdk.Credentials, error) {
//		cfg, err := config.LoadDefaultConfig(ctx)
//		if err != nil {
//			return sdk.Credentials{}, err
//		}
//		return cfg.Credentials.Retrieve(ctx)
//	})
//
// where sdk is github.com/aws/aws-sdk-go-v2/aws. Do not do so where the credentials are those
// of a role: each call would begin another session, and a login that Vault refuses would be
// repeated about every ten seconds, since its credentials are always new.
//
// # The endpoint of STS
//
// A signature holds for one host and one region, and Vault sends the request where its own
// configuration says (auth/aws/config/client): both must agree. One of these does:
//
//   - Vault has sts_endpoint = https://sts.eu-west-1.amazonaws.com and sts_region = eu-west-1,
//     or use_sts_region_from_client = true: sign for that region.
//   - Vault has none of them, and asks the global endpoint: sign for [GlobalRegion].
//   - Vault and the program reach STS by another name: see [STSEndpoint].
//
// # Errors
//
// What STS says reaches you by way of Vault: "SignatureDoesNotMatch", "ExpiredToken",
// "InvalidClientTokenId", "Signature expired" of a clock that is wrong, each with a hint. No
// error holds a key, a session token or a signature. Failure code A9 of
// docs/failure-modes.md.
package aws

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/hashicorp/vault/api"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// Method is the AWS method with its type "iam", as an [auth.Method]. It is safe for
// concurrent use if its credentials provider is, as those of the SDK are.
type Method struct {
	role string
	// A function, and not the provider: fmt would print the keys that many of them hold.
	credentials func(ctx context.Context) (sdk.Credentials, error)
	region      string
	mount       string
	serverID    string
	endpoint    string
}

var (
	_ auth.Method        = (*Method)(nil)
	_ auth.Fingerprinter = (*Method)(nil)
)

// Option adjusts a Method.
type Option func(*Method)

// Mount sets the path that the method is mounted at. Default "aws".
func Mount(path string) Option {
	return func(m *Method) { m.mount = strings.Trim(path, "/") }
}

// ServerID sets the signed header X-Vault-AWS-IAM-Server-ID, which a Vault whose
// iam_server_id_header_value is set requires: nobody can then use the login at
// another Vault. Default: no such header.
func ServerID(value string) Option {
	return func(m *Method) { m.serverID = value }
}

// STSEndpoint sets the URL of STS to sign for, where it is not the one of the region, such
// as that of a VPC endpoint, https://vpce-1-2.sts.eu-west-1.vpce.amazonaws.com, or of FIPS,
// https://sts-fips.us-east-1.amazonaws.com. It is the name by which STS knows itself: one
// that only Vault knows, such as a proxy's, belongs into Vault's sts_endpoint alone. Where it
// is a name of AWS's, it must be of the region given to New. Nothing is sent there from here. For
// leasehold.ConfigFromEnv it is VAULT_STS_ENDPOINT.
func STSEndpoint(url string) Option {
	return func(m *Method) { m.endpoint = url }
}

// New returns the method for a role of Vault's; empty: Vault takes the role with the
// name of the IAM user or role. The region is that of the STS endpoint that Vault asks: see
// above. Nothing is read or checked before the first login.
func New(role string, credentials sdk.CredentialsProvider, region string, opts ...Option) *Method {
	m := &Method{role: role, region: region, mount: "aws"}
	if credentials != nil {
		m.credentials = credentials.Retrieve
	}
	for _, opt := range opts {
		opt(m)
	}
	return m
}

// Login implements [auth.Method]. It asks the provider for credentials with ctx, and
// signs a request of its own.
func (m *Method) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	if err := auth.CheckMount(m.mount); err != nil {
		return nil, fmt.Errorf("aws: %w", err)
	}
	target, scope, err := target(m.region, m.endpoint)
	if err != nil {
		return nil, fmt.Errorf("aws: %w", err)
	}
	if strings.TrimSpace(m.serverID) != m.serverID || strings.ContainsFunc(m.serverID, isControl) {
		return nil, errors.New("aws: the server ID has blanks around it or a control character within: no header can carry it")
	}
	keys, err := m.retrieve(ctx)
	if err != nil {
		return nil, err
	}
	fields, signature, err := m.signed(ctx, keys, target, scope)
	if err != nil {
		return nil, fmt.Errorf("aws: sign: %w", err)
	}
	secret, err := client.Logical().WriteWithContext(ctx, "auth/"+m.mount+"/login", fields)
	return secret, without(err, keys.SecretAccessKey, keys.SessionToken, signature)
}

// Fingerprint implements [auth.Fingerprinter]: a hash over what the provider returns. The
// provider should keep its credentials for a while, as one in the SDK's CredentialsCache
// does, and that of LoadDefaultConfig is.
func (m *Method) Fingerprint(ctx context.Context) (string, error) {
	keys, err := m.retrieve(ctx)
	if err != nil {
		return "", err
	}
	return auth.Hash(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken), nil
}

func (m *Method) retrieve(ctx context.Context) (sdk.Credentials, error) {
	if m.credentials == nil {
		return sdk.Credentials{}, errors.New("aws: there is no credentials provider: pass the Credentials of what config.LoadDefaultConfig returns")
	}
	keys, err := m.credentials(ctx)
	if err != nil {
		return sdk.Credentials{}, &credentialsError{err, keys}
	}
	if !keys.HasKeys() {
		return sdk.Credentials{}, errors.New("aws: the credentials provider returned no access key")
	}
	return keys, nil
}

const (
	body           = "Action=GetCallerIdentity&Version=2011-06-15"
	serverIDHeader = "X-Vault-Aws-Iam-Server-Id"
)

// signed returns the fields of the login, and the signature within.
func (m *Method) signed(ctx context.Context, keys sdk.Credentials, target *url.URL, scope string) (map[string]any, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if m.serverID != "" {
		req.Header.Set(serverIDHeader, m.serverID)
	}
	sum := sha256.Sum256([]byte(body))
	// A signer of its own: it would keep the key derived from a secret, even if another
	// comes with the same ID.
	if err := v4.NewSigner().SignHTTP(ctx, keys, req, hex.EncodeToString(sum[:]), "sts", scope, time.Now()); err != nil {
		return nil, "", err
	}
	headers, err := json.Marshal(req.Header)
	if err != nil {
		return nil, "", err
	}
	encode := base64.StdEncoding.EncodeToString
	fields := map[string]any{
		"iam_http_request_method": req.Method,
		"iam_request_url":         encode([]byte(target.String())),
		"iam_request_body":        encode([]byte(body)),
		"iam_request_headers":     encode(headers),
	}
	if m.role != "" {
		fields["role"] = m.role
	}
	_, signature, _ := strings.Cut(req.Header.Get("Authorization"), "Signature=")
	return fields, signature, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }
