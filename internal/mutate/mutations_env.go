package main

// envMutations are of what a program asks the environment for, by ConfigFromEnv.
var envMutations = []mutation{
	{
		Law: 19, What: "VAULT_AUTH_MOUNT is ignored", File: "config_env.go",
		Old: `cmp.Or(env.Get("VAULT_AUTH_MOUNT"), usual)`, New: `cmp.Or(usual, env.Get("VAULT_AUTH_MOUNT"))`,
		Package: ".", Test: "^TestU3EachVariableReachesTheLogin$",
	},
	{
		Law: 19, What: "VAULT_AUTH_NAMESPACE is ignored", File: "config_env.go",
		Old: `AuthNamespace: env.Get("VAULT_AUTH_NAMESPACE")`, New: `AuthNamespace: ""`,
		Package: ".", Test: "^TestU3EachVariableReachesTheLogin$",
	},
	{
		Law: 19, What: "the pod's token is shown in place of VAULT_JWT_FILE", File: "config_env.go",
		Old: "cmp.Or(file, kubernetes.DefaultTokenFile)", New: "cmp.Or(kubernetes.DefaultTokenFile, file)",
		Package: ".", Test: "^TestU3EachVariableReachesTheLogin$",
	},
	{
		Law: 19, What: "a certificate logs in as any role", File: "auth/cert/env.go",
		Old: `New(env.Get("VAULT_ROLE"), `, New: `New("", `,
		Package: ".", Test: "^TestU3EachVariableReachesTheLogin$",
	},
	{
		Law: 19, What: "VAULT_CLIENT_KEY is ignored", File: "config_env.go",
		Old: `ClientKey:  env.Get("VAULT_CLIENT_KEY")`, New: `ClientKey:  env.Get("VAULT_CLIENT_CERT")`,
		Package: ".", Test: "^TestU3TheFilesOfTLSAreThoseOfTheEnvironment$",
	},
}
