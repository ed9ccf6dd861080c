package osa_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/jinja"
	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// tree writes files below a new directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const smallInventory = `{"_meta": {"hostvars": {
  "h1": {"level": "host in inventory", "lazy": "{{ inventory_hostname }}/{{ hostvars['h2'].address }}", "address": "10.0.0.1"},
  "h2": {"address": "10.0.0.2"}}},
 "all": {"children": ["top"], "vars": {"level": "all in inventory", "from_all": "inventory"}},
 "top": {"children": ["deep"], "hosts": ["h2"], "vars": {"ansible_group_priority": 1}},
 "alpha": {"hosts": ["h1"], "vars": {"ansible_group_priority": 10}},
 "beta": {"hosts": ["h1"]},
 "deep": {"hosts": ["h1"]}}`

func loadSmall(t *testing.T, dir string, opts osa.VarsOptions) *osa.HostVars {
	t.Helper()
	root, err := osa.ReadJSON("inventory.json", []byte(smallInventory))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := root.(*osa.Map)
	opts.Config, opts.Tree = filepath.Join(dir, "operator"), filepath.Join(dir, "tree")
	all, err := osa.LoadVars(osa.NewInventory(m), opts)
	if err != nil {
		t.Fatal(err)
	}
	h, err := all.Host("h1")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// text is a variable as JSON on one line, or the error.
func text(t *testing.T, h *osa.HostVars, name string) string {
	t.Helper()
	v, ok := h.Variable(name)
	switch {
	case !ok:
		return "not defined"
	case v.Err != nil:
		return "error: " + v.Err.Error()
	}
	return compact(t, osa.Mask(v.Value))
}

func compact(t *testing.T, v osa.Value) string {
	t.Helper()
	out, err := osa.WriteJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	var anything any
	if err := json.Unmarshal(out, &anything); err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(anything)
	if err != nil {
		t.Fatal(err)
	}
	return string(line)
}

func TestPrecedence(t *testing.T) {
	dir := tree(t, map[string]string{
		"tree/group_vars/all/b.yml":                 "level: tree all\nform: directory\nlate: b\n",
		"tree/group_vars/all/a":                     "late: a\n",
		"tree/group_vars/all/z.yml~":                "late: editor\n",
		"tree/group_vars/all/.hidden.yml":           "late: hidden\n",
		"tree/group_vars/all/sub/x.yml":             "nested: x\n",
		"tree/group_vars/all.yml":                   "form: hidden by the directory\nfrom_all: tree\n",
		"tree/group_vars/deep.yml":                  "who: tree deep\n",
		"tree/group_vars/alpha.json":                `{"same_depth": "alpha"}`,
		"tree/group_vars/beta.yaml":                 "same_depth: beta\n",
		"operator/group_vars/top.yml":               "who: operator top\n",
		"operator/group_vars/all.yml":               "extra: no\nhash: {a: 1, b: 2}\n",
		"operator/group_vars/deep.yml":              "hash: {b: 3}\n",
		"operator/host_vars/h1.yml":                 "host_file: yes\nlevel: host file\nextra: host\n",
		"operator/user_variables.yml":               "extra: variables\n",
		"operator/user_a.yaml":                      "extra: a\n",
		"operator/user_secrets.yml":                 "password: s3cret\nextra: secrets\n",
		"operator/user_variables.yml.bak":           "extra: bak\n",
		"operator/group_vars/other_group/ignore.me": "x: [\n",
	})
	h := loadSmall(t, dir, osa.VarsOptions{})
	for _, c := range []struct{ name, want, reason string }{
		{"level", `"host file"`, "host_vars beat the inventory's host, which beats groups"},
		{"form", `"directory"`, "a directory hides the file of the same name"},
		{"late", `"b"`, "files of a directory by name; hidden ones and editors' copies are not read"},
		{"nested", `"x"`, "directories in directories"},
		{"from_all", `"inventory"`, "all.yml is hidden, too"},
		{"who", `"operator top"`, "the operator's directory beats the tree, even with a group less deep"},
		{"same_depth", `"alpha"`, "priority comes before the name"},
		{"hash", `{"b":3}`, "no deep merge"},
		{"host_file", `true`, "YAML 1.1"},
		{"extra", `"variables"`, "user_*.yml beat everything, in the order of names"},
		{"password", `"********"`, "user_secrets.yml is masked"},
		{"lazy", `"h1/10.0.0.2"`, "other hosts' variables"},
		{"group_names", `["alpha","beta","deep","top"]`, ""},
		{"nope", "not defined", ""},
	} {
		if got := text(t, h, c.name); got != c.want {
			t.Errorf("%s = %s, want %s (%s)", c.name, got, c.want, c.reason)
		}
	}
	v, _ := h.Variable("extra")
	var below []string
	for _, d := range v.Overrides {
		below = append(below, strings.TrimPrefix(d.Pos.String(), dir+"/")+" "+d.Level)
	}
	want := []string{
		"operator/user_secrets.yml:2 extra vars", "operator/user_a.yaml:1 extra vars", "operator/host_vars/h1.yml:3 host h1", "operator/group_vars/all.yml:1 group all",
	}
	if diff := cmp.Diff(want, below); diff != "" {
		t.Errorf("what was overridden (-want +got):\n%s", diff)
	}
}

func TestLazyEvaluation(t *testing.T) {
	dir := tree(t, map[string]string{"operator/user_variables.yml": `
