package jinja

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// varsMap is variables without templates.
type varsMap map[string]any

func (v varsMap) Get(name string) (any, bool) { x, ok := v[name]; return x, ok }

func dictOf(pairs ...any) *Dict {
	d := NewDict()
	for i := 0; i < len(pairs); i += 2 {
		d.Set(pairs[i], pairs[i+1])
	}
	return d
}

func someVars() varsMap {
	return varsMap{
		"l": NewList(3, 1, 2), "s": "abc", "n": 5, "t": true, "nothing": nil, "f": 1.5,
		"d":   dictOf("b", 1, "a", dictOf("x", 2)),
		"hv":  dictOf("h1", dictOf("ip", "10.0.0.1"), "h2", dictOf("ip", "10.0.0.2")),
		"ds":  NewList(dictOf("n", "x", "on", true), dictOf("n", "y", "on", false)),
		"bad": Later(func() (any, bool, error) { return nil, false, &UndefinedError{Name: "deep"} }),
		"pw":  Secret("hunter2"),
		"net": dictOf("user", "u", "password", Secret("hunter2")),
	}
}

// show is a value's Python text with its type visible: strings are quoted.
func show(t *testing.T, v any) string {
	t.Helper()
	r := &run{box: &Box{}, limits: DefaultLimits()}
	var out strings.Builder
	r.repr(&out, v)
	return out.String()
}

