package leasehold

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/seed-f5e1ac40/leasehold/internal/session"
)

// Permission is a line of policy: a path of Vault's API, and what must be allowed on it.
type Permission struct {
	Path       string
	Capability string // such as "read"
	// For is why: the fields that want a secret, or what upkeep cannot do without it.
	For string
	// Upkeep: Load succeeds without it, and less of what is obtained stays good later.
	Upkeep bool
}

// String is the line as a policy has it.
func (p Permission) String() string {
	return fmt.Sprintf("path %q { capabilities = [%q] } # %s", p.Path, p.Capability, p.For)
}

// PermissionError is what the token's policies lack: see [Client.Preflight].
type PermissionError struct {
	Namespace string // that the paths are in; empty: the root
	Missing   []Permission
}

// Error is a line that says so, and then the missing ones, each to be pasted into a policy.
func (e *PermissionError) Error() string {
	var b strings.Builder
	b.WriteString("leasehold: preflight: the token's policies lack")
	if e.Namespace != "" {
		fmt.Fprintf(&b, " in namespace %s", e.Namespace)
	}
	b.WriteString(":")
	for _, p := range e.Missing {
		b.WriteString("\n" + p.String())
	}
	return b.String()
}

// Preflight asks Vault whether the token may do what [Client.Load] of dst would do, and what
// the upkeep needs afterwards, without reading or making anything: for the first step of a
// deployment, or when Load was refused. dst is as for Load, and is not changed.
//
// It returns nil if nothing is missing; a *[PermissionError] with the lines to add to the
// policy; a kv.ErrNoMount as Load would have it, which no policy cures; or why it could not
// ask. One error is returned as it is, and several are joined: those of mounts come first, and
// there are two PermissionErrors if the token is of another namespace and both lack something. Where the
// permissions for the secrets could not be asked for, there is no PermissionError beside the
// reason. Who does without upkeep looks at each Permission's Upkeep. Whether secrets and roles exist
// it does not tell, nor whether a mount does of which Vault says nothing to this token: a line
// with a mistyped path is to be looked at, not pasted. Policies that name parameters, or control
// groups, may refuse all the same.
//
// It is one request to sys/capabilities-self, which Vault's default policy allows; two if the
// token is of another namespace. Before that the version of each KV mount is detected. Vault
// tells it to who may do something below the mount: where it does not, the line is that of
// version 2, and says so. All of this is retried as kv.Get does.
func (c *Client) Preflight(ctx context.Context, dst any) error {
	_, fields, err := checked("preflight", dst)
	if err != nil {
		return err
	}
	token := c.session.Upkeep()
	needs, wrong := c.secrets(ctx, fields)
	if slices.ContainsFunc(wrong, session.MayPass) {
		return together(wrong) // the rest would wait for the same
	}
	upkeep := tokenUpkeep(token)
	if slices.ContainsFunc(fields, func(f *field) bool { return f.engine == dynamicEngine }) {
		needs = append(needs, leaseUpkeep(token)...)
	}
	if token.Namespace == c.view.Namespace {
		needs, upkeep = append(needs, upkeep...), nil
	}
	err = c.lacks(ctx, c.view.Namespace, needs)
	if lacking := (*PermissionError)(nil); err != nil && !errors.As(err, &lacking) {
		return together(append(wrong, err)) // what is missing besides would pass for all that is wrong
	}
	return together(append(wrong, err, c.lacks(ctx, token.Namespace, upkeep)))
}

// together joins errors, of which some may be nil. One alone stays what it is.
func together(errs []error) error {
	errs = slices.DeleteFunc(errs, func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// secrets are the permissions that Load needs, and what no permission cures. It ends with what
// Vault could not be asked for.
func (c *Client) secrets(ctx context.Context, fields []*field) (needs []Permission, wrong []error) {
	for _, s := range sources(fields) {
		path, known := s.mount+"/"+s.path, true
		if s.engine == keyValue {
			var err error
			if path, known, err = s.store(c).APIPath(ctx, s.path); err != nil {
				wrong = append(wrong, s.failed(s.names(), err))
				if session.MayPass(err) {
					return nil, wrong
				}
				continue
			}
		}
		names := s.names()
		if !known { // Vault tells nobody who may do nothing there
			names = append(names, fmt.Sprintf("or path %q if that is KV version 1", s.mount+"/"+s.path))
		}
		if i := slices.IndexFunc(needs, func(p Permission) bool { return p.Path == path }); i >= 0 {
			needs[i].For += ", " + strings.Join(names, ", ") // live credentials of one role
			continue
		}
		needs = append(needs, Permission{Path: path, Capability: "read", For: strings.Join(names, ", ")})
	}
	return needs, wrong
}

// leaseUpkeep is what leases need to be kept.
func leaseUpkeep(token session.Upkeep) []Permission {
	needs := []Permission{
		{"sys/leases/renew", "update", "or a lease is replaced instead of renewed", true},
		{"sys/leases/lookup", "update", "or a lease that was revoked by others is noticed late", true},
	}
	without := "or a Load that fails leaves its credentials to end by themselves"
	if !token.Revoked && !token.Kept {
		without = "or Close leaves leases to end by themselves"
	}
	return append(needs, Permission{"sys/leases/revoke", "update", without, true})
}

// tokenUpkeep is what the token needs to be kept.
func tokenUpkeep(token session.Upkeep) []Permission {
	if token.Absent {
		return nil
	}
	needs := []Permission{{"auth/token/lookup-self", "read", "or a dead token looks like a missing permission", true}}
	if token.Renewable {
		without := "or the client logs in instead of renewing"
		if !token.Revoked { // it was given, and there is no other
			without = "or the token ends, and everything with it"
		}
		needs = append(needs, Permission{"auth/token/renew-self", "update", without, true})
	}
	if token.Revoked && !token.Kept {
		needs = append(needs, Permission{"auth/token/revoke-self", "update", "or Close leaves the token to end by itself", true})
	}
	return needs
}

// lacks asks which of needs the token may not do.
func (c *Client) lacks(ctx context.Context, namespace string, needs []Permission) error {
	if len(needs) == 0 {
		return nil
	}
	paths := make([]string, len(needs))
	for i, p := range needs {
		paths[i] = p.Path
	}
	resp, err := c.session.Read(ctx, session.Request{
		Op: "preflight", Method: http.MethodPost, Path: "sys/capabilities-self",
		Body: map[string][]string{"paths": paths}, Namespace: namespace,
	})
	if err != nil {
		return err
	}
	var answer struct {
		Data map[string]json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal(resp.Body, &answer); err != nil {
		return errors.New("leasehold: preflight: the answer is not JSON of the expected form")
	}
	lacking := &PermissionError{Namespace: namespace}
	for _, p := range needs {
		var may []string
		// What is not said is not allowed.
		if json.Unmarshal(answer.Data[p.Path], &may) != nil || !slices.Contains(may, p.Capability) && !slices.Contains(may, "root") {
			lacking.Missing = append(lacking.Missing, p)
		}
	}
	if len(lacking.Missing) == 0 {
		return nil
	}
	return lacking
}
