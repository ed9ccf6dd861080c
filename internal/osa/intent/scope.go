package intent

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/jinja"
	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// scope is one host's variables, as fields take them.
type scope struct {
	r    *reader
	host string
	vars *osa.HostVars
	read map[string]bool // variables that somebody asked for
}

func (r *reader) scope(host string) (*scope, error) {
	if s, ok := r.scopes[host]; ok {
		return s, nil
	}
	vars, err := r.roles.Host(host)
	if err != nil {
		return nil, err
	}
	s := &scope{r: r, host: host, vars: vars, read: map[string]bool{}}
	r.scopes[host] = s
	return s, nil
}

// variable evaluates a variable. One that cannot be evaluated is an error among the findings, told once, and as good as
// undefined here.
func (s *scope) variable(name string) (osa.Variable, bool) {
	s.read[name] = true
	v, ok := s.vars.Variable(name)
	if !ok {
		return v, false
	}
	if v.Omitted { // how one writes that a parameter is not given: the role's default holds, if it has one
		if v, ok = s.vars.Lowest(name); !ok || v.Omitted || !strings.HasPrefix(v.Origin.Level, roleDefault) {
			return v, false
		}
	}
	if v.Err != nil {
		s.r.unreadable(s.host, v)
		return v, false
	}
	s.r.remember(v.Value)
	return v, v.Value != nil
}

// shortestSecret is the length from which on a secret is looked for wherever it may have gone: shorter ones are
// everywhere.
const shortestSecret = 4

// remember keeps the texts of secrets, to mask them in whatever was made of them.
func (r *reader) remember(v osa.Value) {
	switch v := v.(type) {
	case *osa.Map:
		for _, e := range v.Entries() {
			r.remember(e.Value)
		}
	case *osa.List:
		for _, item := range v.Items() {
			r.remember(item)
		}
	case *osa.Tagged:
		r.rememberTexts(osa.Reveal(v))
	}
}

func (r *reader) rememberTexts(v osa.Value) {
	switch v := v.(type) {
	case *osa.Map:
		for _, e := range v.Entries() {
			r.rememberTexts(e.Value)
		}
	case *osa.List:
		for _, item := range v.Items() {
			r.rememberTexts(item)
		}
	default:
		text, _ := asText(v)
		if text = strings.TrimSpace(text); len(text) >= shortestSecret && !slices.Contains(r.in.secrets, text) {
			r.in.secrets = append(r.in.secrets, text)
		}
	}
}

// hide masks what is secret in findings, however it came there.
func (r *reader) hide() {
	r.in.secrets = append(r.in.secrets, r.in.proxyPasswords()...)
	slices.SortFunc(r.in.secrets, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b)) })
	for i := range r.found {
		r.found[i].Text, r.found[i].Fix = r.in.mask(r.found[i].Text), r.in.mask(r.found[i].Fix)
	}
}

// written returns the definition of a variable that somebody wrote: not a role's default.
func (s *scope) written(name string) (osa.Definition, bool) {
	d, ok := s.vars.Defined(s.pick(name))
	return d, ok && !strings.HasPrefix(d.Level, roleDefault)
}

// roleDefault is how the level of a role's default begins.
const roleDefault = "default of "

// unreadable tells why a variable cannot be evaluated. Facts that are missing are no mistake of the operator's, and a
// role's default that needs what nobody sets is as good as not set.
func (r *reader) unreadable(host string, v osa.Variable) {
	for _, err := range unjoin(v.Err) {
		pos, text := v.Origin.Pos, err.Error()
		if at := deepest(err); at != nil {
			pos, text = at.Pos, fmt.Sprintf("%s: %v", at.Name, at.Err)
		}
		var facts *osa.NoFactsError
		if errors.As(err, &facts) {
			r.needFacts(v.Name, pos, facts.Host)
			continue
		}
		var undefined *jinja.UndefinedError
		if pos.File == "" && errors.As(err, &undefined) {
			continue
		}
		r.broken[v.Name] = true
		if once := pos.String() + text; !r.seen[once] { // the first of the hosts that have it stands for all
			r.seen[once] = true
			r.fail("cannot-evaluate", pos, "define what it needs, or write the value itself", "%s (of %s)", text, host)
		}
	}
}

