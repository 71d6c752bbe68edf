package aws_test

import (
	"fmt"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"

	"github.com/seed-f5e1ac40/leasehold/auth/authtest"
	"github.com/seed-f5e1ac40/leasehold/auth/aws"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// TestConformance is what every method must do.
func TestConformance(t *testing.T) {
	authtest.Run(t, func(t *testing.T) authtest.Harness {
		t.Helper()
		server := newServer(t)
		source := static(sessionKeys.ID, sessionKeys.Secret, sessionKeys.SessionToken)
		secrets := []string{sessionKeys.Secret, sessionKeys.SessionToken, "canary-spoilt"}
		return authtest.Harness{
			Method:    aws.New("app", source, aws.GlobalRegion),
			Transport: server.Client().Transport,
			Rotate: func(t *testing.T) {
				t.Helper()
				old, n := source.now, len(secrets)
				key := vaulttest.AWSAccessKeySpec{ID: fmt.Sprintf("ASIA%d", n), Secret: fmt.Sprintf("canary-secret-%d", n), SessionToken: fmt.Sprintf("canary-token-%d", n), ARN: sessionKeys.ARN}
				secrets = append(secrets, key.Secret, key.SessionToken)
				server.AWSAccessKey(key)
				source.set(sdk.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret, SessionToken: key.SessionToken}, nil)
				server.AWSAccessKey(vaulttest.AWSAccessKeySpec{ID: old.AccessKeyID, Secret: "deleted", ARN: arn})
			},
			Spoil: func(t *testing.T) {
				t.Helper()
				spoilt := source.now
				spoilt.SecretAccessKey = "canary-spoilt"
				source.set(spoilt, nil)
			},
			Secrets: func() []string { return secrets },
		}
	})
}
