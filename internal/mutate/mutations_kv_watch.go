package main

// kvWatchMutations are of the cache that all reads of KV share, and of kv.Watch.
var kvWatchMutations = []mutation{
	{
		Law: 12, What: "a server that is slow is asked again rather than heard",
		File: "kv/watch_poller.go", Old: "min(max(interval, pollPatience), pollTimeout)", New: "min(interval, pollTimeout)",
		Package: "./kv", Test: "^TestC2ASlowServerIsHeard$",
	},
	{
		Law: 14, What: "an answer from before a value was read is published after it",
		File: "kv/watch.go", Old: "w.seen = raw.sent.Mono", New: "_ = raw.sent.Mono",
		Package: "./kv", Test: "^TestC2ALateAnswerTakesNothingBack$",
	},
	{
		Law: 22, What: "a verifier that hangs is waited for in silence",
		File: "kv/watch.go", Old: "w.trial.running() && a.at.Mono-w.trial.at > verifyTimeout:", New: "w.trial.running() && false:",
		Package: "./kv", Test: "^TestLaw22AVerifierThatHangsIsTold$",
	},
	{
		Law: 13, What: "a decoder that panics fails all who watch the path",
		File: "kv/watch.go", Old: "next, err := w.decode(a.raw)", New: "next, err := decode[T](w.store.where(w.path), a.raw, w.strict)",
		Package: "./kv", Test: "^TestADecoderThatPanicsIsItsOwnValuesFailure$",
	},
	{
		Law: 14, What: "a read from before a write is joined after it",
		File: "cache/shared.go", Old: "\t\tif match(key) {\n\t\t\tdelete(s.flights, key)", New: "\t\tif false {\n\t\t\tdelete(s.flights, key)",
		Package: "./cache", Test: "^TestLaw14NoReaderJoinsARequestFromBeforeAWrite$",
	},
	{
		Law: 14, What: "what was asked for before a write is kept after it",
		File: "cache/shared.go", Old: "if s.flights[key] == f { //", New: "if true { //",
		Package: "./cache", Test: "^TestLaw14WhatWasAskedForBeforeAWriteIsNotKept$",
	},
	{
		Law: 14, What: "the cache does not hold to its rules in some order of events",
		File: "cache/shared.go", Old: "if f.number > after && (", New: "if f.number >= after && (",
		Package: "./cache", Test: "^TestLaw14SharedHoldsWhateverHappens$",
	},
	{
		Law: 14, What: "what is used often makes room",
		File: "cache/shared.go", Old: "s.recent.MoveToFront(e)", New: "_ = e",
		Package: "./cache", Test: "^TestWhatWasUsedLeastRecentlyMakesRoom$",
	},
	{
		Law: 14, What: "the cache believes that it is full",
		File: "cache/shared.go", Old: "s.size -= a.size", New: "_ = a.size",
		Package: "./cache", Test: "^TestACacheIsBoundedByWhatItsAnswersTake$",
	},
	{
		Law: 14, What: "who wants a new answer joins an old request",
		File: "cache/shared.go", Old: "after := s.begun", New: "after := s.begun * 0",
		Package: "./cache", Test: "^TestRenewGetsNothingFromBeforeItsCall$",
	},
	{
		Law: 14, What: "other versions of what was written are kept",
		File: "kv/shared.go", Old: "return k.Path == path && ", New: "return k.Version == 0 && k.Path == path && ",
		Package: "./kv", Test: "^TestLaw14InvalidateAsksVaultAgain$",
	},
	{
		Law: 14, What: "a write of this client leaves the cache as it is",
		File: "kv/action.go", Old: "\tdefer s.wrote(path)\n", New: "",
		Package: "./kv", Test: "^TestLaw14AReaderSeesWhatThisClientHasWritten$",
	},
	{
		Law: 14, What: "that nothing is there is asked each time",
		File: "kv/shared.go", Old: "if isMissing(err) {", New: "if false {",
		Package: "./kv", Test: "^TestD1ThatNothingIsThereIsRememberedBriefly$",
	},
	{
		Law: 14, What: "what plain reads got is not kept",
		File: "cache/shared.go", Old: "\t\t\t\ts.keep(key, f.value)", New: "\t\t\t\t_ = f.value",
		Package: "./kv", Test: "^TestD1OneCacheServesAll$",
	},
	{
		Law: 14, What: "each watcher of a path asks by itself",
		File: "kv/watch_poller.go", Old: "\t\tr.pollers[key] = p\n", New: "",
		Package: "./kv", Test: "^TestC2ManyWatchersOfOnePathCostOneRequest$",
	},
	{
		Law: 12, What: "a watcher who wants to know sooner does not",
		File: "kv/watch_poller.go", Old: "case interval != p.interval:", New: "case interval > p.interval:",
		Package: "./kv", Test: "^TestC2TheShortestIntervalWins$",
	},
	{
		Law: 12, What: "a new watcher begins with whatever is there",
		File: "kv/watch_poller.go", Old: "return p.interval <= d", New: "return true",
		Package: "./kv", Test: "^TestC2ANewWatcherIsAsCurrentAsItsInterval$",
	},
	{
		Law: 12, What: "KV version 1 never changes",
		File: "kv/watch_poller.go", Old: "is.sum = sha256.Sum256(data)", New: "_ = sha256.Sum256(data)",
		Package: "./kv", Test: "^TestC2ASecretOfVersion1$",
	},
	{
		Law: 12, What: "the ttl of KV version 1 counts for nothing",
		File: "kv/watch_poller.go", Old: "if p.ttl > 0 {", New: "if p.ttl < 0 {",
		Package: "./kv", Test: "^TestC2ASecretOfVersion1$",
	},
	{
		Law: 12, What: "a server that lags behind takes a version back",
		File: "kv/watch_poller.go", Old: "return i.version < other.version &&", New: "return i.version < 0 &&",
		Package: "./kv", Test: "^TestC2AServerThatLagsBehindTakesNothingBack$",
	},
	{
		Law: 12, What: "a secret that was made anew is taken for an old one",
		File: "kv/watch_poller.go", Old: " && !i.created.After(other.created)", New: "",
		Package: "./kv", Test: "^TestC2AServerThatLagsBehindTakesNothingBack$",
	},
	{
		Law: 13, What: "a poll waits for a slow verifier",
		File: "kv/watch_poller.go", Old: "const patience = time.Second", New: "const patience = time.Hour",
		Package: "./kv", Test: "^TestLaw13ASlowVerifierHoldsUpNoOtherWatcher$",
	},
	{
		Law: 12, What: "Refresh joins a request that began before",
		File: "kv/watch.go", Old: "getOptions{quiet: true, fresh: true}", New: "getOptions{quiet: true}",
		Package: "./kv", Test: "^TestC2RefreshAsksNow$",
	},
	{
		Law: 12, What: "that Refresh was cancelled is told of the secret",
		File: "kv/watch.go", Old: "if a.err != nil && (ctx.Err() != nil || ", New: "if a.err != nil && (",
		Package: "./kv", Test: "^TestC2RefreshSaysWhatIsWrong$",
	},
	{
		Law: 13, What: "Refresh does not wait for the verifier",
		File: "kv/watch_poller.go", Old: "\treturn !t.running()\n", New: "\treturn true\n",
		Package: "./kv", Test: "^TestC2RefreshWaitsForTheVerifier$",
	},
	{
		Law: 12, What: "OnChange is told of the first value each time",
		File: "kv/watch.go", Old: "\t\tbegin = next\n", New: "\t\tbegin.Generation = next.Generation\n",
		Package: "./kv", Test: "^TestOnChangeIsToldOfEachChangeInOrder$",
	},
	{
		Law: 22, What: "a panic of OnChange is kept quiet",
		File: "kv/watch.go", Old: "w.store.view.Report(lease.CallbackFailed, name,", New: "_ = w.store.view.Report; _ = errors.Join(errors.New(name),",
		Package: "./kv", Test: "^TestOnChangeThatPanicsIsAnEvent$",
	},
	{
		Law: 18, What: "Close from OnChange waits for itself",
		File: "events.go", Old: "\"leasehold/kv.callback\"", New: "\"leasehold/kv.nothing\"",
		Package: "./kv", Test: "^TestOnChangeMayClose$",
	},
	{
		Law: 12, What: "another interval puts off what is due by the old one",
		File: "lease/poll.go", Old: "if at < e.at && !e.removed {", New: "if false {",
		Package: "./lease", Test: "^TestC2AnIntervalThatChangesIsKept$",
	},
	{
		Law: 12, What: "a read by another is followed by the one that was due",
		File: "lease/poll.go", Old: "\t\t\te.m.polled(e, err)\n", New: "",
		Package: "./lease", Test: "^TestC2AReadByAnotherCounts$",
	},
	{
		Law: 12, What: "kv.MaxStale is forgotten",
		File: "kv/watch.go", Old: "cache.MaxStale(o.maxStale), ", New: "",
		Package: "./kv", Test: "^TestLaw12ASecretThatNobodyConfirmsIsStale$",
	},
}
