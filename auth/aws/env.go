package aws

import (
	"cmp"
	"errors"
	"fmt"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// FromEnv is for leasehold.ConfigFromEnv: VAULT_AUTH_METHOD=aws, with the role in VAULT_ROLE
// (none: see New), the mount in VAULT_AUTH_MOUNT, the server ID in VAULT_IAM_SERVER_ID, and the
// region of the STS endpoint that Vault asks in VAULT_STS_ENDPOINT_REGION, or else AWS_REGION or
// AWS_DEFAULT_REGION; "aws-global" is the global endpoint. These four are those of
// HashiCorp's Lambda extension and of AWS's own SDKs. VAULT_STS_ENDPOINT is the URL for
// [STSEndpoint]: AWS_ENDPOINT_URL_STS is not read, since it says where this program sends what it
// asks of STS, and not where Vault does.
//
//	cfg, err := config.LoadDefaultConfig(ctx)
//	...
//	conf, err := leasehold.ConfigFromEnv(aws.FromEnv(cfg.Credentials))
func FromEnv(credentials sdk.CredentialsProvider) auth.FromEnv {
	return auth.FromEnv{Name: "aws", New: func(env *auth.Environment) (auth.Method, error) {
		role, mount, server := env.Get("VAULT_ROLE"), cmp.Or(env.Get("VAULT_AUTH_MOUNT"), "aws"), env.Get("VAULT_IAM_SERVER_ID")
		endpoint := env.Get("VAULT_STS_ENDPOINT")
		var errs []error
		if credentials == nil {
			errs = append(errs, errors.New("the program passes no credentials provider to aws.FromEnv"))
		}
		const first, second, third = "VAULT_STS_ENDPOINT_REGION", "AWS_REGION", "AWS_DEFAULT_REGION"
		region := cmp.Or(env.Get(first), env.Get(second), env.Get(third))
		if region == "" {
			errs = append(errs, fmt.Errorf("none of %s, %s and %s is set: it is the region of the STS endpoint that Vault asks", first, second, third))
		} else if _, _, err := target(region, ""); err != nil {
			errs = append(errs, fmt.Errorf("%s, %s or %s: %w", first, second, third, err))
		} else if _, _, err := target(region, endpoint); err != nil {
			errs = append(errs, fmt.Errorf("VAULT_STS_ENDPOINT: %w", err))
		}
		if err := errors.Join(errs...); err != nil {
			return nil, err
		}
		return New(role, credentials, region, Mount(mount), ServerID(server), STSEndpoint(endpoint)), nil
	}}
}