a: "{{ b }}"
b: "{{ a }}"
c: "{{ nope }}"
d: "{{ c | default('saved') }}"
good: {x: 1, y: "{{ good.x + 1 }}", bad: ["{{ 1 }}", "{{ nope2 }}"]}
part: "{{ good.y }}"
om: {keep: 1, gone: "{{ nope | default(omit) }}"}
raw: !unsafe "{{ not a template }}"
fact: "{{ ansible_facts['hostname'] | lower }}"
number: "{{ 5 }}"
broken: "{{ 1 + }}"
alone: "{{ nope | default(omit) }}"
after: "{{ alone }}"
beside: "{{ alone }}x"
`})
	h := loadSmall(t, dir, osa.VarsOptions{})
	file := filepath.Join(dir, "operator/user_variables.yml")
	for _, c := range []struct{ name, want, reason string }{
		{"a", "refers to itself", "recursion is found"},
		{"c", file + `:4: c: {{ nope }}: "nope" is undefined`, "file, line and expression"},
		{"d", `"saved"`, "default forgives what is undefined further down"},
		{"good", file + `:6: good.bad[1]: {{ nope2 }}: "nope2" is undefined`, "the path within the value"},
		{"part", `2`, "native types look at what they need"},
		{"om", `{"keep":1}`, "omit takes its key with it"},
		{"alone", file + ":13: alone: it evaluates to omit", "a variable that is omit has no value, and says where"},
		{"after", file + ":14: after: it evaluates to omit", ""},
		{"beside", file + ":15: beside: {{ alone }}: omit may only be", ""},
		{"raw", `"{{ not a template }}"`, ""},
		{"fact", "no facts of h1 in", "why a fact is missing"},
		{"number", `5`, ""},
		{"broken", ":12: broken: {{ 1 + }}: syntax error", ""},
	} {
		if got := text(t, h, c.name); got != c.want && (!strings.HasPrefix(got, "error") || !strings.Contains(got, c.want)) {
			t.Errorf("%s = %s, want %s (%s)", c.name, got, c.want, c.reason)
		}
	}
	h = loadSmall(t, dir, osa.VarsOptions{Types: jinja.Text})
	if got := text(t, h, "number") + text(t, h, "part"); !strings.HasPrefix(got, `"5"error`) {
		t.Errorf("with text types: %s", got)
	}
}

func TestSecretsStayHidden(t *testing.T) {
	dir := tree(t, map[string]string{
		"operator/user_secrets.yml": "pw: hunter2\nnested: {user: bob, pw: hunter2}\nbad: \"{{ pw + 1 }}\"\n",
		"operator/user_variables.yml": `
