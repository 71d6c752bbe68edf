package main

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// trim returns the test files of a folder as they are without what the named tests do not need, by their
// paths; one of which nothing is left is empty. Most of the time that a mutant takes goes into compiling its
// package's tests, and one of a hundred of them is to run.
//
// What is needed is found by name alone, so that too much may be kept. If it were too little, the mutant would
// not compile, which is an error.
func trim(dir, tests string) (map[string][]byte, error) {
	named, err := regexp.Compile(tests)
	if err != nil {
		return nil, err
	}

	files, err := parseTests(dir)
	if err != nil {
		return nil, err
	}

	keep(split(files), named)

	trimmed := make(map[string][]byte, len(files))
	for _, f := range files {
		trimmed[f.path] = f.rest()
	}

	return trimmed, nil
}

// A testFile is one file with tests.
type testFile struct {
	path string
	text []byte
	fset *token.FileSet
	tree *ast.File

	parts []*part
}

func parseTests(dir string) ([]*testFile, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return nil, err
	}

	var files []*testFile

	for _, path := range paths {
		f := &testFile{path: path, fset: token.NewFileSet()}

		if f.text, err = os.ReadFile(path); err != nil {
			return nil, err
		}

		if f.tree, err = parser.ParseFile(f.fset, path, f.text, parser.ParseComments); err != nil {
			return nil, err
		}

		files = append(files, f)
	}

	return files, nil
}

// A part is one declaration at the top of a file: it is kept or dropped as a whole.
type part struct {
	decl     ast.Decl
	names    []string        // by which others mention it
	mentions map[string]bool // what it mentions; after a dot or before one, with the dot
	kept     bool
}

// split takes files apart.
func split(files []*testFile) []*part {
	var parts []*part

	types := make(map[string]bool)

	for _, f := range files {
		for _, d := range f.tree.Decls {
			p := &part{decl: d, mentions: mentioned(d)}

			if g, ok := d.(*ast.GenDecl); ok {
				if g.Tok == token.IMPORT {
					continue
				}

				for _, spec := range g.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						types[s.Name.Name] = true
						p.declares(s.Name.Name)
					case *ast.ValueSpec:
						for _, name := range s.Names {
							p.declares(name.Name)
						}
					}
				}
			}

			f.parts = append(f.parts, p)
		}

		parts = append(parts, f.parts...)
	}

	for _, p := range parts {
		f, ok := p.decl.(*ast.FuncDecl)

		switch {
		case !ok:
		case f.Recv == nil:
			p.declares(f.Name.Name)
		case types[receiver(f)]:
			p.names = append(p.names, receiver(f)) // a type goes with all of its methods
		default:
			p.names = append(p.names, "."+f.Name.Name) // that the tests add to the package's own type
		}
	}

	return parts
}

// declares gives p a name. The tests of a folder may be two packages, and then one says it with a dot.
func (p *part) declares(name string) {
	switch {
	case ast.IsExported(name):
		p.names = append(p.names, name, "."+name)
	case name != "_":
		p.names = append(p.names, name)
	}
}

// receiver is the name of a method's type.
func receiver(f *ast.FuncDecl) (name string) {
	ast.Inspect(f.Recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && name == "" {
			name = id.Name
		}

		return name == ""
	})

	return name
}

// mentioned returns the names in a declaration.
func mentioned(d ast.Decl) map[string]bool {
	names := make(map[string]bool)
	selected := make(map[*ast.Ident]bool)

	ast.Inspect(d, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			selected[n.Sel] = true
			names["."+n.Sel.Name] = true

			if x, ok := n.X.(*ast.Ident); ok && x.Obj == nil { // else a variable
				names[x.Name+"."] = true
			}
		case *ast.Ident:
			if !selected[n] {
				names[n.Name] = true
			}
		}

		return true
	})

	return names
}

// keep marks the tests that are named, what runs without being named, and all that these mention.
func keep(parts []*part, named *regexp.Regexp) {
	var next []*part

	for _, p := range parts {
		if f, ok := p.decl.(*ast.FuncDecl); ok && f.Recv == nil &&
			(f.Name.Name == "TestMain" || f.Name.Name == "init" || named.MatchString(f.Name.Name)) {
			p.kept = true
			next = append(next, p)
		}
	}

	for len(next) > 0 {
		by := next[0]
		next = next[1:]

		for _, p := range parts {
			if !p.kept && slices.ContainsFunc(p.names, func(name string) bool { return by.mentions[name] }) {
				p.kept = true
				next = append(next, p)
			}
		}
	}
}

// rest returns the file's text with blanks in the place of what is not kept, so that lines stay where they
// are, and with an underscore before an import that nothing mentions any more.
func (f *testFile) rest() []byte {
	var (
		text     = bytes.Clone(f.text)
		mentions = make(map[string]bool)
		left     bool
	)

	for _, p := range f.parts {
		if !p.kept {
			f.blank(text, p.decl.Pos(), p.decl.End())

			continue
		}

		left = true

		maps.Copy(mentions, p.mentions)
	}

	if !left {
		return nil
	}

	for _, spec := range slices.Backward(f.tree.Imports) {
		if name := importName(spec); name != "." && name != "_" && !mentions[name+"."] {
			begin, end := f.offset(spec.Pos()), f.offset(spec.Path.Pos())
			text = slices.Replace(text, begin, end, '_', ' ')
		}
	}

	return text
}

func (f *testFile) offset(p token.Pos) int { return f.fset.Position(p).Offset }

// blank takes out a piece of text and leaves its lines.
func (f *testFile) blank(text []byte, from, to token.Pos) {
	for i := f.offset(from); i < f.offset(to); i++ {
		if text[i] != '\n' {
			text[i] = ' '
		}
	}
}

var version = regexp.MustCompile(`^v\d+$`)

// importName is what an import is called in its file, by the customs of naming packages.
func importName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}

	whole := strings.Trim(spec.Path.Value, `"`)
	if version.MatchString(path.Base(whole)) {
		whole = path.Dir(whole)
	}

	return path.Base(whole)
}
