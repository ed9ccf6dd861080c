package intent

import (
	"errors"
	"fmt"
	"slices"
	"strings"

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
	vars, err := r.vars.Host(host)
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
	if v.Err != nil {
		s.r.unreadable(s.host, v)
		return v, false
	}
	return v, v.Value != nil
}

// defined says whether a variable has a definition, null included, without evaluating it.
func (s *scope) defined(name string) (osa.Definition, bool) {
	v, ok := s.vars.Defined(name)
	return v, ok
}

// unreadable tells why a variable cannot be evaluated. Facts that are missing are no mistake of the operator's.
func (r *reader) unreadable(host string, v osa.Variable) {
	for _, err := range unjoin(v.Err) {
		pos, text := v.Origin.Pos, err.Error()
		var at *osa.VarError
		if errors.As(err, &at) {
			pos, text = at.Pos, fmt.Sprintf("%s: %v", at.Name, at.Err)
		}
		var facts *osa.NoFactsError
		if errors.As(err, &facts) {
			r.needFacts(v.Name, pos, facts.Host)
			continue
		}
		r.fail("cannot-evaluate", pos, "define what it needs, or write the value itself", "%s (of %s)", text, host)
	}
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
			"%s needs facts of hosts that nobody gathered (%s): a default stands in for it", need.name, strings.Join(r.in.NeedFacts, ", "))
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

// take evaluates a variable for the field at a path and keeps where it came from.
func (s *scope) take(path, name string) (osa.Value, bool) {
	v, ok := s.variable(name)
	if !ok {
		return nil, false
	}
	s.r.from(path, originOf(v))
	s.r.markSecrets(path, v.Value, originOf(v))
	return osa.Reveal(v.Value), true
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

// fallback is what a field gets when nobody set it, and whose rule that is.
type fallback struct {
	value any
	why   string
}

// def is a default of a role.
func def(value any, why string) fallback { return fallback{value, why} }

func (s *scope) missing(path, name string, d fallback) {
	s.r.from(path, Origin{Variable: name, Level: "default", Why: d.why})
}

func (s *scope) wrong(name string, v osa.Value, want string) {
	d, _ := s.vars.Defined(name)
	shown := fmt.Sprintf("is %s", describe(v))
	if d.Secret {
		shown = "is of another kind"
	}
	s.r.fail("wrong-type", d.Pos, "write "+want, "%s of %s %s, not %s", name, s.host, shown, want)
}

// text is a variable that is text. Numbers are taken as they would be printed.
func (s *scope) text(path, name string, d fallback) string {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, d)
		return fmt.Sprint(d.value)
	}
	out, ok := asText(v)
	if !ok {
		s.wrong(name, v, "text")
	}
	return strings.TrimSpace(out)
}

// boolean is a variable that Ansible would take for true or false.
func (s *scope) boolean(path, name string, d fallback) bool {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, d)
		b, _ := d.value.(bool)
		return b
	}
	b, ok := asBool(v)
	if !ok {
		s.wrong(name, v, "true or false")
	}
	return b
}

// number is a variable that is an integer, or text that is one.
func (s *scope) number(path, name string, d fallback) int {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, d)
		n, _ := d.value.(int)
		return n
	}
	n, ok := asInt(v)
	if !ok {
		s.wrong(name, v, "an integer")
	}
	return n
}

// texts is a variable that is a list of text; a lone text is a list of one.
func (s *scope) texts(path, name string, d fallback) []string {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, d)
		list, _ := d.value.([]string)
		return append([]string{}, list...)
	}
	out, ok := asTexts(v)
	if !ok {
		s.wrong(name, v, "a list of text")
	}
	return out
}

// textMap is a variable that maps names to text.
func (s *scope) textMap(path, name string, d fallback) map[string]string {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, d)
		out := map[string]string{}
		if m, ok := d.value.(map[string]string); ok {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	m, ok := v.(*osa.Map)
	if !ok {
		s.wrong(name, v, "a mapping")
		return map[string]string{}
	}
	out := map[string]string{}
	for _, e := range m.Entries() {
		value, ok := asText(e.Value)
		if !ok && e.Value != nil {
			s.wrong(name, v, "a mapping of names to text")
			continue
		}
		out[fmt.Sprint(e.Key)] = value
	}
	return out
}

// anyMap is a variable that is a mapping of whatever.
func (s *scope) anyMap(path, name string, d fallback) map[string]any {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, d)
		return map[string]any{}
	}
	m, ok := v.(*osa.Map)
	if !ok {
		s.wrong(name, v, "a mapping")
		return map[string]any{}
	}
	out, _ := plain(m).(map[string]any)
	return out
}

// secret is a variable that is never shown, wherever it was written.
func (s *scope) secret(path, name string) Secret {
	v, ok := s.take(path, name)
	if !ok {
		s.missing(path, name, def("", "none"))
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
