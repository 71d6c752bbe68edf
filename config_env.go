package leasehold

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/auth/approle"
	"github.com/seed-f5e1ac40/leasehold/auth/jwt"
	"github.com/seed-f5e1ac40/leasehold/auth/kubernetes"
	"github.com/seed-f5e1ac40/leasehold/auth/token"
)

// ConfigFromEnv returns a configuration made from environment variables, for programs that
// are configured so. It is the only place that reads them; fields may be set or changed
// afterwards. What it takes from Vault's own variables, with the meaning that they have for
// the vault program:
//
//	VAULT_ADDR             Address; required, unless VAULT_AGENT_ADDR is set
//	VAULT_AGENT_ADDR       Address of a Vault Agent or Proxy
//	VAULT_NAMESPACE        Namespace
//	VAULT_CACERT           TLS.CACert
//	VAULT_CLIENT_CERT      TLS.ClientCert
//	VAULT_CLIENT_KEY       TLS.ClientKey
//	VAULT_TLS_SERVER_NAME  TLS.ServerName
//	VAULT_TOKEN            the token, if VAULT_AUTH_METHOD is token or not set
//
// How to log in is said by variables of leasehold's own:
//
//	VAULT_AUTH_METHOD      token (the default if there is one), approle, kubernetes, jwt,
//	                       none, or the Name of one of more
//	VAULT_AUTH_MOUNT       where the method is mounted; default: its name
//	VAULT_AUTH_NAMESPACE   AuthNamespace
//	VAULT_TOKEN_FILE       token: a file that somebody else keeps, such as Vault Agent
//	VAULT_ROLE_ID          approle, or VAULT_ROLE_ID_FILE
//	VAULT_SECRET_ID        approle, or VAULT_SECRET_ID_FILE
//	VAULT_WRAPPED_SECRET_ID  approle: a wrapping token, or VAULT_WRAPPED_SECRET_ID_FILE; with
//	                       neither secret-id the role must have bind_secret_id=false
//	VAULT_SECRET_ID_LIMITED  approle: true if the secret-id is good for a few logins, or for a
//	                       short time, only: see approle.LimitedUses
//	VAULT_ROLE             kubernetes (required), jwt
//	VAULT_JWT_FILE         kubernetes (default: the pod's), jwt (required)
//
// Methods that not every program should link are passed in as more: aws.FromEnv(provider),
// cert.FromEnv, userpass.FromEnv, whose documentation names the variables that they read.
//
// All that is wrong comes back in one joined error that names the variables: one that is
// missing, two that exclude each other, one that the chosen method does not use, an unknown
// method or an unknown VAULT_AUTH_ variable, but for those that Kubernetes sets for a Service of that
// name. So does what other tools would do and leasehold
// does not, where to ignore it would not be safe: VAULT_SKIP_VERIFY, VAULT_SRV_LOOKUP,
// VAULT_WRAP_TTL, VAULT_HEADERS, VAULT_HTTP_PROXY, VAULT_PROXY_ADDR, VAULT_CAPATH,
// VAULT_CACERT_BYTES. Timeouts, retries and rates (VAULT_CLIENT_TIMEOUT and the like) are
// ignored: they come from contexts and [Budget].
func ConfigFromEnv(more ...auth.FromEnv) (Config, error) {
	env := auth.NewEnvironment(os.LookupEnv) //nolint:forbidigo // the place where it is read
	cfg := Config{
		Address:       env.Get("VAULT_ADDR"),
		Namespace:     env.Get("VAULT_NAMESPACE"),
		AuthNamespace: env.Get("VAULT_AUTH_NAMESPACE"),
		TLS: TLSConfig{
			CACert:     env.Get("VAULT_CACERT"),
			ClientCert: env.Get("VAULT_CLIENT_CERT"),
			ClientKey:  env.Get("VAULT_CLIENT_KEY"),
			ServerName: env.Get("VAULT_TLS_SERVER_NAME"),
		},
	}
	errs := refusedVariables(env)
	switch agent := env.Get("VAULT_AGENT_ADDR"); {
	case agent != "" && cfg.Address != "" && agent != cfg.Address:
		errs = append(errs, errors.New("VAULT_ADDR and VAULT_AGENT_ADDR are both set, and differ: unset one of them"))
	case agent != "":
		cfg.Address = agent
		if wrong := wrongAddress(agent); wrong != "" {
			errs = append(errs, errors.New("VAULT_AGENT_ADDR "+wrong))
		}
	case cfg.Address == "":
		errs = append(errs, errors.New("VAULT_ADDR is not set: it is Vault's URL, such as https://vault.internal:8200"))
	default:
		if wrong := wrongAddress(cfg.Address); wrong != "" {
			errs = append(errs, errors.New("VAULT_ADDR "+wrong))
		}
	}
	if (cfg.TLS.ClientCert == "") != (cfg.TLS.ClientKey == "") {
		errs = append(errs, errors.New("VAULT_CLIENT_CERT and VAULT_CLIENT_KEY go together"))
	}
	method, err := chooseMethod(env, more)
	cfg.Auth = method
	if errs = append(errs, err); errors.Join(errs...) != nil {
		for i, err := range errs {
			if err != nil {
				errs[i] = fmt.Errorf("leasehold: environment: %w", err)
			}
		}
		return Config{}, errors.Join(errs...)
	}
	return cfg, nil
}

