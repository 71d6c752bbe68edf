package leasehold

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/seed-f5e1ac40/leasehold/kv"
)

// Load fills the fields of the struct that dst points to, as their `vault` tags say:
//
//	`vault:"mount:path"`                     the whole secret, into a struct or a map
//	`vault:"mount:path#field"`               one field of it
//	`vault:"mount:path#field,json"`          one field, which holds a JSON text
//	`vault:"mount:path#field,optional"`      left as it is if the secret or field is missing
//	`vault:"mount:path#field,v1"`            of KV version 1: where Vault cannot be asked
//	`vault:"mount:path#field,default=x"`     x if it is missing (JSON for a slice, map or
//	                                         struct); last, since x may hold commas
//	`vault:"mount:creds/role,dynamic"`       a credential that is made for this client
//	`vault:"mount:static-creds/role,static"` the credential of a static role
//	`vault:"-"`                              nothing, nor anything inside
//
// A path is given without the mount, and without "data/" for KV version 2. It cannot hold a
// comma or "#" here, nor a field a comma: read such with kv.Get. Structs and pointers to
// structs without a tag are searched for tagged fields, embedded ones of an unexported type
// too; a type that contains itself is searched once. A nil pointer is set only if something
// was found for what is behind it.
//
// # Values
//
// They are decoded as by kv.Get, with encoding/json's rules, over what is there: a struct's
// field that the secret lacks is left as it is, without an error, so give a field that must be
// there a tag of its own. A slice is replaced, a map copied and added to, and what a pointer
// leads to is written where it is: copies of the struct share it.
//
// More is taken than encoding/json does, since "vault kv put" stores strings: where a number
// or a bool is wanted, a string that is exactly one in JSON ("8080", "true", but not "080" or
// "yes"); and for a time.Duration a string such as "30s". A number is refused for a duration:
// it would be nanoseconds to Go and seconds to Vault.
//
// A field (#) that holds a string is a text, like an environment variable:
// encoding.TextUnmarshaler comes before json.Unmarshaler, and []byte and secret.Bytes are
// the text itself. Inside of a struct they are base64, as kv.Put writes them. A field that
// is null counts as missing.
//
// A tls.Certificate, or a pointer to one, is read from a secret with the fields certificate
// and private_key (and ca_chain), tls.crt and tls.key, or cert and key; or from one field
// that holds both in PEM. Whether it is valid today is not looked at.
//
// # Live fields
//
// A *cache.Value[T] follows its secret as by kv.Watch, each minute, and is decoded as a T
// would be here. Those of one secret change together: if one of them does not fit, none
// changes, and their Err says why; an optional one that is gone from the secret stays as it is
// while the others change. They are closed with the client. Each Load makes new ones:
// close those of an earlier one. Where an optional one is missing the field is left as it
// is: set it to cache.Fixed before, or it may be nil.
//
// A *dynamic.Credential[T] is kept alive and replaced as by dynamic.Open, each with a lease
// of its own: close that of an earlier Load. T is dynamic.UserPass, or what encoding/json
// makes of the answer's data.
//
// A plain field with ",dynamic" is a copy, for programs that want no more. All of one path
// are of one credential, which the client renews for as long as its maximum TTL and the
// token allow; when it is replaced (there is an event) the copy ends with its lease. Load
// again takes the one of then, and makes no further lease.
//
// # What goes wrong
//
// Tags are checked before anything is asked. Then each secret is asked for once, all of them
// at once, within Budget.Requests. Load blocks until all are there or ctx ends (without a
// deadline a read ends after a minute) and retries what may pass, as kv.Get does; each failed
// attempt is an event. What is lost for good is not asked for again, and the others then
// have five seconds left; a credential that is being made is waited for all the same, since
// nobody could give it back otherwise.
//
// Everything that is wrong comes back in one joined error, which names each field and path,
// and no value. errors.Is and errors.As find a kv.ErrNotFound, a kv.DecodeError or an
// [Error] in it. dst is then unchanged, and credentials are given back, for which the policy
// must allow update on sys/leases/revoke; otherwise they end by themselves, and the error
// says so, but for a live one whose own answer could not be decoded. Giving back may take five
// seconds more when ctx has ended. Another Load makes these only once all else is there, so that
// one that is repeated until it succeeds does not make and revoke them each time.
// [Client.Preflight] finds out beforehand what the policy lacks.
func (c *Client) Load(ctx context.Context, dst any) error {
	root, fields, err := checked("load", dst)
	if err != nil {
		return err
	}
	all := sources(fields)
	succeeded := false
	defer func() {
		if !succeeded { // a decoder of the caller's types has panicked
			_ = giveBack(ctx, all)
		}
	}()
	values, errs := c.values(ctx, fields, all)
	c.loaded.waste(all, len(errs) > 0)
	if len(errs) > 0 {
		succeeded = true // in having failed
		return errors.Join(append(errs, giveBack(ctx, all))...)
	}
	succeeded = true
	for i, f := range fields {
		if values[i] != nil {
			values[i](f.in(root))
		}
	}
	for _, s := range all {
		c.hand(s, root)
	}
	return nil
}

