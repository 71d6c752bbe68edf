package likeness

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// newKeeper returns terminals at which keeper may do all with KV secrets, and a check of what
// vaulttest holds then.
func newKeeper(t *testing.T) (p *terminals, holds func(password string, version int) func()) {
	t.Helper()
	p = newPair(t).terminals()
	p.policy("keeper", vaulttest.Rule{Path: "secret/*", Capabilities: []string{"create", "read", "update", "patch", "delete", "list"}})
	p.run(line{as: "root", run: "token create -policy=keeper -field=token", save: "keeper"})
	return p, func(password string, version int) func() {
		return func() {
			t.Helper()
			data, current := p.fake.KV("secret", "app/db")
			assert.Equal(t, password, data["password"])
			assert.Equal(t, version, current)
		}
	}
}

func TestTheCommandLineKeepsSecrets(t *testing.T) {
	t.Parallel()
	p, holds := newKeeper(t)
	p.run(
		line{as: "keeper", run: "kv put secret/app/db user=app password=one", want: "secret/data/app/db\nversion 1", then: holds("one", 1)},
		line{as: "keeper", run: "kv get secret/app/db", want: "password one\nuser app"},
		line{as: "keeper", run: "kv get -mount=secret app/db", want: "password one"},
		line{as: "keeper", run: "kv get -field=password secret/app/db", want: "one"},
		line{as: "keeper", run: "kv get -field=nothing secret/app/db", exit: 1, want: `Field "nothing" not present`},
		line{as: "keeper", run: "kv get -format=json secret/app/db", want: `"password": "one"`},
		line{as: "keeper", run: "kv put -cas=0 secret/app/db password=two", exit: 2, want: "check-and-set parameter did not match the current version"},
		line{as: "keeper", run: "kv put -cas=1 secret/app/db user=app password=two", want: "version 2", then: holds("two", 2)},
		line{as: "keeper", run: "kv put secret/app/deep -", stdin: `{"list":[1,2],"object":{"number":1.5}}`},
		line{as: "keeper", run: "kv get -format=json secret/app/deep", want: `"number": 1.5`},
		line{as: "keeper", run: "kv put secret/app/number -", stdin: `{"number":9007199254740993}`},
		line{as: "keeper", run: "kv get -field=number secret/app/number", want: "9007199254740993", like: "KV version 2 keeps numbers as they were written; Vault's makes floats of them."},
		line{as: "keeper", run: "kv get -version=1 secret/app/db", want: "password one"},
		line{as: "keeper", run: "kv get -version=9 secret/app/db", exit: 2, want: "No value found at secret/data/app/db"},
		line{as: "keeper", run: "kv get secret/nothing", exit: 2, want: "No value found at secret/data/nothing"},

		line{as: "keeper", run: "kv patch secret/app/db password=three", want: "version 3", then: func() {
			assert.Equal(t, 1, p.fake.Count("PATCH", "secret/data/app/db"))
		}},
		line{as: "keeper", run: "kv patch -method=rw secret/app/db password=four", want: "version 4", then: func() {
			assert.Equal(t, 1, p.fake.Count("PATCH", "secret/data/app/db"), "by reading and writing")
		}},
		line{as: "keeper", run: "kv patch -method=patch -cas=4 secret/app/db password=five", want: "version 5", then: holds("five", 5)},
		line{as: "keeper", run: "kv patch -cas=4 secret/app/db password=six", exit: 2, want: "check-and-set"},
		line{as: "keeper", run: "kv patch -remove-data=user secret/app/db", want: "version 6"},
		line{as: "keeper", run: "kv get secret/app/db", want: "password five"},
		line{as: "keeper", run: "kv patch secret/nothing a=b", exit: 2, want: "Code: 404"},
		line{as: "keeper", run: "kv patch -method=rw secret/nothing a=b", exit: 2, want: "No value found"},

		line{as: "keeper", run: "read secret/app/deep", want: "Invalid path for a versioned K/V secrets engine"},
		line{as: "keeper", run: "read secret/data/app/deep", want: "data map["},
		line{as: "keeper", run: "write secret/app/deep a=b", exit: 2, want: "vault kv put"},
		line{as: "keeper", run: "list secret/metadata/app", want: "deep"},
		line{as: "keeper", run: "delete secret/data/app/deep", want: "Success!"},
	)
}

