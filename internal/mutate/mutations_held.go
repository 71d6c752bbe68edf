package main

// heldMutations are seen by the tests of what the session knows of a method beyond its
// logins: that they are scarce or refused, and tokens that others keep.
var heldMutations = []mutation{
	{
		Law: 6, What: "logins that are scarce are not known to be", File: "internal/session/login.go",
		Old: "t.scarce = l.Limited()", New: "_ = l.Limited()",
		Package: ".", Test: "^TestA8WhereLoginsAreScarceTheTokenIsUsedUp$",
	},
	{
		Law: 6, What: "a refused credential is shown until Vault locks the user out", File: "internal/session/refused.go",
		Old: "r.count < allowed {", New: "r.count < allowed || true {",
		Package: ".", Test: "^TestA8TheSameRefusedCredentialIsNotShownAgain$",
	},
	{
		Law: 6, What: "another credential waits out the pause of the refused one", File: "internal/session/refused.go",
		Old: "s.tokens.Retry()", New: "_ = s.tokens",
		Package: ".", Test: "^TestA8AnotherCredentialIsTriedAtOnce$",
	},
	{
		Law: 6, What: "a 403 that has passed waits out the back-off", File: "internal/session/refused.go",
		Old: "if changed || (missed &&", New: "if changed || (missed && false &&",
		Package: ".", Test: "^TestA7A403ThatPassesEndsSoonAfterItDoes$",
	},
	{
		Law: 1, What: "a token that others keep is renewed", File: "internal/session/login.go",
		Old: "l.Held, l.Asked, l.Capped = true, 0, false", New: "l.Held, l.Asked, l.Capped = false, 0, false",
		Package: ".", Test: "^TestA11AHeldTokenIsLookedAtAndNotRenewed$",
	},
	{
		Law: 1, What: "another token in the source is not taken", File: "internal/session/held.go",
		Old: "if err == nil {\n\t\ts.take(ctx, fresh)", New: "if err == nil {\n\t\t_ = fresh",
		Package: ".", Test: "^TestA11AnotherHeldTokenIsTakenSoon$",
	},
	{
		Law: 1, What: "the watch over the source does not hear that the token is missed", File: "internal/session/held.go",
		Old: "case s.missed <- struct{}{}:", New: "case (chan struct{})(nil) <- struct{}{}:",
		Package: ".", Test: "^TestA11AnotherTokenEndsAHeldOnesDeathSoon$",
	},
	{
		Law: 1, What: "a held token's login that got no answer is repeated at each look", File: "internal/session/held.go",
		Old: "d = max(d, retryPause(failures, failed))", New: "_ = max(d, retryPause(failures, failed))",
		Package: ".", Test: "^TestA11AHeldTokensDeathIsNoStorm$",
	},
	{
		Law: 1, What: "a source that was read is read again and again", File: "internal/session/refused.go",
		Old: "s.sourceMark = mark", New: "_ = mark",
		Package: ".", Test: "^TestA11AHeldTokenThatIsRevokedIsReadAgain$",
	},
	{
		Law: 18, What: "leases that a proxy may have handed to others are revoked", File: "internal/session/request.go",
		Old: "if auth.IsNone(s.cfg.Auth) {", New: "if auth.IsNone(s.cfg.Auth) && false {",
		Package: ".", Test: "^TestNoneLeavesTheTokenToAProxy$",
	},
	{
		Law: 17, What: "what a proxy without a token is refused ends the start", File: "internal/session/session.go",
		Old: "soon := s.withoutToken(err) && ", New: "soon := false && ",
		Package: ".", Test: "^TestA11NoneWaitsForAProxyThatLogsIn$",
	},
	{
		Law: 17, What: "a proxy without a token is waited for without end", File: "internal/session/session.go",
		Old: "time.Since(refused) < proxyLogin", New: "time.Since(refused) >= 0",
		Package: ".", Test: "^TestA11NoneWaitsForAProxyThatLogsIn$",
	},
	{
		Law: 17, What: "a proxy's ten seconds begin before it listens", File: "internal/session/session.go",
		Old: "if !s.withoutToken(err) {\n\t\t\trefused", New: "if false {\n\t\t\trefused",
		Package: ".", Test: "^TestA11NoneWaitsForAProxyThatLogsIn$",
	},
	{
		Law: 6, What: "a refused lookup proves a token's death behind a proxy", File: "internal/session/probe.go",
		Old: "!auth.IsNone(s.cfg.Auth)", New: "!auth.IsNone(nil)",
		Package: ".", Test: "^TestA11NoneLosesNothingWhileAProxyRestarts$",
	},
	{
		Law: 17, What: "a method that waits for its source is said to wait for Vault", File: "internal/session/login.go",
		Old: "if peek != nil && !peek.asked() {", New: "if peek != nil && !peek.asked() && false {",
		Package: ".", Test: "^TestU1ASourceThatHangsIsNamed$",
	},
	{
		Law: 6, What: "any 403 is Vault's refusal", File: "internal/session/classify.go",
		Old: "if e.Status == http.StatusForbidden && !e.listed {", New: "if e.Status == 0 {",
		Package: ".", Test: "^TestE3APageThatForbidsEndsNothing$",
	},
	{
		Law: 6, What: "a page in JSON is a login's refusal", File: "internal/session/classify.go",
		Old: "re.RawError || e.Status == http.StatusForbidden && !e.listed", New: "re.RawError",
		Package: ".", Test: "^TestE3APageThatForbidsEndsNothing$",
	},
	{
		Law: 20, What: "what a login has shown is not taken out", File: "internal/session/peek.go",
		Old: "p.shown = append(p.shown, secretsOf(body)...)", New: "_ = secretsOf(body)",
		Package: ".", Test: "^TestLaw20WhatQuotesALoginShowsNoSecret$",
	},
	{
		Law: 20, What: "what a login has shown is taken out as it was read, and not as it was sent", File: "internal/session/peek.go",
		Old: "err == nil { // as it stands", New: "err != nil { // as it stands",
		Package: ".", Test: "^TestLaw20WhatQuotesALoginShowsNoSecret$",
	},
	{
		Law: 6, What: "a refusal counts against a certificate that was not shown", File: "internal/session/connections.go",
		Old: "c.reload(c.clock())", New: "_ = c.clock()",
		Package: "./internal/session", Test: "^TestE7AnotherCertificateIsAnotherCredential$",
	},
	{
		Law: 2, What: "a proxy's next token is taken for the same with more time", File: "internal/session/held.go",
		Old: " && t.issued == other.issued", New: "",
		Package: ".", Test: "^TestNoneLeavesTheTokenToAProxy$",
	},
	{
		Law: 3, What: "what is left of a held token counts as a whole life", File: "internal/session/held.go",
		Old: "l.TTL > 0 && l.TTL < whole", New: "l.TTL > whole",
		Package: ".", Test: "^TestNoneLooksAgainSoonAfterALittleMoreTime$",
	},
	{
		Law: 2, What: "a proxy's cache has renewed a lease", File: "dynamic/keeper.go",
		Old: "if resp.Cached {", New: "if resp.Cached && false {",
		Package: ".", Test: "^TestWhatAProxyKeepsIsLookedUp$",
	},
	{
		Law: 2, What: "a lease of a proxy's cache that is gone lasts as long as it says", File: "dynamic/cached.go",
		Old: "le.Class == lease.Dead:", New: "le.Class == lease.Dead && false:",
		Package: ".", Test: "^TestAProxysCacheThatHasADeadCredential$",
	},
	{
		Law: 13, What: "the same credential is a new one", File: "dynamic/keeper.go",
		Old: "cur.id.Reveal() == a.LeaseID", New: "cur.id.Reveal() == \"\"",
		Package: ".", Test: "^TestAProxysCacheThatHasADeadCredential$",
	},
	{
		Law: 2, What: "a cached answer counts from now", File: "internal/session/transport.go",
		Old: "c.sent.Add(-age(resp.Header))", New: "c.sent.Add(-age(nil))",
		Package: ".", Test: "^TestWhatAProxyHasCachedIsAsOldAsItSays$",
	},
	{
		Law: 6, What: "a source that yields another each time is tried each time", File: "internal/session/refused.go",
		Old: "s.refusal.fickle = true\n\treturn \"\", nil", New: "return last, nil",
		Package: ".", Test: "^TestA8ASourceThatYieldsAnotherEachTimeIsNoNewCredential$",
	},
	{
		Law: 6, What: "what was steady in between counts as changed all the time", File: "internal/session/refused.go",
		Old: "\t\tr.changes = 0 //", New: "\t\tr.changes += 0 //",
		Package: ".", Test: "^TestA8ASourceThatHasBeenSteadyIsTriedAtOnce$",
	},
	{
		Law: 6, What: "a minute is steady", File: "internal/session/refused.go",
		Old: "case s.clock().Mono-r.since >= lockout:", New: "default:",
		Package: ".", Test: "^TestA8ASourceThatChangesAllTheTimeIsTriedLessAndLess$",
	},
	{
		Law: 6, What: "a certificate is the fingerprint of any method's credential", File: "internal/session/refused.go",
		Old: "own && mark != \"\"", New: "(own || true) && mark != \"\"",
		Package: "./internal/session", Test: "^TestA8ACertificateBesideAPasswordDoesNotMakeItTheSame$",
	},
	{
		Law: 6, What: "what a proxy is refused waits for the back-off", File: "internal/session/refused.go",
		Old: "(held && !watched)", New: "(held && !watched && false)",
		Package: ".", Test: "^TestNoneFollowsAProxyThatRecovers$",
	},
	{
		Law: 6, What: "an issuer that is away is a refusal", File: "internal/session/classify.go",
		Old: "isLogin(path) && issuerDown(text)", New: "false",
		Package: ".", Test: "^TestA7AnIssuerThatIsAwayIsNoRefusal$",
	},
	{
		Law: 6, What: "that logins are scarce does not get through auth.Fresh", File: "auth/fresh.go",
		Old: "return ok && l.Limited()", New: "return ok && l.Limited() && false",
		Package: ".", Test: "^TestFreshIsWhatItBuilds$",
	},
	{
		Law: 6, What: "another certificate waits out the pause of the refused one", File: "internal/session/refused.go",
		Old: "return auth.Hash(m.cert, m.key), nil", New: "return auth.Hash(m.cert, m.key)[:0], nil",
		Package: "./internal/session", Test: "^TestE7AnotherCertificateIsAnotherCredential$",
	},
	{
		Law: 6, What: "a proxy's page is a refusal", File: "internal/session/classify.go",
		Old: "if page && isRefused(class)", New: "if page && isRefused(class) && false",
		Package: ".", Test: "^TestE3APageOfAProxyIsNoRefusal$",
	},
	{
		Law: 5, What: "a held token's source that cannot be read is a refusal", File: "internal/session/classify.go",
		Old: "case c == nil && s.held() && s.current() != nil:", New: "case c == nil && s.held() && s.current() != nil && false:",
		Package: ".", Test: "^TestA11AFileThatIsGoneForAWhileCostsNoCredential$",
	},
	{
		Law: 1, What: "a token whose source is away is not looked up", File: "internal/session/classify.go",
		Old: "e.Err, e.unread = err, true", New: "e.Err = err",
		Package: ".", Test: "^TestA11AFileThatStaysAwayLetsItsTokenLive$",
	},
	{
		Law: 9, What: "a held token is ours to renew after a sleep", File: "internal/session/token.go",
		Old: "\tif g.Lease().Held {\n\t\tl.Held,", New: "\tif g.Lease().Held && false {\n\t\tl.Held,",
		Package: ".", Test: "^TestLaw09AHeldTokenIsNotRenewedAfterASleep$",
	},
	{
		Law: 6, What: "that logins are few is not taken from the environment", File: "config_env.go",
		Old: "\tif limited {", New: "\tif limited && false {",
		Package: ".", Test: "^TestU3AFewLoginsAreNotSpentOnASuspicion$",
	},
	{
		Law: 6, What: "a directory that is away is a refusal", File: "internal/session/classify.go",
		Old: "isLogin(path) && directoryDown(text)", New: "false",
		Package: ".", Test: "^TestA7ADirectoryThatIsAwayIsNoRefusal$",
	},
	{
		Law: 6, What: "a page with a 200 is a refusal", File: "internal/session/classify.go",
		Old: "case c != nil && errors.As(err, &noJSON):", New: "case c != nil && errors.As(err, &noJSON) && false:",
		Package: ".", Test: "^TestE3APageOfAProxyIsNoRefusal$",
	},
	{
		Law: 6, What: "who is asked for credentials is never busy", File: "internal/session/classify.go",
		Old: "isNetwork(err) || isBusy(err)", New: "isNetwork(err)",
		Package: ".", Test: "^TestA9WhoIsAskedForCredentialsMayBeBusy$",
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
		Law: 1, What: "each who is refused reads a held token anew", File: "internal/session/session.go",
		Old: "rereading: make(chan struct{}, 1),", New: "rereading: make(chan struct{}, 100),",
		Package: ".", Test: "^TestA11ManyWhoAreRefusedAtOnceLookOnce$",
	},
	{
		Law: 22, What: "a token that cannot be given back is not told", File: "internal/session/login.go",
		Old: "s.Report(lease.ReplaceFailed, \"token\", err) // it lives", New: "_ = err // it lives",
		Package: ".", Test: "^TestLaw22ATokenThatCannotBeGivenBackIsTold$",
	},
	{
		Law: 19, What: "what Kubernetes sets for a Service is a mistyped name", File: "config_env.go",
		Old: " || serviceLink.MatchString(name)", New: " || (serviceLink.MatchString(name) && false)",
		Package: ".", Test: "^TestU3EachMethodCanBeChosenByTheEnvironment$",
	},
	{
		Law: 4, What: "a period that was capped is an end", File: "internal/session/token.go",
		Old: ` && !strings.HasPrefix(w, "period of ")`, New: "",
		Package: ".", Test: "^TestLaw04APeriodAboveTheMaximumIsNoEnd$",
	},
	{
		Law: 4, What: "a given token is at its end with the first small grant", File: "internal/session/token.go",
		Old: "(t.scarce || !t.owned) &&", New: "t.scarce &&",
		Package: ".", Test: "^TestLaw04AShorterPeriodIsNoEnd$",
	},
	{
		Law: 4, What: "that a given token has reached its end is told when little is left", File: "internal/session/token.go",
		Old: "if over && !t.owned {", New: "if over && t.owned {",
		Package: ".", Test: "^TestLaw04AGivenTokenIsUsedToItsEnd$",
	},
	{
		Law: 4, What: "a grant that does not move the end is renewed on", File: "internal/session/token.go",
		Old: "over := sameEnd(l, g.Lease())", New: "over := sameEnd(l, g.Lease()) && false",
		Package: ".", Test: "^TestLaw04AGivenTokenIsUsedToItsEnd$",
	},
	{
		Law: 4, What: "what nothing can replace is looked for every ten minutes", File: "lease/policy.go",
		Old: "if s.Last == Spent {", New: "if s.Last == Spent && false {",
		Package: ".", Test: "^TestLaw04AGivenTokenIsUsedToItsEnd$",
	},
	{
		Law: 6, What: "what was refused is tried again at each look at its source", File: "internal/session/refused.go",
		Old: "mark != r.mark && !held", New: "(mark != r.mark || true) && !held",
		Package: ".", Test: "^TestA8AWrappingTokenThatIsSpentIsLoudAndCheap$",
	},
	{
		Law: 6, What: "what is new in a source that changes all the time is always tried at once", File: "internal/session/refused.go",
		Old: "if r.changes <= 3 {", New: "if r.changes <= 3 || true {",
		Package: ".", Test: "^TestA8ASourceThatChangesAllTheTimeIsTriedLessAndLess$",
	},
}
