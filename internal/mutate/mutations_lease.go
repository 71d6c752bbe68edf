package main

// leaseMutations are seen by the tests of the packages that know nothing of a
// server: lease, cache, secret, the decoding of kv, and session's pure functions.
var leaseMutations = []mutation{
	{
		Law: 2, What: "a deadline forgets the parent's",
		File: "lease/grant.go", Old: "left = min(left, l.TTL-now.since(l.Sent))", New: "return min(left, l.TTL-now.since(l.Sent))",
		Package: "./lease", Test: "^TestLaw02",
	},
	{
		Law: 2, What: "a parent that is renewed has its children replaced",
		File: "lease/outcome.go", Old: "g.lease.Store(&l)\n", New: "g.lease.Store(&l)\n\t\tg.superseded.Store(true)\n\t\tfor c := range m.entries {\n\t\t\tm.schedule(c)\n\t\t}\n",
		Package: "./lease", Test: "^TestLaw02",
	},
	{
		Law: 3, What: "children stay with the parent that was replaced",
		File: "lease/outcome.go", Old: "old.superseded.Store(true)", New: "old.superseded.Store(false)",
		Package: "./lease", Test: "^TestLaw03",
	},
	{
		Law: 3, What: "children are spread over all that the old parent has left",
		File: "lease/schedule.go", Old: "min(state.Left, longestSpread)/2)", New: "min(state.Left, longestSpread))",
		Package: "./lease", Test: "^TestLaw03",
	},
	{
		Law: 3, What: "a lease that ends before its old parent outwaits its own end",
		File: "lease/schedule.go", Old: "min(state.Left, longestSpread)/2)", New: "min(g.parent.Left(now), longestSpread)/2)",
		Package: "./lease", Test: "^TestLaw03",
	},
	{
		Law: 3, What: "all children move at once",
		File: "lease/schedule.go", Old: "step.In = time.Duration(state.Rand", New: "step.In = time.Duration(0 * state.Rand",
		Package: "./lease", Test: "^TestLaw03",
	},
	{
		Law: 16, What: "a death waits out the back-off of when it lived",
		File: "lease/outcome.go", Old: "e.failures, e.err = 0, nil // it is missed", New: "// it is missed",
		Package: "./lease", Test: "^TestB3ADeathWhile",
	},
	{
		Law: 3, What: "what has not moved from a token that died waits for its turn",
		File: "lease/entry.go", Old: "\t\t\te.m.hurry(child)\n", New: "\t\t\t_ = child\n",
		Package: "./lease", Test: "^TestLaw03WhatHasNotMoved",
	},
	{
		Law: 4, What: "a truncated grant is taken for a good one",
		File: "lease/outcome.go", Old: "e.ending = e.ending || l.Truncated()", New: "_ = l.Truncated()",
		Package: "./lease", Test: "^TestLaw04",
	},
	{
		Law: 4, What: "Vault's warning is not heard",
		File: "lease/lease.go", Old: "return l.Capped || (l.TTL", New: "return false || (l.TTL",
		Package: "./lease", Test: "^TestLaw04",
	},
	{
		Law: 4, What: "a replacement starts although one is running",
		File: "lease/schedule.go", Old: "if e.removed || e.busy || e.queued", New: "if e.removed || e.queued",
		Package: "./lease", Test: "^TestLaw04",
	},
	{
		Law: 5, What: "the replacement window begins at a third",
		File: "lease/policy.go", Old: "window, final := s.TTL/3*2,", New: "window, final := s.TTL/3,",
		Package: "./lease", Test: "^TestLaw05",
	},
	{
		Law: 5, What: "a failure is repeated without a pause",
		File: "lease/policy.go", Old: "if s.Failures <= 0 {", New: "if s.Failures >= 0 {",
		Package: "./lease", Test: "^TestLaw05",
	},
	{
		Law: 5, What: "an old grant's invalidation replaces the current one",
		File: "lease/entry.go", Old: "\tg.End()\n\te.m.do(func() {\n\t\tif e.cur.Load() == g {", New: "\tg.End()\n\te.m.do(func() {\n\t\tif g != nil {",
		Package: "./lease", Test: "^TestLaw05",
	},
	{
		Law: 5, What: "three hundred creations at once",
		File: "internal/session/creations.go", Old: "const creationBurst = 3", New: "const creationBurst = 300",
		Package: "./internal/session", Test: "^TestLaw05",
	},
	{
		Law: 5, What: "the bucket fills ten times as fast",
		File: "internal/session/creations.go", Old: "life/10, time.Second", New: "life/100, time.Second",
		Package: "./internal/session", Test: "^TestLaw05",
	},
	{
		Law: 6, What: "any 403 means a dead token",
		File: "internal/session/classify.go", Old: `http.StatusForbidden && has("invalid token")`, New: `http.StatusForbidden && !has("surely not")`,
		Package: "./internal/session", Test: "^TestLaw06",
	},
	{
		Law: 6, What: "an expired lease is not known as dead",
		File: "internal/session/classify.go", Old: `has("lease expired")`, New: `has("lease has gone")`,
		Package: "./internal/session", Test: "^TestLaw06",
	},
	{
		Law: 6, What: "an unknown answer kills the lease",
		File: "internal/session/classify.go", Old: "return lease.Unknown", New: "return lease.Dead",
		Package: "./internal/session", Test: "^TestLaw06",
	},
	{
		Law: 8, What: "what is not renewable is renewed",
		File: "lease/policy.go", Old: "case s.Failures == 0 && s.Renewable:", New: "case s.Failures == 0:",
		Package: "./lease", Test: "^TestLaw08",
	},
	{
		Law: 8, What: "a refused renewal is tried again and again",
		File: "lease/outcome.go", Old: "e.noRenew = true", New: "e.noRenew = false",
		Package: "./lease", Test: "^TestLaw08",
	},
	{
		Law: 8, What: "a refused renewal is told each time",
		File: "lease/outcome.go", Old: "e.toldRefused = true", New: "e.toldRefused = false",
		Package: "./lease", Test: "^TestLaw08",
	},
	{
		Law: 9, What: "a lease's age begins when the answer came",
		File: "lease/schedule.go", Old: "l.TTL, now.since(l.Sent), g.Left(now)", New: "l.TTL, 0, g.Left(now)",
		Package: "./lease", Test: "^TestLaw09",
	},
	{
		Law: 9, What: "validity goes by the wall clock",
		File: "lease/lease.go", Old: "wall-slept > mono {", New: "wall != mono {",
		Package: "./lease", Test: "^TestLaw09AWallClockThatIsPutBack",
	},
	{
		Law: 9, What: "a sleep counts for nothing",
		File: "lease/lease.go", Old: "wall-slept > mono {", New: "wall < 0 && wall-slept > mono {",
		Package: "./lease", Test: "^TestLaw09AfterASleepEverything",
	},
	{
		Law: 9, What: "what is past its end by the wall clock is replaced",
		File: "lease/schedule.go", Old: "if g.unsure && m.ask(e, g, now) {", New: "if false && m.ask(e, g, now) {",
		Package: "./lease", Test: "^TestLaw09AfterASleepEverything",
	},
	{
		Law: 9, What: "after a sleep all are renewed at once",
		File: "lease/sleep.go", Old: "now.Mono+m.jitter(spread)", New: "now.Mono+0*m.jitter(spread)",
		Package: "./lease", Test: "^TestLaw09AfterASleepEverything",
	},
	{
		Law: 9, What: "after a sleep the token is not looked up",
		File: "lease/sleep.go", Old: "g.unsure, g.check = true, can &&", New: "g.unsure, g.check = true, false && can &&",
		Package: "./lease", Test: "^TestLaw09AfterASleepEverything",
	},
	{
		Law: 9, What: "a lookup cannot find a token dead",
		File: "lease/outcome.go", Old: "case action != Replace && err.Class == Dead:", New: "case action == Renew && err.Class == Dead:",
		Package: "./lease", Test: "^TestLaw09WhatDied",
	},
	{
		Law: 9, What: "after a sleep an outage counts as an answer",
		File: "lease/outcome.go", Old: "if action == Renew && err.Class != Transient && g.unsure {", New: "if action == Renew && g.unsure {",
		Package: "./lease", Test: "^TestLaw09AfterASleepAnOutage",
	},
	{
		Law: 9, What: "who waits after a sleep waits for the spread",
		File: "lease/sleep.go", Old: "if len(e.waiters) > 0 {", New: "if len(e.waiters) > 1 {",
		Package: "./lease", Test: "^TestLaw09WhoWaits",
	},
	{
		Law: 9, What: "a client that slept hands out what has ended",
		File: "lease/lease.go", Old: "wall-slept > mono {", New: "wall < 0 && wall-slept > mono {",
		Package: ".", Test: "^TestLaw09WhatEnded",
	},
	{
		Law: 9, What: "a client whose clock was put forward mints",
		File: "lease/sleep.go", Old: "g.unsure, g.check = true, can &&", New: "g.unsure, g.check = false, false && can &&",
		Package: ".", Test: "^TestLaw09AClockThatIsPutForward",
	},
	{
		Law: 9, What: "a client whose clock was put back goes by it",
		File: "lease/lease.go", Old: "wall-slept > mono {", New: "wall != mono {",
		Package: ".", Test: "^TestLaw09AClockThatIsPutBack",
	},
	{
		Law: 9, What: "a client's lookup cannot find a token dead",
		File: "lease/outcome.go", Old: "case action != Replace && err.Class == Dead:", New: "case action == Renew && err.Class == Dead:",
		Package: ".", Test: "^TestLaw09ATokenThatEnded",
	},
	{
		Law: 9, What: "a clock that was put back hides the next sleep",
		File: "lease/sleep.go", Old: "case lead < 0: // put back: monotonic time alone counts, from here\n\t\tm.awake = now", New: "case lead < 0:",
		Package: "./lease", Test: "^TestLaw09AWallClockPutForth",
	},
	{
		Law: 5, What: "at the end of an outage another is minted first",
		File: "lease/policy.go", Old: "case s.Failed == Renew && s.Tried >= final:", New: "case s.Age+pause >= final:",
		Package: "./lease", Test: "^TestA2AnOutage",
	},
	{
		Law: 5, What: "what only renewing fails for is never replaced",
		File: "lease/policy.go", Old: "case s.Failed == Renew && s.Tried >= final:", New: "case s.Failed == Renew && s.Tried >= 2*final:",
		Package: "./lease", Test: "^TestA2WhatOnly",
	},
	{
		Law: 5, What: "half of what is left is slept away after a renewal that failed late",
		File: "lease/policy.go", Old: "(s.Age < final || s.Failed == Renew) &&", New: "s.Age < final &&",
		Package: "./lease", Test: "^TestA2ARenewalThatFailsLate",
	},
	{
		Law: 5, What: "the last moment to replace is slept past",
		File: "lease/policy.go", Old: "s.Age+pause > final && s.RetryAfter == 0:", New: "s.Age+pause > 2*final && s.RetryAfter == 0:",
		Package: "./lease", Test: "^TestA2WhatOnly",
	},
	{
		Law: 11, What: "Get takes the lock",
		File: "cache/value.go", Old: "func (v *Value[T]) Get() T { return v.cur.Load().Value }", New: "func (v *Value[T]) Get() T { v.mu.Lock(); defer v.mu.Unlock(); return v.cur.Load().Value }",
		Package: "./cache", Test: "^TestLaw11",
	},
	{
		Law: 11, What: "Close takes the value away",
		File: "cache/value.go", Old: "v.closed = true", New: "v.closed = true\n\tv.cur.Store(&Snapshot[T]{})",
		Package: "./cache", Test: "^TestLaw11",
	},
	{
		Law: 12, What: "a stale lease is called fresh",
		File: "lease/event.go", Old: "s.Condition, s.Since, s.Err = Stale,", New: "s.Condition, s.Since, s.Err = Fresh,",
		Package: "./lease", Test: "^TestLaw12",
	},
	{
		Law: 12, What: "a failure forgets when the value was last confirmed",
		File: "cache/publisher.go", Old: "&health{confirmed: old.confirmed, err: err}", New: "&health{err: err}",
		Package: "./cache", Test: "^TestLaw12",
	},
	{
		Law: 12, What: "a value that was not confirmed for too long is called current",
		File: "cache/value.go", Old: "(v.stale > 0 &&", New: "(v.stale < 0 &&",
		Package: "./cache", Test: "^TestLaw12",
	},
	{
		Law: 14, What: "cold readers do not know of each other",
		File: "cache/shared.go", Old: "s.flights[key] = f\n", New: "\n",
		Package: "./cache", Test: "^TestLaw14",
	},
	{
		Law: 14, What: "the leader's cancelled context fails all",
		File: "cache/shared.go", Old: "f.abandoned = f.err != nil && (", New: "f.abandoned = false && (",
		Package: "./cache", Test: "^TestLaw14",
	},
	{
		Law: 20, What: "fmt gets the text of a String",
		File: "secret/secret.go", Old: "Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }", New: "Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(s.Reveal())) }",
		Package: "./secret", Test: "^TestLaw20",
	},
	{
		Law: 20, What: "fmt gets the text of Bytes",
		File: "secret/bytes.go", Old: "Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }", New: "Format(f fmt.State, _ rune) { _, _ = f.Write(s.Reveal()) }",
		Package: "./secret", Test: "^TestLaw20",
	},
	{
		Law: 20, What: "slog gets the text",
		File: "secret/secret.go", Old: "LogValue() slog.Value { return slog.StringValue(redacted) }", New: "LogValue() slog.Value { return slog.StringValue(s.Reveal()) }",
		Package: "./secret", Test: "^TestLaw20",
	},
	{
		Law: 20, What: "JSON gets the text",
		File: "secret/secret.go", Old: "MarshalJSON() ([]byte, error) { return []byte(`\"` + redacted", New: "MarshalJSON() ([]byte, error) { return []byte(`\"` + s.Reveal()",
		Package: "./secret", Test: "^TestLaw20",
	},
	{
		Law: 20, What: "XML gets the text",
		File: "secret/secret.go", Old: "MarshalText() ([]byte, error) { return []byte(redacted), nil }", New: "MarshalText() ([]byte, error) { return []byte(s.Reveal()), nil }",
		Package: "./secret", Test: "^TestLaw20",
	},
	{
		Law: 20, What: "gob gets the text",
		File: "secret/bytes.go", Old: "GobEncode() ([]byte, error) { return []byte(redacted), nil }", New: "GobEncode() ([]byte, error) { return s.Reveal(), nil }",
		Package: "./secret", Test: "^TestLaw20",
	},
	{
		Law: 20, What: "a panic's value is shown",
		File: "lease/entry.go", Old: "\t\t\terr = fmt.Errorf(\"%s: panic in a callback (%T)\", e.name, p)\n\t\t}\n\t}()\n\tswitch {", New: "\t\t\terr = fmt.Errorf(\"%s: panic in a callback (%v)\", e.name, p)\n\t\t}\n\t}()\n\tswitch {",
		Package: "./lease", Test: "^TestLaw20",
	},
	{
		Law: 20, What: "tokens stay in texts that are not ours",
		File: "internal/session/errors.go", Old: `text = tokens.ReplaceAllString(text, "[redacted]")`, New: "_ = tokens",
		Package: "./internal/session", Test: "^TestLaw20",
	},
	{
		Law: 20, What: "lease IDs stay in texts that are not ours",
		File: "internal/session/errors.go", Old: `return leaseIDs.ReplaceAllString(text, "/[redacted]")`, New: "return text",
		Package: "./internal/session", Test: "^TestLaw20",
	},
	{
		Law: 21, What: "a single dot passes",
		File: "internal/session/request.go", Old: `case ".", "..":`, New: `case "..":`,
		Package: "./internal/session", Test: "^TestLaw21",
	},
	{
		Law: 23, What: "polls take the workers of leases",
		File: "lease/lane.go", Old: "return &m.polls", New: "return &m.leases",
		Package: "./lease", Test: "^TestLaw23",
	},
	{
		Law: 23, What: "the token waits for a worker",
		File: "lease/schedule.go", Old: "e.isChild() && !m.room(l, e) {", New: "l.working >= m.workers {",
		Package: "./lease", Test: "^TestLaw23",
	},
	{
		Law: 18, What: "a callback that ends its goroutine is waited for",
		File: "lease/schedule.go", Old: "m.inbox <- func() {\n\t\t\t\tm.jobs--", New: "if errors.Is(err, errNoReturn) {\n\t\t\t\treturn\n\t\t\t}\n\t\t\tm.inbox <- func() {\n\t\t\t\tm.jobs--",
		Package: "./lease", Test: "^TestLaw18AKeeperThatEnds",
	},
	{
		Law: 23, What: "what takes long keeps its worker",
		File: "lease/lane.go", Old: "case l.slow >= slowLimit*m.workers:", New: "case l.slow >= 0*slowLimit*m.workers:",
		Package: "./lease", Test: "^TestLaw23EnginesThatHang",
	},
	{
		Law: 23, What: "an engine that hangs gets all the workers",
		File: "lease/lane.go", Old: "\tl.groups[j.group]++\n", New: "\n",
		Package: "./lease", Test: "^TestLaw23AnEngineThatHangs",
	},
	{
		Law: 23, What: "what takes long has no bound",
		File: "lease/lane.go", Old: "case l.slow >= slowLimit*m.workers:", New: "case l.slow >= 1000*slowLimit*m.workers:",
		Package: "./lease", Test: "^TestLaw23WhatTakesLong",
	},
	{
		Law: 23, What: "what takes long tries once to give its worker free",
		File: "lease/lane.go", Old: "j.timer.Reset(slowAfter) // until", New: "_ = slowAfter // until",
		Package: "./lease", Test: "^TestLaw23WhatTakesLongGives",
	},
	{
		Law: 9, What: "an unanswered lookup stops the upkeep of leases",
		File: "lease/sleep.go", Old: "case !g.Lease().Renewable || e.noRenew || (e.ending && e.failures > 0):", New: "case e.failures == 0 && (!g.Lease().Renewable || e.noRenew):",
		Package: "./lease", Test: "^TestLaw09OneUnanswered",
	},
	{
		Law: 9, What: "what is adopted during a lookup is not scheduled",
		File: "lease/sleep.go", Old: "case e.cur.Load() != g, g.Ended(): // replaced, or found dead, meanwhile", New: "case e.cur.Load() != g, g.Ended():\n\t\treturn",
		Package: "./lease", Test: "^TestLaw09WhatIsAdopted",
	},
	{
		Law: 9, What: "who waits for a lease does not hear of its token's outage",
		File: "lease/outcome.go", Old: "\t\t\tchild.answer(err)\n", New: "\t\t\t_ = child\n",
		Package: "./lease", Test: "^TestLaw09WhoWaitsForALeaseHears",
	},
	{
		Law: 9, What: "who waits for a lease waits for its token's spread",
		File: "lease/sleep.go", Old: "spread = min(spread, time.Second) // as for", New: "spread = min(spread, time.Hour) // as for",
		Package: "./lease", Test: "^TestLaw09WhoWaitsForALeaseDoesNot",
	},
	{
		Law: 9, What: "who waits for another after a sleep is not hurried for",
		File: "lease/outcome.go", Old: "\t\tif len(e.waiters) > 0 {\n\t\t\tm.hurry(e)", New: "\t\tif len(e.waiters) > 1 {\n\t\t\tm.hurry(e)",
		Package: "./lease", Test: "^TestLaw09WhoWaitsForAnother",
	},
	{
		Law: 9, What: "a message is heeded before the sleep is noticed",
		File: "lease/manager.go", Old: "m.noticeSleep() // before", New: "_ = m.noticeSleep // before",
		Package: "./lease", Test: "^TestLaw09ARenewalThatWasUnderWay",
	},
	{
		Law: 9, What: "an answer from before the sleep settles it",
		File: "lease/sleep.go", Old: "if !g.predates(now) {", New: "if now.Mono >= 0 {",
		Package: "./lease", Test: "^TestLaw09AnAnswerFromBefore",
	},
	{
		Law: 9, What: "a lookup that hangs holds up the login for a dead token",
		File: "lease/outcome.go", Old: "if e.busy && e.action != Replace {", New: "if e.busy && e.action == Renew {",
		Package: "./lease", Test: "^TestLaw09ALookupThatHangs",
	},
	{
		Law: 9, What: "what was granted before the sleep is added as fresh",
		File: "lease/manager.go", Old: "g.unsure = g.predates(m.clock())", New: "_ = g.predates(m.clock())",
		Package: "./lease", Test: "^TestLaw09WhatWasGranted",
	},
	{
		Law: 6, What: "a poll does not wait as it was asked to",
		File: "lease/policy.go", Old: "return max(min(p.backoff(s), interval), min(s.RetryAfter,", New: "return max(min(p.backoff(s), interval), min(0*s.RetryAfter,",
		Package: "./lease", Test: "^TestLaw06APoll",
	},
}
