package jinja

import (
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sameAsAnsible are expressions whose value is Ansible's own. They use the variables of ansibleVars.
var sameAsAnsible = []string{
	"1 + 2", "7 // 2", "-7 // 2", "-7 % 3", "7 / 2", "2 ** 10", "2 ** -1", "1.5 * 2", "1e3", "10 ** 15 * 1.0", "1e16 * 1", "0.1 + 0.2", "-n", "- n + 1", "1 if t else 2", "'a' ~ 1 ~ 2.0 ~ none ~ true",
	"l", "l + [4]", "l * 2", "'ab' * 3", "l[0]", "l[-1]", "l[1:]", "l[::-1]", "s[1]", "s[-2:]", "s[::-1]", "l[:-1]", "d", "d.b", "d['a'].x", "d.keys() | list", "d.values() | list", "d.items() | list",
	"3 > 2 > 1", "1 < 2 == true", "not t", "n in l", "n not in l", "'b' in s", "'b' in d", "t and n", "false or s", "none or 'x'", "n == 5.0", "l == [3, 1, 2]", "(1, 2)", "(1,)", "()", "[1, 'a', none, true, 1.0]",
	"'%s-%s' % (s, n)", "'%05.1f|%-4s|%x|%%' % (f, s, 255)", "'%(b)s' % d", "'%d' % 3.7", "'%5d|%-5d|%+d|%r' % (1, 2, 3, 'x')", "'%s' % l", "'%e %g %G' % (12345.678, 0.00001, 1e20)", "'{} {}'.format(1, 'a')", "'{1}{0}{x}'.format(1, 2, x=3)", "'a' 'b'",
	"l | sort", "l | sort(reverse=true)", "['b', 'A', 'c'] | sort", "['b', 'A', 'c'] | sort(case_sensitive=true)", "l | sum", "l | min", "l | max", "l | first", "l | last", "l | length", "s | length", "d | length", "l | join('-')", "l | reverse | list", "[1, 1, 2, 'a', 'A'] | unique", "ds | map(attribute='n') | join(',')", "ds | sum(attribute='v')", "ds | sort(attribute='v') | map(attribute='v') | list", "ds | selectattr('on') | list", "ds | rejectattr('on') | list", "ds | selectattr('n', 'equalto', 'x') | list", "ds | selectattr('n', 'match', '^x') | list", "ds | selectattr('zz', 'defined') | list",
	"l | select('in', [1, 2]) | list", "l | reject('equalto', 1) | list", "l | select('odd') | list", "[0, 1, '', 'x'] | select | list", "l | map('string') | list", "['a', 'b'] | map('upper') | list", "['h1', 'h2'] | map('extract', hv, 'ip') | list", "['h1'] | map('extract', hv) | list", "['ab', 'cb'] | map('regex_replace', 'b', 'x') | list", "ds | map(attribute='q', default='none') | list", "[1, [2, [3, none]]] | flatten", "[1, [2, [3]]] | flatten(levels=1)", "[1, 2] | union([2, 3])", "[1, 2] | difference([2, 3])", "[1, 2] | intersect([2, 3])", "[1, 2] | symmetric_difference([2, 3])", "[1, 2] | zip(['a', 'b']) | list", "l | batch(2) | list", "l | batch(2, 0) | list", "ds | groupby('on')", "d | dictsort",
	"d | combine({'a': {'y': 3}})", "d | combine({'a': {'y': 3}}, recursive=true)", "d | combine({'b': 2}, {'c': 3})", "{'l': [1]} | combine({'l': [2]}, list_merge='append')", "{'l': [1, 2]} | combine({'l': [2, 3]}, list_merge='append_rp')", "{'l': [1, 2]} | combine({'l': [2, 3]}, list_merge='prepend')", "{'a': {'l': [1]}} | combine({'a': {'l': [2], 'm': 1}}, recursive=true, list_merge='keep')", "[{'a': 1}, {'b': 2}] | combine", "d | dict2items", "d | dict2items(key_name='k', value_name='v')", "[{'key': 'a', 'value': 1}] | items2dict", "ds | items2dict(key_name='n', value_name='v')", "{'a': 1}.update({'b': 2})", "[{'n': 1, 'k': ['x', 'y']}] | subelements('k')",
	"s | upper", "'ab cd' | title", "'ABC' | lower", "'aBC' | capitalize", "' x ' | trim", "'xxaxx' | trim('x')", "s | replace('b', 'x')", "'aaa' | replace('a', 'b', 2)", "'a\\nb' | indent(2)", "'a\\nb' | indent(2, true)", "'a\\n\\nb' | indent(2, false, true)", "'%s %s' | format('a', 1)", "'a,b' | split(',')", "'a b  c'.split()", "'a,b,c'.split(',', 1)", "'a,b,c'.rsplit(',', 1)", "'a b c'.split(none, 1)", "'a\\nb\\r\\nc'.splitlines()", "'abc'.find('c')", "'abc'.rstrip('c')", "'abc'.startswith('a')", "'a-b'.partition('-')", "'5'.zfill(3)", "'x'.ljust(3) ~ '|'", "'x' | center(5)", "[3, 4].index(4)", "'a.b'.split('.')[0]", "','.join(['a', 'b'])", "'abc'.count('b')",
	"s | regex_replace('(b)', '<\\1>')", "s | regex_replace('(?P<x>b)', '[\\g<x>]')", "'aAa' | regex_replace('a', 'x', ignorecase=true)", "'a1b22' | regex_findall('[0-9]+')", "'a1b22' | regex_findall('([a-z])([0-9])')", "'a1b22' | regex_search('[0-9]+')", "'a1' | regex_search('([a-z])([0-9])', '\\2', '\\1')", "'a$b' | regex_replace('b$', '$1')", "'a.b' | regex_escape", "'x' | regex_search('y')", "'infra1' is match('infra')", "'xinfra1' is match('infra')", "'xinfra1' is search('infra')", "'ab\\n' is match('ab$')", "'infra1' is regex('^i')",
	"'/a/b.c' | basename", "'/a/b.c' | dirname", "'/a/' | dirname", "'a' | dirname", "'//a' | dirname", "['/a', 'b', 'c'] | path_join", "['a', '/b'] | path_join", "'/a/b.tar.gz' | splitext", "\"it's\" | quote", "'a b' | quote", "'ab' | quote", "'' | quote", "'abc' | b64encode", "'YWJj' | b64decode", "'abc' | hash('sha256')", "'abc' | md5", "'abc' | checksum", "'a b/c?' | urlencode", "'http://u@h:80/p?q#f' | urlsplit('hostname')", "'http://h:80/p' | urlsplit('port')",
	"'5' | int", "'x' | int", "'x' | int(7)", "'0x1f' | int(base=16)", "'5.7' | int", "5.7 | int", "true | int", "'1.5' | float", "'x' | float", "3 | float", "-3 | abs", "2.5 | round", "3.14159 | round(2)", "2.1 | round(0, 'ceil')", "2.9 | round(method='floor')", "5 | string", "true | string", "[1, 'a'] | string", "'yes' | bool", "'no' | bool", "'on' | bool", "1 | bool", "2 | bool", "'True' | bool", "'x' | bool", "t | ternary('a', 'b')", "none | ternary('a', 'b', 'c')", "'' | ternary('a', 'b')",
	"d | to_json", "l | to_json", "'é\"' | to_json", "d | to_nice_json", "{'b': 1, 'a': [1, {}], 'c': []} | to_nice_json(indent=2)", "'{\"a\": [1, 2.0]}' | from_json", "'a: [1, yes, 0644]' | from_yaml", "{'a': 'é'} | to_json(ensure_ascii=false)", "{1: 2, 'x': none} | to_json",
	"nope | default('x')", "nope.a | default('x')", "d.zz | default(d.b)", "'' | default('x', true)", "'' | default('x')", "none | default('x')", "false | default('x', boolean=true)", "nope is defined", "n is defined", "nope is undefined", "d.zz is defined", "none is none", "s is string", "d is mapping", "l is sequence", "l is iterable", "n is number", "t is boolean", "1.0 is float", "1 is integer", "2 is even", "3 is odd", "6 is divisibleby 3", "'a' is in ['a']", "[1] is contains(1)", "'' is truthy", "'no' is truthy(convert_bool=true)", "'' is falsy", "[1] is subset([1, 2])", "'1.10' is version('1.9', '>')", "'1.10' is version('1.10', 'eq')", "'1.28.13' is version('1.28', '>=')", "'2.0rc1' is version('2.0', '<')", "[true, false] is any", "[true, false] is all", "'/a' is abs", "'A' is upper", "s is not none", "n is eq 5", "n is gt(4)", "n is lt 4 or t",
	"range(3) | list", "range(5, 0, -2) | list", "dict(a=1, b=2)", "lookup('vars', 's')", "query('vars', 's', 'n')", "q('vars', 's')", "lookup('vars', 'zz', default='x')", "lookup('ansible.builtin.vars', 's')", "namespace(a=1).a", "l | type_debug", "{'a': 1} | type_debug", "s | wordcount", "1_000 + 0x10 + 0o17 + 0b11", "'\\x41\\u00e9\\101'", "[l, d] | map('length') | list", "1 == true", "'a' < 'b'", "[1, 2] < [1, 3]", "(l | length) > 2 and (s | length) == 3", "{'a' ~ 1: 2}", "{'z': 1, 'a': 2}", "{1: 'x', 'b': 2}", "'a' if n == 4 else 'b' if n == 5 else 'c'", "l | first | int + 1", "-n | abs", "not n == 4", "[[1, 2], [3]] | sum(start=[])", "ds | map(attribute='n') | map('upper') | join", "l | map('int') | max", "('a,b' | split(',')) + ['c']", "s.upper() ~ s.replace('a', 'b')", "'%.2f' | format(3.14159)", "d.get('b')", "d.get('zz', 5)", "d['b'] | default(1) + 1",
}

// wholeTemplates are templates with text or statements around expressions.
var wholeTemplates = []string{
	"x {{ l }}", "{{ n }}{{ n }}", "[{{ n }}, 'x']", "{{ n }}", "{{ 5 }}", "{{ n + 1 }}", "{{ f }}", "{{ t }}", "{{ 'True' }}", "{{ 'true' }}", "[{{ s }}]", "{{ '[1, 2' }}", "{{ '[1, 2]' }}", "{'a': {{ n }}}", "a{{ nothing }}b", "{{ l }}\n", "{{ s }}\n\n",
	"{% for i in l if i > 1 %}{{ loop.index }}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}", "{% set x = [] %}{% for i in l %}{% set _ = x.append(i + 1) %}{% endfor %}{{ x }}", "{% set ns = namespace(a=0) %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}", "{% if n > 4 %}\nyes\n{% else %}\nno\n{% endif %}\n", "{# c #}\na\n{# d #}b", "a {%- if t %} b {%- endif -%} c", "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% raw %}{{ x }}{% endraw %}!", "{% set x %}b{{ n }}{% endset %}{{ x }}", "{% for i in [] %}x{% else %}none{% endfor %}", "{% set a, b = (1, 2) %}{{ a }}{{ b }}", "{% with z = 3 %}{{ z }}{% endwith %}", "{% filter upper %}a{{ s }}{% endfilter %}", "{% for a in l %}{% for b in l %}{{ loop.index0 * a }}{% endfor %}{% endfor %}", "{% set x = {} %}{% for i in ds %}{% set _ = x.update({i.n: i.v}) %}{% endfor %}{{ x }}", "{%- for i in ds -%} {{ i.n }} {%- endfor -%}", "{% if nope is defined %}x{% elif n == 5 %}five{% endif %}", "{{ {'a': {'b': 1}} }}", "{{ 'a}}b' }}", "{{ \"{{ x }}\" | length }}", "{{ '{%' }}", "{{ [n, s] | join }} and {{ d.a }}", "{{ ('yes' | bool) and true }}", "{% set x = 'a\\nb\\x41' %}{{ x | indent(2) }}{{ 'c\\n' }}", "{% set x = 'ab\\n' %}{{ x is match('ab$') }}", "{% set x = 'a\\nb\\r\\nc' %}{{ x.splitlines() }}", "{{ l | to_json if t else 'x' }}", "{{ [(1, 2)] }}", "{{ l | string | length }}", "{{ '%s' % '[1]' }}", "{{ nothing }}", "{{ none }}", "{{ omit is defined }}", "{{ -0.0 }}", "{{ 1e100 }}", "{{ 123456789.123456789 }}", "{{ [1.0, 1e22, 1e-5] }}", "{{ {'a': none, 'b': 'it' ~ \"'\" ~ 's'} ~ '' }}", "{{ ['é\\t', '\u2028'] ~ '' }}",
}

const ansibleVars = `{"l": [3, 1, 2], "s": "abc", "n": 5, "t": true, "f": 1.5, "nothing": null, "d": {"a": {"x": 2}, "b": 1}, "hv": {"h1": {"ip": "10.0.0.1"}, "h2": {"ip": "10.0.0.2"}}, "ds": [{"n": "x", "on": true, "v": 2}, {"n": "y", "on": false, "v": 1}]}`

// needAnsible skips a test unless there is an Ansible with text types, for which the tables were written.
func needAnsible(t *testing.T) {
	t.Helper()
	out, err := exec.Command("ansible", "--version").Output()
	if err != nil {
		t.Skipf("skipped: ansible is not installed (apt-get install ansible python3-netaddr), so nothing is compared with it: %v", err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	t.Log(first)
	if !strings.HasPrefix(first, "ansible [core 2.1") || strings.HasPrefix(first, "ansible [core 2.19") {
		t.Skipf("skipped: %s has native types, and the tables were written for text types", first)
	}
}

// needExpression skips a test unless Ansible can evaluate an expression: ansible-core comes without collections, and
// some of their filters need a Python package.
func needExpression(t *testing.T, expression, from string) {
	t.Helper()
	needAnsible(t)
	if out, err := exec.Command("ansible", "localhost", "-m", "debug", "-a", "msg={{ "+expression+" }}").CombinedOutput(); err != nil {
		t.Skipf("skipped: this ansible cannot evaluate %q, which needs %s (apt-get install ansible python3-netaddr): %v\n%.300s",
			expression, from, err, out)
	}
}

// TestSameAsAnsible evaluates everything above with the Ansible that is installed, and with ours.
func TestSameAsAnsible(t *testing.T) {
	needAnsible(t)
	var texts []string
	for _, e := range sameAsAnsible {
		texts = append(texts, "{{ "+e+" }}")
	}
	compareTemplates(t, append(texts, wholeTemplates...))
}

// addresses need the collection ansible.utils and Python's netaddr on Ansible's side.
var addresses = []string{
	"'10.0.0.1/24' | ansible.utils.ipaddr('address')", "'10.0.0.1/24' | ansible.utils.ipaddr('network')", "'10.0.0.1/24' | ansible.utils.ipaddr('netmask')", "'10.0.0.1/24' | ansible.utils.ipaddr('prefix')", "'10.0.0.1/24' | ansible.utils.ipaddr('subnet')", "'10.0.0.1/24' | ansible.utils.ipaddr('broadcast')", "'10.0.0.0/24' | ansible.utils.ipaddr('net')", "'10.0.0.1/24' | ansible.utils.ipaddr('net')", "'10.0.0.0/24' | ansible.utils.ipaddr('size')", "'10.0.0.0/24' | ansible.utils.ipaddr(1)", "'10.0.0.0/24' | ansible.utils.ipaddr(-1)", "'10.0.0.1' | ansible.utils.ipaddr", "'nope' | ansible.utils.ipaddr", "'10.0.0.1' | ansible.utils.ipaddr('address')", "'10.0.0.1' | ansible.utils.ipaddr('version')", "'fe80::1' | ansible.utils.ipaddr('version')", "'fe80::1' | ansible.utils.ipwrap", "'10.0.0.1' | ansible.utils.ipwrap", "['10.0.0.1', 'x', 'fe80::1'] | ansible.utils.ipaddr", "['10.0.0.1', 'fe80::1'] | ansible.utils.ipv4", "['10.0.0.1', 'fe80::1'] | ansible.utils.ipv6", "'10.0.0.1' | ansible.utils.ipaddr('private')", "'8.8.8.8' | ansible.utils.ipaddr('private')", "'10.1.2.3' | ansible.utils.ipaddr('10.0.0.0/8')", "'11.1.2.3' | ansible.utils.ipaddr('10.0.0.0/8')", "'10.0.0.0/8' | ansible.utils.nthhost(305)", "'10.0.0.1/255.255.255.0' | ansible.utils.ipaddr('prefix')", "'10.0.0.0/24' | ansible.utils.ipaddr('address')", "'2001:db8::/32' | ansible.utils.ipaddr('network')", "'10.0.0.1/24' | ansible.utils.ipaddr('host')",
}

func TestAddressesAreAnsibles(t *testing.T) {
	needExpression(t, "'10.0.0.1' | ansible.utils.ipaddr", "the collection ansible.utils and Python's netaddr")
	var texts []string
	for _, e := range addresses {
		texts = append(texts, "{{ "+e+" }}")
	}
	compareTemplates(t, texts)
}

// general are expressions that need the collection community.general.
var general = []string{"['1.10', '1.9', '1.2'] | community.general.version_sort", "['1.10', '1.9'] | community.general.version_sort(reverse=true)"}

func TestCommunityGeneralIsAnsibles(t *testing.T) {
	needExpression(t, "['1.10', '1.9'] | community.general.version_sort", "the collection community.general")
	var texts []string
	for _, e := range general {
		texts = append(texts, "{{ "+e+" }}")
	}
	compareTemplates(t, texts)
}

// TestCoreIsEnough: what is compared without asking for a collection must need none, or the comparison fails on a
// machine that has ansible-core alone (issue "Right answers", row 35).
func TestCoreIsEnough(t *testing.T) {
	ofCollections := regexp.MustCompile(`\b(?:community|netcommon|ansible\.(?:utils|netcommon|posix))\.|\|\s*(?:` +
		strings.Join(slices.Sorted(maps.Keys(addressFilters)), "|") + `|json_query|version_sort)\b`)
	var lazy []string
	for _, c := range lazyTemplates() {
		lazy = append(lazy, c[0])
	}
	for name, texts := range map[string][]string{
		"sameAsAnsible": sameAsAnsible, "wholeTemplates": wholeTemplates, "wordTemplates": wordTemplates(), "lazyTemplates": lazy,
	} {
		for _, text := range texts {
			if found := ofCollections.FindString(text); found != "" {
				t.Errorf("%s: %s needs a collection for %q: it belongs into a table whose test asks for it", name, text, found)
			}
		}
	}
	for _, text := range slices.Concat(addresses, general, queryTemplates([]string{"a"}), []string{"x | ipaddr", "x|version_sort"}) {
		if !ofCollections.MatchString(text) {
			t.Errorf("%s needs a collection, and this test does not see it", text)
		}
	}
}

// compareTemplates evaluates texts with Ansible and with ours: both have the same value, or both refuse.
func compareTemplates(t *testing.T, texts []string) {
	t.Helper()
	decoded, err := DecodeJSON([]byte(ansibleVars))
	if err != nil {
		t.Fatal(err)
	}
	dict, _ := decoded.(*Dict)
	vars := varsMap{}
	all := map[string]any{}
	for _, k := range dict.Keys() {
		name, _ := k.(string)
		vars[name], _ = dict.Get(k)
	}
	if err := json.Unmarshal([]byte(ansibleVars), &all); err != nil {
		t.Fatal(err)
	}
	theirs := askAnsible(t, texts, all)
	same, refused := 0, 0
	for i, text := range texts {
		got, err := (&Box{Types: Text}).Render(text, vars)
		switch {
		case err != nil && theirs[i] == noAnswer:
			refused++
			continue
		case err != nil:
			t.Errorf("%s: %v; ansible says %v", text, err, theirs[i])
			continue
		case theirs[i] == noAnswer:
			t.Errorf("%s = %v; ansible refuses it", text, got.Value)
			continue
		}
		r := &run{box: &Box{}, limits: DefaultLimits()}
		var ours any
		text1, _ := r.toJSON(got.Value, &args{r: r, named: NewDict()}, "").(string)
		if err := json.Unmarshal([]byte(text1), &ours); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(theirs[i], ours); diff != "" {
			t.Errorf("%s (-ansible +ours):\n%s", text, diff)
			continue
		}
		same++
	}
	t.Logf("%d of %d are the same, %d are refused by both", same, len(texts), refused)
}

// noAnswer stands for a text that Ansible refuses.
const noAnswer = "(no answer)"

// askAnsible renders all texts in one run: each is a task, so that one that fails does not hide the others.
func askAnsible(t *testing.T, texts []string, vars map[string]any) []any {
	t.Helper()
	dir := t.TempDir()
	names := make([]string, len(texts))
	for i, text := range texts {
		names[i] = "e" + string(rune('a'+i/26/26%26)) + string(rune('a'+i/26%26)) + string(rune('a'+i%26))
		vars[names[i]] = text
	}
	var tasks []any
	for _, name := range names {
		tasks = append(tasks, map[string]any{
			"debug":         map[string]any{"msg": "@@" + name + " {{ lookup('vars', '" + name + "', wantlist=true) | to_json }}@@"},
			"ignore_errors": true,
		})
	}
	play := []any{map[string]any{"hosts": "localhost", "gather_facts": false, "connection": "local", "vars": vars, "tasks": tasks}}
	book, err := json.Marshal(play)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "play.yml")
	if err := os.WriteFile(path, book, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("ansible-playbook", "-i", "localhost,", path)
	cmd.Env = append(os.Environ(), "ANSIBLE_NOCOLOR=1", "ANSIBLE_LOCALHOST_WARNING=false", "ANSIBLE_HOME="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ansible-playbook: %v\n%.3000s", err, out)
	}
	got := map[string]any{}
	for _, line := range strings.Split(string(out), "\n") {
		_, quoted, ok := strings.Cut(line, `"msg": `)
		var msg string
		if !ok || json.Unmarshal([]byte(strings.TrimRight(quoted, "},")), &msg) != nil {
			continue
		}
		name, value, ok := strings.Cut(strings.Trim(msg, "@"), " ")
		var v []any
		if ok && json.Unmarshal([]byte(value), &v) == nil && len(v) == 1 {
			got[name] = v[0]
		}
	}
	values := make([]any, len(texts))
	for i, name := range names {
		v, ok := got[name]
		if !ok {
			v = noAnswer
		}
		values[i] = v
	}
	return values
}
