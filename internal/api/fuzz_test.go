package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

func TestParseLiteral(t *testing.T) {
	cases := []struct {
		reason string
		in     string
		want   any
		wrong  bool
	}{
		{"a dictionary as clients print it", `{'a': 'b', 'c': "it's"}`, map[string]any{"a": "b", "c": "it's"}, false},
		{"spaces, a comma at the end", " { 'a' : 1 , } ", map[string]any{"a": json.Number("1")}, false},
		{"empty", `{}`, map[string]any{}, false},
		{"JSON", `{"a": true, "b": null, "c": [1, "x"]}`, map[string]any{"a": true, "b": nil, "c": []any{json.Number("1"), "x"}}, false},
		{"Python's words", `[True, False, None]`, []any{true, false, nil}, false},
		{"Python 2", `{u'a': u'b'}`, map[string]any{"a": "b"}, false},
		{"neighbours are one", `'a' "b"`, "ab", false},
		{"escapes", `'\'\\\n\x41\u00e9\101\q'`, "'\\\nA\u00e9A\\q", false},
		{"a pair of surrogates", `"\ud83d\ude00"`, "\U0001f600", false},
		{"three quotes", `'''a'b'''`, "a'b", false},
		{"tuples", `((1), (2,), ())`, []any{json.Number("1"), []any{json.Number("2")}, []any{}}, false},
		{"numbers", `[-1, 0x1f, 1_000, 1.5, 1e3, 0]`, []any{json.Number("-1"), json.Number("31"), json.Number("1000"), json.Number("1.5e+00"), json.Number("1e+03"), json.Number("0")}, false},
		{"a call", `__import__('os').system('id')`, nil, true},
		{"an expression", `1+1`, nil, true},
		{"a name", `labels`, nil, true},
		{"more than one", `{} {}`, nil, true},
		{"not closed", `{'a': 'b'`, nil, true},
		{"no value", `{'a': }`, nil, true},
		{"a line break in quotes", "'a\nb'", nil, true},
		{"leading zeros", `[012]`, nil, true},
		{"not UTF-8", "'\xff'", nil, true},
		{"a number as key", `{1: 'a'}`, nil, true},
		{"too deep", strings.Repeat("[", 100) + strings.Repeat("]", 100), nil, true},
		{"too long", "'" + strings.Repeat("a", maxLiteral) + "'", nil, true},
		{"nothing", ``, nil, true},
	}
	for _, tc := range cases {
		got, err := parseLiteral(tc.in)
		if (err != nil) != tc.wrong {
			t.Errorf("%s: %.60s: %v", tc.reason, tc.in, err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", tc.reason, diff)
		}
	}
}

func TestPythonText(t *testing.T) {
	for in, want := range map[string]string{
		`true`: "True", `false`: "False", `1`: "1", `-0`: "0", `1.5`: "1.5", `1.50`: "1.5", `1.0`: "1.0", `1e3`: "1000.0", `1e15`: "1000000000000000.0",
		`1e16`: "1e+16", `0.0001`: "0.0001", `0.00001`: "1e-05", `-2.5e-7`: "-2.5e-07", `1e22`: "1e+22", `0.1`: "0.1", `123456789012345678901234567890`: "123456789012345678901234567890",
		`"x"`: "x", `0.0`: "0.0", `-0.0`: "-0.0",
	} {
		body, err := parseBody([]byte(in), "x")
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := pythonText(body); !ok || got != want {
			t.Errorf("str(%s): got %q, want %q", in, got, want)
		}
	}
}

func FuzzParseLiteral(f *testing.F) {
	for _, s := range []string{`{'a': 'b'}`, `[1, 2.5, -0x1f, None]`, `('a' "b",)`, `'\ud83d\ude00\x41\101'`, `'''x'''`, `{"a": {"b": [true]}}`, `u'x'`, `1_0`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseLiteral(s)
		if err != nil {
			return
		}
		// Whatever was read is a value of encoding/json, and reads the same as JSON.
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%q gives no value: %v", s, err)
		}
		if len(text) > maxLiteral {
			return
		}
		again, err := parseLiteral(string(text))
		if err != nil && utf8.Valid(text) {
			t.Fatalf("%q became %s, which is not read again: %v", s, text, err)
		}
		if textAgain, _ := json.Marshal(again); err == nil && !sameNumbers(string(text), string(textAgain)) {
			t.Fatalf("%q became %s and then %s", s, text, textAgain)
		}
	})
}