func TestExpressions(t *testing.T) {
	for _, c := range []struct{ text, want, reason string }{
		{"plain", `'plain'`, "text without marks is itself"},
		{"{{ l }}", "[3, 1, 2]", "a lone expression keeps its type"},
		{"x {{ l }}", "'x [3, 1, 2]'", "beside text it becomes text"},
		{"{{ n }}{{ n }}", "'55'", "two expressions are text"},
		{"{{ nothing }}", "None", ""},
		{"a{{ nothing }}b", "'ab'", "None writes nothing"},
		{"{{ 'a' ~ nothing }}", "'aNone'", "but ~ writes it"},
		{"{{ '%s-%s' % (s, n) }}", "'abc-5'", "gonja 2.9.1 panics"},
		{"{{ '%05.1f|%-4s|%x|%%' % (f, s, 255) }}", "'001.5|abc |ff|%'", ""},
		{"{{ '%(b)s' % d }}", "'1'", ""},
		{"{{ -7 // 2 }},{{ -7 % 3 }}", "'-4,2'", "Python rounds down"},
		{"{{ l * 2 }}", "[3, 1, 2, 3, 1, 2]", ""},
		{"{{ 3 > 2 > 1 }}", "True", "comparisons chain"},
		{"{{ 2 ** 3 }}", "8", "integers stay integers"},
		{"{{ 7 / 2 }}", "3.5", ""},
		{"{{ 'a' 'b' }}", "'ab'", "strings side by side join"},
		{"{{ {'z': 1, 'a': 2}.items() | list }}", "[('z', 1), ('a', 2)]", "dicts keep their order"},
		{"{{ s[::-1] }}{{ l[-1] }}{{ l[1:] }}", "'cba2[1, 2]'", ""},
		{"{{ 2 in l and 9 not in l }}", "True", ""},
		{"{{ nope | default('x') }}", "'x'", ""},
		{"{{ nope.a.b | default('x') }}", "'x'", "undefined stays undefined on the way to default"},
		{"{{ bad | default('x') }}", "'x'", "a value that failed for an undefined name is undefined"},
		{"{{ d.items | string is defined }}{{ d['b'] }}", "", "a method has no text"},
		{"{{ nope is defined or t }}", "True", ""},
		{"{{ ['h1', 'h2'] | map('extract', hv, 'ip') | list }}", "['10.0.0.1', '10.0.0.2']", "gonja prints an error value"},
		{"{{ ['h1', 'h3'] | map('extract', hv, 'ip') | list }}", "", "the h3 fails"},
		{"{{ ['h1', 'h3'] | map('extract', hv, 'ip') | map('default', 'none') | list }}", "['10.0.0.1', 'none']", ""},
		{"{{ ds | map(attribute='n') | join(',') }}", "'x,y'", ""},
		{"{{ ds | selectattr('on') | map(attribute='n') | list }}", "['x']", ""},
		{"{{ l | select('in', [1, 2]) | list }}", "[1, 2]", ""},
		{"{{ 'yes' | bool }}{{ (n > 4) | ternary('a', 'b') }}", "'Truea'", ""},
		{"{{ d | combine({'a': {'y': 3}}, recursive=true) }}", "{'b': 1, 'a': {'x': 2, 'y': 3}}", ""},
		{"{{ d | combine({'a': {'y': 3}}) }}", "{'b': 1, 'a': {'y': 3}}", ""},
		{"{{ d | dict2items }}", "[{'key': 'b', 'value': 1}, {'key': 'a', 'value': {'x': 2}}]", ""},
		{"{{ d | to_json }}", `'{"b": 1, "a": {"x": 2}}'`, ""},
		{"{{ s | regex_replace('(b)', '<\\1>') }}", "'a<b>c'", ""},
		{"{{ '/a/b.c' | basename }}{{ '/a/b.c' | dirname }}", "'b.c/a'", ""},
		{"{{ '10.0.0.1/24' | ansible.utils.ipaddr('address') }}", "'10.0.0.1'", "dotted names"},
		{"{{ '10.0.0.1/24' | ansible.utils.ipaddr('network') }}", "'10.0.0.0'", ""},
		{"{{ 'nope' | ansible.utils.ipaddr }}", "False", ""},
		{"{% for i in l if i > 1 %}{{ loop.index }}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}", "'13,22'", ""},
		{"{% set x = [] %}{% for i in l %}{% set _ = x.append(i + 1) %}{% endfor %}{{ x }}", "[4, 2, 3]", "the OpenStack-Ansible way"},
		{"{% set ns = namespace(a=0) %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}", "6", ""},
		{"{% set x %}b{{ n }}{% endset %}{{ x }}", "'b5'", ""},
		{"{# no #}a{% raw %}{{ x }}{% endraw %}", "'a{{ x }}'", ""},
		{"{% if n > 4 %}\nyes\n{% endif %}\n", "'yes\\n'", "trim_blocks, and the last newline is kept"},
		{"{{ l }}\n", "[3, 1, 2]", "a folded scalar's newline does not make text of a list"},
		{"{{ [1, [2, none, [3]]] | flatten }}", "[1, 2, 3]", ""},
		{"{{ '1.10' is version('1.9', '>') }}", "True", ""},
		{"{{ [3, 1] | union([1, 2]) }}", "[3, 1, 2]", ""},
		{"{{ ['b', 'A'] | sort }}{{ ['a', 'a'] | unique }}", `"['A', 'b']['a']"`, ""},
		{"{{ lookup('vars', 's') }}", "'abc'", ""},
		{"{{ 1 if n == 4 }}", "''", "an if without else is nothing when false"},
		{"{{ omit }}", "Omit", ""},
		{"a{{ nope | default(omit) }}", "", "omit has no text"},
		{"{{ 1 + 'a' }}", "", "gonja says 1a"},
		{"{{ 7 / 0 }}", "", "gonja says +Inf"},
		{"{{ 9223372036854775807 + 1 }}", "", "gonja wraps around"},
		{"{{ l | bogus }}", "", ""},
		{"{{ s is bogus }}", "", ""},
		{"{{ l | join(',', bogus=1) }}", "", "an argument that would be lost"},
		{"{% include '/etc/hostname' %}", "", "gonja reads the file"},
		{"{{ lookup('file', '/etc/hostname') }}", "", "the caller gave no lookups"},
		{"{{ s.__class__ }}", "", ""},
		{"{{ }}", "", ""},
		{"{{ a", "", ""},
		{"{% if %}", "", ""},
		{"{{ l[ }}", "", ""},
		{"{{ s | regex_search('(?=b)') }}", "", "Go's engine does not look around"},
	} {
		got, err := (&Box{}).Render(c.text, someVars())
		switch _, omitted := got.Value.(Omit); {
		case c.want == "" && err == nil:
			t.Errorf("%s = %v, want an error: %s", c.text, got.Value, c.reason)
		case c.want == "" || c.want == "Omit" && omitted:
		case err != nil:
			t.Errorf("%s: %v (%s)", c.text, err, c.reason)
		default:
			if s := show(t, got.Value); s != c.want {
				t.Errorf("%s = %s, want %s (%s)", c.text, s, c.want, c.reason)
			}
		}
	}
}

func TestTextTypes(t *testing.T) {
	for _, c := range []struct{ text, want, reason string }{
		{"{{ 5 }}", "'5'", "everything is text before 2.19"},
		{"{{ n }}", "5", "unless it is one variable that was written as a number"},
		{"{{ n + 1 }}", "'6'", ""},
		{"{{ l }}", "[3, 1, 2]", ""},
		{"{{ n > 4 }}", "True", "booleans come back"},
		{"[{{ n }}, 'x']", "[5, 'x']", "text that looks like a list becomes one"},
		{"{{ '{' }}'a': 1}", "{'a': 1}", ""},
		{"[{{ s }}]", "'[abc]'", "unless it cannot be read"},
		{"[true]", "'[true]'", "not a template at all"},
		{"[{{ 'true' }}, {{ 'null' }}]", "[True, None]", "in JSON's spelling, too"},
		{"[{{ 'none' }}]", "'[none]'", "but not in Jinja2's"},
		{"{{ n }}\n", "5", "a block scalar of one variable that was written as a number"},
		{"{{ n }}\n\n", "'5\\n\\n'", "two newlines are text"},
		{"{{ s }}\n", "'abc\\n'", ""},
		{"{{ none }}", "''", ""},
	} {
		got, err := (&Box{Types: Text}).Render(c.text, someVars())
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
		} else if s := show(t, got.Value); s != c.want {
			t.Errorf("%s = %s, want %s (%s)", c.text, s, c.want, c.reason)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	_, err := (&Box{}).Render("a\n  {{ s ~\n nope }} {{ n }}", someVars())
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("%v is no *Error", err)
	}
	if diff := cmp.Diff([]any{"{{ s ~\n nope }}", 3, 2}, []any{e.Expression, e.Line, e.Column}); diff != "" {
		t.Error(diff)
	}
	var u *UndefinedError
	if !errors.As(err, &u) || u.Name != "nope" {
		t.Errorf("%v does not name nope", err)
	}
}

