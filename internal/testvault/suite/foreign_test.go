package suite

import (
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	helperldap "github.com/hashicorp/vault/api/auth/ldap"
	helperuserpass "github.com/hashicorp/vault/api/auth/userpass"
	"github.com/jimlambrt/gldap"
	"github.com/jimlambrt/gldap/testdirectory"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold"
	"github.com/seed-f5e1ac40/leasehold/auth"
	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/kv"
)

// foreign is an engine for which HashiCorp has written a method.
type foreign struct {
	// set gives the user "app" of a mount another password.
	set func(t *testing.T, v *testvault.Server, mount, password string)
	// method is HashiCorp's, with a password that is in a file or is text.
	method func(mount, file, text string) (auth.Method, error)
	says   string // Vault, of a wrong password
}

// lifetime has a client log in each few seconds.
func lifetime() map[string]any {
	return map[string]any{"token_policies": "app", "token_ttl": "4s", "token_max_ttl": "4s"}
}

var foreigners = map[string]foreign{
	"userpass": {
		set: func(_ *testing.T, v *testvault.Server, mount, password string) {
			v.Write("auth/"+mount+"/users/app", with(lifetime(), "password", password))
		},
		method: func(mount, file, text string) (auth.Method, error) {
			return helperuserpass.NewUserpassAuth("app", &helperuserpass.Password{FromFile: file, FromString: text}, helperuserpass.WithMountPath(mount))
		},
		says: "400 Bad Request: invalid username or password",
	},
	"ldap": {
		// Another directory, since the users of one that runs cannot be changed without a data race.
		set: func(t *testing.T, v *testvault.Server, mount, password string) {
			t.Helper()
			user := gldap.NewEntry(testdirectory.DefaultUserAttr+"=app,"+testdirectory.DefaultUserDN,
				map[string][]string{"name": {"app"}, "email": {"app@example.com"}, "password": {password}})
			directory := testdirectory.Start(t, testdirectory.WithNoTLS(t), testdirectory.WithHost(t, "127.0.0.1"),
				testdirectory.WithDefaults(t, &testdirectory.Defaults{Users: []*gldap.Entry{user}}))
			v.Write("auth/"+mount+"/config", with(lifetime(), "url", "ldap://127.0.0.1:"+strconv.Itoa(directory.Port()),
				"userdn", testdirectory.DefaultUserDN, "userattr", testdirectory.DefaultUserAttr, "groupdn", testdirectory.DefaultGroupDN, "username_as_alias", true))
		},
		method: func(mount, file, text string) (auth.Method, error) {
			return helperldap.NewLDAPAuth("app", &helperldap.Password{FromFile: file, FromString: text}, helperldap.WithMountPath(mount))
		},
		says: "400 Bad Request: invalid credentials", // which session.lockable knows
	},
}