func TestTheCommandLineKeepsVersions(t *testing.T) {
	t.Parallel()
	p, holds := newKeeper(t)
	p.run(
		line{as: "keeper", run: "kv put secret/app/db password=one user=app", want: "version 1"},
		line{as: "keeper", run: "kv put secret/app/db password=two", want: "version 2"},
		line{as: "keeper", run: "kv patch secret/app/db user=app", want: "version 3"},
		line{as: "keeper", run: "kv put secret/app/db password=four", want: "version 4"},
		line{as: "keeper", run: "kv put secret/app/db password=five", want: "version 5", then: holds("five", 5)},

		line{as: "keeper", run: "kv delete secret/app/db", want: "Success! Data deleted (if it existed) at: secret/data/app/db"},
		line{as: "keeper", run: "kv get secret/app/db", want: "deletion_time <time>"},
		line{as: "keeper", run: "kv patch secret/app/db a=b", exit: 2, want: "Code: 404"},
		line{as: "keeper", run: "kv undelete -versions=5 secret/app/db", want: "Success! Data written to: secret/undelete/app/db"},
		line{as: "keeper", run: "kv get -field=password secret/app/db", want: "five"},
		line{as: "keeper", run: "kv delete -versions=1,2 secret/app/db", want: "Success!"},
		line{as: "keeper", run: "kv destroy -versions=2,3 secret/app/db", want: "Success! Data written to: secret/destroy/app/db"},
		line{as: "keeper", run: "kv get -version=3 secret/app/db", want: "destroyed true"},
		line{as: "keeper", run: "kv rollback -version=4 secret/app/db", want: "version 6", then: holds("four", 6)},
		line{as: "keeper", run: "kv rollback -version=1 secret/app/db", exit: 2, want: "Cannot roll back to a version that has been deleted"},
		line{as: "keeper", run: "kv rollback -version=3 secret/app/db", exit: 2, want: "Cannot roll back to a version that has been destroyed"},
		line{as: "keeper", run: "kv get -field=password secret/app/db", want: "four"},

		line{as: "keeper", run: "kv metadata get secret/app/db", want: "current_version 6\nVersion 6"},
		line{as: "keeper", run: "kv metadata put -max-versions=3 -delete-version-after=1h -custom-metadata=owner=me secret/app/db", want: "Success! Data written to: secret/metadata/app/db"},
		line{as: "keeper", run: "kv metadata patch -custom-metadata=team=us secret/app/db", want: "Success!"},
		line{as: "keeper", run: "kv metadata get secret/app/db", want: "owner:me team:us\nmax_versions 3"},
		line{as: "keeper", run: "kv metadata patch -remove-custom-metadata=owner -cas-required secret/app/db", want: "Success!"},
		line{as: "keeper", run: "kv put secret/app/db password=seven", exit: 2, want: "check-and-set parameter required for this call"},
		line{as: "keeper", run: "kv put -cas=6 secret/app/db password=seven", want: "version 7\nteam:us"},
		line{as: "keeper", run: "kv metadata get -format=json secret/app/db", want: `"oldest_version": 5`},
		line{as: "keeper", run: "kv metadata put -max-versions=2 secret/app/made", want: "Success!"},
		line{as: "keeper", run: "kv list secret/app", want: "db\nmade"},
		line{as: "keeper", run: "kv list -format=json secret", want: `"app/"`},
		line{as: "keeper", run: "kv list secret/nothing", exit: 2, want: "No value found at secret/metadata/nothing"},
		line{as: "keeper", run: "kv metadata delete secret/app/db", want: "Success!"},
		line{as: "keeper", run: "kv metadata get secret/app/db", exit: 2, want: "No value found"},
		line{as: "keeper", run: "kv get secret/app/db", exit: 2, want: "No value found", then: func() {
			data, version := p.fake.KV("secret", "app/db")
			assert.Nil(t, data)
			assert.Zero(t, version, "nothing is left of the old versions")
		}},
	)
}

func TestTheCommandLineKeepsSecretsWithoutVersions(t *testing.T) {
	t.Parallel()
	p := newPair(t).terminals()
	p.real.Mount("plain", "kv", map[string]string{"version": "1"})
	p.fake.MountKV1("plain")
	p.run(
		line{as: "root", run: "kv put plain/app password=one ttl=30m", want: "Success! Data written to: plain/app"},
		line{as: "root", run: "kv get plain/app", want: "password one"},
		line{as: "root", run: "kv get -field=password plain/app", want: "one"},
		line{as: "root", run: "read plain/app", want: "refresh_interval 30m"},
		line{as: "root", run: "kv put plain/number -", stdin: `{"number":12345678901234567890}`},
		line{as: "root", run: "kv get -format=json plain/number", want: "12345678901234567890"},
		line{as: "root", run: "kv list plain", want: "app"},
		line{as: "root", run: "kv list plain/nothing", exit: 2, want: "No value found at plain/nothing"},
		line{as: "root", run: "kv patch plain/app a=b", exit: 2, want: "must be version 2"},
		line{as: "root", run: "kv get -version=1 plain/app", exit: 0},
		line{as: "root", run: "kv delete plain/app", want: "Success!", then: func() {
			data, _ := p.fake.KV("plain", "app")
			assert.Nil(t, data)
		}},
		line{as: "root", run: "kv get plain/app", exit: 2, want: "No value found at plain/app"},
	)
}

// What an application may do is told by the policy, and the program says what is wrong.
func TestTheCommandLineIsRefused(t *testing.T) {
	t.Parallel()
	p := newPair(t).terminals()
	p.know("wrong", "hvs.wrong", "hvs.wrong")
	p.policy("app", vaulttest.Rule{Path: "secret/data/app/*", Capabilities: []string{"create", "read", "update"}})
	p.run(
		line{as: "root", run: "token create -policy=app -field=token", save: "app"},
		line{as: "app", run: "kv put secret/app/a x=1", want: "version 1"},
		line{as: "app", run: "kv patch secret/app/a x=2", want: "we recommend that you add the \"patch\" capability\nversion 2"},
		line{as: "app", run: "kv patch -method=patch secret/app/a x=2", exit: 2, want: "Code: 403"},
		line{as: "app", run: "kv list secret/app", exit: 2, want: "Code: 403. Errors:"},
		line{as: "app", run: "kv delete secret/app/a", exit: 2, want: "permission denied"},
		line{as: "app", run: "kv get secret/other", exit: 2, want: "* permission denied"},
		line{as: "app", run: "kv get nothing/here", exit: 2, want: "preflight capability check returned 403"},
		line{as: "app", run: "read nothing/here", exit: 2, want: "permission denied"},
		line{as: "root", run: "read nothing/here", exit: 2, want: "No value found at nothing/here"},
		line{as: "root", run: "kv get nothing/here", exit: 2, want: "preflight capability check returned 403"},
		line{run: "kv get secret/app/a", exit: 2, want: "permission denied"},
		line{as: "wrong", run: "kv get secret/app/a", exit: 2, want: "invalid token"},
		line{as: "wrong", run: "token lookup", exit: 2, want: "invalid token"},
		line{run: "token lookup", exit: 2, want: "permission denied"},
	)
}
