package policy

import (
	"errors"
	"fmt"
)

// maxCost bounds the checks one rule may lead to: "a: rule:b or rule:b, b: rule:c or rule:c ..." doubles with every
// line.
const maxCost = 10_000

// adminRule is the rule behind is_admin and IsAdmin; fallbackRule, if an operator defines it, stands for undefined
// ones.
const (
	adminRule    = "context_is_admin"
	fallbackRule = "default"
)

// New gives an Enforcer with Magnum's rules, some of them replaced. The error joins all problems of all overrides. An
// override keeps the scope of the rule it replaces.
func New(overrides ...Rule) (*Enforcer, error) { return build(Settings{}, overrides) }

// Settings are the two switches by which operators put off what oslo.policy 4.4 made the default.
type Settings struct {
	OldDefaults bool // [oslo_policy] enforce_new_defaults = false: what was allowed before Magnum 17 still is, besides
	AnyScope    bool // [oslo_policy] enforce_scope = false: the scope of a token does not count
}

func build(settings Settings, overrides []Rule) (*Enforcer, error) {
	c := newCompiler()
	c.settings, c.enforcer.anyScope = settings, settings.AnyScope
	c.defaults()
	c.overrides(overrides)
	return c.finish()
}

// compiler builds an Enforcer and collects what is wrong.
type compiler struct {
	enforcer *Enforcer
	settings Settings
	where    map[string]string // place of each override, by rule
	order    []string          // names in the order they came
	used     map[string]bool   // rules that others refer to
	problems []error

	cost map[string]int // of finished rules
	path map[string]bool
}

func newCompiler() *compiler {
	return &compiler{
		enforcer: &Enforcer{rules: make(map[string]*compiled), changed: make(map[string]bool)},
		where:    make(map[string]string),
		used:     make(map[string]bool),
		cost:     make(map[string]int),
		path:     make(map[string]bool),
	}
}

func (c *compiler) defaults() {
	for _, d := range Defaults() {
		c.order = append(c.order, d.Name)
		text := d.Check
		if old := before(d.Name); old != "" && c.settings.OldDefaults {
			text = "(" + text + ") or (" + old + ")"
		}
		k, _, err := parseText(text)
		if err != nil {
			c.fail(d.Name, err)
			continue
		}
		c.enforcer.rules[d.Name] = &compiled{check: k, projectScope: d.ProjectScope}
		c.used[d.Name] = true
	}
}

func (c *compiler) overrides(rules []Rule) {
	for _, r := range rules {
		c.where[r.Name] = r.where
		parse := func() (*check, []string, error) { return parseText(r.Check) }
		if r.isList {
			parse = func() (*check, []string, error) { return parseList(r.list) }
		}
		k, warnings, err := parse()
		for _, w := range warnings {
			c.warn(r.Name, w)
		}
		if err != nil {
			c.fail(r.Name, err)
			k = &check{op: opFalse} // so that references to it are not errors of their own
		}
		c.enforcer.changed[r.Name] = true
		if old, ok := c.enforcer.rules[r.Name]; ok {
			c.enforcer.rules[r.Name] = &compiled{check: k, projectScope: old.projectScope}
			continue
		}
		c.order = append(c.order, r.Name)
		c.enforcer.rules[r.Name] = &compiled{check: k}
	}
}

// finish links the rules and gives the Enforcer, or every problem met.
func (c *compiler) finish() (*Enforcer, error) {
	e := c.enforcer
	e.fallback = e.rules[fallbackRule]
	e.admin = e.rules[adminRule].check
	c.used[fallbackRule] = true
	for _, name := range c.order {
		c.visit(name)
	}
	for _, name := range c.order {
		if !c.used[name] {
			c.warn(name, "is no rule of Magnum and no other rule refers to it")
		}
	}
	if len(c.problems) > 0 {
		return nil, errors.Join(c.problems...)
	}
	return e, nil
}

// visit links one rule after those it refers to, and gives its cost.
func (c *compiler) visit(name string) int {
	if cost, ok := c.cost[name]; ok {
		return cost
	}
	c.path[name] = true
	cost, err := c.link(c.enforcer.rules[name].check)
	delete(c.path, name)
	if err == nil && cost > maxCost {
		err = fmt.Errorf("leads to more than %d checks", maxCost)
		cost = 1 // said once is enough
	}
	if err != nil {
		c.fail(name, err)
	}
	c.cost[name] = cost
	return cost
}

func (c *compiler) link(k *check) (int, error) {
	switch k.op {
	case opRule:
		return c.follow(k, k.text)
	case opAdmin:
		return c.follow(k, adminRule)
	}
	var (
		problems []error
		cost     = 1
	)
	for _, a := range k.args {
		n, err := c.link(a)
		problems = append(problems, err)
		cost = min(cost+n, maxCost+1)
	}
	return cost, errors.Join(problems...)
}

func (c *compiler) follow(k *check, name string) (int, error) {
	if _, ok := c.enforcer.rules[name]; !ok && c.enforcer.fallback != nil {
		name = fallbackRule
	}
	target, ok := c.enforcer.rules[name]
	if !ok {
		return 1, fmt.Errorf("rule:%s is not defined", name)
	}
	c.used[name] = true
	if c.path[name] {
		return 1, fmt.Errorf("rule:%s leads back to itself", name)
	}
	if k.op == opRule {
		k.args = []*check{target.check}
	}
	return 1 + c.visit(name), nil
}

func (c *compiler) fail(name string, err error) {
	// A joined error becomes one line per problem, each with its place.
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		for _, e := range joined.Unwrap() {
			c.fail(name, e)
		}
		return
	}
	c.problems = append(c.problems, fmt.Errorf("%srule %s: %w", c.place(name), name, err))
}

func (c *compiler) warn(name, text string) {
	c.enforcer.warnings = append(c.enforcer.warnings, c.place(name)+"rule "+name+": "+text)
}

func (c *compiler) place(name string) string {
	if where := c.where[name]; where != "" {
		return where + ": "
	}
	return ""
}
