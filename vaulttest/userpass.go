package vaulttest

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// UserpassSpec describes a user of the userpass method. Its zero value gives renewable service tokens
// for 32 days with the default policy.
type UserpassSpec struct {
	// Policies of the tokens; "default" comes with them unless NoDefaultPolicy. A token is not
	// renewed once its user's policies are others.
	Policies        []string
	NoDefaultPolicy bool
	// TokenTTL, TokenMaxTTL, TokenExplicitMaxTTL and TokenPeriod are as in TokenSpec. A renewal goes
	// by those that the user has by then, but for the explicit maximum, which a token keeps.
	TokenTTL, TokenMaxTTL, TokenExplicitMaxTTL, TokenPeriod time.Duration
	// TokenNumUses is the number of requests that each token is good for; zero: without limit.
	TokenNumUses int
	// TokenType is "service", the default, or "batch".
	TokenType string
	// Mount is the path of the userpass method below auth/; empty: "userpass". It is mounted if need
	// be.
	Mount string
}

func (spec UserpassSpec) params() tokenParams {
	return tokenParams{
		policies: spec.Policies, noDefaultPolicy: spec.NoDefaultPolicy, kind: spec.TokenType, numUses: spec.TokenNumUses,
		ttl: spec.TokenTTL, maxTTL: spec.TokenMaxTTL, explicitMaxTTL: spec.TokenExplicitMaxTTL, period: spec.TokenPeriod,
	}
}

// Userpass defines a user with a password, or changes one. As in Vault names are told apart without
// regard to case.
func (s *Server) Userpass(username, password string, spec UserpassSpec) {
	s.tb.Helper()
	username = strings.ToLower(username)
	why := spec.params().refusal()
	switch {
	case !isName(username):
		s.tb.Fatalf("vaulttest: Userpass: Vault takes no name like %q", username)
		return
	case password == "":
		s.tb.Fatalf("vaulttest: Userpass %q: the password is empty", username)
		return
	case why != "":
		s.tb.Fatalf("vaulttest: Userpass %q: %s", username, why)
		return
	}
	s.lock()
	defer s.unlock()
	m := s.authMount(spec.Mount, "userpass")
	if m == nil {
		return
	}
	e, _ := m.engine.(*userpassMethod)
	e.users[username] = &userpassUser{password, spec.params()}
}

// userpassMethod is a userpass auth method.
type userpassMethod struct {
	users    map[string]*userpassUser // by name, as entities and failed
	entities entities
	failed   lockout
}

func newUserpassMethod() engine {
	return &userpassMethod{users: map[string]*userpassUser{}, entities: entities{}, failed: lockout{}}
}

// errNothingToRenew makes Vault answer a renewal with nothing at all: the user is gone.
var errNothingToRenew = errors.New("nothing to renew")

type userpassUser struct {
	password string
	params   tokenParams
}

// opens implements opener.
func (*userpassMethod) opens(rest string) bool { return strings.HasPrefix(rest, "login/") }

// serve implements engine.
func (e *userpassMethod) serve(c *call, m *mount, rest string) reply {
	if name, isLogin := strings.CutPrefix(rest, "login/"); isLogin {
		return e.login(c, m, name)
	}
	if strings.TrimSuffix(rest, "/") == "users" {
		if c.method != "LIST" {
			return unsupportedOperation()
		}
		return listOf("userpass", sortedKeys(e.users))
	}
	name, found := strings.CutPrefix(rest, "users/")
	name, below, _ := strings.Cut(name, "/")
	switch {
	case !found || !isName(name) || c.method == "LIST":
		return unsupportedPath()
	case below == "password" && c.write:
		return e.changePassword(c, name)
	case below == "password", below == "policies" && !c.write:
		return unsupportedOperation()
	case below == "policies", below == "" && c.write:
		return unmodelled("writing users through the API; see Server.Userpass")
	case below != "":
		return unsupportedPath()
	}
	name = strings.ToLower(name)
	u := e.users[name]
	switch {
	case c.method == http.MethodDelete:
		delete(e.users, name)
		return noContent()
	case c.method != http.MethodGet:
		return unsupportedOperation()
	case u == nil:
		return fail(http.StatusNotFound)
	}
	return ok("userpass", u.params.data())
}

var userpassLoginFields = schema{"username": inPath, "password": asText}

func (e *userpassMethod) login(c *call, m *mount, name string) reply {
	f, bad := c.fields(userpassLoginFields)
	if bad != nil {
		return brokenLogin()
	}
	name = strings.ToLower(name)
	if !isName(name) || c.method == "LIST" {
		name = "" // which Vault looks for in the path
	}
	if bad := e.failed.refuse(c, name); bad != nil {
		return *bad
	}
	password := f.text("password")
	if password == "" {
		e.failed.note(name, c.now) // also of users that there are not
		return fail(http.StatusBadRequest, "invalid credentials")
	}
	u := e.users[name]
	if u == nil || u.password != password {
		if u != nil {
			e.failed.note(name, c.now)
		}
		return fail(http.StatusBadRequest, "invalid username or password")
	}
	t := u.params.token()
	t.display, t.entityID, t.meta = m.displayName(name), e.entities.of(name), map[string]string{"username": name}
	t.refresh = func(t *token) error {
		u := e.users[name]
		if u == nil {
			return errNothingToRenew
		}
		if !slices.Equal(policySet(u.params.policies, false), policySet(t.policies, false)) {
			return errors.New("policies have changed, not renewing")
		}
		u.params.renew(t)
		return nil
	}
	answer := c.logIn(t, f.warnings...)
	if answer.status == http.StatusOK {
		delete(e.failed, name)
	}
	return answer
}

var userpassPasswordFields = schema{"username": inPath, "password": asText, "password_hash": asText}

// changePassword answers users/NAME/password, by which users change their own.
func (e *userpassMethod) changePassword(c *call, name string) reply {
	f, bad := c.fields(userpassPasswordFields)
	if bad != nil {
		return *bad
	}
	password, hash := f.text("password"), f.text("password_hash")
	user := strings.ToLower(name)
	u := e.users[user]
	switch {
	case u == nil:
		return failList(http.StatusInternalServerError, "username does not exist")
	case password != "" && hash != "":
		return fail(http.StatusBadRequest, `"password" and "password_hash" cannot be supplied together`)
	case password == "" && hash == "":
		return fail(http.StatusBadRequest, `"password" or "password_hash" must be supplied`)
	case hash != "":
		return unmodelled("passwords given as a hash")
	case name != user:
		return unmodelled("the change of a password under a name with capitals, which Vault loses")
	}
	u.password = password
	return noContent()
}
