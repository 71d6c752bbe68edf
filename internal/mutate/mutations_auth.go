package main

// authMutations are seen by the tests of the methods that log in.
var authMutations = []mutation{
	{
		Law: 1, What: "the role-id is read once",
		File:    "auth/approle/approle.go",
		Old:     "Method{roleID: roleID,",
		New:     "Method{roleID: func() auth.Source { v, err := roleID.Read(context.Background()); return func(context.Context) (string, error) { return v, err } }(),",
		Package: "./auth/approle", Test: "^TestA8BothIDsAreReadAfreshForEachLogin$",
	},
	{
		Law: 1, What: "a secret-id is read for a role that has none",
		File:    "auth/approle/approle.go",
		Old:     "if m.secretID.none {",
		New:     "if m.secretID.none && false {",
		Package: "./auth/approle", Test: "^TestA8WithoutASecretIDTheRoleIDAloneLogsIn$",
	},
	{
		Law: 1, What: "what was unwrapped is not kept",
		File:    "auth/internal/wrapping/wrapping.go",
		Old:     "o.kept.Store(&k)",
		New:     "_ = &k",
		Package: "./auth/approle", Test: "^TestA8AWrappedSecretIDIsUnwrappedOnceAndKept$",
	},
	{
		Law: 21, What: "where a wrapping token was made is not looked at",
		File:    "auth/internal/wrapping/wrapping.go",
		Old:     "!kind.Made(path) || ",
		New:     "",
		Package: "./auth/approle", Test: "^TestA8AWrappingTokenMadeElsewhereIsNotUnwrapped$",
	},
	{
		Law: 22, What: "a spent wrapping token passes for an error of the login",
		File:    "auth/internal/wrapping/wrapping.go",
		Old:     "re.StatusCode != http.StatusBadRequest",
		New:     "re.StatusCode == http.StatusBadRequest",
		Package: "./auth/approle", Test: "^TestA8ASpentWrappingTokenIsLoud$",
	},
	{
		Law: 22, What: "an unwrapping that did nothing counts as one of ours",
		File:    "auth/internal/wrapping/wrapping.go",
		Old:     "if !again && didNothing(err) {",
		New:     "if !again && didNothing(err) && false {",
		Package: "./auth/approle", Test: "^TestA8AnUnwrappingThatDidNothingIsNoneOfOurs$",
	},
	{
		Law: 22, What: "a page of what stands in between is a theft",
		File:    "auth/internal/wrapping/wrapping.go",
		Old:     " || re.RawError",
		New:     "",
		Package: "./auth/approle", Test: "^TestA8WhatIsNoAnswerOfVaultsIsNoTheft$",
	},
	{
		Law: 1, What: "what was unwrapped is used whatever the source says",
		File:    "auth/internal/wrapping/wrapping.go",
		Old:     " && k.Of == of",
		New:     "",
		Package: "./auth/approle", Test: "^TestA8ANewWrappingTokenIsUnwrappedThoughTheKeptSecretIDWorks$",
	},
	{
		Law: 1, What: "two unwrap the same token at once",
		File:    "auth/internal/wrapping/wrapping.go",
		Old:     "make(chan struct{}, 1)",
		New:     "make(chan struct{}, 100)",
		Package: "./auth/approle", Test: "^TestA8ManyClientsShareOneUnwrapping$",
	},
	{
		Law: 22, What: "an answer that was lost passes for a theft",
		File:    "auth/internal/wrapping/wrapping.go",
		Old:     "o.sent = of",
		New:     "_ = of",
		Package: "./auth/approle", Test: "^TestA8AnAnswerThatWasLostOnTheWayIsSaidSo$",
	},
	{
		Law: 8, What: "how many uses a secret-id has is not read",
		File:    "auth/approle/secretid.go",
		Old:     `positive(answer.Data["secret_id_num_uses"]) || `,
		New:     "",
		Package: "./auth/approle", Test: "^TestA8UnwrappingSaysHowManyLoginsThereAre$",
	},
}
