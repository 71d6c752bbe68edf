// Package official logs in with HashiCorp's own AWS method, the package
// github.com/hashicorp/vault/api/auth/aws, built anew for each login.
//
// Use it for what package auth/aws does not do: logins of the type "ec2", and credentials
// found as that method finds them. It is built on the AWS SDK for Go v1, whose life
// ended in July 2025, and makes a program 6.6 MB larger; for anything else prefer auth/aws.
//
//	import helper "github.com/hashicorp/vault/api/auth/aws"
//
//	method := official.New(helper.WithRole("payments"), helper.WithRegion("eu-west-1"))
//
// By itself that method keeps the credentials of its first login for ever, adds a header to
// the client that it is given at each login, and may not log in twice at once. Built anew, on
// a client of its own for each login, as leasehold.Client does, it does none of it (failure
// code A9 of docs/failure-modes.md). What stays as it is:
//
//   - Finding credentials does not heed the context of the login, which goes on without it.
//   - If an assumed role cannot be had by web identity, it goes on to the next source: in the
//     end it logs in as the machine.
//   - For the regional endpoints of STS, AWS_STS_REGIONAL_ENDPOINTS=regional must be in the
//     environment. Without it, and WithRegion("eu-west-1"), it asks for the global host with a
//     signature for eu-west-1.
//   - With AWS_CA_BUNDLE in the environment, each login replaces the transport of
//     http.DefaultClient, without a lock. Two clients that log in at once do so in a race.
//   - It writes to standard error on its own.
package official

import (
	"context"
	"crypto/rand"

	helper "github.com/hashicorp/vault/api/auth/aws"

	"github.com/seed-f5e1ac40/leasehold/auth"
)

// New returns the method. The options are tried at each login, and an error of theirs is that
// of the login.
//
// The nonce of a login of the type "ec2", without which Vault lets an instance log in only
// once, is made here if no helper.WithNonce is among the options, and holds for as long as the
// process: pass one that outlives it where the program may start again on its instance.
func New(opts ...helper.LoginOption) auth.Method {
	opts = append([]helper.LoginOption{helper.WithNonce(rand.Text())}, opts...)
	return auth.Fresh(func(context.Context) (auth.Method, error) {
		return helper.NewAWSAuth(opts...)
	})
}
