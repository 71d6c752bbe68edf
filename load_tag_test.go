package leasehold

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestATagIsTakenApart(t *testing.T) {
	t.Parallel()
	empty, commas := "", "a,b=c,optional"
	for text, want := range map[string]tag{
		"secret:app":                                     {mount: "secret", path: "app"},
		"team/kv:a/b#c":                                  {mount: "team/kv", path: "a/b", key: "c"},
		"secret:a:b#c#d":                                 {mount: "secret", path: "a:b", key: "c#d"},
		"secret:app#tls.crt,optional":                    {mount: "secret", path: "app", key: "tls.crt", optional: true},
		"secret:app#x,json,optional":                     {mount: "secret", path: "app", key: "x", json: true, optional: true},
		"secret:app#x,optional,json":                     {mount: "secret", path: "app", key: "x", json: true, optional: true},
		"secret:app#x,v1,optional":                       {mount: "secret", path: "app", key: "x", v1: true, optional: true},
		"old:app,v1":                                     {mount: "old", path: "app", v1: true},
		"secret:app#x,default=":                          {mount: "secret", path: "app", key: "x", fallback: &empty},
		"secret:app#x,json,default=" + commas:            {mount: "secret", path: "app", key: "x", json: true, fallback: &commas},
		"database:creds/app,dynamic":                     {mount: "database", path: "creds/app", engine: dynamicEngine},
		"dynamic:database/creds/app":                     {mount: "dynamic", path: "database/creds/app"}, // a KV mount may have that name
		"static:static#static":                           {mount: "static", path: "static", key: "static"},
		"database:static-creds/app#password,json,static": {mount: "database", path: "static-creds/app", key: "password", json: true, engine: staticEngine},
	} {
		got, err := parseTag(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
		again, err := parseTag(got.String())
		require.NoError(t, err, text)
		assert.Equal(t, got, again, text)
	}
	for _, text := range []string{
		"", ":", "secret", "secret:", ":app", "secret#x", "secret:app#", "secret: app", "secret:app #x", "secret:app# x",
		"secret:/app", "secret:a//b", "secret:../x", "secret:a/./b", "secret/:app", "secret:a\nb",
		"secret:app,", "secret:app,,optional", "secret:app,Optional", "secret:app, optional", "secret:app#x,omitempty",
		"secret:app,json", "secret:app,default=x", "secret:app#x,default",
		"database:creds/app,dynamic,v1", "database:static-creds/app,v1,static", "secret:app,V1", "secret:app,v2",
		"database:creds/app,dynamic,static", "database:creds/app,dynamic,optional", "database:creds/app#x,static,default=y",
		// One would serve a password that was rotated since, the other makes a user at each read.
		"database:static-creds/app,dynamic", "ldap:static-cred/app#password,dynamic", "database:creds/app,static",
	} {
		_, err := parseTag(text)
		assert.Error(t, err, "%q", text)
	}
}

func FuzzTag(f *testing.F) {
	for _, text := range []string{
		"secret:app", "a/b:c/d#e#f,json,optional,default=x,y", "d:creds/x,dynamic", "k:x#y,v1,optional", "d:static-creds/x#password,static,dynamic", ":#,", "a:b#\xff,default=\x00",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		parsed, err := parseTag(text)
		if err != nil {
			return
		}
		again, err := parseTag(parsed.String())
		require.NoError(t, err)
		assert.Equal(t, parsed, again)
	})
}