// builtIn are the methods that every program links.
var builtIn = []auth.FromEnv{
	{Name: "token", New: tokenFromEnv},
	{Name: "approle", New: appRoleFromEnv},
	{Name: "kubernetes", New: kubernetesFromEnv},
	{Name: "jwt", New: jwtFromEnv},
	{Name: "none", New: func(*auth.Environment) (auth.Method, error) { return auth.None(), nil }},
}

// apart are the methods that must be passed in, and how.
var apart = map[string]string{
	"aws":      "pass aws.FromEnv of package auth/aws to ConfigFromEnv",
	"cert":     "pass cert.FromEnv of package auth/cert to ConfigFromEnv",
	"userpass": "pass userpass.FromEnv of package auth/userpass to ConfigFromEnv",
	"ldap":     "set Config.Auth to HashiCorp's package api/auth/ldap in auth.Fresh",
	"gcp":      "set Config.Auth to HashiCorp's package api/auth/gcp in auth.Fresh",
	"azure":    "set Config.Auth to HashiCorp's package api/auth/azure in auth.Fresh",
}

// credentials are the variables that only some methods use: to ignore one would be to log in
// as somebody else than was meant.
var credentials = []string{
	"VAULT_TOKEN", "VAULT_TOKEN_FILE", "VAULT_ROLE_ID", "VAULT_ROLE_ID_FILE", "VAULT_SECRET_ID", "VAULT_SECRET_ID_FILE",
	"VAULT_WRAPPED_SECRET_ID", "VAULT_WRAPPED_SECRET_ID_FILE", "VAULT_SECRET_ID_LIMITED", "VAULT_ROLE", "VAULT_JWT_FILE", "VAULT_AUTH_MOUNT",
	"VAULT_USERNAME", "VAULT_PASSWORD", "VAULT_PASSWORD_FILE", "VAULT_IAM_SERVER_ID", "VAULT_STS_ENDPOINT_REGION", "VAULT_STS_ENDPOINT",
}

