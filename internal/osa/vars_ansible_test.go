package osa_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/jinja"
	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// ansible runs one ad-hoc command and returns each host's message. The ansible that is installed is the judge; which
// types it has depends on its age.
func ansible(t *testing.T, pattern, message string, sources []string, args ...string) map[string]any {
	t.Helper()
	var line []string
	for _, s := range sources {
		line = append(line, "-i", s)
	}
	line = append(line, pattern, "-o", "-m", "debug", "-a", "msg="+message)
	cmd := exec.Command("ansible", append(line, args...)...)
	cmd.Env = append(os.Environ(), "ANSIBLE_NOCOLOR=1", "ANSIBLE_INJECT_FACT_VARS=false", "ANSIBLE_LOCALHOST_WARNING=false",
		"ANSIBLE_TRANSFORM_INVALID_GROUP_CHARS=ignore", "ANSIBLE_CACHE_PLUGIN=memory", "ANSIBLE_HOME="+t.TempDir())
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ansible: %v\n%.3000s", err, out)
	}
	got := map[string]any{}
	for _, l := range strings.Split(string(out), "\n") {
		host, text, ok := strings.Cut(l, " | SUCCESS => ")
		if !ok {
			continue
		}
		var answer struct{ Msg any }
		if err := json.Unmarshal([]byte(text), &answer); err != nil {
			t.Fatalf("ansible's answer: %v\n%.500s", err, text)
		}
		if s, isText := answer.Msg.(string); isText { // a list that did not come back from its text
			var v any
			if err := json.Unmarshal([]byte(s), &v); err != nil {
				t.Fatalf("ansible's answer: %v\n%.500s", err, s)
			}
			answer.Msg = v
		}
		got[host] = answer.Msg
	}
	return got
}

