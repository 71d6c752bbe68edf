package vaulttest

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// AWSSpec configures an AWS method, as auth/MOUNT/config/client does.
type AWSSpec struct {
	// IAMServerIDHeaderValue is what the header X-Vault-AWS-IAM-Server-ID of the signed request must
	// be; empty: it need not be there.
	IAMServerIDHeaderValue string
	// STSRegion is the region of the endpoint of AWS STS that Vault asks, for which the request must be
	// signed; empty: us-east-1, as the global endpoint wants it.
	STSRegion string
	// Mount is the path of the AWS method below auth/; empty: "aws". It is mounted if need be.
	Mount string
}

// AWSRoleSpec describes a role of the AWS method, of its type "iam".
type AWSRoleSpec struct {
	// BoundIAMPrincipalARNs are those who may log in: an IAM user, or an IAM role without its path,
	// such as arn:aws:iam::123456789012:role/app. "*" at the end stands for anything, paths included,
	// but not alone. At least one is needed.
	BoundIAMPrincipalARNs []string

	// Policies of the tokens; "default" comes with them unless NoDefaultPolicy.
	Policies        []string
	NoDefaultPolicy bool
	// TokenTTL, TokenMaxTTL, TokenExplicitMaxTTL and TokenPeriod are as in TokenSpec. A renewal goes
	// by those that the role has by then, but for the explicit maximum, which a token keeps.
	TokenTTL, TokenMaxTTL, TokenExplicitMaxTTL, TokenPeriod time.Duration
	// TokenNumUses is the number of requests that each token is good for; zero: without limit.
	TokenNumUses int
	// TokenType is "service", the default, or "batch".
	TokenType string
	// Mount is the path of the AWS method below auth/; empty: "aws". It is mounted if need be.
	Mount string
}

func (spec AWSRoleSpec) params() tokenParams {
	return tokenParams{
		policies: spec.Policies, noDefaultPolicy: spec.NoDefaultPolicy, kind: spec.TokenType, numUses: spec.TokenNumUses,
		ttl: spec.TokenTTL, maxTTL: spec.TokenMaxTTL, explicitMaxTTL: spec.TokenExplicitMaxTTL, period: spec.TokenPeriod,
	}
}

// AWS configures an AWS method, instead of what it had before. One without configuration takes
// requests for any server, signed for us-east-1.
func (s *Server) AWS(spec AWSSpec) {
	s.tb.Helper()
	s.lock()
	defer s.unlock()
	if m := s.authMount(spec.Mount, "aws"); m != nil {
		e, _ := m.engine.(*awsMethod)
		e.config = spec
	}
}

// AWSRole defines a role of the AWS method, or changes one. As in Vault names of roles are told apart
// without regard to case.
func (s *Server) AWSRole(role string, spec AWSRoleSpec) {
	s.tb.Helper()
	role = strings.ToLower(role)
	if !isName(role) {
		s.tb.Fatalf("vaulttest: AWSRole: Vault takes no name like %q", role)
		return
	}
	if len(spec.BoundIAMPrincipalARNs) == 0 {
		s.tb.Fatalf("vaulttest: AWSRole %q: at least one bound parameter should be specified on the role", role)
		return
	}
	if why := spec.params().refusal(); why != "" {
		s.tb.Fatalf("vaulttest: AWSRole %q: %s", role, why)
		return
	}
	s.lock()
	defer s.unlock()
	m := s.authMount(spec.Mount, "aws")
	if m == nil {
		return
	}
	e, _ := m.engine.(*awsMethod)
	if e.roles[role] == nil {
		e.roles[role] = &awsRole{id: newUUID()}
	}
	e.roles[role].spec = spec
}

// awsMethod is an AWS auth method.
type awsMethod struct {
	config   AWSSpec
	roles    map[string]*awsRole
	entities entities
}

type awsRole struct {
	id   string
	spec AWSRoleSpec
}

func newAWSMethod() engine {
	return &awsMethod{roles: map[string]*awsRole{}, entities: entities{}}
}

// opens implements opener.
func (*awsMethod) opens(rest string) bool { return rest == "login" }

// serve implements engine.
func (e *awsMethod) serve(c *call, m *mount, rest string) reply {
	first, _, _ := strings.Cut(rest, "/")
	switch {
	case rest == "login":
		return e.login(c, m)
	case first == "config", first == "identity-accesslist", first == "roletag-denylist", first == "tidy", strings.HasSuffix(rest, "/tag"):
		return unmodelled(m.path + rest)
	case first == "roles":
		rest = strings.Replace(rest, "roles", "role", 1)
		if strings.Trim(rest, "/") != "role" {
			return unsupportedPath()
		}
	}
	return serveRoles(c, m, e.roles, rest, "writing AWS roles through the API; see Server.AWSRole")
}

// data shows a role as the API does.
func (r *awsRole) data() map[string]any {
	data := r.spec.params().data()
	none := []string{}
	maps.Copy(data, map[string]any{
		"auth_type": "iam", "bound_ami_id": none, "bound_account_id": none, "bound_ec2_instance_id": nil,
		"bound_iam_principal_arn": r.spec.BoundIAMPrincipalARNs, "bound_iam_principal_id": none, "bound_iam_role_arn": none,
		"bound_iam_instance_profile_arn": none, "bound_region": none, "bound_subnet_id": none, "bound_vpc_id": none,
		"inferred_entity_type": "", "inferred_aws_region": "", "resolve_aws_unique_ids": false, "role_id": r.id, "role_tag": "",
		"allow_instance_migration": false, "disallow_reauthentication": false,
	})
	return data
}

