package auth

import (
	"fmt"
	"strings"
)

// FromEnv is a method that leasehold.ConfigFromEnv can choose. Packages of methods that not
// every program should link have one: pass aws.FromEnv and the like to ConfigFromEnv.
type FromEnv struct {
	// Name is what VAULT_AUTH_METHOD says to choose it.
	Name string
	// New makes the method. Its error says all that is wrong, naming variables and never
	// their values. It asks for all that it knows before it fails: what it did not ask for
	// is told to be not for this method.
	New func(env *Environment) (Method, error)
}

// Environment is what a method may read of the environment. It notes which variables were
// asked for: one that is set and that the chosen method does not ask for is a conflict.
type Environment struct {
	lookup func(name string) (string, bool)
	asked  map[string]bool
}

// NewEnvironment returns an environment in which lookup finds variables, such as
// os.LookupEnv.
func NewEnvironment(lookup func(name string) (string, bool)) *Environment {
	return &Environment{lookup: lookup, asked: make(map[string]bool)}
}

// Get returns the value of a variable without surrounding white space; empty counts as not
// set.
func (e *Environment) Get(name string) string {
	e.asked[name] = true
	v, _ := e.lookup(name)
	return strings.TrimSpace(v)
}

// Source returns a source of the variable's value, or of the file that the variable with
// _FILE behind its name names; nil where neither is set. Both is an error.
func (e *Environment) Source(name string) (Source, error) {
	value, file := e.Get(name), e.Get(name+"_FILE")
	switch {
	case value != "" && file != "":
		return nil, fmt.Errorf("%s and %s_FILE are both set: unset one of them", name, name)
	case value != "":
		return String(value), nil
	case file != "":
		return File(file), nil
	}
	return nil, nil //nolint:nilnil // neither, as the comment says
}

// Required is Source where one of the two must be set.
func (e *Environment) Required(name string) (Source, error) {
	s, err := e.Source(name)
	if err == nil && s == nil {
		err = fmt.Errorf("neither %s nor %s_FILE is set", name, name)
	}
	return s, err
}

// Asked reports whether the variable was asked for.
func (e *Environment) Asked(name string) bool { return e.asked[name] }