// ansibleTypes says whether there is an ansible to ask, and which types it has.
func ansibleTypes(t *testing.T) jinja.Types {
	t.Helper()
	out, err := exec.Command("ansible", "--version").Output()
	if err != nil {
		t.Skipf("ansible is not installed (apt-get install ansible-core), so nothing is compared with it: %v", err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	t.Log(first)
	if r := strings.SplitN(strings.Trim(strings.TrimPrefix(first, "ansible [core "), "]"), ".", 3); len(r) == 3 && len(r[1]) == 2 && r[1] < "19" {
		return jinja.Text
	}
	return jinja.Native
}

// source makes a directory that Ansible takes as OpenStack-Ansible's: a program that prints the inventory, beside
// group_vars.
func source(t *testing.T, dir, inventory string) string {
	t.Helper()
	path := filepath.Join(dir, "dynamic_inventory.py")
	for name, text := range map[string]string{path: "#!/bin/sh\ncat " + inventory + "\n", filepath.Join(dir, "inventory.ini"): ""} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// compare asks Ansible for the variables of hosts, and compares with ours.
func compareVars(t *testing.T, all *osa.Variables, pattern string, hosts, names, sources []string, args ...string) int {
	t.Helper()
	list, err := json.Marshal(names)
	if err != nil {
		t.Fatal(err)
	}
	theirs := ansible(t, pattern, "{{ query('vars', *names) | to_json }}", sources, append(args, "-e", `{"names": `+string(list)+`}`)...)
	compared := 0
	for _, host := range hosts {
		h, err := all.Host(host)
		if err != nil {
			t.Fatal(err)
		}
		values, ok := theirs[host].([]any)
		if !ok || len(values) != len(names) {
			t.Errorf("ansible does not answer for %s", host)
			continue
		}
		for i, name := range names {
			v, _ := h.Variable(name)
			if v.Err != nil {
				t.Errorf("%s %s: %v", host, name, v.Err)
				continue
			}
			var ours any
			if err := json.Unmarshal([]byte(compact(t, osa.Reveal(v.Value))), &ours); err != nil {
				t.Fatal(err)
			}
			if name == "groups" {
				sortDeepGroups(all, values[i], ours)
			}
			if diff := cmp.Diff(values[i], ours); diff != "" {
				t.Errorf("%s %s (-ansible +ours):\n%s", host, name, diff)
			}
			compared++
		}
	}
	return compared
}

// sortDeepGroups sorts the members of groups with grandchildren: Ansible walks them as a set, in another order on every
// run.
func sortDeepGroups(all *osa.Variables, theirs, ours any) {
	for _, side := range []any{theirs, ours} {
		groups, _ := side.(map[string]any)
		for name, members := range groups {
			list, _ := members.([]any)
			if name == "all" || all.HasGrandchildren(name) {
				slices.SortFunc(list, func(a, b any) int { return strings.Compare(a.(string), b.(string)) })
			}
		}
	}
}

func TestSeedVariablesAreAnsibles(t *testing.T) {
	types := ansibleTypes(t)
	compared := 0
	for name, opts := range cases(t) {
		_, res, err := generate(t, opts, osa.NewDraw())
		if err != nil {
			t.Fatal(err)
		}
		inventory, err := filepath.Abs(filepath.Join(opts.Config, osa.InventoryFile))
		if err != nil {
			t.Fatal(err)
		}
		config := t.TempDir()
		if err := os.CopyFS(config, os.DirFS(opts.Config)); err != nil {
			t.Fatal(err)
		}
		base := filepath.Join(t.TempDir(), "inventory")
		first := source(t, base, inventory)
		source(t, config, inventory)
		all, err := osa.LoadVars(res.Inventory, osa.VarsOptions{Config: config, Tree: base, Types: types})
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range []string{"k8s_all", "magnum_all"} {
			members := res.Inventory.Members(group)
			var names []string
			h, err := all.Host(members[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range h.Names() {
				if !h.Builtin(v) && v != "kubelet_hostname" { // that one needs facts
					names = append(names, v)
				}
			}
			names = append(names, "groups", "group_names", "inventory_hostname")
			compared += compareVars(t, all, group, members, names, []string{first, filepath.Join(config, "inventory.ini")})
		}
		t.Logf("%s: compared", name)
	}
	t.Logf("%d values are the same", compared)
}

func TestPrecedenceIsAnsibles(t *testing.T) {
	types := ansibleTypes(t)
	dir := tree(t, map[string]string{
		"tree/group_vars/all/b.yml": "p1: tree all b\np2: tree all b\np3: tree all b\n", "tree/group_vars/all/a": "p1: tree all a\n", "tree/group_vars/all/sub/x.yml": "p3: sub\np9: sub\n",
		"tree/group_vars/all/z.yml~": "p1: no\n", "tree/group_vars/all.yml": "p4: hidden\n", "tree/group_vars/deep.yml": "p5: tree deep\np6: tree deep\n",
		"tree/group_vars/alpha.json": `{"p7": "alpha"}`, "tree/group_vars/beta.yaml": "p7: beta\n", "tree/host_vars/h1.yml": "p6: tree host\np8: tree host\n",
		"operator/group_vars/all.yml": "p2: operator all\np4: operator all\np5: operator all\nlevel: operator all\nfrom_all: operator\n", "operator/group_vars/top.yml": "p5: operator top\n",
		"operator/host_vars/h1": "p8: operator host\n", "operator/group_vars/gamma/0.yml": "p0: gamma\n",
		"operator/group_vars/beta.yml": "y1: [yes, off, 0644, 1:30, 1e3, 1.5e+3, 0x1F, ~, 010, '010', 1_000, .5, 0o17, +1, -0, 1., y, n, 0b11]\ny2: {<<: &x {a: 1, b: 2}, b: 3}\ny3: !unsafe '{{ x }}'\n",
		"operator/user_a.yml":          "e1: a\nlazy2: \"{{ hostvars['h2'].address }}:{{ e1 }}\"\n", "operator/user_b.yaml": "e1: b\n",
	})
	root, err := osa.ReadJSON("inventory.json", []byte(smallInventory))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "inventory.json"), []byte(smallInventory), 0o600); err != nil {
		t.Fatal(err)
	}
	m, _ := root.(*osa.Map)
	first := source(t, filepath.Join(dir, "tree"), filepath.Join(dir, "inventory.json"))
	source(t, filepath.Join(dir, "operator"), filepath.Join(dir, "inventory.json"))
	all, err := osa.LoadVars(osa.NewInventory(m), osa.VarsOptions{Config: filepath.Join(dir, "operator"), Tree: filepath.Join(dir, "tree"), Types: types})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "level", "from_all", "y1", "y2", "y3", "e1", "lazy", "lazy2", "group_names", "groups"}
	n := compareVars(t, all, "h1", []string{"h1"}, names, []string{first, filepath.Join(dir, "operator", "inventory.ini")},
		"-e", "@"+filepath.Join(dir, "operator/user_a.yml"), "-e", "@"+filepath.Join(dir, "operator/user_b.yaml"))
	t.Logf("%d values are the same", n)
}