// TestMethodsOfTheOfficialClientPlugInUnchanged: those of HashiCorp for userpass and LDAP
// log in, more than once. What one was given as text it keeps, so that a changed password
// ends its logins; in auth.Fresh it follows.
func TestMethodsOfTheOfficialClientPlugInUnchanged(t *testing.T) {
	t.Parallel()
	v := testvault.Vault(t)
	v.Policy("app", `path "secret/data/*" { capabilities = ["read"] }`)
	v.Write("secret/data/app", map[string]any{"data": map[string]any{"a": 1}})
	for engine, f := range foreigners {
		for name, turn := range map[string]func(t *testing.T, v *testvault.Server, mount, file string, change func()){
			"unchanged": func(t *testing.T, v *testvault.Server, mount, _ string, _ func()) {
				t.Helper()
				m, err := f.method(mount, "", "first-canary")
				require.NoError(t, err)
				livesOn(t, v, m, "auth/"+mount+"/login/app", func() {})
			},
			"unchanged-file": func(t *testing.T, v *testvault.Server, mount, file string, change func()) {
				t.Helper()
				m, err := f.method(mount, file, "")
				require.NoError(t, err)
				livesOn(t, v, m, "auth/"+mount+"/login/app", change)
			},
			"fresh": func(t *testing.T, v *testvault.Server, mount, file string, change func()) {
				t.Helper()
				m := auth.Fresh(func(context.Context) (auth.Method, error) {
					text, err := os.ReadFile(file)
					if err != nil {
						return nil, err
					}
					return f.method(mount, "", string(text))
				})
				livesOn(t, v, m, "auth/"+mount+"/login/app", change)
			},
			"frozen": func(t *testing.T, v *testvault.Server, mount, _ string, change func()) {
				t.Helper()
				m, err := f.method(mount, "", "first-canary")
				require.NoError(t, err)
				diesOf(t, v, m, change, f.says)
			},
		} {
			t.Run(engine+" "+name, func(t *testing.T) {
				t.Parallel()
				v, mount, file := v.For(t), "foreign-"+engine+"-"+name, filepath.Join(t.TempDir(), "password")
				v.Write("sys/auth/"+mount, map[string]any{"type": engine})
				set := func(password string) {
					f.set(t, v, mount, password)
					write(t, file, []byte(password))
				}
				set("first-canary")
				turn(t, v, mount, file, func() {
					set("second-canary")
					status, _, err := v.As("").TryWrite("auth/"+mount+"/login/app", map[string]any{"password": "first-canary"})
					require.NoError(t, err)
					require.Equal(t, http.StatusBadRequest, status, "the first password must be wrong now for this to say anything")
				})
			})
		}
	}

	t.Run("a wrong password", func(t *testing.T) {
		t.Parallel()
		v := v.For(t)
		f := foreigners["ldap"]
		v.Write("sys/auth/foreign-wrong", map[string]any{"type": "ldap"})
		f.set(t, v, "foreign-wrong", "password")
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		_, err := leasehold.New(ctx, leasehold.Config{Address: v.Addr(), Auth: auth.Fresh(func(context.Context) (auth.Method, error) {
			return f.method("foreign-wrong", "", "wrong-canary")
		})})
		require.ErrorContains(t, err, f.says)
		require.NotContains(t, err.Error(), "canary")
	})
}

// livesOn has a client live through several of its tokens' lives while the credential
// changes, reading all the while. No read may fail.
func livesOn(t *testing.T, v *testvault.Server, m auth.Method, login string, change func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := leasehold.New(ctx, leasehold.Config{Address: v.Addr(), Auth: m})
	require.NoError(t, err)
	first := c.Status().Token.Accessor
	end := time.Now().Add(9 * time.Second)
	reads, changed := 0, 0
	for ; time.Now().Before(end); reads++ {
		_, err := kv.Get[map[string]int](t.Context(), c.KV("secret"), "app")
		require.NoError(t, err)
		// A login has just been made, so that none is while the change is half done.
		if changed == 0 && c.Status().Token.Accessor != first {
			change()
			changed = v.Audit().Count("", login)
		}
		time.Sleep(50 * time.Millisecond)
	}
	assert.Greater(t, reads, 50)
	logins := v.Audit().Count("", login)
	assert.GreaterOrEqual(t, logins, 3, "logins in the audit log: tokens last 4 s")
	assert.Positive(t, changed, "the credential must have changed for this to say anything")
	assert.Greater(t, logins, changed, "logins in the audit log after the change")
	require.NoError(t, c.Close(context.Background()))
}

// diesOf has a client fail once the credential has changed, for the reason that Vault says.
func diesOf(t *testing.T, v *testvault.Server, m auth.Method, change func(), says string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c, err := leasehold.New(ctx, leasehold.Config{Address: v.Addr(), Auth: m})
	require.NoError(t, err)
	read := func() error {
		_, err := kv.Get[map[string]int](t.Context(), c.KV("secret"), "app")
		return err
	}
	require.NoError(t, read())
	change()
	testvault.Poll(t, 15*time.Second, func() bool { return read() != nil }, "the token's death")
	err = read()
	require.ErrorContains(t, err, says)
	require.NotContains(t, err.Error(), "canary")
	require.Error(t, c.Ready())
	require.NoError(t, c.Close(context.Background()))
}

// with returns params and more, as pairs.
func with(params map[string]any, more ...any) map[string]any {
	all := make(map[string]any, len(params)+len(more)/2)
	maps.Copy(all, params)
	for i := 0; i < len(more); i += 2 {
		all[more[i].(string)] = more[i+1]
	}
	return all
}
