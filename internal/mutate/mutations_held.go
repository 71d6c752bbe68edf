package main

// heldMutations are seen by the tests of what the session knows of a method beyond its
// logins: that they are scarce or refused, and tokens that others keep.
var heldMutations = []mutation{
	{
		Law: 17, What: "a method that waits for its source is said to wait for Vault", File: "internal/session/login.go",
		Old: "if peek != nil && !peek.asked() {", New: "if peek != nil && !peek.asked() && false {",
		Package: ".", Test: "^TestU1ASourceThatHangsIsNamed$",
	},
	{
		Law: 6, What: "a refusal counts against a certificate that was not shown", File: "internal/session/connections.go",
		Old: "c.reload(c.clock())", New: "_ = c.clock()",
		Package: "./internal/session", Test: "^TestE7AnotherCertificateIsAnotherCredential$",
	},
	{
		Law: 6, What: "a certificate is the fingerprint of any method's credential", File: "internal/session/refused.go",
		Old: "own && mark != \"\"", New: "(own || true) && mark != \"\"",
		Package: "./internal/session", Test: "^TestA8ACertificateBesideAPasswordDoesNotMakeItTheSame$",
	},
	{
		Law: 6, What: "another certificate waits out the pause of the refused one", File: "internal/session/refused.go",
		Old: "return auth.Hash(m.cert, m.key), nil", New: "return auth.Hash(m.cert, m.key)[:0], nil",
		Package: "./internal/session", Test: "^TestE7AnotherCertificateIsAnotherCredential$",
	},
	{
		Law: 7, What: "a slow login is cut off like a read", File: "internal/session/login.go",
		Old: "\treturn createTimeout\n}", New: "\treturn attemptTimeout\n}",
		Package: ".", Test: "^TestLaw07ASlowLoginIsWaitedFor$",
	},
	{
		Law: 3, What: "a login that hangs takes all that the token has left", File: "internal/session/login.go",
		Old: "return min(max(left/2, attemptTimeout), createTimeout)", New: "return createTimeout",
		Package: ".", Test: "^TestLaw03ALoginThatHangsLeavesTimeForAnother$",
	},
	{
		Law: 22, What: "a token that cannot be given back is not told", File: "internal/session/login.go",
		Old: "s.Report(lease.ReplaceFailed, \"token\", err) // it lives", New: "_ = err // it lives",
		Package: ".", Test: "^TestLaw22ATokenThatCannotBeGivenBackIsTold$",
	},
}
