package leasehold

import (
	"errors"
	"fmt"
	"strings"

	"github.com/seed-f5e1ac40/leasehold/kv"
)

// tag is a vault tag taken apart.
//
//	MOUNT ":" PATH [ "#" FIELD ] { "," OPTION } [ "," "default=" TEXT ]
//
// The mount ends at the first colon, the path at the first "#" or comma, the field at the
// first comma, and the default with the tag: it may hold anything. The kind of source is
// told by an option and not by a word in front, so that a mount may have any name.
type tag struct {
	mount, path, key string
	engine           engine
	v1               bool // of KV; else Vault is asked
	optional         bool
	json             bool
	fallback         *string // of default=
}

// engine is the kind of source.
type engine string

const (
	keyValue      engine = ""
	dynamicEngine engine = "dynamic"
	staticEngine  engine = "static"
)

var errTag = errors.New(`want "mount:path" or "mount:path#field", then what applies of ",optional" ",json" ",v1" ",dynamic" ",static", and ",default=..." last`)

func parseTag(text string) (tag, error) {
	where, options, more := strings.Cut(text, ",")
	where, key, hasKey := strings.Cut(where, "#")
	mount, path, ok := strings.Cut(where, ":")
	if !ok || mount == "" || path == "" || (hasKey && key == "") {
		return tag{}, errTag
	}
	for _, part := range []string{mount, path, key} {
		if part != strings.TrimSpace(part) {
			return tag{}, fmt.Errorf("white space around %q: %w", part, errTag)
		}
	}
	if err := kv.CheckPath(mount, path); err != nil {
		return tag{}, err
	}
	t := tag{mount: mount, path: path, key: key}
	for more {
		if value, ok := strings.CutPrefix(options, "default="); ok {
			t.fallback = &value
			break
		}
		var option string
		option, options, more = strings.Cut(options, ",")
		switch option {
		case "optional":
			t.optional = true
		case "json":
			t.json = true
		case "v1":
			t.v1 = true
		case "dynamic", "static":
			if t.engine != keyValue && t.engine != engine(option) {
				return tag{}, fmt.Errorf("dynamic and static exclude each other: %w", errTag)
			}
			t.engine = engine(option)
		default:
			return tag{}, fmt.Errorf("unknown option %q: %w", option, errTag)
		}
	}
	return t, t.check()
}

// check refuses options that do not go together.
func (t tag) check() error {
	switch {
	case t.json && t.key == "":
		return errors.New(`json is for a field that holds a JSON text: name it, as in "mount:path#field,json"`)
	case t.fallback != nil && t.key == "":
		return errors.New(`default= is for one field: name it, as in "mount:path#field,default=..."`)
	case t.engine != keyValue && t.v1:
		return errors.New("v1 is for a KV engine")
	case t.engine != keyValue && (t.optional || t.fallback != nil):
		return errors.New("a credential cannot be optional or have a default: one that cannot be had is an error")
	case t.engine == dynamicEngine && (strings.HasPrefix(t.path, "static-creds/") || strings.HasPrefix(t.path, "static-cred/")):
		return errors.New("a static role has no lease, so nothing would tell when its password was rotated: say static")
	case t.engine == staticEngine && strings.HasPrefix(t.path, "creds/"):
		return errors.New("each read makes a credential, with a lease to be kept: say dynamic")
	}
	return nil
}

// String puts the tag together again.
func (t tag) String() string {
	var b strings.Builder
	b.WriteString(t.mount + ":" + t.path)
	if t.key != "" {
		b.WriteString("#" + t.key)
	}
	if t.engine != keyValue {
		b.WriteString("," + string(t.engine))
	}
	if t.v1 {
		b.WriteString(",v1")
	}
	if t.json {
		b.WriteString(",json")
	}
	if t.optional {
		b.WriteString(",optional")
	}
	if t.fallback != nil {
		b.WriteString(",default=" + *t.fallback)
	}
	return b.String()
}
