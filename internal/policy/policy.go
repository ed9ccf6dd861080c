// Package policy decides who may do what, in the rule language of oslo.policy and with Magnum's rules.
//
// A rule has a name ("cluster:create") and a check, a boolean expression:
//
//	role:admin                          the token has this role, in any case of letters
//	project_id:%(project_id)s           an attribute of the caller equals one of the target
//	'text':%(project_id)s               a literal equals an attribute of the target
//	rule:project_member                 another rule
//	is_admin:True                       rule context_is_admin
//	@  !                                always, never; an empty check is @ as well
//	and or not ( )                      not binds tightest, then and, then or
//	[["role:a", "rule:b"], ["role:c"]]  the old form: or of ands; [] is @
//
// Magnum's own rules stand in defaults.go. An operator's policy.yaml replaces them by name. They are enforced as Magnum
// does since oslo.policy 4.4: the new defaults only (nothing is or-ed in from releases before 2023.2), and with scope:
// a token of a system or a domain is refused on rules for projects, whatever its roles. [Settings] turns either off.
//
// oslo.policy notices most mistakes while enforcing and then quietly refuses, or quietly accepts under "not". Here all
// rules are compiled at start-up and every problem is reported at once; what compiles has no way to fail later. Rules
// that would ask a remote server (http:) are refused, since no check here leaves the process.
//
// Permission is a value: [Enforcer.Authorize] and [Enforcer.Scope] return a [Grant], and whatever reads or writes
// tenant data takes one as an argument.
package policy

import (
	"fmt"
	"maps"
	"slices"
)

// Credentials are what Keystone said about the caller's token. Keystone lists implied roles (admin implies member
// implies reader) in the token; nothing is added here. A token has a project, a system scope or neither.
type Credentials struct {
	UserID          string
	UserName        string
	UserDomainID    string
	ProjectID       string
	ProjectName     string
	ProjectDomainID string
	Roles           []string
	// SystemScope is "all" for a token of the system, else empty.
	SystemScope string
}

// Target is what the caller wants to act on. For things that do not exist yet it is the caller's own project and user.
type Target struct {
	ProjectID string
	UserID    string
}

// Rule is an operator's replacement for a rule, or a helper for others.
type Rule struct {
	Name  string
	Check string

	where  string     // file and line
	isList bool       // the old form: list instead of Check
	list   [][]string // or of ands
}

// Forbidden is the answer to a caller who may not. The API turns it into 403.
//
//nolint:errname // it is named after the status, as callers say it: err is a *policy.Forbidden
type Forbidden struct {
	Rule string
}

// Error is Magnum's text.
func (f *Forbidden) Error() string {
	return fmt.Sprintf("Policy doesn't allow %s to be performed.", f.Rule)
}

// Enforcer answers whether a rule passes. It never changes after New or Load and is safe for concurrent use.
type Enforcer struct {
	rules    map[string]*compiled
	admin    *check
	fallback *compiled
	anyScope bool
	changed  map[string]bool // rules that are not Magnum's own
	warnings []string
}

// compiled is a rule ready to be asked.
type compiled struct {
	check        *check
	projectScope bool
}

// Warnings are oddities in the overrides that do not make them unusable, each with its place.
func (e *Enforcer) Warnings() []string {
	return e.warnings
}

// Changed names the rules that overrides replaced or added, in order.
func (e *Enforcer) Changed() []string { return slices.Sorted(maps.Keys(e.changed)) }

// Authorize asks one rule. The error is a *Forbidden; the Grant covers the target's project and nothing else. A rule
// that nobody defined is forbidden, unless the operator defined a rule "default".
func (e *Enforcer) Authorize(c Credentials, rule string, t Target) (Grant, error) {
	if !e.passes(&c, rule, &t) {
		return Grant{}, &Forbidden{Rule: rule}
	}
	return Grant{project: t.ProjectID, user: c.UserID}, nil
}

// Scope gives the grant for looking things up before it is known whose they are: the caller's own project, or all
// projects if the named rule passes. The name "" means never all projects, which is how Magnum's resize, node group,
// certificate and credential requests behave: an administrator of another project gets 404 there.
func (e *Enforcer) Scope(c Credentials, allProjectsRule string) Grant {
	own := Target{ProjectID: c.ProjectID, UserID: c.UserID}
	all := allProjectsRule != "" && e.passes(&c, allProjectsRule, &own)
	return Grant{project: c.ProjectID, user: c.UserID, all: all}
}

// IsAdmin asks rule context_is_admin, which is about the caller alone.
func (e *Enforcer) IsAdmin(c Credentials) bool {
	return e.admin.passes(e, &c, &Target{})
}

func (e *Enforcer) passes(c *Credentials, rule string, t *Target) bool {
	r, ok := e.rules[rule]
	if !ok {
		r = e.fallback
	}
	if r == nil {
		return false
	}
	// An unscoped token and a domain's have no project either; neither has business with a project's things.
	if r.projectScope && !e.anyScope && (c.SystemScope != "" || c.ProjectID == "") {
		return false
	}
	return r.check.passes(e, c, t)
}
