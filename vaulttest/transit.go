package vaulttest

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// TransitKeySpec describes a key of a transit engine. Its zero value is Vault's default: an
// aes256-gcm96 key that is not exportable.
type TransitKeySpec struct {
	// Type is Vault's name: aes256-gcm96 (the default), aes128-gcm96, ed25519, ecdsa-p256,
	// ecdsa-p384, ecdsa-p521, rsa-2048, rsa-3072, rsa-4096 or hmac. An RSA key takes up to seconds
	// to make.
	Type string
	// Derived makes each request name a context from which its own key is derived; AES and ed25519
	// only. With Convergent, which AES alone has, the same plaintext then gives the same ciphertext.
	Derived, Convergent bool
	// Exportable lets export/ return the key itself.
	Exportable bool
	// KeySize is the length of an hmac key in bytes, 32 to 512; zero: 32.
	KeySize int
}

// TransitKey makes a key of a transit engine, which is mounted at mount if need be. A key of this
// name that is there already is replaced.
func (s *Server) TransitKey(mount, name string, spec TransitKeySpec) {
	s.tb.Helper()
	if spec.Type == "" {
		spec.Type = "aes256-gcm96"
	}
	typ, known := transitTypes[spec.Type]
	switch {
	case !known:
		s.tb.Fatalf("vaulttest: TransitKey: no key type %q; there are %s", spec.Type, strings.Join(sortedKeys(transitTypes), ", "))
		return
	case spec.Convergent && !spec.Derived:
		s.tb.Fatalf("vaulttest: TransitKey: Convergent needs Derived")
		return
	case spec.Derived && !typ.derives, spec.Convergent && !typ.aead:
		s.tb.Fatalf("vaulttest: TransitKey: keys of type %s have no such derivation", spec.Type)
		return
	case spec.KeySize != 0 && (spec.Type != "hmac" || spec.KeySize < 32 || spec.KeySize > 512):
		s.tb.Fatalf("vaulttest: TransitKey: no %s key has %d bytes", spec.Type, spec.KeySize)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.mount(mount, "transit"); m != nil {
		e, _ := m.engine.(*transitEngine)
		e.create(name, spec, s.now())
	}
}

// RotateTransitKey gives a key a new version, as an administrator would, and returns its number.
func (s *Server) RotateTransitKey(mount, name string) (version int) {
	s.tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	path := s.mountPath(mount)
	if path == "" {
		return 0
	}
	if m := s.mounts[path]; m != nil {
		if e, isTransit := m.engine.(*transitEngine); isTransit && e.keys[name] != nil {
			e.keys[name].rotate(s.now())
			return e.keys[name].latest()
		}
	}
	s.tb.Fatalf("vaulttest: RotateTransitKey: no key %q at %q", name, mount)
	return 0
}

// transitEngine encrypts and signs for its clients, with keys that they never see.
type transitEngine struct{ keys map[string]*transitKey }

func (e *transitEngine) create(name string, spec TransitKeySpec, now time.Time) *transitKey {
	if spec.Type == "hmac" && spec.KeySize == 0 {
		spec.KeySize = 32
	}
	k := &transitKey{name: name, spec: spec, typ: transitTypes[spec.Type], minDecryption: 1}
	k.rotate(now)
	e.keys[name] = k
	return k
}

// lacks implements finder: what is encrypted with a key that is not there makes the key.
func (e *transitEngine) lacks(_ *call, rest string) bool {
	name, found := strings.CutPrefix(rest, "encrypt/")
	return found && e.keys[name] == nil
}

// validate implements validator.
func (e *transitEngine) validate(c *call, rest string) *reply {
	if strings.HasPrefix(rest, "encrypt/") {
		return c.validate(encryptFields)
	}
	return nil
}

// pathName is what Vault takes for a name within a path.
var pathName = regexp.MustCompile(`^\w(([\w-.]+)?\w)?$`)

// transitUnmodelled are paths of Vault's transit engine that are not modelled.
var transitUnmodelled = []string{
	"backup", "restore", "byok-export", "cache-config", "wrapping_key", "config", "cmac", "derive-key", "encapsulate",
}

// serve implements engine.
func (e *transitEngine) serve(c *call, m *mount, rest string) reply {
	segments := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	if slices.Contains(transitUnmodelled, segments[0]) {
		return unmodelled(m.path + rest)
	}
	for _, s := range segments {
		if !pathName.MatchString(s) {
			return unsupportedPath()
		}
	}
	if c.method == "LIST" && rest != "keys" && rest != "keys/" {
		return unsupportedPath() // Vault lists with a slash behind the path, where it has none
	}
	n := len(segments)
	switch segments[0] {
	case "keys":
		if n > 1 {
			return e.keyRoute(c, m, segments[1], strings.Join(segments[2:], "/"))
		}
		if c.method != "LIST" {
			return unsupportedOperation()
		}
		return listOf("transit", sortedKeys(e.keys))
	case "export":
		switch {
		case n != 3 && n != 4:
			return unsupportedPath()
		case c.method != http.MethodGet:
			return unsupportedOperation()
		}
		return e.export(segments[1], segments[2], strings.Join(segments[3:], ""))
	}
	write, known := transitWrites[segments[0]]
	switch {
	case !known, n <= write.least, n > write.most+1:
		return unsupportedPath()
	case !c.write:
		return unsupportedOperation()
	}
	args := slices.Concat(segments[1:], []string{"", ""})
	return write.serve(e, c, args[0], args[1])
}

// transitWrites are what clients do with keys, and how many names stand behind each in the path.
var transitWrites = map[string]struct {
	least, most int
	serve       func(e *transitEngine, c *call, first, second string) reply
}{
	"encrypt": {1, 1, func(e *transitEngine, c *call, name, _ string) reply { return e.encrypt(c, name) }},
	"decrypt": {1, 1, func(e *transitEngine, c *call, name, _ string) reply { return e.decrypt(c, name) }},
	"rewrap":  {1, 1, func(e *transitEngine, c *call, name, _ string) reply { return e.rewrap(c, name) }},
	"datakey": {2, 2, (*transitEngine).dataKey},
	"sign":    {1, 2, (*transitEngine).sign},
	"verify":  {1, 2, (*transitEngine).verify},
	"hmac":    {1, 2, (*transitEngine).hmac},
	"random":  {0, 2, func(_ *transitEngine, c *call, source, count string) reply { return c.random(source, count) }},
	"hash":    {0, 1, func(_ *transitEngine, c *call, name, _ string) reply { return c.hash(name) }},
}

// transitError is what an operation with a key can end in. Vault answers 500 where it thinks the
// fault its own.
type transitError struct {
	text     string
	internal bool
}

func (e *transitError) Error() string { return e.text }

func refuse(format string, args ...any) error {
	return &transitError{text: fmt.Sprintf(format, args...)}
}

func break500(format string, args ...any) error {
	return &transitError{text: fmt.Sprintf(format, args...), internal: true}
}

func isInternal(err error) bool {
	e, isTransit := err.(*transitError) //nolint:errorlint // never wrapped
	return isTransit && e.internal
}

// failed is the answer to a request that ended in err.
func failed(err error) reply {
	if isInternal(err) {
		return failList(http.StatusInternalServerError, err.Error())
	}
	return fail(http.StatusBadRequest, err.Error())
}
