// Package plan has the words of "deploy plan" and "deploy apply": what would change, on what, and how dangerous that
// is.
//
// A plan is a value. Whoever makes it has looked at the world and compared (inspect, diff); whoever carries it out
// takes it as it is. Showing a plan and throwing it away is the dry run, so there is no other. Nothing secret is ever
// in a plan: a secret's change says that it changes, not to what.
package plan

import (
	"cmp"
	"slices"
	"strings"
)

// Action is what happens to a thing. Its text is the word people read.
type Action string

// The actions. Check is for what cannot be seen yet, because what it stands in has to be started first: it is looked at
// when its turn comes, and changed if it has to be.
const (
	Create  Action = "create"
	Update  Action = "update"
	Delete  Action = "delete"
	Restart Action = "restart"
	Run     Action = "run"
	Check   Action = "check"
)

// Mark is the action as one character, as in a diff.
func (a Action) Mark() string {
	switch a {
	case Create:
		return "+"
	case Delete:
		return "-"
	case Restart:
		return "!"
	case Run:
		return ">"
	case Check:
		return "?"
	default:
		return "~"
	}
}

// Change is one outside change.
type Change struct {
	// Place is where: a physical host, a container, or "cluster" for what is in the API server.
	Place string `json:"place"`
	// Group is the part of a deployment it belongs to, such as "host", "container", "haproxy"; the order of groups is the
	// order of the work.
	Group string `json:"group"`
	// Kind and Name say what: file /etc/containerd/config.toml, unit kubelet.service.
	Kind string `json:"kind"`
	Name string `json:"name"`

	Action Action `json:"action"`
	// Summary says in words what changes.
	Summary string `json:"summary,omitempty"`
	// Diff is a unified diff where the change is one of text. Never of a secret.
	Diff string `json:"diff,omitempty"`
	// What is the change as a typed value, such as an upgrade from one version to another, for judges and for who carries
	// it out; nil where place, kind and name say all.
	What any `json:"-"`
}

// Finding is what a judge says of a plan.
type Finding struct {
	// Judge is its name, for --allow.
	Judge string `json:"judge"`
	// Where is the place and the thing, Text is what could go wrong.
	Where string `json:"where"`
	Text  string `json:"text"`
	// Blocks: the plan is not carried out unless the operator allows this judge's findings.
	Blocks bool `json:"blocks"`
}

// Plan is everything that would change, in the order of the work.
type Plan struct {
	Changes  []Change  `json:"changes"`
	Findings []Finding `json:"findings,omitempty"`
}

// Empty says that the world is as it should be.
func (p Plan) Empty() bool { return len(p.Changes) == 0 }

// Blocked are the findings that need an explicit word of the operator's and have none in allowed.
func (p Plan) Blocked(allowed []string) []Finding {
	var out []Finding
	for _, f := range p.Findings {
		if f.Blocks && !slices.Contains(allowed, f.Judge) {
			out = append(out, f)
		}
	}
	return out
}

// Masked is the plan with its texts as hide leaves them: a difference may have a password in it that nobody declared to
// be one.
func (p Plan) Masked(hide func(string) string) Plan {
	p.Changes, p.Findings = slices.Clone(p.Changes), slices.Clone(p.Findings)
	for i := range p.Changes {
		c := &p.Changes[i]
		c.Name, c.Summary, c.Diff = hide(c.Name), hide(c.Summary), hide(c.Diff)
	}
	for i := range p.Findings {
		f := &p.Findings[i]
		f.Where, f.Text = hide(f.Where), hide(f.Text)
	}
	return p
}

// Touches says whether something of a kind and a name changes at a place; an empty kind or name means any.
func (p Plan) Touches(place, kind, name string) bool {
	return slices.ContainsFunc(p.Changes, func(c Change) bool {
		return c.Place == place && (kind == "" || c.Kind == kind) && (name == "" || c.Name == name)
	})
}

// Of are the typed values of one type, in the order of the plan.
func Of[T any](p Plan) []T {
	var out []T
	for _, c := range p.Changes {
		if v, ok := c.What.(T); ok {
			out = append(out, v)
		}
	}
	return out
}

// Has says whether one of the typed values fits.
func Has[T any](p Plan, fits func(T) bool) bool { return slices.ContainsFunc(Of[T](p), fits) }

// Judge looks at a plan and says what is dangerous in it. It changes nothing and asks nobody.
type Judge func(Plan) []Finding

// Judged is the plan with what the judges say, in a stable order.
func Judged(p Plan, judges ...Judge) Plan {
	for _, j := range judges {
		p.Findings = append(p.Findings, j(p)...)
	}
	slices.SortStableFunc(p.Findings, func(a, b Finding) int {
		if a.Blocks != b.Blocks {
			if a.Blocks {
				return -1
			}
			return 1
		}
		return cmp.Or(strings.Compare(a.Judge, b.Judge), strings.Compare(a.Where, b.Where))
	})
	return p
}