// deepest is the innermost place in a file that an error is about.
func deepest(err error) *osa.VarError {
	var out *osa.VarError
	for at := (*osa.VarError)(nil); errors.As(err, &at); err = at.Err {
		if out == nil || at.Pos.File != "" {
			out = at
		}
	}
	return out
}

// needFacts remembers which host's facts a variable needs.
func (r *reader) needFacts(name string, pos osa.Pos, host string) {
	if !slices.Contains(r.in.NeedFacts, host) {
		r.in.NeedFacts = append(r.in.NeedFacts, host)
	}
	at := factNeed{name, pos}
	if !slices.Contains(r.factless, at) {
		r.factless = append(r.factless, at)
	}
}

// factNeed is a variable that cannot be evaluated without facts.
type factNeed struct {
	name string
	pos  osa.Pos
}

// tellFacts makes one note of each variable that needs facts, however many hosts have it.
func (r *reader) tellFacts() error {
	r.from("needFacts", Origin{Level: "derived", Why: "hosts whose facts a variable needs"})
	for _, need := range r.factless {
		r.note("no-facts", need.pos, "gather them (openstack-ansible setup-hosts.yml, or ansible -m setup), or let the deployer ask the hosts",
			"%s needs facts that have not been gathered (%s): a default is used instead", need.name, strings.Join(r.in.NeedFacts, ", "))
	}
	return nil
}

func unjoin(err error) []error {
	var many interface{ Unwrap() []error }
	if errors.As(err, &many) {
		return many.Unwrap()
	}
	return []error{err}
}

// take evaluates a variable for the field at a path and keeps where it came from. Of names joined by | the first that
// is defined counts.
func (s *scope) take(path, name string) (osa.Value, bool) {
	v, ok := s.variable(s.pick(name))
	if !ok {
		return nil, false
	}
	s.r.from(path, originOf(v))
	s.r.markSecrets(path, v.Value, originOf(v))
	return osa.Reveal(v.Value), true
}

// pick returns the first name that is defined, of several joined by |.
func (s *scope) pick(name string) string {
	names := strings.Split(name, "|")
	for _, n := range names {
		s.r.asked[n] = true
	}
	for _, n := range names {
		if _, ok := s.vars.Defined(n); ok {
			return n
		}
	}
	return names[0]
}

func originOf(v osa.Variable) Origin {
	_, secret := v.Value.(*osa.Tagged)
	return Origin{Pos: v.Origin.Pos, Variable: v.Name, Level: v.Origin.Level, Secret: secret}
}

// markSecrets gives every secret within a value an origin of its own, and every written entry its line.
func (r *reader) markSecrets(path string, v osa.Value, o Origin) {
	switch v := v.(type) {
	case *osa.Map:
		for _, e := range v.Entries() {
			r.markSecrets(fmt.Sprintf("%s.%v", path, e.Key), e.Value, o)
		}
	case *osa.List:
		for i, item := range v.Items() {
			r.markSecrets(fmt.Sprintf("%s[%d]", path, i), item, o)
		}
	case *osa.Tagged:
		o.Secret = true
		r.from(path, o)
	}
}

// missing is the origin of a field that nothing sets, and why it is what it is.
func (s *scope) missing(path, name, why string) {
	o := Origin{Variable: s.pick(name), Level: "default", Why: why}
	if d, ok := s.vars.Defined(o.Variable); ok && d.Pos.File != "" {
		o.Pos, o.Level = d.Pos, "derived" // it is set, to nothing or to what needs facts
	}
	s.r.from(path, o)
}

