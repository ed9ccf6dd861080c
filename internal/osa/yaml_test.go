package osa_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// The types of YAML 1.1, as PyYAML 6.0 printed them for the same text.
func TestYAMLTypes(t *testing.T) {
	for text, want := range map[string]string{
		"yes": "true", "No": "false", "on": "true", "OFF": "false", "y": `"y"`, "tRue": `"tRue"`,
		"~": "null", "Null": "null", "": "null", "''": `""`,
		"0644": "420", "0o17": `"0o17"`, "08": `"08"`, "0b101": "5", "0x1F": "31", "1_000": "1000", "-0": "0", "+1": "1",
		"12:30": "750", "12:30:45": "45045", "1:60": `"1:60"`, "190:20:30.15": "685230.15",
		"1.5": "1.5", "1.": "1.0", ".5": "0.5", "1e5": `"1e5"`, "1.0e+5": "100000.0", "1.0e5": `"1.0e5"`, "1.5e-7": "1.5e-07", "1.0e+16": "1e+16",
		".inf": "Infinity", "-.INF": "-Infinity", ".nan": "NaN",
		"99999999999999999999": "99999999999999999999", "172.29.236.1": `"172.29.236.1"`,
		"!!str 123": `"123"`, `!!int "12"`: "12", "!!float 3": "3.0", "2001-13": `"2001-13"`,
		`"\ud83d\ude00"`: `"\ud83d\ude00"`, `"x\uD83Dy"`: `"x\ud83dy"`, `"\ude00\ud83d"`: `"\ude00\ud83d"`, `"\U0000d83d"`: `"\ud83d"`,
		`"\\ud83d"`: `"\\ud83d"`, `"\\\ud83d"`: `"\\\ud83d"`, `'\ud83d'`: `"\\ud83d"`, `\ud83d x`: `"\\ud83d x"`, `'\U0000D83d'`: `"\\U0000D83d"`,
		"{a: 1, a: 2}": `{"a": 2}`, "{a:1}": `{"a:1": null}`, "[1, 2,]": "[1, 2]",
		"é☃😀": `"\u00e9\u2603\ud83d\ude00"`, "\"\\x7f\"": `"\u007f"`,
		"a: &x {b: 1}\nc: {<<: *x, d: 2}":               `{"a": {"b": 1}, "c": {"b": 1, "d": 2}}`,
		"a: &x {b: 1}\ny: &y {b: 2}\nc: {<<: [*x, *y]}": `{"a": {"b": 1}, "c": {"b": 1}, "y": {"b": 2}}`,
		"a: &x {b: 1}\nc: {b: 3, <<: *x}":               `{"a": {"b": 1}, "c": {"b": 3}}`,
		"!!omap [{a: 1}]":                               `[["a", 1]]`,
	} {
		v, found := osa.ReadYAML("x.yml", []byte(text), osa.YAMLOptions{})
		if err := found.Err(); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got, err := osa.WriteJSON(v)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		one := strings.NewReplacer("{ ", "{", " }", "}", "[ ", "[", " ]", "]").Replace(strings.Join(strings.Fields(string(got)), " "))
		if diff := cmp.Diff(want, one); diff != "" {
			t.Errorf("%q (-PyYAML +ours):\n%s", text, diff)
		}
	}
}

func TestYAMLRefusals(t *testing.T) {
	for text, want := range map[string]string{
		"a: =":                    "x.yml:1:",
		"a:\n  b: <<":             "x.yml:2:",
		"a: !vault x":             "x.yml:1:",
		"a: 1\n---\nb: 1":         "x.yml:",
		"a: &x 1\nb: &x 2":        "x.yml:2:",
		"a: 1\nb:\t2":             "x.yml:2:",
		"? [1]\n: 2":              "x.yml:1:",
		"a: *x":                   "x.yml:1:",
		"a: 1\nb: *x":             "x.yml:2:",
		"&a [*a]":                 "x.yml:1:",
		"<<: 1":                   "x.yml:1:",
		"a: 2001-13-45":           "x.yml:1:",
		"!!bool maybe":            "x.yml:1:",
		"a: 'x":                   "x.yml:",
		"a: b: c":                 "x.yml:1:",
		strings.Repeat("[", 9999): "x.yml:",
	} {
		_, found := osa.ReadYAML("x.yml", []byte(text), osa.YAMLOptions{})
		if err := found.Err(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.30q: want a refusal at %s, got %v", text, want, err)
		}
	}
	for _, text := range []string{"a: 1 # x\ty", "a: \"x\ty\"", "a: |\n  x\ty", "a: 'it''s\t'", "a:\n - |\n   x\n   \ty\n - b"} {
		if _, found := osa.ReadYAML("x.yml", []byte(text), osa.YAMLOptions{}); found.Err() != nil {
			t.Errorf("%q: a tab is fine there, got %v", text, found.Err())
		}
	}
}