// checked returns dst's struct and its tagged fields, or everything that is wrong with them.
func checked(op string, dst any) (reflect.Value, []*field, error) {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		got := fmt.Sprintf("%T", dst)
		if v.Kind() == reflect.Struct { // whose type may be long
			got = "the struct itself: pass &cfg"
		}
		return v, nil, fmt.Errorf("leasehold: %s: want a pointer to a struct, got %s", op, got)
	}
	fields, errs := tagged(v.Elem().Type())
	if len(errs) > 0 {
		return v, nil, errors.Join(errs...)
	}
	if len(fields) == 0 {
		return v, nil, fmt.Errorf("leasehold: %s: %T has no field with a vault tag", op, dst)
	}
	return v.Elem(), fields, nil
}

// values fetches all sources and decodes them: for each field how to set it, nil where it stays as
// it is; or everything that is wrong, in the order of the fields.
func (c *Client) values(ctx context.Context, fields []*field, all []*source) ([]assign, []error) {
	values := make([]assign, len(fields))
	wrong := make([]error, len(fields))
	at := make(map[*field]int, len(fields))
	for i, f := range fields {
		at[f] = i
	}
	done := func(s *source) (lost bool) {
		var names []string
		for _, f := range s.fields {
			i, err := at[f], s.err
			if err == nil && f.open == nil {
				values[i], err = f.decode(s.data)
			}
			switch {
			case f.maker != nil:
				values[i] = nil // its follower sets it
				if s.follower != nil && err != nil {
					s.follower.leave(f)
				}
			case f.fallback != nil && missing(err):
				values[i], err = f.fromDefault()
			}
			switch {
			case err == nil || (f.optional && missing(err)):
			case s.err != nil:
				names = append(names, f.name)
			default:
				lost = true
				wrong[i] = fmt.Errorf("field %s: %w", f.name, err)
			}
		}
		if len(names) > 0 { // once, however many want it
			lost = true
			wrong[at[s.fields[0]]] = s.failed(names, s.err)
		}
		return lost
	}
	if first, then := c.loaded.inTurn(all); !c.fetch(ctx, first, done) {
		c.fetch(ctx, then, done)
	}
	var errs []error
	for _, err := range wrong {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return values, errs
}

// missing reports whether err says that there is no such secret or field now.
func missing(err error) bool {
	return errors.Is(err, kv.ErrNotFound) || errors.Is(err, kv.ErrDeleted) || errors.Is(err, kv.ErrDestroyed)
}

// hand puts what lives on into dst.
func (c *Client) hand(s *source, root reflect.Value) {
	put := func(f *field, value any) { f.in(root).Set(reflect.ValueOf(value)) }
	switch {
	case s.credential != nil:
		put(s.fields[0], s.credential)
	case s.kept != nil:
		c.loaded.done(s.mount+"/"+s.path, s.kept, true)
	case s.follower != nil:
		s.follower.start(c, s.data, put)
	}
}
