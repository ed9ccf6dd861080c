package jinja

import "testing"

// lazyTemplates are what Jinja2 does with values it does not look at, as Ansible 2.14 has it; without a want it is
// refused. An undefined name fails when its value is used. An if without else is lenient: it prints as nothing.
func lazyTemplates() [][2]string {
	return [][2]string{
		{`{{ false | ternary(nope, 'x') }}`, `'x'`},
		{`{{ (nope is defined) | ternary(nope, 'x') }}`, `'x'`},
		{`{{ 'x' if false }}`, `''`},
		{`a-{{ 'x' if false }}-b`, `'a--b'`},
		{`{{ [nope, 'x'] | length }}`, `'2'`},
		{`{{ [nope, 'x'] | select('defined') | list }}`, `['x']`},
		{`{{ {'k': nope, 'l': 'x'}.l }}`, `'x'`},
		{`{{ ('x' if false) is defined }}`, `False`},
		{`{{ ('x' if false) | default('d') }}`, `'d'`},
		{`{{ ('x' if false) | length }}`, `'0'`},
		{`{{ ('x' if false) | list }}`, `[]`},
		{`{{ ('x' if false) | string }}`, `''`},
		{`{{ ('x' if false) | upper }}`, `''`},
		{`{{ ('x' if false) ~ 'y' }}`, `'y'`},
		{`{{ ('x' if false) + 'y' }}`, ""},
		{`{{ ('x' if false) or 'y' }}`, `'y'`},
		{`{{ not ('x' if false) }}`, `True`},
		{`{{ ('x' if false) | bool }}`, `False`},
		{`{{ ('x' if false) | int }}`, ""},
		{`{{ ('x' if false) == 1 }}`, `False`},
		{`{{ ('x' if false) == '' }}`, `False`},
		{`{{ ('x' if false).a }}`, ""},
		{`{{ ('x' if false)['a'] }}`, ""},
		{`{{ ['x' if false, 'b'] | join(',') }}`, `',b'`},
		{`{{ ('x' if false) in ['a'] }}`, `False`},
		{`{{ 'a' in ('x' if false) }}`, `False`},
		{`{{ ('x' if false) | ternary('a','b') }}`, `'b'`},
		{`{{ ('x' if false) | to_json }}`, ""},
		{`{{ ('x' if false) | type_debug }}`, `'Undefined'`},
		{`{% if ('x' if false) %}1{% else %}2{% endif %}`, `'2'`},
		{`{% for i in ('x' if false) %}{{ i }}{% else %}none{% endfor %}`, `'none'`},
		{`{% set x = 'x' if false %}[{{ x }}]`, `[]`},
		{`{% set x = nope %}1`, `'1'`},
		{`{{ ('x' if false) | join(',') }}`, `''`},
		{`{{ ('x' if false) | first }}`, ""},
		{`{{ ('x' if false) | trim }}`, `''`},
		{`{{ ('x' if false) | replace('a','b') }}`, `''`},
		{`{{ ('x' if false) | regex_replace('a','b') }}`, `''`},
		{`{{ ('x' if false) | mandatory }}`, ""},
		{`{{ [('x' if false), 'b'] | select | list }}`, `['b']`},
		{`{{ d[('x' if false)] | default('q') }}`, `'q'`},
		{`{{ l[('x' if false)] | default('q') }}`, `'q'`},
		{`{{ d[nope] | default('q') }}`, ""},
		{`{{ [nope, 1][1] }}`, `'1'`},
		{`{{ [nope, 1] | last }}`, `'1'`},
		{`{{ [nope, 1] | first | default('z') }}`, `'z'`},
		{`{{ [1, nope] | map('default', 2) | list }}`, `[1, 2]`},
		{`{{ [{'a': nope}, {'a': 1}] | map(attribute='a') | map('default', 3) | list }}`, `[3, 1]`},
		{`{{ [{'a': nope, 'b': 1}] | map(attribute='b') | list }}`, `[1]`},
		{`{{ {'a': nope, 'b': 1} | combine({'a': 2}) }}`, ""},
		{`{{ {'a': nope, 'b': 1} | combine({'a': {'x': 1}}, recursive=true) }}`, ""},
		{`{{ {'a': {'y': nope}} | combine({'a': {'y': 1}}, recursive=true) }}`, ""},
		{`{{ {'a': nope} | dict2items | length }}`, `'1'`},
		{`{{ {'a': nope}.keys() | list }}`, `['a']`},
		{`{{ {'a': nope} | length }}`, `'1'`},
		{`{{ 'a' in {'a': nope} }}`, `True`},
		{`{{ 1 in [1, nope] }}`, `True`},
		{`{{ 2 in [1, nope] }}`, ""},
		{`{{ [1, nope] | reverse | list | last }}`, `'1'`},
		{`{{ ([1] + [nope])[0] }}`, `'1'`},
		{`{{ ([1, nope] * 2)[0] }}`, `'1'`},
		{`{{ [1, nope][:1] }}`, `[1]`},
		{`{{ (1, nope)[0] }}`, `'1'`},
		{`{{ [[1, nope]] | flatten | first }}`, ""},
		{`{{ [1, nope] | unique | first }}`, ""},
		{`{{ [1, nope] | union([2]) | first }}`, ""},
		{`{{ [1,2] | zip([nope, 3]) | list | last }}`, `'(2, 3)'`},
		{`{{ [nope] | list | length }}`, `'1'`},
		{`{{ dict(a=nope, b=1).b }}`, `'1'`},
		{`{{ dict([('a', nope), ('b', 1)]).b }}`, `'1'`},
		{`{{ [{'key':'a','value':nope},{'key':'b','value':2}] | items2dict | dict2items | last }}`, `{'key': 'b', 'value': 2}`},
		{`{{ {'b': nope, 'a': 1} | dictsort | first }}`, `"('a', 1)"`},
		{`{{ [1, nope] | batch(1) | list | first }}`, `[1]`},
		{`{{ [{'a': 1, 'b': nope}] | groupby('a') | length }}`, `'1'`},
		{`{{ [{'a': 1, 'b': nope}] | sort(attribute='a') | length }}`, `'1'`},
		{`{{ [{'a': 1, 'b': nope}] | selectattr('a', 'equalto', 1) | map(attribute='a') | first }}`, `'1'`},
		{`{{ [{'a': 1, 'b': nope}] | selectattr('b', 'defined') | list }}`, `[]`},
		{`{{ [{'a': 1, 'b': nope}] | rejectattr('b', 'undefined') | list }}`, `[]`},
		{`{{ ['h1'] | map('extract', {'h1': 1, 'h2': nope}) | list }}`, `[1]`},
		{`{{ d.get('zz', nope) | default('q') }}`, `'q'`},
		{`{{ d.get('b', nope) }}`, `'1'`},
		{`{{ [nope, 1] | type_debug }}`, `'list'`},
		{`{{ [nope] | to_json }}`, ""},
		{`{{ [nope] == [1] }}`, ""},
		{`{{ [1] == [nope] }}`, ""},
		{`{{ {'a':nope} == {} }}`, `False`},
		{`{{ [nope, 1] | max }}`, ""},
		{`{{ [1, nope] | sum }}`, ""},
		{`{{ [nope] is sequence }}`, `True`},
		{`{{ [nope] is defined }}`, `True`},
		{`{{ nope is string }}`, `False`},
		{`{{ nope is none }}`, `False`},
		{`{{ nope is mapping }}`, `False`},
		{`{{ nope is sameas 1 }}`, `False`},
		{`{{ nope is number }}`, `False`},
		{`{{ nope is boolean }}`, `False`},
		{`{{ nope is iterable }}`, ""},
		{`{{ nope is sequence }}`, `False`},
		{`{{ nope is true }}`, `False`},
		{`{{ nope is integer }}`, `False`},
		{`{{ nope is eq 1 }}`, ""},
		{`{{ nope is in [1] }}`, ""},
		{`{{ nope is in [] }}`, `False`},
		{`{{ nope in [] }}`, `False`},
		{`{{ nope is truthy }}`, ""},
		{`{{ nope is match('x') }}`, ""},
		{`{{ nope is version('1', '<') }}`, ""},
		{`{{ true or nope }}`, `True`},
		{`{{ false and nope }}`, `False`},
		{`{{ [1, nope] if false else 2 }}`, `'2'`},
		{`{{ lookup('vars', 'zz', default=nope) | default(3) }}`, ""},
		{`{{ 'x' | default(nope) }}`, `'x'`},
		{`{{ d.b | default(nope.x, true) }}`, `'1'`},
		{`{% with a = nope %}{{ 1 }}{% endwith %}`, `'1'`},
		{`{% for i in [nope, 1] %}{{ loop.index }}{% endfor %}`, `'12'`},
		{`{% for a, b in [(nope, 1)] %}{{ b }}{% endfor %}`, `'1'`},
		{`{{ '%s' % [1, nope][0] }}`, `'1'`},
		{`{{ '{0}'.format(1, nope) }}`, `'1'`},
		{`{{ 'a' | regex_replace('a', nope) }}`, ""},
		{`{{ none | ternary('a', 'b', nope) }}`, ""},
		{`{{ none | ternary(nope, 'b') }}`, `'b'`},
		{`{{ true | ternary('a', nope) }}`, `'a'`},
		{`{{ nope | ternary('a', 'b') }}`, ""},
		{`{{ nope | bool }}`, ""},
		{`{{ nope | string }}`, ""},
		{`{{ nope | list }}`, ""},
		{`{{ nope | type_debug }}`, `'AnsibleUndefined'`},
		{`{{ [nope] | random }}`, ""},
		{`{{ nope | combine({}) }}`, ""},
		{`{{ {} | combine(nope) }}`, ""},
		{`{{ [] | union(nope) }}`, ""},
		{`{{ range(2, nope) }}`, ""},
		{`{{ [3,4] | first(nope) }}`, ""},
		{`{{ 'a' | mandatory(nope) }}`, `'a'`},
		{`{{ undef() | default(1) }}`, `'1'`},
		{`{{ undef(hint='x') }}`, ""},
		{`{{ (undef()) is defined }}`, `False`},
		{`{{ [undef(), 1] | last }}`, `'1'`},
	}
}

