package likeness

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// headers are those of Vault's that clients act on.
var headers = []string{"Cache-Control", "Content-Type", "Retry-After", "Location", "Allow", "X-Vault-Namespace"}

// compareStatus finds differences in status alone.
func compareStatus(want, got *answer) (out []string) {
	if want.status != got.status {
		out = append(out, fmt.Sprintf("status: %d against %d", want.status, got.status))
	}
	return out
}

// compare finds all differences. What counts down may differ by as many seconds as the two were asked apart.
func compare(want, got *answer, loose []string, apart int) []string {
	out := compareStatus(want, got)
	for _, name := range headers {
		if r, f := want.header.Get(name), got.header.Get(name); r != f {
			out = append(out, fmt.Sprintf("header %s: %q against %q", name, r, f))
		}
	}
	c := comparison{loose: append(loose, volatile...), apart: apart}
	c.values("", want.body, got.body)
	return append(out, c.differences...)
}

// volatile names the keys whose values are each server's own: of them the types are compared.
var volatile = []string{
	"request_id", "accessor", "wrapped_accessor", "uuid", "creation_time", "issue_time", "expire_time", "expiration_time",
	"last_renewal", "last_renewal_time", "created_time", "updated_time", "deletion_time", "server_time_utc",
	"build_date", "cluster_id", "cluster_name", "entity_id", "nonce",
}

// nearly names the keys whose numbers a lookup rounds to the nearest second, so that a moment makes one of them.
var nearly = []string{"ttl", "secret_id_ttl"}

// capped is what warns of a TTL that was cut to what is left of a maximum.
var capped = regexp.MustCompile(`^(TTL of ".*" exceeded the effective max_ttl of ")([^"]+)("; TTL value is capped accordingly)$`)

// sameCap reports whether both warn of a TTL that was cut to the same but for as many seconds as they were
// asked apart.
func sameCap(want, got string, apart int) bool {
	r, f := capped.FindStringSubmatch(want), capped.FindStringSubmatch(got)
	if r == nil || f == nil || r[1] != f[1] {
		return false
	}
	a, err := time.ParseDuration(r[2])
	b, err2 := time.ParseDuration(f[2])
	return err == nil && err2 == nil && (a-b).Abs() <= time.Duration(apart)*time.Second
}

// own are texts of a server's own inside of others, such as in an error.
var own = []struct {
	*regexp.Regexp

	name string
}{
	{regexp.MustCompile(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "<uuid>"},
	{regexp.MustCompile(`\bhv[sb]\.[\w-]+`), "<token>"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`), "<time>"},
	{regexp.MustCompile(`^\w+/(creds|issue|sign)/\w+/\w{24}$`), "<lease>"},
	{regexp.MustCompile(`(?s)-{5}BEGIN ([A-Z0-9 ]+)-{5}.+?-{5}END [A-Z0-9 ]+-{5}`), "<$1>"},
	{regexp.MustCompile(`\b([0-9a-f]{2}:){15,19}[0-9a-f]{2}\b`), "<serial number>"},
	{regexp.MustCompile(`^hvs$|^[A-Za-z0-9]{24}$`), "<accessor>"},
}

type comparison struct {
	loose       []string
	apart       int
	differences []string
}

func (c *comparison) notef(path, format string, args ...any) {
	c.differences = append(c.differences, path+": "+fmt.Sprintf(format, args...))
}

func (c *comparison) values(path string, want, got any) {
	if r, f := kind(want), kind(got); r != f {
		c.notef(path, "%s against %s", r, f)
		return
	}
	key := path[strings.LastIndex(path, ".")+1:]
	switch r := want.(type) {
	case map[string]any:
		c.objects(path, r, got.(map[string]any))
	case []any:
		f := got.([]any)
		if len(r) != len(f) {
			c.notef(path, "%d elements against %d", len(r), len(f))
			return
		}
		for i := range r {
			c.values(fmt.Sprintf("%s.%d", path, i), r[i], f[i])
		}
	case string:
		f := got.(string)
		if slices.Contains(c.loose, key) {
			if (r == "") != (f == "") {
				c.notef(path, "%q against %q", r, f)
			}
			return
		}
		for _, o := range own {
			r, f = o.ReplaceAllString(r, o.name), o.ReplaceAllString(f, o.name)
		}
		if r != f && !sameCap(r, f, c.apart) {
			c.notef(path, "%q against %q", r, f)
		}
	case json.Number:
		a, _ := r.Float64()
		b, _ := got.(json.Number).Float64()
		off := 0.0 // what they may differ by
		switch {
		case slices.Contains(nearly, key):
			off = float64(c.apart + 1)
		case key == "lease_duration":
			off = float64(c.apart)
		}
		switch {
		case slices.Contains(c.loose, key):
		case a-b > off || b-a > off:
			c.notef(path, "%v against %v", want, got)
		}
	default:
		if want != got && !slices.Contains(c.loose, key) {
			c.notef(path, "%v against %v", want, got)
		}
	}
}

func (c *comparison) objects(path string, want, got map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if _, both := got[key]; !both {
			c.notef(path+"."+key, "vaulttest has none")
			continue
		}
		c.values(path+"."+key, want[key], got[key])
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, both := want[key]; !both {
			c.notef(path+"."+key, "vault has none")
		}
	}
}

func kind(v any) string {
	switch v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a text"
	case json.Number:
		return "a number"
	case bool:
		return "a bool"
	}
	return "null"
}

// documented tells whether vaulttest's documentation holds a reason to the letter, line
// breaks apart.
func documented(reason string) bool {
	return strings.Contains(documentation(), reason)
}

var documentation = sync.OnceValue(func() string {
	text, err := os.ReadFile("../../../vaulttest/doc.go")
	if err != nil {
		return err.Error()
	}
	return strings.Join(strings.Fields(strings.NewReplacer("\n//   - ", " ", "\n// ", " ", "\n//\n", " ").Replace(string(text))), " ")
})
