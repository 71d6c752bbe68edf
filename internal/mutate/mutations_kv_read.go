package main

// kvReadMutations break the readers of KV secrets: the kinds of what is not there, the version of a
// mount, and what fits a type.
var kvReadMutations = []mutation{
	{
		Law: 6, What: "a part of a mount has secrets that are missing",
		File: "kv/errors.go", Old: "len(failed.Vault) > 0, e.within != \"\", e.other != \"\":", New: "len(failed.Vault) > 0:",
		Package: "./kv", Test: "^TestF16F17WhatIsNotThere$",
	},
	{
		Law: 13, What: "what differs from a field by case alone is taken for it",
		File: "kv/misfit.go", Old: "case ok && (key == keys[m.Name] || !s.unknown):", New: "case ok:",
		Package: "./kv", Test: "^TestMissingAndUnknownFields$",
	},
	{
		Law: 6, What: "the version that was deleted is not told", File: "kv/errors.go",
		Old: "err = &DeletedError{Path: s.where(path), Namespace: s.view.Namespace, Version: meta.Version, At: meta.Deleted}", New: "err = &DeletedError{Path: where}",
		Package: "./kv", Test: "^TestF16F17",
	},
	{
		Law: 6, What: "destroyed counts as deleted", File: "kv/errors.go",
		Old: "case meta.Destroyed:", New: "case meta.Version < 0:",
		Package: "./kv", Test: "^TestF16F17",
	},
	{
		Law: 6, What: "version 2's warning counts as a missing secret", File: "kv/errors.go",
		Old: `"versioned K/V")`, New: `"-")`,
		Package: "./kv", Test: "^TestF16F17",
	},
	{
		Law: 6, What: "another engine's 404 counts as a missing secret", File: "kv/errors.go",
		Old: "case answer.versioned(), len(failed.Vault) > 0, e.within", New: "case answer.versioned(), e.within",
		Package: "./kv", Test: "^TestF16F17",
	},
	{
		Law: 6, What: "a 403 does not say what else the path might be", File: "kv/errors.go",
		Old: "more != \"\" && errors.As(err, &le)", New: "more == \"-\" && errors.As(err, &le)",
		Package: "./kv", Test: "^TestF16F17",
	},
	{
		Law: 6, What: "a proxy's 404 counts as a missing secret", File: "kv/errors.go",
		Old: " || (n.Errors == nil && n.Data == nil && n.Warnings == nil) {", New: " && n.Errors != nil {",
		Package: "./kv", Test: "^TestC3A404",
	},
	{
		Law: 12, What: "a 200 without a secret is a zero value", File: "kv/decode.go",
		Old: " && !reflect.ValueOf(&out.Value).Elem().IsZero() {", New: " {",
		Package: "./kv", Test: "^TestC3A200",
	},
	{
		Law: 12, What: "an answer without metadata is taken", File: "kv/decode.go",
		Old: "(raw.engine == 1 || out.Metadata.Version > 0)", New: "(raw.engine == 1 || out.Metadata.Version >= 0)",
		Package: "./kv", Test: "^TestC3A200",
	},
	{
		Law: 12, What: "a proxy's page is kept for who allows an age", File: "kv/decode.go",
		Old: "raw.foreign.Store(true)", New: "_ = raw.foreign.Load()",
		Package: "./kv", Test: "^TestC3WhatIsNoKVAnswerIsNotReadAgain$",
	},
	{
		Law: 12, What: "a ttl is taken for nanoseconds", File: "kv/decode.go",
		Old: "math.MaxInt64/int64(time.Second))) * time.Second", New: "math.MaxInt64/int64(time.Second)))",
		Package: "./kv", Test: "^TestC2ASecretOfVersion1",
	},
	{
		Law: 12, What: "null counts as a field that is there", File: "kv/misfit.go",
		Old: "have[m.Name] || tree[key] != nil", New: "true",
		Package: "./kv", Test: "^TestMissingAndUnknownFields$",
	},
	{
		Law: 12, What: "unknown fields inside of lists are not looked for", File: "kv/misfit.go",
		Old: `s.walk(t.Elem(), part, joined(at, fmt.Sprintf("[%d]", i)), report)`, New: "_, _ = i, part",
		Package: "./kv", Test: "^TestMissingAndUnknownFields$",
	},
	{
		Law: 14, What: "the version of a mount is not kept", File: "kv/mount.go",
		Old: "return e.version != 0 || time.Since(e.at) < probePause", New: "return e.version == 0 && time.Since(e.at) < probePause",
		Package: "./kv", Test: "^TestC5TheVersionIsAskedForOncePerMount$",
	},
	{
		Law: 14, What: "a version that is given is asked for all the same", File: "kv/mount.go",
		Old: "if s.given != 0 {", New: "if s.given < 0 {",
		Package: "./kv", Test: "^TestC5TheVersionIsAskedForOncePerMount$",
	},
	{
		Law: 14, What: "a probe that failed is tried with each read", File: "kv/mount.go",
		Old: "time.Since(e.at) < probePause", New: "time.Since(e.at) < 0",
		Package: "./kv", Test: "^TestC5AProbeThatFailsIsTolerated$",
	},
	{
		Law: 14, What: "a probe that hangs takes all the time of its caller", File: "kv/mount.go",
		Old: "time.Until(end)/2)", New: "time.Until(end))",
		Package: "./kv", Test: "^TestC5AProbeThatFailsIsTolerated$",
	},
	{
		Law: 14, What: "a 404 casts no doubt on a version that was assumed", File: "kv/mount.go",
		Old: "if e.version == 2 || (e", New: "if e.version != 1 || (e",
		Package: "./kv", Test: "^TestC5AVersionThatTurnsOutWrongIsAskedForAgain$",
	},
	{
		Law: 14, What: "an engine that was upgraded is not noticed", File: "kv/mount.go",
		Old: "&& !answer.versioned()) {", New: "&& answer.versioned()) {",
		Package: "./kv", Test: "^TestC5AVersionThatTurnsOutWrongIsAskedForAgain$",
	},
	{
		Law: 14, What: "an engine that was upgraded is not noticed for want of a permission", File: "kv/mount.go",
		Old: "return known.version != 1 || time.Since(known.at) < probePause", New: "return true",
		Package: "./kv", Test: "^TestC5AnUpgradeIsNoticedWhereThePolicyIsForVersion2Alone$",
	},
	{
		Law: 14, What: "a refusal makes a mount be asked for with each read", File: "kv/mount.go",
		Old: "return known.version != 1 || time.Since(known.at) < probePause", New: "return known.version != 1",
		Package: "./kv", Test: "^TestC5ARefusalCastsDoubtOnVersion1NowAndThen$",
	},
	{
		Law: 14, What: "a version that is known is forgotten for want of an answer", File: "kv/mount.go",
		Old: "engine{version: 1})", New: "engine{})",
		Package: "./kv", Test: "^TestC5ARefusalCastsDoubtOnVersion1NowAndThen$",
	},
	{
		Law: 14, What: "the second questions of many readers are many", File: "kv/mount.go",
		Old: "(known.again || known.version != e.version)", New: "known.again",
		Package: "./kv", Test: "^TestC5AVersionThatTurnsOutWrongIsAskedForAgain$",
	},
	{
		Law: 14, What: "a reader with more time fails with one that set none", File: "kv/shared.go",
		Old: "ctx, cancel := session.Limited(ctx)", New: "ctx, cancel := context.WithCancel(ctx)",
		Package: "./kv", Test: "^TestLaw14WhoSetNoDeadlineFailsNobodyWithMoreTime$",
	},
	{
		Law: 14, What: "a writer with more time fails with one that set none", File: "kv/action.go",
		Old: "ctx, cancel := session.Limited(ctx)", New: "ctx, cancel := context.WithCancel(ctx)",
		Package: "./kv", Test: "^TestLaw14WhoSetNoDeadlineFailsNobodyWithMoreTime$",
	},
	{
		Law: 14, What: "a question that was given up counts as an answer", File: "kv/mount.go",
		Old: "if ctx.Err() != nil { // which says", New: "if ctx == nil { // which says",
		Package: "./kv", Test: "^TestLaw14AReaderThatGoesAwayTakesNoVersionWithIt$",
	},
	{
		Law: 20, What: "a decoding error quotes the value", File: "kv/misfit.go",
		Old: "de.Got = kindOf(f.value)", New: "de.Got = string(f.value)",
		Package: "./kv", Test: "^TestLaw20ADecodeError",
	},
	{
		Law: 20, What: "a decoding error shows the keys of a map", File: "kv/misfit.go",
		Old: `f.field = joined("[*]", f.field)`, New: "f.field = joined(key, f.field)",
		Package: "./kv", Test: "^TestLaw20ADecodeError",
	},
	{
		Law: 20, What: "a field that is unknown is shown whatever it looks like", File: "kv/misfit.go",
		Old: "report(joined(at, shown(key))", New: "report(joined(at, key)",
		Package: "./kv", Test: "^TestMissingAndUnknownFields$",
	},
	{
		Law: 20, What: "what is inside of a type with its own decoder is judged", File: "kv/misfit.go",
		Old: "depth < deepestField && !decodesItself(t) &&", New: "depth < deepestField &&",
		Package: "./kv", Test: "^TestLaw20ADecodeError",
	},
	{
		Law: 21, What: "the version of a mount is asked for before the mount is looked at", File: "kv/mount.go",
		Old: "if err := session.CheckPath(s.mount); err != nil {", New: "if err := session.CheckPath(s.mount); err != nil && mount == \"\" {",
		Package: "./kv", Test: "^TestLaw21NoPathLeavesItsMount$",
	},
}
