package main

// awsMutations are seen by the tests of the AWS method (failure code A9).
var awsMutations = []mutation{
	{
		Law: 1, What: "the first AWS credentials are kept",
		File:    "auth/aws/aws.go",
		Old:     "m.credentials = credentials.Retrieve",
		New:     "var kept sdk.Credentials\n\t\tm.credentials = func(ctx context.Context) (_ sdk.Credentials, err error) {\n\t\t\tif !kept.HasKeys() {\n\t\t\t\tkept, err = credentials.Retrieve(ctx)\n\t\t\t}\n\t\t\treturn kept, err\n\t\t}",
		Package: "./auth/aws", Test: "^TestA9EachLoginIsSignedAnew",
	},
	{
		Law: 1, What: "another key of AWS's is not noticed",
		File: "auth/aws/aws.go", Old: "auth.Hash(keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken)", New: "auth.Hash(keys.Source)",
		Package: "./auth/aws", Test: "^TestA9NewKeysEndTheBackOff",
	},
	{
		Law: 1, What: "HashiCorp's AWS method keeps what it has found first",
		File: "auth/aws/official/official.go",
		Old:  "\treturn auth.Fresh(func(context.Context) (auth.Method, error) {\n\t\treturn helper.NewAWSAuth(opts...)",
		New:  "\tm, err := helper.NewAWSAuth(opts...)\n\treturn auth.Fresh(func(context.Context) (auth.Method, error) {\n\t\treturn m, err",

		Module: "auth/aws/official", Package: ".", Test: "^TestA9EachLoginFindsTheCredentialsAnew$",
	},
	{
		Law: 1, What: "an EC2 instance shows another nonce at its second login",
		File: "auth/aws/official/official.go", Old: "opts = append([]helper.LoginOption{helper.WithNonce(rand.Text())}, opts...)", New: "_ = rand.Text",
		Module: "auth/aws/official", Package: ".", Test: "^TestA9TheNonce",
	},
	{
		Law: 6, What: "a request to a regional STS is signed for us-east-1",
		File: "auth/aws/endpoint.go", Old: "\"sts.\"+region, region, \"amazonaws.com\"", New: "\"sts.\"+region, \"us-east-1\", \"amazonaws.com\"",
		Package: "./auth/aws", Test: "^TestA9HostRegionAndScopeAgree$",
	},
	{
		Law: 6, What: "a request is signed for another region than that of the endpoint's name",
		File: "auth/aws/endpoint.go", Old: "of != \"\" && of != scope", New: "of != \"\" && false",
		Package: "./auth/aws", Test: "^TestA9WhatCannotWorkIsRefused",
	},
	{
		Law: 6, What: "a partition of AWS is unknown",
		File: "auth/aws/endpoint.go", Old: "\t{\"eu-isoe-\", \"cloud.adc-e.uk\"},\n", New: "",
		Package: "./auth/aws", Test: "^TestA9EachRegionHas",
	},
	{
		Law: 6, What: "what AWS STS says is left in XML",
		File: "internal/session/errors.go", Old: "readSTS(scrub(e))", New: "scrub(e)",
		Package: "./auth/aws", Test: "^TestA9WhatSTSSaysReachesTheError",
	},
	{
		Law: 6, What: "an outage of AWS STS is a refusal",
		File: "internal/session/classify.go", Old: "isLogin(path) && stsDown(text)", New: "false",
		Package: "./auth/aws", Test: "^TestA9AnOutageOfSTSIsWaitedFor$",
	},
	{
		Law: 6, What: "a failing AWS STS is one that refuses",
		File: "internal/session/sts.go", Old: "strings.HasPrefix(text, \"received error code 5\") ||", New: "",
		Package: "./internal/session", Test: "^TestA9AnOutageOfSTSIsNoRefusal$",
	},
	{
		Law: 6, What: "what a method asks is taken for Vault",
		File: "internal/session/classify.go", Old: "case c == nil && (isNetwork(err) || isBusy(err)):", New: "case c == nil && isBusy(err):",
		Package: "./auth/aws", Test: "^TestAProviderThatIsNotReached",
	},
	{
		Law: 20, What: "what stands in for AWS STS quotes a session token",
		File: "auth/aws/aws.go", Old: "return secret, without(err, keys.SecretAccessKey, keys.SessionToken, signature)", New: "_ = signature\n\treturn secret, err",
		Package: "./auth/aws", Test: "^TestWhatQuotesTheRequestIsRedacted$",
	},
	{
		Law: 20, What: "a provider of AWS credentials quotes them",
		File: "auth/aws/errors.go", Old: "redact(text, \"[redacted]\", e.keys.SecretAccessKey, e.keys.SessionToken)", New: "text",
		Package: "./auth/aws", Test: "^TestAProvidersErrorIsReported",
	},
	{
		Law: 20, What: "an AWS method shows its provider",
		File: "auth/aws/aws.go", Old: "m := &Method{role: role,", New: "m := &Method{role: role + fmt.Sprint(credentials),",
		Package: "./auth/aws", Test: "^TestNothingSecretIsPrintedOfAMethod$",
	},
}
