package jinja

import (
	"strings"
	"testing"
)

// queries are questions of JMESPath to queryData, and brokenQueries what Ansible refuses.
func queries() []string {
	return []string{
		"a",
		"a.b",
		"a.b.c",
		"a.nope.x",
		"list[0]",
		"list[-1].n",
		"list[9]",
		"list[*].n",
		"list[*].nope",
		"list[].n",
		"list[?v > `1`].n",
		"list[?n == 'x'].v | [0]",
		"list[?n == 'x'] | [0].v",
		"list[*].{name: n, value: v}",
		"list[*].[n, v]",
		"{x: a.b, y: list[0].n}",
		"*",
		"a.*",
		"map.*.v",
		"map.*.v | [0]",
		"nested[].in[].x",
		"nested[*].in[*].x",
		"nested[].in",
		"[?v==`2`]",
		"list[1:]",
		"list[::-1].n",
		"list[:1].n",
		"list[?v >= `1` && n != 'x'].n",
		"list[?!(v == `1`)].n",
		"list[?nope].n",
		"list[?contains(n, 'x')].n",
		"length(list)",
		"keys(a)",
		"values(map)[*].v",
		"sort_by(list, &v)[*].n",
		"max_by(list, &v).n",
		"min_by(list, &v).n",
		"sort(words)",
		"reverse(words)",
		"join('-', words)",
		"sum(numbers)",
		"max(numbers)",
		"min(numbers)",
		"not_null(nope, a.nope, `3`)",
		"type(a)",
		"to_string(numbers)",
		"to_array(a)",
		"merge(a, `{\"z\": 1}`)",
		"map(&n, list)",
		"map(&nope, list)",
		"starts_with(words[0], 'b')",
		"\"quoted key\"",
		"a.\"b\"",
		"'raw'",
		"`[1, 2.0]`",
		"`word`",
		"`{`",
		"@",
		"@.a",
		"a || list",
		"nope || 'x'",
		"a && 'y'",
		"list[0] == list[0]",
		"numbers[0] == `true`",
		"words[0] < words[1]",
		"a < numbers[0]",
		"list[*].v[]",
		"words[]",
		"a.b == `null`",
		"list[?v == `1` || v == `2`].n | sort(@)",
		"length(@)",
		"nope[*].x",
		"nope.*",
		"a[0]",
		"list.n",
		"[a, list[0].n]",
		"list[*].n | length(@)",
		"map.*",
		"list[?n=='x'].sub[].y",
		"numbers[?@ > `2`]",
		"ends_with(words[1], 'a')",
	}
}

func brokenQueries() []string {
	return []string{
		"a.",
		"a[",
		"a[?b",
		"foo(a)",
		"length(numbers[0])",
		"a.&b",
		"{a: }",
		"[",
		"list[?",
		"sort(list)",
		"1",
		"a b",
		"join(`1`, words)",
		"'x",
	}
}

const queryData = "{'a': {'b': 1, 'z': 'q'}, 'list': [{'n': 'y', 'v': 2}, {'n': 'x', 'v': 1, 'sub': [{'y': 7}]}], 'map': {'k2': {'v': 5}, 'k1': {'v': 6}}, 'nested': [{'in': [{'x': 1}, {'x': 2}]}, {'in': [{'x': 3}]}, {'other': 1}], 'words': ['b', 'a'], 'numbers': [3, 1.5], 'quoted key': 9, 'none': none}"

// queryTemplates are templates that ask: the question stands in a variable of the template, where no quote is in its
// way.
func queryTemplates(questions []string) []string {
	var out []string
	for _, q := range questions {
		out = append(out, "{% set q %}{% raw %}"+q+"{% endraw %}{% endset %}{{ "+queryData+" | community.general.json_query(q) }}")
	}
	return out
}

func TestQueriesAreAnsibles(t *testing.T) {
	needExpression(t, "[1] | community.general.json_query('[0]')", "the collection community.general and Python's jmespath")
	compareTemplates(t, append(queryTemplates(queries()), queryTemplates(brokenQueries())...))
}

func TestQueries(t *testing.T) {
	for _, c := range []struct{ text, want, reason string }{
		{
			`{{ {'b': {'instance': 'x'}, 'a': {}} | dict2items | json_query('[*].{name: key, instance: value.instance}') }}`,
			`[{'name': 'b', 'instance': 'x'}, {'name': 'a', 'instance': None}]`, "OpenStack-Ansible's own, in the order of keys",
		},
		{`{{ {'z': 1, 'a': 2.0} | json_query('*') }}`, `[1, 2.0]`, "in their order, and each with its type"},
		{`{{ ds | json_query("[?on].n") }}`, `['x']`, ""},
		{`{{ net | json_query('user') }}`, `'u'`, ""},
		{`{{ ['a'] | product(['b', 'c']) | map('join') | list }}`, `['ab', 'ac']`, "every choice"},
		{`{{ [1, 2] | zip_longest(['a'], fillvalue='-') | list }}`, `[(1, 'a'), (2, '-')]`, ""},
		{`{{ [1] | product(nope) }}`, ``, ""},
	} {
		got, err := (&Box{}).Render(c.text, someVars())
		if (err != nil) != (c.want == "") || err == nil && show(t, got.Value) != c.want {
			t.Errorf("%s = %v, %v; want %s (%s)", c.text, got.Value, err, c.want, c.reason)
		}
		if got.Secret {
			t.Errorf("%s is secret, and looked at nothing secret", c.text)
		}
	}
	got, err := (&Box{}).Render(`{{ net | json_query('password') }}`, someVars())
	if err != nil || !got.Secret {
		t.Errorf("what it looked at is secret: %v, %v", got, err)
	}
	for _, text := range queryTemplates(append(brokenQueries(), strings.Repeat("(", 5000))) {
		if got, err := (&Box{}).Render(text, someVars()); err == nil {
			t.Errorf("%.200s = %v, want an error", text, got.Value)
		}
	}
}

func FuzzQuery(f *testing.F) {
	for _, q := range append(queries(), brokenQueries()...) {
		f.Add(q)
	}
	small := Limits{Source: 1 << 12, Steps: 20000, Bytes: 1 << 20, Depth: 100}
	f.Fuzz(func(t *testing.T, text string) {
		vars := someVars()
		vars["q"] = text
		_, err := (&Box{Limits: small}).Render("{{ "+queryData+" | json_query(q) }}{{ hv | json_query(q) }}", vars)
		if err != nil && strings.Contains(err.Error(), "an internal error of the evaluator") {
			t.Fatal(err)
		}
	})
}