func TestSecretsSpread(t *testing.T) {
	for _, c := range []struct {
		text   string
		secret bool
		reason string
	}{
		{"{{ pw }}", true, ""},
		{"x{{ pw | b64encode }}", true, "whatever it becomes"},
		{"{{ n }}", false, ""},
		{"{{ net.user }}", false, "one key of a mapping says nothing of the other"},
		{"{{ net.password }}", true, ""},
		{"{{ net | to_json }}", true, ""},
		{"{{ net | combine({'x': 1}) }}", false, "passed on unseen: the value inside stays secret"},
		{"{{ 'a' if pw == 'x' else 'b' }}", true, "a decision tells something"},
	} {
		got, err := (&Box{}).Render(c.text, someVars())
		if err != nil || got.Secret != c.secret {
			t.Errorf("%s: secret %v, %v; want %v (%s)", c.text, got.Secret, err, c.secret, c.reason)
		}
	}
	for _, text := range []string{"{{ pw + 1 }}", "{{ pw | from_json }}", "{{ d[pw].x }}", "{{ pw | regex_search(pw ~ '(') }}", "{{ '' is search(pw ~ '(') }}", "{{ [1] | map(pw) }}"} {
		if _, err := (&Box{}).Render(text, someVars()); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestCostIsBounded(t *testing.T) {
	for _, text := range []string{
		"{{ range(1000000000) | list | length }}", "{{ 'a' * 10000000000 }}", "{{ [0] * 10000000000 }}",
		"{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}",
		"{% set x = namespace(a='a') %}{% for i in range(100) %}{% set x.a = x.a ~ x.a %}{% endfor %}{{ x.a }}",
		"{% set x = namespace(a=[]) %}{% for i in range(100) %}{% set x.a = [x.a, x.a] %}{% endfor %}{{ x.a }}",
		"{% set x = [] %}{% set _ = x.append(x) %}{{ x }}", "{{ " + strings.Repeat("(", 100000) + " }}",
		"{{ " + strings.Repeat("not ", 100000) + "1 }}", "{{ " + strings.Repeat("[", 100000) + " }}",
		"{{ '%9999999s' % 1 }}", "{{ 'x'.ljust(10000000000) }}", "{{ 7 ** 7 ** 7 }}", strings.Repeat("{{ 1 }}", 1<<18),
		"{{ ('a' * 1000000) | replace('', 'b' * 1000000) }}", strings.Repeat("{% if 1 %}", 10000), "{% set " + strings.Repeat("(", 100000),
		"{{ ('a' * 10000) | regex_replace('a', '\\\\g<0>' * 10000) }}",
	} {
		got, err := (&Box{}).Render(text, someVars()) // without a bound it would outlast the test's time
		if err == nil {
			t.Errorf("%.60s: %T, want a refusal", text, got.Value)
		}
	}
}

func FuzzRender(f *testing.F) {
	for _, seed := range []string{
		"{{ '%s' % (s, n) }}", "{% for a, b in d.items() %}{{ a ~ b }}{% endfor %}", "{{ l | map('extract', hv) | list }}",
		"{{ d | combine({'a': 1}, recursive=true) | to_nice_json }}", "{{ s[1:2:-1] }}", "{% set x = l.pop() %}{{ x | default(omit) }}",
		"{{ '10.0.0.0/8' | ipaddr(-2) }}", "{{ s | regex_replace('(.)', '\\\\1') }}", "{{ '{}'.format(pw) }}", "{{ ds | groupby('n') }}",
		"{{ [1,'a'] | sort }}", "{{ (1,2)[0] ** -1 // 2 }}", "{%- raw -%} {{ {%- endraw -%}", "{{ dict(a=1) | dictsort | flatten }}",
	} {
		f.Add(seed)
	}
	small := Limits{Source: 1 << 12, Steps: 20000, Bytes: 1 << 20, Depth: 100}
	f.Fuzz(func(t *testing.T, text string) {
		for _, types := range []Types{Native, Text} {
			_, err := (&Box{Types: types, Limits: small}).Render(text, someVars())
			var e *Error
			if err != nil && !errors.As(err, &e) {
				t.Fatalf("%v is no *Error", err)
			}
			if err != nil && strings.Contains(err.Error(), "an internal error of the evaluator") {
				t.Fatal(err)
			}
		}
	})
}
