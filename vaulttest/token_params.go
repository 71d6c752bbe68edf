package vaulttest

import (
	"fmt"
	"time"
)

// tokenParams are the token_ parameters, which the roles and users of auth methods have in common.
type tokenParams struct {
	policies                            []string
	noDefaultPolicy                     bool
	ttl, maxTTL, explicitMaxTTL, period time.Duration
	numUses                             int
	kind                                string
}

// refusal tells what is wrong with parameters, in Vault's words where it has them; empty: nothing.
func (p tokenParams) refusal() string {
	why := unfit(term{"TokenTTL", p.ttl}, term{"TokenMaxTTL", p.maxTTL}, term{"TokenExplicitMaxTTL", p.explicitMaxTTL}, term{"TokenPeriod", p.period})
	switch {
	case why != "":
		return why
	case p.kind != "" && p.kind != "default" && p.kind != "service" && p.kind != "batch":
		return fmt.Sprintf("invalid 'token_type' value %q", p.kind)
	case p.numUses < 0:
		return "'token_num_uses' cannot be negative"
	case p.kind == "batch" && p.period != 0:
		return "'token_type' cannot be 'batch' or 'default_batch' when set to generate periodic tokens"
	case p.kind == "batch" && p.numUses != 0:
		return "'token_type' cannot be 'batch' or 'default_batch' when set to generate tokens with limited use count"
	case p.maxTTL > 0 && p.ttl > p.maxTTL:
		return "'token_ttl' cannot be greater than 'token_max_ttl'"
	}
	return ""
}

// token is a token with these parameters, for logIn.
func (p tokenParams) token() *token {
	return &token{
		policies: policySet(p.policies, p.noDefaultPolicy), batch: p.kind == "batch", uses: p.numUses,
		ttl: p.ttl, maxTTL: p.maxTTL, explicitMax: p.explicitMaxTTL, period: p.period,
	}
}

// renew gives a token these parameters for its renewal. The others are as they were at its login.
func (p tokenParams) renew(t *token) { t.ttl, t.maxTTL, t.period = p.ttl, p.maxTTL, p.period }

// data shows the parameters as the reading of a role does.
func (p tokenParams) data() map[string]any {
	kind := p.kind
	if kind == "" {
		kind = "default"
	}
	return map[string]any{
		"token_bound_cidrs": []string{}, "token_explicit_max_ttl": seconds(p.explicitMaxTTL),
		"token_max_ttl": seconds(p.maxTTL), "token_no_default_policy": p.noDefaultPolicy,
		"token_num_uses": p.numUses, "token_period": seconds(p.period),
		"token_policies": append([]string{}, p.policies...), "token_ttl": seconds(p.ttl), "token_type": kind,
	}
}

func seconds(d time.Duration) int64 { return int64(d.Seconds()) }
