package main

// hearsayMutations are of what is believed of others, and of the edges that a reading of
// the whole session has found.
var hearsayMutations = []mutation{
	{
		Law: 6, What: "whoever calls a token dead is believed",
		File: "internal/session/request.go", Old: "if !s.believe(waiting, t) {", New: "if !s.believe(ctx, t) && again {",
		Package: ".", Test: "^TestE8AStormOfInvalidTokensIsLookedInto$",
	},
	{
		Law: 8, What: "the latest answer says what kind of token there is",
		File: "internal/session/peek.go", Old: "if answer.Auth == nil {", New: "if answer.Auth == nil {\n\t\tp.tokens = nil",
		Package: ".", Test: "^TestLaw08AMethodMayAskAfterItsLogin$",
	},
	{
		Law: 2, What: "a given token that others keep alive is refused",
		File: "internal/session/token.go", Old: "t.is(old) && t.grant.Left(now)-time.Second <= old.grant.Left(now) {", New: "t.is(old) && now.Mono >= 0 {",
		Package: ".", Test: "^TestA4AGivenTokenThatOthersKeepAliveIsUsedOn$",
	},
	{
		Law: 3, What: "a token that cannot be renewed is dead",
		File: "internal/session/classify.go", Old: "return lease.Spent", New: "return lease.Dead",
		Package: ".", Test: "^TestLaw03ALeaseThatCannotBeRenewedIsReplacedAndServedUntilThen$",
	},
	{
		Law: 3, What: "what cannot be renewed ends at once",
		File: "lease/outcome.go", Old: "e.ending, e.failures, e.err = true, 0, nil", New: "g.End()",
		Package: ".", Test: "^TestLaw03ATokenThatCannotBeRenewedIsNotDead$",
	},
	{
		Law: 18, What: "a token that was said to be dead is not revoked",
		File: "internal/session/token.go", Old: "return t.revoked.Load() || (l.TTL > 0", New: "return t.revoked.Load() || t.grant.Ended() || (l.TTL > 0",
		Package: ".", Test: "^TestLaw18ATokenWronglySaidToBeDeadIsRevokedAtClose$",
	},
	{
		Law: 7, What: "the escape hatch waits for a token without a bound",
		File: "internal/session/transport.go", Old: "t.escaped(req.WithContext(ctx))", New: "t.escaped(req)",
		Package: ".", Test: "^TestE6TheEscapeHatchDoesNotWaitForATokenWithoutEnd$",
	},
	{
		Law: 17, What: "a namespace that cannot be sent is sent",
		File: "config.go", Old: "return r < ' ' || r == 0x7f", New: "return r > ' ' && r == 0x7f",
		Package: ".", Test: "^TestLaw17ANamespaceThatCannotBeSentFailsAtOnce$",
	},
	{
		Law: 18, What: "a callback is looked for in 64 frames",
		File: "events.go", Old: "for n == len(pcs) {", New: "for n > len(pcs) {",
		Package: ".", Test: "^TestLaw18CloseFromDeepBelowACallback$",
	},
	{
		Law: 9, What: "what was read before a sleep is young",
		File: "kv/shared.go", Old: "now.Wall.Sub(r.sent.Wall))", New: "now.Wall.Sub(r.sent.Wall)/1000)",
		Package: ".", Test: "^TestLaw09MaxAgeCountsASleep$",
	},
	{
		Law: 6, What: "an answer is left without its request",
		File: "internal/session/transport.go", Old: "if resp.Request == nil {", New: "if resp.Request == out {",
		Package: ".", Test: "^TestE2AnAnswerNeedNotNameItsRequest$",
	},
	{
		Law: 6, What: "health is asked of a namespace",
		File: "internal/session/transport.go", Old: `req.URL.Path != "/v1/sys/health" {`, New: `req.URL.Path != "" {`,
		Package: ".", Test: "^TestLaw06HealthHasNoNamespace$",
	},
	{
		Law: 22, What: "a logger that panics ends the program",
		File: "events.go", Old: "defer func() { _ = recover() }() // there is nobody to tell", New: "",
		Package: ".", Test: "^TestLaw22ALoggerThatPanicsEndsNothing$",
	},
	{
		Law: 12, What: "a value that does not decode is read at the pace of an outage",
		File: "kv/watch.go", Old: "Class: lease.Permanent, Err: err}) // only", New: "Class: lease.Unknown, Err: err}) // only",
		Package: ".", Test: "^TestC2APollThatDoesNotDecodeKeepsItsPace$",
	},
	{
		Law: 7, What: "what a login sets on its client stays",
		File: "internal/session/peek.go", Old: "c.SetMaxRetries(0)", New: "_ = c.MaxRetries()",
		Package: ".", Test: "^TestLaw07ALoginLeavesNoSettingsBehind$",
	},
}
