package leasehold_test

import (
	"github.com/seed-f5e1ac40/leasehold/cache"
	"github.com/seed-f5e1ac40/leasehold/dynamic"
	"github.com/seed-f5e1ac40/leasehold/secret"
)

// wrongTags has a field for each thing that can be wrong with one.
type wrongTags struct {
	Good        string                                `vault:"secret:a#x"`
	Empty       string                                `vault:""`
	Unknown     string                                `vault:"secret:a#x,omitempty"`
	Dots        string                                `vault:"secret:../a#x"`
	Chan        chan int                              `vault:"secret:a#x"`
	Func        func()                                `vault:"secret:a#x"`
	Iface       error                                 `vault:"secret:a#x"`
	Whole       string                                `vault:"secret:a"`
	Default     int                                   `vault:"secret:a#x,default=five"`
	DefaultLive *cache.Value[int]                     `vault:"secret:a#x,default=5"`
	Value       cache.Value[string]                   `vault:"secret:a#x"`
	Cred        dynamic.Credential[dynamic.UserPass]  `vault:"database:creds/a,dynamic"`
	CredKV      *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/a"`
	CredField   *dynamic.Credential[dynamic.UserPass] `vault:"database:creds/a#username,dynamic"`
	CredInt     *dynamic.Credential[int]              `vault:"database:creds/a,dynamic"`
	CredChan    *dynamic.Credential[chan int]         `vault:"database:creds/a,dynamic"`
	CredFunc    *dynamic.Credential[*func()]          `vault:"database:creds/a,dynamic"`
	LiveDynamic *cache.Value[dynamic.UserPass]        `vault:"database:creds/a,dynamic"`
	LiveStatic  *cache.Value[dynamic.UserPass]        `vault:"database:static-creds/a,static"`
	Both        struct {
		X string `vault:"secret:a#x"`
	} `vault:"secret:a"`
	List []struct {
		X string `vault:"secret:a#x"`
	}
	hidden string   `vault:"secret:a#x"` //nolint:unused // Load must find it
	inside struct { //nolint:unused // Load must look into it
		X string `vault:"secret:a#x"`
	}
	*behind

	Deep struct {
		More *struct {
			X string `vault:"nowhere"`
		}
	}
}

type behind struct {
	X string `vault:"secret:a#x"`
}

// mixed is nine requests: two fields share each of d and a plain credential.
type mixed struct {
	A, B, C int                  `vault:"-"`
	X       int                  `vault:"secret:a#x"`
	Y       map[string]string    `vault:"secret:b"`
	Z       string               `vault:"secret:c#y"`
	Live    *cache.Value[int]    `vault:"secret:d#x"`
	Live2   *cache.Value[string] `vault:"secret:d#y"`
	Copy    string               `vault:"secret:d#y"`

	User   string           `vault:"database:creds/app#username,dynamic"`
	Pass   secret.String    `vault:"database:creds/app#password,dynamic"`
	Both   dynamic.UserPass `vault:"database:creds/app,dynamic"`
	Static dynamic.UserPass `vault:"database:static-creds/fixed,static"`

	One   *dynamic.Credential[dynamic.UserPass]  `vault:"database:creds/app,dynamic"`
	Two   *dynamic.Credential[dynamic.UserPass]  `vault:"database:creds/app,dynamic"`
	Three *dynamic.Credential[map[string]string] `vault:"database:creds/app,dynamic"`
}