url: "mysql://root:{{ pw }}@db"
deep: [{a: "{{ url | b64encode }}"}, plain]
user: {name: "x", pass: "{{ nested.pw }}"}
other: "{{ user.name }}"
chosen: "{{ 'a' if pw == 'hunter2' else 'b' }}"
fails: "{{ pw | from_json }}"
key: "{{ {pw: 1} }}"
`,
	})
	h := loadSmall(t, dir, osa.VarsOptions{})
	for name, want := range map[string]string{
		"pw": `"********"`, "url": `"********"`, "deep": `[{"a":"********"},"plain"]`, "user": `{"name":"x","pass":"********"}`,
		"other": `"x"`, "chosen": `"********"`, "nested": `{"pw":"********","user":"********"}`, "key": `"********"`,
	} {
		if got := text(t, h, name); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	for _, name := range h.Names() {
		if got := text(t, h, name); strings.Contains(got, "hunter2") {
			t.Errorf("%s tells: %s", name, got)
		}
	}
	if v, _ := h.Variable("url"); osa.Reveal(v.Value) != "mysql://root:hunter2@db" {
		t.Errorf("url in the clear = %v", osa.Reveal(v.Value))
	}
}

func TestVault(t *testing.T) {
	read := func(name string) string {
		out, err := os.ReadFile(filepath.Join("testdata/vault", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	dir := tree(t, map[string]string{
		"operator/group_vars/deep.yml": read("prod-1.2.yml"), "operator/user_secrets.yml": read("plain-1.1.yml"), "operator/user_b.yml": read("inline.yml") + "uses: \"<{{ inline_secret }}>\"\n",
	})
	password := osa.VaultPassword{Password: []byte("opensesame")}
	h := loadSmall(t, dir, osa.VarsOptions{Passwords: []osa.VaultPassword{{ID: "x", Password: []byte("wrong")}, password}})
	for name, want := range map[string]string{"vaulted_plain": "deep secret", "vaulted_user": "h1-x", "inline_secret": "inline secret", "uses": "<inline secret>"} {
		v, _ := h.Variable(name)
		if got := osa.Reveal(v.Value); got != want || text(t, h, name) != `"********"` {
			t.Errorf("%s = %v (shown as %s), %v; want %s", name, got, text(t, h, name), v.Err, want)
		}
	}
	root, _ := osa.ReadJSON("inventory.json", []byte(smallInventory))
	m, _ := root.(*osa.Map)
	for _, c := range []struct {
		passwords []osa.VaultPassword
		want      string
	}{{nil, "user_secrets.yml: error: is encrypted with ansible-vault: give its password with --vault-password-file"}, {[]osa.VaultPassword{{Password: []byte("no")}}, "none of the passwords given fits"}} {
		_, err := osa.LoadVars(osa.NewInventory(m), osa.VarsOptions{Config: filepath.Join(dir, "operator"), Passwords: c.passwords})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	inline := tree(t, map[string]string{"operator/user_b.yml": read("inline.yml") + "free: 1\nuses: \"{{ inline_secret }}\"\n"})
	h = loadSmall(t, inline, osa.VarsOptions{})
	if got := text(t, h, "uses"); !strings.Contains(got, "user_b.yml:1: inline_secret: the value is encrypted") {
		t.Errorf("a value without a password: %s", got)
	}
	if got := text(t, h, "free"); got != "1" {
		t.Errorf("what stands beside it: %s", got)
	}
}

// The seed document's files evaluate completely, for every container they are for, by both rules of types.
func TestSeedFilesEvaluate(t *testing.T) {
	for name, opts := range cases(t) {
		for _, types := range []jinja.Types{jinja.Native, jinja.Text} {
			_, res, err := generate(t, opts, osa.NewDraw())
			if err != nil {
				t.Fatal(err)
			}
			facts := t.TempDir()
			all, err := osa.LoadVars(res.Inventory, osa.VarsOptions{Config: opts.Config, Tree: opts.Environment, Facts: facts, Types: types})
			if err != nil {
				t.Fatal(err)
			}
			members := append(res.Inventory.Members("k8s_all"), res.Inventory.Members("magnum_all")...)
			if len(members) < 2 {
				t.Fatalf("%s: no containers", name)
			}
			for _, host := range members {
				writeFacts(t, facts, host)
				checkSeed(t, name, all, host, res.Inventory.Members("k8s_all"))
			}
		}
	}
}

func writeFacts(t *testing.T, dir, host string) {
	t.Helper()
	text := `{"ansible_hostname": "` + strings.ToUpper(host) + `", "ansible_os_family": "Debian"}`
	if err := os.WriteFile(filepath.Join(dir, host), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func checkSeed(t *testing.T, name string, all *osa.Variables, host string, nodes []string) {
	t.Helper()
	h, err := all.Host(host)
	if err != nil {
		t.Fatal(err)
	}
	fromFiles := 0
	for _, v := range h.Names() {
		got, _ := h.Variable(v)
		if v == "hostvars" {
			continue // refused as a whole
		}
		if got.Err != nil {
			t.Errorf("%s %s: %v", name, host, got.Err)
		}
		if strings.Contains(got.Origin.Pos.File, "group_vars") {
			fromFiles++
		}
		if !h.Builtin(v) && strings.Contains(compact(t, got.Value), "{{") {
			t.Errorf("%s %s: %s is still a template", name, host, v)
		}
	}
	want := map[string]string{}
	if strings.Contains(host, "magnum") {
		want["magnum_magnum_cluster_api_git_repo"] = `"https://github.com/vexxhost/magnum-cluster-api"`
		want["magnum_user_pip_packages"] = `["git+https://github.com/vexxhost/magnum-cluster-api@v0.24.2#egg=magnum-cluster-api","kubernetes"]`
	} else {
		want["kubelet_hostname"] = `"` + host + `"`
		service, _ := h.Variable("k8s_haproxy_services")
		list, _ := service.Value.(*osa.List)
		first, _ := list.Items()[0].(*osa.Map)
		backends, _ := first.Get("haproxy_backend_nodes").(*osa.List)
		if diff := cmp.Diff(nodes, backends.Strings()); diff != "" || first.Get("haproxy_service_enabled") != true {
			t.Errorf("%s %s: k8s_haproxy_services: %s", name, host, diff)
		}
	}
	for v, w := range want {
		if got := text(t, h, v); got != w {
			t.Errorf("%s %s: %s = %s, want %s", name, host, v, got, w)
		}
	}
	if fromFiles < 3 {
		t.Errorf("%s %s: only %d variables come from group_vars", name, host, fromFiles)
	}
}