// What an anchor names is one object, and local tags can be kept.
func TestYAMLSharing(t *testing.T) {
	v, found := osa.ReadYAML("x.yml", []byte("a: &x {h: 1}\nb: *x\nc: !vault |\n  text\n"), osa.YAMLOptions{KeepTags: []string{"!vault"}})
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	m := v.(*osa.Map)
	if m.Get("a") != m.Get("b") {
		t.Error("an alias is a copy")
	}
	if tagged, ok := m.Get("c").(*osa.Tagged); !ok || tagged.Value != "text\n" || tagged.Pos.Line != 3 {
		t.Errorf("!vault became %#v", m.Get("c"))
	}
}

// A few lines of aliases that expand to more than the world holds are refused at once.
func TestYAMLBombs(t *testing.T) {
	list, merge := "a0: &a0 [x, x]\n", "m0: &m0 {x: 1}\n"
	for i := 1; i < 60; i++ {
		n, p := string(rune('0'+i/10))+string(rune('0'+i%10)), ""
		if p = string(rune('0'+(i-1)/10)) + string(rune('0'+(i-1)%10)); i == 1 {
			p = "0"
		}
		list += "a" + n + ": &a" + n + " [*a" + p + ", *a" + p + "]\n"
		merge += "m" + n + ": &m" + n + " {<<: [*m" + p + ", *m" + p + "], k" + n + ": 1}\n"
	}
	for name, text := range map[string]string{"lists": list, "merges": merge} {
		// Without a bound it would outlast the test's time.
		_, found := osa.ReadYAML("bomb.yml", []byte(text), osa.YAMLOptions{})
		if found.Err() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzReadYAML(f *testing.F) {
	for _, seed := range []string{working, "a: &x {b: 1}\nc: {<<: *x}", "- yes\n- 0644\n- 12:30", "!!set {a}", "a: |\n  b\n\tc", "? a\n: b", "%YAML 1.1\n---\na", "&a [*a]", "{<<: [*x, &x {}]}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, found := osa.ReadYAML("x.yml", text, osa.YAMLOptions{KeepTags: []string{"!vault"}})
		if found.Err() != nil {
			return
		}
		first, err := osa.WriteJSON(v)
		if err != nil {
			return // dates, sets and mixed keys have no form in JSON
		}
		back, err := osa.ReadJSON("x.json", first)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, first)
		}
		if second, err := osa.WriteJSON(back); err != nil || string(first) != string(second) {
			t.Fatalf("it changes on the way: %v\n%s\n%s", err, first, second)
		}
	})
}

func FuzzReadJSON(f *testing.F) {
	for _, seed := range []string{`{"a": [1, -1.5e3, "\ud800\u00e9", null, NaN], "a": {}}`, `"\ud83d\ude00"`, "[[[", `{"_meta": {"hostvars": {}}}`, "1e999", "-Infinity"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := osa.ReadJSON("x.json", text)
		if err != nil {
			return
		}
		first, err := osa.WriteJSON(v)
		if err != nil {
			t.Fatal(err)
		}
		back, err := osa.ReadJSON("x.json", first)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v\n%s", err, first)
		}
		if second, err := osa.WriteJSON(back); err != nil || string(first) != string(second) {
			t.Fatalf("it changes on the way: %v\n%s\n%s", err, first, second)
		}
	})
}

// FuzzInventory makes an inventory of any configuration and any old inventory: it ends, and without a panic.
func FuzzInventory(f *testing.F) {
	f.Add([]byte(working), []byte(`{"_meta": {"hostvars": {}}}`), []byte("physical_skel: {x_hosts: {belongs_to: [hosts]}}"))
	f.Add([]byte(working), []byte(`{"_meta": {"hostvars": {"infra1": {"properties": 1}}}, "all": []}`), []byte("container_skel: {x_container: {contains: [a], belongs_to: b}}"))
	f.Fuzz(func(t *testing.T, config, old, env []byte) {
		opts := operator(t, map[string]string{"openstack_user_config.yml": string(config), "openstack_inventory.json": string(old), "env.d/x.yml": string(env)})
		src, err := osa.Load(opts)
		if err != nil {
			return
		}
		res, err := osa.Generate(src, osa.NewDraw())
		if err != nil {
			return
		}
		_, _ = osa.WriteJSON(res.Inventory.Root()) // a date in the configuration is refused here
	})
}
