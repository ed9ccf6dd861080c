package policy

import "strings"

// op is what a check does.
type op uint8

const (
	opFalse op = iota // the zero check refuses
	opTrue
	opAnd
	opOr
	opNot
	opRule    // text names the rule, args[0] is its check once linked
	opAdmin   // is_admin:True
	opRole    // any role equals want, ignoring case
	opMatch   // attribute equals want
	opLiteral // text equals want
)

// check is one node of an expression. It is a struct with a switch, and not an interface with ten implementations,
// because that keeps the arguments on the stack: enforcing allocates nothing.
type check struct {
	op        op
	args      []*check
	text      string
	attribute attribute
	want      template
}

// passes evaluates the check. Circles are refused when rules are linked, so it ends.
func (k *check) passes(e *Enforcer, c *Credentials, t *Target) bool {
	switch k.op {
	case opTrue:
		return true
	case opAnd:
		for _, a := range k.args {
			if !a.passes(e, c, t) {
				return false
			}
		}
		return true
	case opOr:
		for _, a := range k.args {
			if a.passes(e, c, t) {
				return true
			}
		}
		return false
	case opNot:
		return !k.args[0].passes(e, c, t)
	case opRule:
		return k.args[0].passes(e, c, t)
	case opAdmin:
		return e.admin.passes(e, c, &Target{})
	case opRole:
		return k.hasRole(c.Roles, t)
	case opMatch:
		return k.matches(c, t)
	case opLiteral:
		return k.want.equals(k.text, t)
	default:
		return false
	}
}

func (k *check) hasRole(roles []string, t *Target) bool {
	want, ok := k.want.text(t)
	if !ok {
		return false
	}
	for _, role := range roles {
		if strings.EqualFold(role, want) {
			return true
		}
	}
	return false
}

func (k *check) matches(c *Credentials, t *Target) bool {
	if k.attribute == attrRoles {
		for _, role := range c.Roles {
			if k.want.equals(role, t) {
				return true
			}
		}
		return false
	}
	got := k.attribute.of(c)
	// What the token does not say equals nothing, not even an empty value of the target: fail closed.
	return got != "" && k.want.equals(got, t)
}

// attribute is one thing Credentials say.
type attribute uint8

const (
	attrNone attribute = iota
	attrUserID
	attrUserName
	attrUserDomainID
	attrProjectID
	attrProjectName
	attrProjectDomainID
	attrSystemScope
	attrRoles
)

// newAttribute knows the names of oslo.context, old ones included.
func newAttribute(name string) (attribute, bool) {
	switch name {
	case "user_id", "user":
		return attrUserID, true
	case "user_name":
		return attrUserName, true
	case "user_domain_id", "user_domain":
		return attrUserDomainID, true
	case "project_id", "tenant_id", "tenant", "project":
		return attrProjectID, true
	case "project_name":
		return attrProjectName, true
	case "project_domain_id", "project_domain":
		return attrProjectDomainID, true
	case "system_scope":
		return attrSystemScope, true
	case "roles":
		return attrRoles, true
	default:
		return attrNone, false
	}
}

func (a attribute) of(c *Credentials) string {
	switch a {
	case attrUserID:
		return c.UserID
	case attrUserName:
		return c.UserName
	case attrUserDomainID:
		return c.UserDomainID
	case attrProjectID:
		return c.ProjectID
	case attrProjectName:
		return c.ProjectName
	case attrProjectDomainID:
		return c.ProjectDomainID
	case attrSystemScope:
		return c.SystemScope
	default:
		return ""
	}
}

// template is the right side of a check, cut into literal parts and fields of the target.
type template []part

// part is a field of the target, or literal text if the field is fieldNone.
type part struct {
	field   field
	literal string
}

type field uint8

const (
	fieldNone field = iota
	fieldProjectID
	fieldUserID
	fieldAbsent // known to other services, never set here
)

func (p part) of(t *Target) (string, bool) {
	switch p.field {
	case fieldNone:
		return p.literal, true
	case fieldProjectID:
		return t.ProjectID, t.ProjectID != ""
	case fieldUserID:
		return t.UserID, t.UserID != ""
	default:
		return "", false
	}
}

// equals compares without building the text. A field the target does not have equals nothing.
func (w template) equals(got string, t *Target) bool {
	for _, p := range w {
		text, ok := p.of(t)
		if !ok {
			return false
		}
		if got, ok = strings.CutPrefix(got, text); !ok {
			return false
		}
	}
	return got == ""
}

// text builds the text. The usual template has one part, which costs nothing.
func (w template) text(t *Target) (string, bool) {
	if len(w) == 1 {
		return w[0].of(t)
	}
	var b strings.Builder
	for _, p := range w {
		text, ok := p.of(t)
		if !ok {
			return "", false
		}
		b.WriteString(text)
	}
	return b.String(), true
}
