package main

// transportMutations are about how requests travel: connections, files of TLS, redirects,
// replication states, and what the official client would do by itself.
var transportMutations = []mutation{
	{
		Law: 7, What: "a dead HTTP/2 connection is not pinged", File: "internal/session/connections.go",
		Old: "SendPingTimeout: 10 * time.Second, ", New: "",
		Package: "./internal/session", Test: "^TestE5ADeadHTTP2ConnectionIsNoticedByItsPing$",
	},
	{
		Law: 7, What: "failures of connections are not counted", File: "internal/session/connections.go",
		Old: "w.failures.Add(1) >= failuresInARow", New: "w.failures.Load() >= failuresInARow",
		Package: "./internal/session", Test: "^TestE5AfterThreeFailuresAllConnectionsAreMadeAnew$",
	},
	{
		Law: 7, What: "failures need not be in a row", File: "internal/session/connections.go",
		Old: "w.failures.Store(0)\n\tcase errors.Is(", New: "_ = w\n\tcase errors.Is(",
		Package: "./internal/session", Test: "^TestE5AfterThreeFailuresAllConnectionsAreMadeAnew$",
	},
	{
		Law: 7, What: "a caller who leaves is a failure of the connection", File: "internal/session/connections.go",
		Old: "case errors.Is(ctx.Err(), context.Canceled):", New: "case errors.Is(context.Canceled, ctx.Err()) && false:",
		Package: "./internal/session", Test: "^TestE5ACallerWhoLeavesIsNoFailure$",
	},
	{
		Law: 7, What: "connections live for ever", File: "internal/session/connections.go",
		Old: "passed(c.cur.Load().made, now, connectionLife)", New: "passed(c.cur.Load().made, now, 1000*connectionLife)",
		Package: "./internal/session", Test: "^TestE5ConnectionsAreRenewedAfterAWhile$",
	},
	{
		Law: 7, What: "a user's client keeps its dead connections", File: "internal/session/connections.go",
		Old: "w.failures.Store(0)\n\t\tw.closeIdle()", New: "w.failures.Store(0)",
		Package: "./internal/session", Test: "^TestE5AUsersClientIsOnlyAskedToCloseWhatIsIdle$",
	},
	{
		Law: 7, What: "idle connections are as few as net/http keeps", File: "internal/session/connections.go",
		Old: "MaxIdleConnsPerHost:   64,", New: "MaxIdleConnsPerHost:   0,",
		Package: ".", Test: "^TestTrap17ManyReadersShareFewConnections$",
	},
	{
		Law: 7, What: "what the escape hatch reads goes out on connections that were used", File: "internal/session/transport.go",
		Old: "create: req.Method == http.MethodGet}", New: "create: false}",
		Package: ".", Test: "^TestTrap21TheEscapeHatchCreatesOnce$",
	},
	{
		Law: 7, What: "the official client retries", File: "internal/session/transport.go",
		Old: "MaxRetries: 0,", New: "MaxRetries: 2,",
		Package: ".", Test: "^TestTrap21TheEscapeHatchCreatesOnce$",
	},
	{
		Law: 7, What: "a 412 is a final answer", File: "internal/session/classify.go",
		Old: "status == http.StatusPreconditionFailed, ", New: "",
		Package: ".", Test: "^TestE1A412IsWaitedOut$",
	},
	{
		Law: 7, What: "replication states are not asked for", File: "internal/session/state.go",
		Old: "h[api.HeaderIndex] = slices.Clone(s.known)", New: "_ = slices.Clone(s.known)",
		Package: ".", Test: "^TestE1WeReadOurOwnWrites$",
	},
	{
		Law: 7, What: "a state that is never reached is asked for without end", File: "internal/session/state.go",
		Old: "s.known, s.refused = nil, lease.Instant{}", New: "s.refused = lease.Instant{}",
		Package: ".", Test: "^TestE1AStateThatIsNeverReachedIsForgotten$",
	},
	{
		Law: 7, What: "what is no state is sent back", File: "internal/session/state.go",
		Old: "err == nil { // else it is not Vault's", New: "err == nil || state != \"\" {",
		Package: ".", Test: "^TestE1WithoutStatesNoneAreSent$",
	},
	{
		Law: 7, What: "a 308 is no redirect", File: "internal/session/redirect.go",
		Old: "http.StatusTemporaryRedirect, http.StatusPermanentRedirect:", New: "http.StatusTemporaryRedirect:",
		Package: ".", Test: "^TestE4AStandbyLeadsToTheActiveNode$",
	},
	{
		Law: 7, What: "a redirected request loses its body", File: "internal/session/redirect.go",
		Old: "next.Body, err = req.GetBody()", New: "_, err = req.GetBody()",
		Package: ".", Test: "^TestE4AStandbyLeadsToTheActiveNode$",
	},
	{
		Law: 7, What: "a redirected request names the old host", File: "internal/session/redirect.go",
		Old: "next.URL, next.Host = to, to.Host", New: "next.URL = to",
		Package: ".", Test: "^TestE4AStandbyLeadsToTheActiveNode$",
	},
	{
		Law: 7, What: "what redirects is not read", File: "internal/session/redirect.go",
		Old: "_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)", New: "_ = io.Discard",
		Package: ".", Test: "^TestE4AStandbyLeadsToTheActiveNode$",
	},
	{
		Law: 7, What: "redirects are followed for ever", File: "internal/session/redirect.go",
		Old: "if hop == mostHops {", New: "if hop == 1000*mostHops {",
		Package: ".", Test: "^TestE4ServersThatDoNotAgreeAreNotFollowedForEver$",
	},
	{
		Law: 9, What: "a date to retry after is no pause", File: "internal/session/transport.go",
		Old: "then, err := http.ParseTime(v)", New: "then, err := http.ParseTime(\"not \" + v)",
		Package: "./internal/session", Test: "^TestE2RetryAfterIsReadInBothForms$",
	},
	{
		Law: 9, What: "the server's date is compared with our clock", File: "internal/session/transport.go",
		Old: "now, err := http.ParseTime(h.Get(\"Date\"))", New: "now, err := time.Now(), error(nil)",
		Package: "./internal/session", Test: "^TestE2RetryAfterIsReadInBothForms$",
	},
	{
		Law: 9, What: "any pause is believed", File: "internal/session/transport.go",
		Old: "time.Duration(min(n, uint64(longestRetryAfter/time.Second)))", New: "time.Duration(n)",
		Package: "./internal/session", Test: "^TestE2RetryAfterIsReadInBothForms$",
	},
	{
		Law: 18, What: "a request without a context has no end", File: "internal/session/transport.go",
		Old: "context.WithTimeout(ctx, readTimeout)", New: "context.WithTimeout(ctx, 1000*readTimeout)",
		Package: ".", Test: "^TestTrap10NothingIsLeftOfARequest$",
	},
	{
		Law: 18, What: "a request from the escape hatch outlives the client", File: "internal/session/transport.go",
		Old: "context.AfterFunc(t.s.ctx, cancel)", New: "context.AfterFunc(context.Background(), cancel)",
		Package: ".", Test: "^TestTrap10NothingIsLeftOfARequest$",
	},
	{
		Law: 18, What: "the context of a request outlives its answer", File: "internal/session/transport.go",
		Old: "if !isRedirect(resp.StatusCode) {\n\t\t\tcancel()", New: "if !isRedirect(resp.StatusCode) {\n\t\t\t_ = cancel",
		Package: ".", Test: "^TestTrap10NothingIsLeftOfARequest$",
	},
	{
		Law: 1, What: "all logins use one client", File: "internal/session/peek.go",
		Old: `s.wire.logins.WithNamespace("")`, New: "s.wire.logins",
		Package: ".", Test: "^TestTrap19ALoginLeavesNothingBehind$",
	},
	{
		Law: 6, What: "what a dead token was refused is not repeated", File: "internal/session/request.go",
		Old: "if err == nil || again || !errors.As(err, &le) {", New: "if err == nil || !again || !errors.As(err, &le) {",
		Package: ".", Test: "^TestD5ReadersAndLoginsDoNotRace$",
	},
	{
		Law: 14, What: "the budget bounds nothing", File: "config.go",
		Old: "c.Budget.Requests,", New: "100 + c.Budget.Requests,",
		Package: ".", Test: "^TestTrap09WhoGivesUpInTheQueueIsNotSent$",
	},
	{
		Law: 19, What: "the official client holds a real token, which copies keep", File: "internal/session/session.go",
		Old: "s.tokens = s.manager.Add(", New: "s.api.SetToken(first.value.Reveal())\n\ts.tokens = s.manager.Add(",
		Package: ".", Test: "^TestTrap11ACopyOfTheClientHasTheCurrentToken$",
	},
	{
		Law: 19, What: "clones begin with the environment's token", File: "internal/session/transport.go",
		Old: "CloneToken: true, ", New: "",
		Package: ".", Test: "^TestTrap12ACloneIsNotMadeOfTheEnvironment$",
	},
	{
		Law: 19, What: "the official client holds no token, and takes that which is unwrapped", File: "internal/session/session.go",
		Old: "s.api.SetToken(sentinel)", New: "s.api.SetToken(\"\")",
		Package: ".", Test: "^TestTrap18UnwrappingLeavesTheTokenAlone$",
	},
	{
		Law: 19, What: "the official client begins with its defaults", File: "internal/session/transport.go",
		Old:     "api.NewClient(&api.Config{Address: address, HttpClient: hc, MaxRetries: 0, CloneToken: true, CloneHeaders: true})",
		New:     "api.NewClient(func() *api.Config { c := api.DefaultConfig(); c.Address, c.HttpClient = address, hc; return c }())",
		Package: ".", Test: "^TestLaw19NoVariableChangesARequest$",
	},
	{
		Law: 19, What: "a value of the environment is shown", File: "internal/session/transport.go",
		Old: "return nil, notMade(err)", New: "_ = notMade\n\t\treturn nil, err",
		Package: ".", Test: "^TestLaw19AVariableThatIsInTheWayIsNamed$",
	},
	{
		Law: 19, What: "each login reads the environment", File: "internal/session/peek.go",
		Old: `c := s.wire.logins.WithNamespace("")`, New: "c, err := newAPI(s.cfg.Address, s.wire.client(peek))\n\tif err != nil {\n\t\treturn c, nil, err\n\t}",
		Package: ".", Test: "^TestLaw19AVariableThatIsInTheWayIsNamed$",
	},
	{
		Law: 19, What: "servers are not verified", File: "internal/session/connections.go",
		Old: "h := c.open(c.conf.Clone())", New: "h := c.open(&tls.Config{InsecureSkipVerify: true})",
		Package: ".", Test: "^TestLaw19NoVariableWeakensTLS$",
	},
	{
		Law: 19, What: "HTTP_PROXY counts", File: "internal/session/connections.go",
		Old: "Proxy:                 nil,", New: "Proxy:                 http.ProxyFromEnvironment,",
		Package: "./internal/session", Test: "^TestLaw19NoProxyIsTakenFromTheEnvironment$",
	},
	{
		Law: 21, What: "a redirect from https to http is followed", File: "internal/session/redirect.go",
		Old: `(to.Scheme != "http" || req.URL.Scheme == "https")`, New: `to.Scheme != "http"`,
		Package: ".", Test: "^TestX3ARedirectToHTTPIsRefused$",
	},
	{
		Law: 21, What: "hosts are compared as they are written", File: "internal/session/redirect.go",
		Old: `if port == "" {`, New: `if port == "" && u.Scheme == "" {`,
		Package: ".", Test: "^TestLaw21APortThatGoesWithoutSayingIsTheSame$",
	},
	{
		Law: 21, What: "an answer has no bound", File: "internal/session/transport.go",
		Old: "left: largestBody,", New: "left: 1 << 40,",
		Package: ".", Test: "^TestTrap20AnAnswerIsBounded$",
	},
	{
		Law: 22, What: "the files of TLS are read once", File: "internal/session/tls.go",
		Old: "passed(f.looked, now, tlsInterval)", New: "passed(f.looked, now, 1000*time.Hour)",
		Package: "./internal/session", Test: "^TestE7ASwappedLinkIsFollowed$",
	},
	{
		Law: 22, What: "the files of TLS are read once, over sockets", File: "internal/session/tls.go",
		Old: "passed(f.looked, now, tlsInterval)", New: "passed(f.looked, now, 1000*time.Hour)",
		Package: ".", Test: "^TestE7FilesAreRotatedUnderLoad$",
	},
	{
		Law: 22, What: "files of TLS that cannot be used are not told", File: "internal/session/tls.go",
		Old: `f.report(fmt.Errorf("%w: what was read before stays in use", err))`, New: "_ = f.report",
		Package: "./internal/session", Test: "^TestE7AHalfWrittenFileKeepsWhatWorked$",
	},
	{
		Law: 22, What: "a file may end in the middle of a certificate", File: "internal/session/tls.go",
		Old: `return bytes.Contains(rest, []byte("-----BEGIN "))`, New: "return bytes.Equal(rest, rest[1:])",
		Package: "./internal/session", Test: "^TestE7AHalfWrittenFileKeepsWhatWorked$",
	},
	{
		Law: 7, What: "a creation whose handshake failed counts as lost", File: "internal/session/notsent.go",
		Old: "var got atomic.Bool\n", New: "var got atomic.Bool\n\tgot.Store(true)\n",
		Package: "./internal/session", Test: "^TestLaw07WhatWasNeverSentIsNotAmbiguous$",
	},
	{
		Law: 7, What: "a creation that was only redirected counts as lost", File: "internal/session/redirect.go",
		Old: "return nil, &notSentError{", New: "return nil, &url.Error{Err: ",
		Package: ".", Test: "^TestE4ServersThatDoNotAgreeAreNotFollowedForEver$",
	},
}
