package likeness

import (
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-f5e1ac40/leasehold/internal/testvault"
)

// terminals is a pair before which a user sits with the vault command-line program.
type terminals struct {
	*pair

	cli [2]*testvault.CLI
}

// terminals seats the user. The program's home is empty at first.
func (p *pair) terminals() *terminals {
	p.t.Helper()
	return &terminals{p, [2]*testvault.CLI{testvault.NewCLI(p.t, p.sides[0].url), testvault.NewCLI(p.t, p.sides[1].url)}}
}

// line is one command line and what must come of it, at both sides.
type line struct {
	// as is whose token is in VAULT_TOKEN: a saved value's name, or nothing for the token that
	// the last login has left.
	as string
	// run is the arguments, between single spaces. In it and in stdin {name} stands for each
	// side's own saved value of that name.
	run   string
	stdin string
	exit  int
	// want is what the output must hold, a part a line.
	want string
	// save is the name under which the output is saved.
	save string
	// like, if set, is the reason why the outputs may differ: as in step.
	like string
	// then looks at what the command has done to vaulttest.
	then func()
}

// run runs each line at both sides and compares exit statuses and outputs.
func (p *terminals) run(lines ...line) {
	p.t.Helper()
	for _, l := range lines {
		var text [2]string
		var exit [2]int
		var both sync.WaitGroup
		for i := range p.sides {
			token, known := p.sides[i].known[l.as]
			require.True(p.t, known || l.as == "", "vault %s: nobody is called %q", l.run, l.as)
			both.Go(func() {
				text[i], exit[i] = p.cli[i].Run(p.t.Context(), token, p.sides[i].fill(l.stdin), p.sides[i].args(l.run)...)
			})
		}
		both.Wait()
		vaults, fakes := p.sides[0].printed(text[0]), p.sides[1].printed(text[1])
		switch {
		case exit[0] != l.exit || exit[1] != l.exit:
			p.t.Errorf("vault %s\n\texit status: vault %d, vaulttest %d, want %d\nvault:\n%s\nvaulttest:\n%s", l.run, exit[0], exit[1], l.exit, vaults, fakes)
		case l.like != "" && !documented(l.like):
			p.t.Errorf("vault %s: vaulttest's documentation does not say %q", l.run, l.like)
		case l.like == "" && !sameButForTime(vaults, fakes):
			p.t.Errorf("vault %s\nvault:\n%s\nvaulttest:\n%s", l.run, vaults, fakes)
		}
		fakes = durations.ReplaceAllStringFunc(fakes, roughly)
		for part := range strings.SplitSeq(l.want, "\n") {
			if !strings.Contains(fakes, part) {
				p.t.Errorf("vault %s\n\tno %q in:\n%s", l.run, part, fakes)
			}
		}
		if l.save != "" {
			for i := range p.sides {
				value := strings.TrimSpace(text[i])
				require.True(p.t, exit[i] == 0 && value != "", "vault %s: nothing to save as %s:\n%s", l.run, l.save, p.sides[i].printed(text[i]))
				p.sides[i].known[l.save] = value
			}
		}
		if l.then != nil {
			l.then()
		}
	}
}

// args are a line's arguments.
func (d *side) args(run string) []string {
	args := strings.Split(run, " ")
	for i := range args {
		args[i] = d.fill(args[i])
	}
	return args
}

// printed is an output without what is each server's own. Of the table's columns their order remains.
func (d *side) printed(text string) string {
	text = strings.ReplaceAll(d.blank(text), strings.TrimPrefix(d.url, "http://"), "<address>")
	for _, o := range slices.Concat(own, printedOwn) {
		text = o.ReplaceAllString(text, o.name)
	}
	return strings.TrimSpace(columns.ReplaceAllString(text, " "))
}

// printedOwn are texts of a server's own in outputs, behind what tells them.
var printedOwn = []struct {
	*regexp.Regexp

	name string
}{
	{regexp.MustCompile(`\b1\d{9}\b`), "<time>"},
	{regexp.MustCompile(`((?:creation|expiration|revocation)(?:_time)?"?:? +"?)[\d.: +-]+(?:UTC)?`), "$1<time>"},
	{regexp.MustCompile(`("ttl": )\d+`), "$1<ttl>"},
	{regexp.MustCompile(`(accessor"?:? +"?|\b[a-z_]+_)(?:\w{24}|[0-9a-f]{8})\b`), "$1<accessor>"},
	{regexp.MustCompile(`([Cc]luster.[Nn]ame"?:? +"?)[\w-]+`), "$1<cluster>"},
	{regexp.MustCompile(`(\b\w+/(?:creds|issue)/\w+/)\w{24}\b`), "$1<lease>"},
	{regexp.MustCompile(`(vault:v\d+:)[\w+/-]+={0,2}`), "$1<cipher>"},
	{regexp.MustCompile(`(password +)[\w-]{20}`), "$1<password>"},
	{regexp.MustCompile(`(username +)v-[\w-]+`), "$1<username>"},
}

// sameButForTime reports whether two outputs are the same, but for durations that differ by up to five
// seconds: they count down, and two programs take their time to start.
func sameButForTime(vaults, fakes string) bool {
	if durations.ReplaceAllString(vaults, "<duration>") != durations.ReplaceAllString(fakes, "<duration>") {
		return false
	}
	wants, gots := durations.FindAllString(vaults, -1), durations.FindAllString(fakes, -1)
	for i, want := range wants {
		a, err := time.ParseDuration(want)
		b, err2 := time.ParseDuration(gots[i])
		if (err != nil || err2 != nil) && want != gots[i] || (a-b).Abs() > 5*time.Second {
			return false
		}
	}
	return true
}

// roughly rounds a duration to ten seconds, and writes it as the program does.
func roughly(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return text
	}
	text = d.Round(10 * time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

var (
	durations = regexp.MustCompile(`\b(\d+[hms]){1,3}\b`)
	columns   = regexp.MustCompile(`[ \t-]{2,}`)
)