// sameNumbers compares JSON whose numbers may be spelled in two ways.
func sameNumbers(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil || cmp.Equal(x, y)
}

func FuzzBody(f *testing.F) {
	f.Add([]byte(`{"name":"x","coe":"kubernetes","image_id":"i","labels":{"a":1.5},"docker_volume_size":"3","public":"yes","dns_nameserver":"1.1.1.1"}`))
	f.Add([]byte(`[1]`))
	f.Add([]byte(`{"labels":{"":null}}`))
	f.Add([]byte(`{"name":"m","node_taints":[{"key":"a","effect":"NoSchedule"}],"max_node_count":1e3}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := parseBody(data, "x")
		if err != nil {
			refused(t, err)
			return
		}
		values, ok := body.(map[string]any)
		if !ok {
			return
		}
		for _, strict := range []bool{false, true} {
			read := &fields{arg: "x", values: values, seen: map[string]bool{}, strict: strict, maxLabels: 100}
			template := read.template()
			refused(t, read.done())
			o := object{}
			o.open()
			o.template(&call{base: "http://H"}, &template)
			o.close()
			if !json.Valid(o.b) {
				t.Fatalf("%q makes an answer that is no JSON: %s", data, o.b)
			}
			read = &fields{arg: "x", values: values, seen: map[string]bool{}, strict: strict, maxLabels: 100}
			group, _ := read.nodeGroup()
			if err := read.done(); err == nil {
				refused(t, checkGroup(&group, false))
			}
		}
	})
}

func FuzzPatch(f *testing.F) {
	f.Add([]byte(`[{"op":"replace","path":"/labels","value":"{'a': 'b'}"},{"op":"remove","path":"/flavor_id"},{"op":"add","path":"/labels/x","value":1}]`))
	f.Add([]byte(`[{"op":"replace","path":"/labels","value":"[]"},{"op":"add","path":"/labels/a/b","value":true}]`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		body, err := parseBody(data, "patch")
		if err != nil {
			return
		}
		rules := templatePatchRules()
		p, err := parsePatch(body, rules)
		if err != nil {
			refused(t, err)
			return
		}
		doc := templateDocument(&magnum.ClusterTemplate{TemplateFields: magnum.TemplateFields{
			Name: "n", ImageID: "i", COE: "kubernetes", ServerType: "vm", Labels: map[string]string{"a": "b"},
		}})
		if err := p.apply(doc); err != nil {
			refused(t, err)
			return
		}
		for _, name := range rules.internal {
			if _, there := doc[name]; there {
				t.Fatalf("%s was patched by %s", name, data)
			}
		}
		read := doc.fields("x", 100)
		read.template()
		refused(t, read.done())
	})
}

// refused fails unless err is nothing or a refusal of the client's input.
func refused(t *testing.T, err error) {
	t.Helper()
	var told *magnum.Error
	if err != nil && (!errors.As(err, &told) || told.Status >= http.StatusInternalServerError) {
		t.Fatalf("bad input gives %v", err)
	}
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"container-infra 1.10", "container-infra latest", "compute 2.1", "container-infra 1.", "1.1", "container-infra 01.02"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, header string) {
		minor, err := parseVersion(header)
		if (err == nil) != (minor >= minMinor && minor <= maxMinor) {
			t.Fatalf("%q gives %d, %v", header, minor, err)
		}
		var bad *versionError
		if errors.As(err, &bad) && strings.ContainsAny(bad.asked, "\r\n ") {
			t.Fatalf("%q would put %q into a header", header, bad.asked)
		}
	})
}

func FuzzStrings(f *testing.F) {
	f.Add("a\"b\\c\n\x00\xff\u2028é😀")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(appendString(nil, s), &got); err != nil || got != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Fatalf("%q is written as %s: %v", s, appendString(nil, s), err)
		}
	})
}
