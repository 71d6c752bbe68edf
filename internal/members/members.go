// Package members tells what encoding/json makes of the fields of a struct. Who reads or
// writes JSON beside it must see the same ones.
package members

import (
	"reflect"
	"slices"
	"strings"
	"unicode"
)

// Member is a field that a struct has in JSON.
type Member struct {
	Name string
	Type reflect.Type

	OmitEmpty, OmitZero, Quoted bool // the options of its tag; Quoted is "string"

	index  []int // through embedded structs
	tagged bool  // the name is from a tag
}

// In returns the member's value in the struct v, unless an embedded pointer on the way is nil.
func (m Member) In(v reflect.Value) (reflect.Value, bool) {
	for _, i := range m.index {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				return v, false
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v, true
}

// Optional reports whether the member of the struct type t may be missing by its type or its tag.
func (m Member) Optional(t reflect.Type) bool {
	for i := range m.index { // itself, or what it is embedded in
		if t.FieldByIndex(m.index[:i+1]).Type.Kind() == reflect.Pointer {
			return true
		}
	}
	return m.OmitEmpty || m.OmitZero
}

// Members are those of one struct, in their order.
type Members []Member

// Named returns the member that takes the key: its own, or else the first that is the same
// but for the case.
func (ms Members) Named(key string) (Member, bool) {
	var folded *Member
	for i, m := range ms {
		switch {
		case m.Name == key:
			return m, true
		case folded == nil && strings.EqualFold(m.Name, key):
			folded = &ms[i]
		}
	}
	if folded == nil {
		return Member{}, false
	}
	return *folded, true
}

// embedded is a struct whose fields count as its outer one's.
type embedded struct {
	t     reflect.Type
	index []int
}

// Of returns the members that encoding/json gives a struct of type t: of those with the same
// name the one that is embedded least deep, then the one with a tag, and none if that leaves
// several.
func Of(t reflect.Type) Members {
	var all Members
	seen := make(map[reflect.Type]bool)
	level, times := []embedded{{t: t}}, map[reflect.Type]int{}
	for len(level) > 0 {
		next, nextTimes := []embedded(nil), map[reflect.Type]int{}
		for _, em := range level {
			if seen[em.t] {
				continue
			}
			seen[em.t] = true
			for i := range em.t.NumField() {
				index := append(slices.Clone(em.index), i)
				m, inner, ok := memberOf(em.t.Field(i), index)
				switch {
				case !ok:
				case inner == nil:
					all = append(all, m)
					if times[em.t] > 1 { // embedded twice at one level: both hide each other
						all = append(all, m)
					}
				default:
					if nextTimes[inner]++; nextTimes[inner] == 1 {
						next = append(next, embedded{inner, index})
					}
				}
			}
		}
		level, times = next, nextTimes
	}
	return dominant(all)
}

// memberOf returns the member that a field makes, or the struct that it embeds.
func memberOf(sf reflect.StructField, index []int) (m Member, inner reflect.Type, ok bool) {
	ft := sf.Type
	if ft.Kind() == reflect.Pointer && ft.Name() == "" {
		ft = ft.Elem()
	}
	tag := sf.Tag.Get("json")
	exported := sf.IsExported() || (sf.Anonymous && ft.Kind() == reflect.Struct)
	if !exported || tag == "-" {
		return Member{}, nil, false
	}
	name, options, _ := strings.Cut(tag, ",")
	if !validName(name) {
		name = ""
	}
	if sf.Anonymous && name == "" && ft.Kind() == reflect.Struct {
		return Member{}, ft, true
	}
	m = Member{Name: name, Type: sf.Type, index: index, tagged: name != ""}
	if name == "" {
		m.Name = sf.Name
	}
	for option := range strings.SplitSeq(options, ",") {
		switch option {
		case "omitempty":
			m.OmitEmpty = true
		case "omitzero":
			m.OmitZero = true
		case "string":
			m.Quoted = ft.Kind() >= reflect.Bool && ft.Kind() <= reflect.Float64 || ft.Kind() == reflect.String
		}
	}
	return m, nil, true
}

// validName reports whether encoding/json takes a tag's name.
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return !unicode.IsLetter(c) && !unicode.IsDigit(c) && !strings.ContainsRune("!#$%&()*+-./:;<=>?@[]^_{|}~ ", c)
	})
}

func dominant(all Members) Members {
	byName := make(map[string]Members)
	for _, m := range all {
		byName[m.Name] = append(byName[m.Name], m)
	}
	var out Members
	for _, same := range byName {
		slices.SortFunc(same, func(a, b Member) int { return a.rank() - b.rank() })
		if len(same) == 1 || same[0].rank() < same[1].rank() {
			out = append(out, same[0])
		}
	}
	slices.SortFunc(out, func(a, b Member) int { return slices.Compare(a.index, b.index) })
	return out
}

// rank is smaller for a member that hides others of its name.
func (m Member) rank() int {
	rank := 2 * len(m.index)
	if !m.tagged {
		rank++
	}
	return rank
}
