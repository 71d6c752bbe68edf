package main

// awsMutations are seen by the tests of the AWS method (failure code A9).
var awsMutations = []mutation{
	{
		Law: 6, What: "a failing AWS STS is one that refuses",
		File: "internal/session/sts.go", Old: "strings.HasPrefix(text, \"received error code 5\") ||", New: "",
		Package: "./internal/session", Test: "^TestA9AnOutageOfSTSIsNoRefusal$",
	},
}