// chooseMethod makes the method that VAULT_AUTH_METHOD names.
func chooseMethod(env *auth.Environment, more []auth.FromEnv) (auth.Method, error) {
	name := env.Get("VAULT_AUTH_METHOD")
	which := "VAULT_AUTH_METHOD=" + strconv.Quote(name)
	if name == "" {
		if env.Get("VAULT_TOKEN") == "" && env.Get("VAULT_TOKEN_FILE") == "" {
			return nil, errors.New("VAULT_AUTH_METHOD is not set, and neither is VAULT_TOKEN nor VAULT_TOKEN_FILE: say how to log in")
		}
		name, which = "token", "VAULT_AUTH_METHOD not set, which means token"
	}
	all := slices.Concat(more, builtIn) // whoever passes one in means that one
	i := slices.IndexFunc(all, func(f auth.FromEnv) bool { return f.Name == name })
	if i < 0 || all[i].New == nil {
		if how, ok := apart[name]; ok {
			return nil, fmt.Errorf("%s: this program does not have that method: %s", which, how)
		}
		var known []string
		for _, f := range all {
			known = append(known, f.Name)
		}
		return nil, fmt.Errorf("%s: unknown; known here are %s", which, strings.Join(known, ", "))
	}
	method, err := all[i].New(env)
	errs := []error{err}
	if err == nil && method == nil {
		errs = append(errs, errors.New("the function for it returned no method"))
	}
	for _, v := range credentials {
		if !env.Asked(v) && env.Get(v) != "" {
			errs = append(errs, fmt.Errorf("%s is set, which is not for that method: unset it, or choose another", v))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%s: %w", which, err)
	}
	return method, nil
}

func tokenFromEnv(env *auth.Environment) (auth.Method, error) {
	value, file := env.Get("VAULT_TOKEN"), env.Get("VAULT_TOKEN_FILE")
	switch {
	case value != "" && file != "":
		return nil, errors.New("VAULT_TOKEN and VAULT_TOKEN_FILE are both set: unset one of them")
	case file != "":
		return token.File(file), nil
	case value != "":
		return token.New(value), nil
	}
	return nil, errors.New("neither VAULT_TOKEN nor VAULT_TOKEN_FILE is set")
}

func appRoleFromEnv(env *auth.Environment) (auth.Method, error) {
	roleID, err := env.Required("VAULT_ROLE_ID")
	secretID, secretErr := env.Source("VAULT_SECRET_ID")
	wrapped, wrappedErr := env.Source("VAULT_WRAPPED_SECRET_ID")
	opts := []approle.Option{approle.Mount(mountFromEnv(env, "approle"))}
	limited, limitedErr := boolFromEnv(env, "VAULT_SECRET_ID_LIMITED")
	if limited {
		opts = append(opts, approle.LimitedUses())
	}
	errs := []error{err, secretErr, wrappedErr, limitedErr}
	if secretID != nil && wrapped != nil {
		errs = append(errs, errors.New("VAULT_SECRET_ID and VAULT_WRAPPED_SECRET_ID, or files of them, are both set: unset one of them"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	which := approle.NoSecretID()
	switch {
	case secretID != nil:
		which = approle.SecretIDFrom(secretID)
	case wrapped != nil:
		which = approle.Wrapped(wrapped)
	}
	return approle.NewFrom(roleID, which, opts...), nil
}

func boolFromEnv(env *auth.Environment, name string) (bool, error) {
	value := env.Get(name)
	if value == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s is neither true nor false", name)
	}
	return on, nil
}

func kubernetesFromEnv(env *auth.Environment) (auth.Method, error) {
	role, file, mount := env.Get("VAULT_ROLE"), env.Get("VAULT_JWT_FILE"), mountFromEnv(env, "kubernetes")
	if role == "" {
		return nil, errors.New("VAULT_ROLE is not set")
	}
	return kubernetes.New(role, kubernetes.Mount(mount), kubernetes.TokenFile(cmp.Or(file, kubernetes.DefaultTokenFile))), nil
}

func jwtFromEnv(env *auth.Environment) (auth.Method, error) {
	role, file, mount := env.Get("VAULT_ROLE"), env.Get("VAULT_JWT_FILE"), mountFromEnv(env, "jwt")
	if file == "" {
		return nil, errors.New("VAULT_JWT_FILE is not set")
	}
	return jwt.New(role, auth.File(file), jwt.Mount(mount)), nil
}

func mountFromEnv(env *auth.Environment, usual string) string {
	return cmp.Or(env.Get("VAULT_AUTH_MOUNT"), usual)
}

// serviceLink is what Kubernetes names the variables that each pod gets of a Service, such as vault-auth.
var serviceLink = regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_|$)|_PORT(_\d+_|$)`)

// refusedVariables are errors about variables that would make other tools do what
// leasehold does not do.
func refusedVariables(env *auth.Environment) (errs []error) {
	for name, instead := range map[string]string{
		"VAULT_SKIP_VERIFY":  "a server that is not verified gets the token: give VAULT_CACERT",
		"VAULT_SRV_LOOKUP":   "give the address itself",
		"VAULT_WRAP_TTL":     "answers are needed unwrapped",
		"VAULT_HEADERS":      "add them in a Config.HTTPClient",
		"VAULT_HTTP_PROXY":   "set it in a Config.HTTPClient",
		"VAULT_PROXY_ADDR":   "set it in a Config.HTTPClient",
		"VAULT_CAPATH":       "give one file as VAULT_CACERT",
		"VAULT_CACERT_BYTES": "give a file as VAULT_CACERT",
	} {
		value := env.Get(name)
		if on, err := strconv.ParseBool(value); value == "" || (err == nil && !on) {
			continue
		}
		errs = append(errs, fmt.Errorf("%s is set, which leasehold does not do: unset it; %s", name, instead))
	}
	for _, pair := range os.Environ() { //nolint:forbidigo // for names that are mistyped
		name, value, _ := strings.Cut(pair, "=")
		known := name == "VAULT_AUTH_METHOD" || name == "VAULT_AUTH_MOUNT" || name == "VAULT_AUTH_NAMESPACE" || serviceLink.MatchString(name)
		if strings.HasPrefix(name, "VAULT_AUTH_") && !known && value != "" {
			errs = append(errs, fmt.Errorf("%s is unknown: there are VAULT_AUTH_METHOD, VAULT_AUTH_MOUNT and VAULT_AUTH_NAMESPACE", name))
		}
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	return errs
}
