package likeness

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
	"github.com/seed-f5e1ac40/leasehold/vaulttest"
)

// wholeRun tells whether all tests were asked for.
func wholeRun() bool { return flag.Lookup("test.run").Value.String() == "" }

// pair is a real Vault and its image, with what their answers held: each has names and
// tokens of its own.
type pair struct {
	t      *testing.T
	real   *testvault.Server
	fake   *vaulttest.Server
	sides  [2]side
	client *http.Client
	// apart is by how many seconds they were asked apart, at most: as much later began what one of them gave,
	// and what is left of it may show that. Most often it is zero.
	apart int
}

// side is one of the two.
type side struct {
	name, url string
	known     map[string]string // saved values by name
}

// step is one request and what is kept of its answer.
type step struct {
	// as is the token to use: a saved value's name, "root", or nothing for none.
	as string
	// do is the method and the path below /v1/, such as "GET secret/data/a?version=2". In it, in
	// body and in header {name} stands for each side's own saved value of that name.
	do     string
	body   string
	header map[string]string
	// save names values of the answer, by path: "lease=lease_id token=auth.client_token
	// first=data.keys.0".
	save string
	// like, if set, is the reason why the answers may differ. vaulttest's documentation must
	// hold it to the letter, and status alone is compared.
	like string
	// loose names keys whose values may differ, though not their types, where one step alone
	// has such: "username password".
	loose string
}

// newPair starts both. What they must hold is set up by the scene: through the API at the real one,
// through vaulttest's methods at its image.
func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{t: t, real: testvault.Vault(t), fake: vaulttest.New(t)}
	transport := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(transport.CloseIdleConnections)
	p.client = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	p.sides = [2]side{
		{"vault", p.real.Addr(), map[string]string{"root": p.real.RootToken()}},
		{"vaulttest", p.fake.URL(), map[string]string{"root": p.fake.RootToken()}},
	}
	return p
}

// know saves a value that the set-up gave to each side.
func (p *pair) know(name, realValue, fakeValue string) {
	p.sides[0].known[name], p.sides[1].known[name] = realValue, fakeValue
}

// play sends each step to both and compares what they answer.
func (p *pair) play(steps ...step) {
	p.t.Helper()
	for _, s := range steps {
		compared.Add(1)
		want, got := p.ask(s)
		if s.like != "" {
			if documented(s.like) {
				p.report(s, want, got, compareStatus(want, got))
			} else {
				p.t.Errorf("%s: vaulttest's documentation does not say %q", s.do, s.like)
			}
		} else {
			p.report(s, want, got, compare(want, got, strings.Fields(s.loose), p.apart))
		}
		for pair := range strings.FieldsSeq(s.save) {
			name, path, _ := strings.Cut(pair, "=")
			for i, a := range []*answer{want, got} {
				value := a.at(path)
				require.NotEmpty(p.t, value, "%s: %s has no %s: %d %s", s.do, p.sides[i].name, path, a.status, a.text)
				p.sides[i].known[name] = value
			}
		}
	}
}

// nearlyOver is how far a second has gone when a step waits for the next. Vault reckons in whole seconds,
// those of a token's or lease's beginning and those of a request, so that two servers that were asked in the
// same ones say the same.
const nearlyOver = 850 * time.Millisecond

// ask sends a step to one after the other, in the same second if it can.
func (p *pair) ask(s step) (want, got *answer) {
	p.t.Helper()
	now := time.Now()
	if in := now.Sub(now.Truncate(time.Second)); in > nearlyOver {
		<-time.After(time.Second - in)
	}
	began := time.Now().Truncate(time.Second)
	want, got = p.sides[0].send(p, s), p.sides[1].send(p, s)
	p.apart = max(p.apart, int(time.Now().Truncate(time.Second).Sub(began)/time.Second))
	return want, got
}

func (p *pair) report(s step, want, got *answer, differences []string) {
	p.t.Helper()
	if len(differences) > 0 {
		p.t.Errorf("%s %s as %q\n\t%s\nvault:     %d %s\nvaulttest: %d %s", s.do, s.body, s.as,
			strings.Join(differences, "\n\t"), want.status, want.text, got.status, got.text)
	}
}

// send sends a step to one side. Its saved values are taken out of the answer again, so that
// both sides' read alike.
func (d *side) send(p *pair, s step) *answer {
	p.t.Helper()
	method, path, _ := strings.Cut(d.fill(s.do), " ")
	req, err := http.NewRequestWithContext(p.t.Context(), method, d.url+"/v1/"+path, strings.NewReader(d.fill(s.body)))
	require.NoError(p.t, err)
	if s.as != "" {
		token, known := d.known[s.as]
		require.True(p.t, known, "%s: nobody is called %q", s.do, s.as)
		req.Header.Set("X-Vault-Token", token)
	}
	for k, v := range s.header {
		req.Header.Set(k, d.fill(v))
	}
	resp, err := p.client.Do(req)
	require.NoError(p.t, err, "%s: %s", d.name, s.do)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(p.t, err)
	a := &answer{status: resp.StatusCode, header: resp.Header, raw: string(text), text: d.blank(string(text))}
	decoder := json.NewDecoder(bytes.NewReader([]byte(a.text)))
	decoder.UseNumber()
	if len(text) > 0 && decoder.Decode(&a.body) != nil {
		a.body = a.text // such as a redirect's
	}
	return a
}

// fill puts the side's own values for {name}.
func (d *side) fill(text string) string {
	for name, value := range d.known {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	return text
}

// blank is fill's inverse.
func (d *side) blank(text string) string {
	for name, value := range d.known {
		if len(value) > 7 { // shorter ones are found where they do not belong
			text = strings.ReplaceAll(text, value, "{"+name+"}")
		}
	}
	return text
}

// answer is one side's.
type answer struct {
	status    int
	header    http.Header
	raw, text string // as it came, and with saved values' names in their place
	body      any
}

// at returns the text of the value at a path of keys and indices; empty if there is none.
func (a *answer) at(path string) string {
	var value any
	decoder := json.NewDecoder(strings.NewReader(a.raw))
	decoder.UseNumber()
	if decoder.Decode(&value) != nil {
		return ""
	}
	for key := range strings.SplitSeq(path, ".") {
		switch v := value.(type) {
		case map[string]any:
			value = v[key]
		case []any:
			i := 0
			if _, err := fmt.Sscan(key, &i); err != nil || i < 0 || i >= len(v) {
				return ""
			}
			value = v[i]
		default:
			return ""
		}
	}
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}
