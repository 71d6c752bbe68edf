package main

// clientMutations are seen by the tests of the root package, which drive the public
// API against the in-memory Vault.
var clientMutations = []mutation{
	{
		Law: 1, What: "each report of a dead token makes a login", File: "lease/entry.go",
		Old: "if e.cur.Load() == g {", New: "if g != nil {",
		Package: ".", Test: "^TestLaw01TwoHundredUsersShareOneLogin$",
	},
	{
		Law: 1, What: "the secret-id is read once", File: "auth/approle/approle.go",
		Old:     "secretID: secretID, mount",
		New:     "secretID: func() SecretID { v, err := secretID.source.Read(context.Background()); return SecretIDFrom(func(context.Context) (string, error) { return v, err }) }(), mount",
		Package: ".", Test: "^TestLaw01SourcesAreReadAfreshAtEachLogin$",
	},
	{
		Law: 1, What: "a login is stamped when its answer is there", File: "internal/session/login.go",
		Old: "newToken(answer, peek, sent,", New: "newToken(answer, peek, func() lease.Instant { _ = sent; return s.clock() }(),",
		Package: ".", Test: "^TestLaw01LoginTimeIsStampedBeforeTheRequest$",
	},
	{
		Law: 2, What: "a lease does not end with its token", File: "lease/grant.go",
		Old: "for ; g != nil; g = g.parent {\n\t\tif g.ended.Load() {", New: "for ; g != nil; g = nil {\n\t\tif g.ended.Load() {",
		Package: ".", Test: "^TestLaw02ALeaseEndsWithItsToken$",
	},
	{
		Law: 2, What: "a lease is renewed at the pace of its token", File: "lease/schedule.go",
		Old: "state.TTL, state.Age, state.Left = l.TTL,", New: "state.TTL, state.Age, state.Left = g.Life(),",
		Package: ".", Test: "^TestLaw02ARenewedTokenIsNoReasonToTouchItsChildren$",
	},
	{
		Law: 3, What: "children stay under the token that was handed over", File: "lease/outcome.go",
		Old: "old.superseded.Store(true)", New: "old.superseded.Store(false)",
		Package: ".", Test: "^TestLaw03TheTokenIsReplacedBeforeItEnds$",
	},
	{
		Law: 3, What: "the old token is revoked at the handover", File: "internal/session/token.go",
		Old: "\tif !k.s.adopt(ctx, t) {\n", New: "\t_ = k.s.revokeToken(ctx, k.s.current())\n\tif !k.s.adopt(ctx, t) {\n",
		Package: ".", Test: "^TestLaw03TheTokenIsReplacedBeforeItEnds$",
	},
	{
		Law: 3, What: "the handover takes all of what is left", File: "lease/schedule.go",
		Old: "longestSpread)/2))", New: "longestSpread)))",
		Package: ".", Test: "^TestLaw03ChildrenMoveOverWithinHalfOfWhatIsLeft$",
	},
	{
		Law: 4, What: "a truncated renewal is taken for a full one", File: "lease/outcome.go",
		Old: "|| l.Truncated()", New: "|| false",
		Package: ".", Test: "^TestLaw04",
	},
	{
		Law: 4, What: "the end of a batch token is taken for the maximum of a lease", File: "dynamic/keeper.go",
		Old: "l.Asked, l.Capped = 0, false", New: "l.Capped = false",
		Package: ".", Test: "^TestA5BatchTokensAreReplacedAndNeverRenewed$",
	},
	{
		Law: 5, What: "a failed renewal mints", File: "lease/policy.go",
		Old: "window, final := s.TTL/3*2,", New: "window, final := time.Duration(0),",
		Package: ".", Test: "^TestLaw05AFailedRenewalNeverMints$",
	},
	{
		Law: 5, What: "an old generation can be invalidated", File: "dynamic/credential.go",
		Old: "h.generation == generation && c.entry", New: "generation > 0 && c.entry",
		Package: ".", Test: "^TestLaw05AnInvalidationCreatesOnce$",
	},
	{
		Law: 5, What: "creations are not counted", File: "internal/session/creations.go",
		Old: "b.tokens--", New: "_ = b",
		Package: ".", Test: "^TestLaw05CreationsHaveABudget$",
	},
	{
		Law: 6, What: "an outage is taken for a dead token", File: "internal/session/classify.go",
		Old: "http.StatusNotImplemented:\n\t\treturn lease.Transient\n", New: "http.StatusNotImplemented:\n\t\treturn lease.ParentDead\n",
		Package: ".", Test: "^TestLaw06WhatMayPassNeverCausesALogin$",
	},
	{
		Law: 6, What: "Retry-After is ignored", File: "internal/session/request.go",
		Old: "d = max(d, le.RetryAfter)", New: "_ = le.RetryAfter",
		Package: ".", Test: "^TestLaw06RetryAfterIsHonoured$",
	},
	{
		Law: 6, What: "a dead token is the caller's problem", File: "internal/session/request.go",
		Old: "case lease.ParentDead:", New: "case lease.Class(99):",
		Package: ".", Test: "^TestLaw06ADeadTokenIsReplacedOnceAndTheRequestRepeated$",
	},
	{
		Law: 6, What: "a dead token is known by its text alone", File: "internal/session/probe.go",
		Old: "if t.limited || t.lookup.Load() == denied {\n\t\treturn false", New: "if t != nil {\n\t\treturn false",
		Package: ".", Test: "^TestLaw06ADeadTokenIsRecognisedWithoutItsText$",
	},
	{
		Law: 6, What: "a missing policy causes a login each minute", File: "internal/session/probe.go",
		Old: "min(2*p.interval, probeLast)", New: "min(p.interval, probeLast)",
		Package: ".", Test: "^TestLaw06AMissingPolicyIsReportedAndProbedSlowly$",
	},
	{
		Law: 6, What: "new policies are not adopted", File: "internal/session/probe.go",
		Old: "if slices.Equal(fresh.policies, t.policies) ||", New: "if !slices.Equal(fresh.policies, nil) ||",
		Package: ".", Test: "^TestA12ATokenWithOtherPoliciesIsAdopted$",
	},
	{
		Law: 6, What: "a lease that is gone is renewed on", File: "internal/session/classify.go",
		Old: `has("lease not found") ||`, New: "",
		Package: ".", Test: "^TestLaw06ALeaseThatIsGoneIsReplacedAtTheNextRenewal$",
	},
	{
		Law: 6, What: "a refused login is tried as if it could pass", File: "internal/session/classify.go",
		Old: "case isLogin(path):\n\t\treturn lease.Permanent", New: "case isLogin(path):\n\t\treturn lease.Class(1)",
		Package: ".", Test: "^TestA8ALoginThatIsRefusedIsLoudAndSlow$",
	},
	{
		Law: 6, What: "a deleted secret is taken for a missing one", File: "kv/errors.go",
		Old: "case meta.Version != 0:", New: "case meta.Version < 0:",
		Package: ".", Test: "^TestLaw06FourKindsOfNotFound$",
	},
	{
		Law: 6, What: "the token is renewed in the namespace of the secrets", File: "internal/session/token.go",
		Old: `Path: "auth/token/renew-self", Body: struct{}{}, Namespace: k.s.cfg.AuthNamespace`, New: `Path: "auth/token/renew-self", Body: struct{}{}, Namespace: k.s.cfg.Namespace`,
		Package: ".", Test: "^TestLaw06TokenCallsGoToTheAuthNamespace$",
	},
	{
		Law: 6, What: "a secret-id file that is not there is taken for an outage", File: "internal/session/classify.go",
		Old: "return errors.As(err, &u) || errors.As(err, &op)", New: "return errors.As(err, &u) || errors.As(err, &op) || err != nil",
		Package: ".", Test: "^TestBadInputGivesOneErrorThatSaysWhatToFix$",
	},
	{
		Law: 7, What: "a lost creation is repeated", File: "dynamic/keeper.go",
		Old: "case session.Ambiguous(err):", New: "case session.Ambiguous(err) && !session.MayPass(err):",
		Package: ".", Test: "^TestLaw07AnAnswerThatWasLostLeavesOneOrphan$",
	},
	{
		Law: 7, What: "reads are not retried", File: "internal/session/request.go",
		Old: "\t\tif !MayPass(err) {\n\t\t\treturn nil, err", New: "\t\tif attempt >= 0 {\n\t\t\treturn nil, err",
		Package: ".", Test: "^TestLaw07ReadsAreRetriedWithinTheCallersContext$",
	},
	{
		Law: 7, What: "creations go out on connections that were used", File: "internal/session/transport.go",
		Old: "if c.create {", New: "if false {",
		Package: ".", Test: "^TestF23ACreationIsNeverRepeatedByNetHTTP$",
	},
	{
		Law: 8, What: "a renewal sends an increment", File: "dynamic/keeper.go",
		Old: `Body: map[string]string{"lease_id": h.id.Reveal()}`, New: `Body: map[string]string{"lease_id": h.id.Reveal(), "increment": "5"}`,
		Package: ".", Test: "^TestLaw08NoRenewalSendsAnIncrement$",
	},
	{
		Law: 8, What: "batch tokens are renewed", File: "internal/session/login.go",
		Old: `a.Renewable && kind != "batch" && uses == 0`, New: "a.Renewable && uses == 0",
		Package: ".", Test: "^TestA5BatchTokensAreReplacedAndNeverRenewed$",
	},
	{
		Law: 8, What: "what is not renewable is renewed", File: "lease/policy.go",
		Old: "case s.Failures == 0 && s.Renewable:", New: "case s.Failures == 0 && s.TTL > 0:",
		Package: ".", Test: "^TestA5ATokenThatIsNotRenewableIsNotRenewed$",
	},
	{
		Law: 8, What: "a missing permission to renew is told each time", File: "lease/outcome.go",
		Old: "if !e.toldRefused {", New: "if e.m != nil {",
		Package: ".", Test: "^TestA6AMissingPermissionToRenewIsToldOnce$",
	},
	{
		Law: 8, What: "a token is used up", File: "internal/session/token.go",
		Old: "const reservedUses = 2", New: "const reservedUses = 0",
		Package: ".", Test: "^TestA10TheLastTwoUsesOfATokenAreKept$",
	},
	{
		Law: 9, What: "a request is stamped when its answer is there", File: "internal/session/transport.go",
		Old: "c.sent = t.s.clock()\n\tresp, err := rt.RoundTrip(out)\n", New: "resp, err := rt.RoundTrip(out)\n\tc.sent = t.s.clock()\n",
		Package: ".", Test: "^TestLaw09SlowAnswersAgeWhatTheyBring$",
	},
	{
		Law: 11, What: "reading a credential allocates", File: "dynamic/credential.go",
		Old: "return h.value, nil", New: "_ = fmt.Sprint(\"generation\", h.generation)\n\treturn h.value, nil",
		Package: ".", Test: "^TestLaw11ReadingAsksNothingAndAllocatesNothing$",
	},
	{
		Law: 11, What: "Get does not look at the clock", File: "dynamic/credential.go",
		Old: "case !h.grant.Valid(c.clock()):", New: "case h.grant == nil:",
		Package: ".", Test: "^TestLaw11PastTheDeadlineGetSaysSoAndCurrentWaits$",
	},
	{
		Law: 11, What: "a credential does not notice that its client was closed", File: "dynamic/keeper.go",
		Old: "OnClose(func() { c.end() })", New: "OnClose(func() {})",
		Package: ".", Test: "^TestLaw11AfterCloseACredentialIsClosedAndAValueRemains$",
	},
	{
		Law: 12, What: "stale looks like fresh", File: "lease/event.go",
		Old: "s.Condition, s.Since, s.Err = Stale, e.since, e.err", New: "s.Since, s.Err = e.since, nil",
		Package: ".", Test: "^TestLaw12FreshStaleAndExpiredAreVisibleWithTheirReason$",
	},
	{
		Law: 13, What: "a grant that was not accepted is thrown away", File: "dynamic/keeper.go",
		Old: "if h == nil || h.grant.Left(c.clock()) < h.grant.Life()/3 {", New: "if h == nil || h.grant != nil {",
		Package: ".", Test: "^TestLaw13AGrantThatIsNotAcceptedIsVerifiedAgain$",
	},
	{
		Law: 13, What: "a version is published before it is accepted", File: "kv/watch.go",
		Old: "if w.verify == nil {\n\t\tw.publish", New: "if true {\n\t\tw.publish",
		Package: ".", Test: "^TestLaw13AVersionThatIsNotAcceptedIsNotPublished$",
	},
	{
		Law: 14, What: "each cold reader asks", File: "cache/shared.go",
		Old: "f := s.flights[key]", New: "f := s.flights[*new(K)]",
		Package: ".", Test: "^TestLaw14AThousandColdReadersCauseOneRead$",
	},
	{
		Law: 14, What: "a leader that goes away fails the others", File: "cache/shared.go",
		Old: "f.abandoned = f.err != nil && (", New: "f.abandoned = false && (",
		Package: ".", Test: "^TestLaw14ALeaderThatGoesAwayFailsNobodyElse$",
	},
	{
		Law: 17, What: "an attempt that ctx has cut off is the reason", File: "internal/session/request.go",
		Old: "if ctx.Err() == nil || last == nil {", New: "if ctx.Err() == nil || true {",
		Package: ".", Test: "^TestU1TheReasonOutlivesAnAttemptThatIsCutOff$",
	},
	{
		Law: 17, What: "New gives up at the first failure", File: "internal/session/session.go",
		Old: "if isRefused(classOf(err)) && !soon {", New: "if !soon {",
		Package: ".", Test: "^TestLaw17NewBlocksUntilVaultIsUp$",
	},
	{
		Law: 17, What: "the constructor's context is kept", File: "internal/session/session.go",
		Old: "s.ctx, s.cancel = context.WithCancel(context.Background())", New: "s.ctx, s.cancel = context.WithCancel(ctx)",
		Package: ".", Test: "^TestLaw17TheConstructorsContextIsNotKept$",
	},
	{
		Law: 17, What: "Load tells one failure only", File: "load.go",
		Old: "errs = append(errs, err)", New: "errs = append(errs[:0], err)",
		Package: ".", Test: "^TestLaw17LoadNamesEveryPathThatIsBad$",
	},
	{
		Law: 18, What: "the token that was handed over is not revoked", File: "internal/session/token.go",
		Old: "s.known = append(slices.DeleteFunc(s.known, func(old *token) bool { return old.grant != current && old.over(now) }), t)", New: "s.known, _, _ = []*token{t}, now, current",
		Package: ".", Test: "^TestLaw18CloseRevokesEveryTokenOfOurs$",
	},
	{
		Law: 18, What: "a given token is revoked", File: "internal/session/login.go",
		Old: "owned := s.owning()", New: "owned := s.owning() || true",
		Package: ".", Test: "^TestLaw18AGivenTokenIsNeverRevokedButItsLeasesAre$",
	},
	{
		Law: 18, What: "leases under a batch token are left", File: "internal/session/token.go",
		Old: `t != nil && (!t.owned || t.kind == "batch") {`, New: "t == nil {",
		Package: ".", Test: "^TestLaw18WhatCannotBeRevokedIsSaidOnce$",
	},
	{
		Law: 18, What: "KeepOnClose revokes", File: "internal/session/session.go",
		Old: "if !s.cfg.KeepOnClose {", New: "if ctx != nil {",
		Package: ".", Test: "^TestLaw18KeepOnCloseLeavesEverything$",
	},
	{
		Law: 18, What: "Close has no limit of its own", File: "client.go",
		Old: "context.WithTimeoutCause(ctx, closeLimit,", New: "context.WithTimeoutCause(ctx, 10*closeLimit,",
		Package: ".", Test: "^TestLaw18CloseIsBounded$",
	},
	{
		Law: 18, What: "Close from OnEvent waits for itself", File: "events.go",
		Old: `"leasehold.(*events).tell"`, New: `"leasehold.tell"`,
		Package: ".", Test: "^TestLaw18CloseFromACallbackDoesNotWaitForItself$",
	},
	{
		Law: 18, What: "Close waits for an OnEvent that hangs", File: "events.go",
		Old: "case <-ctx.Done():", New: "case <-make(chan struct{}):",
		Package: ".", Test: "^TestLaw18ACallbackThatHangsIsAbandonedWithAnError$",
	},
	{
		Law: 18, What: "a verifier that hangs keeps the tokens alive", File: "internal/session/session.go",
		Old: "time.Until(end)*6/10,", New: "time.Until(end)*2,",
		Package: ".", Test: "^TestLaw18AVerifierThatHangsKeepsNoTokenAlive$",
	},
	{
		Law: 23, What: "polls take the workers of leases", File: "lease/lane.go",
		Old: "if e.read != nil {\n\t\treturn &m.polls", New: "if e == nil {\n\t\treturn &m.polls",
		Package: ".", Test: "^TestLaw23WatchedValuesDoNotHoldUpLeases$",
	},
	{
		Law: 3, What: "a handover outwaits a lease that ends sooner", File: "lease/schedule.go",
		Old: "min(state.Left, longestSpread)", New: "min(g.parent.Left(now), longestSpread)",
		Package: ".", Test: "^TestLaw03AHandoverDoesNotOutwaitALeaseThatEndsSooner$",
	},
	{
		Law: 18, What: "a login ends with its caller, and its token is lost", File: "internal/session/login.go",
		Old: "context.WithTimeout(context.WithoutCancel(ctx), s.loginTimeout())", New: "context.WithTimeout(ctx, s.loginTimeout())",
		Package: ".", Test: "^TestA14ALoginThatNobodyWaitsForLeavesNoToken$",
	},
	{
		Law: 18, What: "a token that is not accepted is left", File: "internal/session/login.go",
		Old: "s.discard(&token{", New: "_ = (&token{",
		Package: ".", Test: "^TestA14AFailedStartLeavesNoToken$",
	},
	{
		Law: 19, What: "VAULT_HEADERS are sent", File: "internal/session/transport.go",
		Old: "c.SetHeaders(", New: "_ = http.Header(",
		Package: ".", Test: "^TestLaw19TheEnvironmentChangesNothing$",
	},
	{
		Law: 20, What: "a lease ID that Vault repeats is shown", File: "internal/session/errors.go",
		Old: `return leaseIDs.ReplaceAllString(text, "/[redacted]")`, New: "return text",
		Package: ".", Test: "^TestLaw20NothingSecretIsEverPrinted$",
	},
	{
		Law: 20, What: "a token that Vault repeats is shown", File: "internal/session/errors.go",
		Old: `text = tokens.ReplaceAllString(text, "[redacted]")`, New: "_ = tokens",
		Package: ".", Test: "^TestLaw20NothingSecretIsEverPrinted$",
	},
	{
		Law: 21, What: "a path may climb", File: "internal/session/request.go",
		Old: `case ".", "..":`, New: `case ".":`,
		Package: ".", Test: "^TestLaw21APathThatIsAnotherPathIsRefused$",
	},
	{
		Law: 21, What: "a token goes wherever it is redirected", File: "internal/session/redirect.go",
		Old: "host == t.host ||", New: `host != "" ||`,
		Package: ".", Test: "^TestLaw21ATokenGoesToNoForeignHost$",
	},
	{
		Law: 22, What: "a failure is no event", File: "lease/outcome.go",
		Old: "m.event(e, kind, err)", New: "_ = kind",
		Package: ".", Test: "^TestLaw22EachBackgroundFailureIsVisibleThreeWays$",
	},
	{
		Law: 22, What: "the newest event is dropped", File: "events.go",
		Old: "e.queue = e.queue[1:]\n\t\te.lost++", New: "e.lost++\n\t\treturn",
		Package: ".", Test: "^TestLaw22EventsComeInOrderAndASlowListenerLosesTheOldest$",
	},
	{
		Law: 23, What: "upkeep queues behind reads", File: "internal/session/request.go",
		Old: "for again := false; ; again = true {", New: "s.slots <- struct{}{}\n\tdefer func() { <-s.slots }()\n\tfor again := false; ; again = true {",
		Package: ".", Test: "^TestLaw23UpkeepDoesNotQueueBehindReads$",
	},
}
