package aws

import (
	"errors"
	"net/url"
	"strings"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/hashicorp/vault/api"
)

// credentialsError is a provider's failure. Its text leaves out keys, and the path of a URL
// that was asked: on ECS it is all that one needs to get the credentials.
type credentialsError struct {
	err  error
	keys sdk.Credentials // some providers return those that they could not refresh
}

func (e *credentialsError) Error() string {
	text := e.err.Error()
	var asked *url.Error
	if errors.As(e.err, &asked) {
		host := "[url]"
		if u, err := url.Parse(asked.URL); err == nil {
			host = u.Scheme + "://" + u.Host
		}
		text = redact(text, host, asked.URL)
	}
	return "aws: the credentials provider: " + redact(text, "[redacted]", e.keys.SecretAccessKey, e.keys.SessionToken)
}

// Unwrap lets a caller find out whether the network failed, or its ctx ended.
func (e *credentialsError) Unwrap() error { return e.err }

// without takes secrets out of what Vault has answered: STS, or what answered in its
// place, may quote the request.
func without(err error, secrets ...string) error {
	var answer *api.ResponseError
	if errors.As(err, &answer) {
		for i, text := range answer.Errors {
			answer.Errors[i] = redact(text, "[redacted]", secrets...)
		}
	}
	return err
}

func redact(text, instead string, secrets ...string) string {
	for _, s := range secrets {
		if s != "" {
			text = strings.ReplaceAll(text, s, instead)
		}
	}
	return text
}