func (s *scope) wrong(name string, v osa.Value, want string) {
	name = s.pick(name)
	shown := "is " + describe(v)
	d, _ := s.vars.Defined(name)
	if whole, ok := s.vars.Variable(name); !ok || d.Secret || hasSecret(whole.Value) {
		shown = "has another type"
	}
	if d.Pos.File == "" {
		d.Pos = s.r.at("") // a role's default that took something of the operator's
	}
	s.r.fail("wrong-type", d.Pos, "write "+want, "%s %s, not %s", name, shown, want) // once, however many hosts have it
}

// text is a variable that is text, "" if not set. Numbers are taken as they would be printed.
func (s *scope) text(path, name string) string { return s.textOr(path, name, "", "not set") }

// textOr is text, or something derived if not set.
func (s *scope) textOr(path, name, derived, why string) string {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, why)
		return derived
	}
	out, ok := asText(v)
	if !ok {
		s.wrong(name, v, "text")
	}
	return strings.TrimSpace(out)
}

// quiet is a variable that is text, for no field of its own.
func (s *scope) quiet(name string) string {
	v, ok := s.variable(name)
	if !ok {
		return ""
	}
	out, _ := asText(osa.Reveal(v.Value))
	return strings.TrimSpace(out)
}

// boolean is a variable that Ansible would take for true or false, false if not set.
func (s *scope) boolean(path, name string) bool {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, "not set")
		return false
	}
	b, ok := asBool(v)
	if !ok {
		s.wrong(name, v, "true or false")
	}
	return b
}

// number is a variable that is an integer, or text that is one; 0 if not set.
func (s *scope) number(path, name string) int {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, "not set")
		return 0
	}
	n, ok := asInt(v)
	if !ok {
		s.wrong(name, v, "an integer")
	}
	return n
}

// texts is a variable that is a list of text; a lone text is a list of one.
func (s *scope) texts(path, name string) []string {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, "not set")
		return []string{}
	}
	out, ok := asTexts(v)
	if !ok {
		s.wrong(name, v, "a list of text")
	}
	return out
}

// textMap is a variable that maps names to text.
func (s *scope) textMap(path, name string) map[string]string {
	out := map[string]string{}
	for _, e := range s.mapping(path, name).Entries() {
		value, ok := asText(e.Value)
		if !ok && e.Value != nil {
			s.wrong(name, e.Value, "a mapping of names to text")
			continue
		}
		out[fmt.Sprint(e.Key)] = value
	}
	return out
}

// anyMap is a variable that is a mapping of whatever.
func (s *scope) anyMap(path, name string) map[string]any {
	out, _ := plain(s.mapping(path, name)).(map[string]any)
	return out
}

// mapping is a variable that is a mapping, empty if not set.
func (s *scope) mapping(path, name string) *osa.Map {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, "not set")
		return &osa.Map{}
	}
	m, ok := v.(*osa.Map)
	if !ok {
		s.wrong(name, v, "a mapping")
		return &osa.Map{}
	}
	return m
}

// secret is a variable that is never shown, wherever it was written.
func (s *scope) secret(path, name string) Secret {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, "not set")
		return Secret{}
	}
	text, ok := asText(v)
	if !ok {
		s.wrong(name, nil, "text")
	}
	return NewSecret(text)
}

func (r *reader) add(s osa.Severity, code string, pos osa.Pos, fix, format string, args ...any) {
	f := osa.Finding{Severity: s, Code: code, Pos: pos, Text: fmt.Sprintf(format, args...), Fix: fix}
	if key := f.String(); !r.seen[key] {
		r.seen[key] = true
		r.found = append(r.found, f)
	}
}

func (r *reader) fail(code string, pos osa.Pos, fix, format string, args ...any) {
	r.add(osa.Error, code, pos, fix, format, args...)
}

func (r *reader) warn(code string, pos osa.Pos, fix, format string, args ...any) {
	r.add(osa.Warning, code, pos, fix, format, args...)
}

func (r *reader) note(code string, pos osa.Pos, fix, format string, args ...any) {
	r.add(osa.Note, code, pos, fix, format, args...)
}
