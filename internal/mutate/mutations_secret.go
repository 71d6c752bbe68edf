package main

// secretMutations are seen by the tests of what secrets are filled from and handed to.
var secretMutations = []mutation{
	{
		Law: 20, What: "what cannot be scanned is quoted",
		File: "secret/bytes.go", Old: "\"secret: a database's %T is", New: "\"secret: a database's %v is",
		Package: "./secret", Test: "^TestLaw20WhatADatabase",
	},
	{
		Law: 20, What: "a database is given what is printed",
		File: "secret/secret.go", Old: "Value() (driver.Value, error) { return s.Reveal(), nil }", New: "Value() (driver.Value, error) { return redacted, nil }",
		Package: "./secret", Test: "^TestLaw20ADatabase",
	},
	{
		Law: 20, What: "a flag's usage shows its default",
		File: "secret/secret.go", Old: "MarshalText() ([]byte, error) { return []byte(redacted), nil }", New: "MarshalText() ([]byte, error) { return []byte(s.Reveal()), nil }",
		Package: "./secret", Test: "^TestLaw20AFlags",
	},
	{
		Law: 11, What: "koanf is given the maps that all readers share",
		File: "kv/koanfkv/convert.go", Old: "case map[string]any:\n\t\treturn p.convert(v)", New: "case map[string]any:\n\t\treturn v, nil",
		Module: "kv/koanfkv", Package: ".", Test: "^TestLaw11",
	},
	{
		Law: 22, What: "a callback of koanf's is called while it runs",
		File: "kv/koanfkv/koanfkv.go", Old: "<-before //", New: "_ = before //",
		Module: "kv/koanfkv", Package: ".", Test: "^TestACallbackIsNeverCalledTwiceAtOnce$",
	},
	{
		Law: 22, What: "a failure is told at each glance",
		File: "kv/koanfkv/koanfkv.go", Old: "stale != nil && !told", New: "stale != nil && (!told || told)",
		Module: "kv/koanfkv", Package: ".", Test: "^TestC3AFailure",
	},
}
