package aws_test

import (
	"context"
	"fmt"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth/aws"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// program is what vaulttest needs where there is no test.
type program struct{}

func (program) Helper()                   {}
func (program) Cleanup(func())            {}
func (program) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// In production the provider and the region are those of the SDK's config.LoadDefaultConfig.
func ExampleNew() {
	server := vaulttest.New(program{})
	server.AWS(vaulttest.AWSSpec{STSRegion: "eu-west-1", IAMServerIDHeaderValue: "vault.internal"})
	server.AWSRole("payments", vaulttest.AWSRoleSpec{BoundIAMPrincipalARNs: []string{"arn:aws:iam::123456789012:role/payments"}, TokenTTL: time.Hour})
	server.AWSAccessKey(vaulttest.AWSAccessKeySpec{
		ID: "ASIAEXAMPLE", Secret: "secret", SessionToken: "session", ARN: "arn:aws:sts::123456789012:assumed-role/payments/pod-1",
	})
	provider := sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) {
		return sdk.Credentials{AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "secret", SessionToken: "session"}, nil
	})
	ctx := context.Background()

	client, err := leasehold.New(ctx, leasehold.Config{
		Address:    "https://vault.internal:8200",
		Auth:       aws.New("payments", provider, "eu-west-1", aws.ServerID("vault.internal")),
		HTTPClient: server.Client(), // in production leave it out
	})
	if err != nil {
		panic(err)
	}
	fmt.Println("ready:", client.Ready() == nil)
	fmt.Println("tokens:", len(server.Tokens()))
	fmt.Println("close:", client.Close(ctx))
	// Output:
	// ready: true
	// tokens: 1
	// close: <nil>
}