// awsLoginFields are those of the login. The headers have many forms; see awsHeaders.
var awsLoginFields = schema{
	"role": asText, "pkcs7": asText, "nonce": asText, "identity": asText, "signature": asText,
	"iam_http_request_method": asText, "iam_request_url": asText, "iam_request_body": asText, "iam_request_headers": asIs,
}

func (e *awsMethod) login(c *call, m *mount) reply {
	f, bad := c.loginFields(awsLoginFields)
	if bad != nil {
		return *bad
	}
	refuse := func(format string, args ...any) reply {
		return fail(http.StatusBadRequest, fmt.Sprintf(format, args...))
	}
	headers, err := awsHeaders(f.values["iam_request_headers"])
	if err != nil {
		return refuse("Field validation failed: error converting input for field %q: %v", "iam_request_headers", err)
	}
	ec2 := f.has("pkcs7") || f.has("identity") && f.has("signature")
	_, hasHeaders := c.params["iam_request_headers"] // null will do for now
	iam := f.has("iam_http_request_method") && f.has("iam_request_url") && hasHeaders &&
		(f.text("iam_http_request_method") == http.MethodGet || f.has("iam_request_body"))
	switch {
	case ec2 && iam:
		return refuse("supplied auth values for both ec2 and iam auth types")
	case ec2:
		return unmodelled("logins of EC2 instances")
	case !iam:
		return refuse("didn't supply required authentication values")
	}
	signed, err := e.signedRequest(f, headers)
	if err != nil {
		return refuse("%v", err)
	}
	arn, err := c.s.callerIdentity(signed, cmp.Or(e.config.STSRegion, "us-east-1"), c.now)
	if err != nil {
		return refuse("error making upstream request: %v", err)
	}
	caller, err := parseARN(arn)
	if err != nil {
		return refuse("error parsing arn %q: %v", arn, err)
	}
	name := cmp.Or(f.text("role"), caller.name)
	role := e.roles[strings.ToLower(name)]
	switch {
	case role == nil:
		return refuse("entry for role %s not found", name)
	case !role.admits(caller):
		return refuse("IAM Principal %q does not belong to the role %q", arn, name)
	}
	t := role.spec.params().token()
	t.display, t.entityID = m.displayName(caller.display()), e.entities.of(role.id)
	t.meta = map[string]string{"account_id": caller.account, "auth_type": "iam", "role_id": role.id}
	t.refresh = func(t *token) error {
		now := e.roles[strings.ToLower(name)]
		switch {
		case now == nil:
			return fmt.Errorf("role entry not found")
		case !now.admits(caller):
			return fmt.Errorf("role %q no longer bound to ARN %q", name, caller.canonical())
		}
		now.spec.params().renew(t)
		return nil
	}
	return c.logIn(t, f.warnings...)
}

// admits tells whether a role is bound to a caller: by the ARN without its path, or by the whole one
// where "*" comes last.
func (r *awsRole) admits(caller awsPrincipal) bool {
	return slices.ContainsFunc(r.spec.BoundIAMPrincipalARNs, func(bound string) bool {
		within, isWild := strings.CutSuffix(bound, "*")
		switch anywhere, isOpen := strings.CutPrefix(within, "*"); {
		case bound == caller.canonical():
			return true
		case !isWild, within == "": // "*" alone admits nobody, in Vault, too
			return false
		case isOpen:
			return strings.Contains(caller.full(), anywhere)
		}
		return strings.HasPrefix(caller.full(), within)
	})
}

// awsPrincipal is who an ARN names.
type awsPrincipal struct{ partition, account, kind, path, name, session string }

func parseARN(arn string) (awsPrincipal, error) {
	parts := strings.Split(arn, ":")
	switch {
	case len(parts) != 6:
		return awsPrincipal{}, fmt.Errorf("unrecognized arn: contains %d colon-separated parts, expected 6", len(parts))
	case parts[0] != "arn":
		return awsPrincipal{}, fmt.Errorf(`unrecognized arn: does not begin with "arn:"`)
	case parts[2] != "iam" && parts[2] != "sts":
		return awsPrincipal{}, fmt.Errorf("unrecognized service: %v, not one of iam or sts", parts[2])
	}
	names := strings.Split(parts[5], "/")
	if len(names) < 2 {
		return awsPrincipal{}, fmt.Errorf("unrecognized arn: %q contains fewer than 2 slash-separated parts", parts[5])
	}
	last := len(names) - 1
	p := awsPrincipal{partition: parts[1], account: parts[4], kind: names[0], path: strings.Join(names[1:last], "/"), name: names[last]}
	switch p.kind {
	case "assumed-role":
		if last < 2 {
			return awsPrincipal{}, fmt.Errorf("unrecognized arn: %q contains fewer than 3 slash-separated parts", parts[5])
		}
		p.path, p.name, p.session = "", names[1], names[2]
	case "user", "role", "instance-profile":
	default:
		return awsPrincipal{}, fmt.Errorf("unrecognized principal type: %q", p.kind)
	}
	return p, nil
}

// canonical is the ARN in the form that Vault compares: that of the role itself for an assumed one,
// and without a path.
func (p awsPrincipal) canonical() string {
	p.path = ""
	return p.full()
}

// full is the ARN in IAM. Of a role AWS says no path to who has assumed it.
func (p awsPrincipal) full() string {
	kind, path := p.kind, ""
	if kind == "assumed-role" {
		kind = "role"
	}
	if p.path != "" {
		path = p.path + "/"
	}
	return "arn:" + p.partition + ":iam::" + p.account + ":" + kind + "/" + path + p.name
}

func (p awsPrincipal) display() string {
	if p.session != "" {
		return p.name + "/" + p.session
	}
	return p.name
}