func TestLazy(t *testing.T) {
	for _, c := range lazyTemplates() {
		got, err := (&Box{Types: Text}).Render(c[0], someVars())
		switch {
		case err == nil && c[1] == "":
			t.Errorf("%s = %s, want an error", c[0], show(t, got.Value))
		case err != nil && c[1] != "":
			t.Errorf("%s: %v, want %s", c[0], err, c[1])
		case err == nil && show(t, got.Value) != c[1]:
			t.Errorf("%s = %s, want %s", c[0], show(t, got.Value), c[1])
		}
	}
}

func TestLazyIsAnsibles(t *testing.T) {
	needAnsible(t)
	var texts []string
	for _, c := range lazyTemplates() {
		texts = append(texts, c[0])
	}
	compareTemplates(t, texts)
}

// What nobody looks at may be undefined with native types, too.
func TestLazyNative(t *testing.T) {
	for _, c := range []struct{ text, want, reason string }{
		{`{{ false | ternary(nope, 'x') }}`, `'x'`, "the other side"},
		{`{{ 'x' if false }}`, `''`, "an if without else"},
		{`a-{{ 'x' if false }}-b`, `'a--b'`, ""},
		{`{{ [nope, 'x'] | length }}`, `2`, "members that are not used"},
		{`{{ {'k': nope, 'l': 'x'}.l }}`, `'x'`, ""},
		{`{{ [nope, 'x'] | select('defined') | list }}`, `['x']`, ""},
		{`{{ [nope, 'x'] }}`, ``, "but the value of a variable is looked at"},
		{`{{ ['x' if false] }}`, ``, "and is never half there"},
		{`{{ true | ternary(nope, 'x') }}`, ``, ""},
	} {
		got, err := (&Box{}).Render(c.text, someVars())
		if (err != nil) != (c.want == "") || err == nil && show(t, got.Value) != c.want {
			t.Errorf("%s = %v, %v; want %s (%s)", c.text, got.Value, err, c.want, c.reason)
		}
	}
}
