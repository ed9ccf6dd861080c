package osa_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/jinja"
	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// releaseINI is what a release's inventory.ini is like, operatorINI an operator's that tries everything.
const (
	releaseINI = `## a base structure
[all]
localhost ansible_connection=local

[physical_hosts:children]
hosts
[hosts]

[late_parent:children]
late_child
[late_child]

[top:vars]
release=yes
kept=release
[top]
`
	operatorINI = `first.example.com:2222 color=red # ungrouped
[all:vars]
from_all = operator
dc_name=east
version=1.28.12
count=3
count_comment=3 # three
text_comment=a b # not three
flag=True
lower=true
nothing=None
listed=['a', 1, 2.5, None, {'k': [1,]}]
pair=1, 'b'
single=(1)
one=(1,)
quoted="it's"
octal=010
hex=0x1F
under=1_000
float=1e3
negative=-5
template={{ dc_name }}-{{ inventory_hostname }}
templates=['{{ dc_name }}', 'x']
url=http://h/?a=b
empty=
spaces =  two  words
json={"a": true}
escaped='a\tb\x41\u00e9\n'
joined='a' "b"
broken=[1, 2
[top:vars]
kept=operator
ansible_group_priority=7

[web]
web[01:03].example.com role="front end" size=5
db-[a:c] ansible_user='o''p' path=C:\\x
[1:2]-x
[2001:db8::1]:22 v6=1
h1 level=ini from_ini="{{ from_all }}"
h2 addr=10.0.0.9 # h2 is in the dynamic inventory
pair1 a=1 b='x y' c=[1,2]
[web:children]
deep
[extra-dash:children]
web
alpha
; a comment
[late_child]
h2
`
)

// three lays down the program's inventory, the release's file and the operator's.
func three(t *testing.T, ini string, more map[string]string) (dir string, inv *osa.Inventory) {
	t.Helper()
	files := map[string]string{"tree/inventory.ini": releaseINI, "operator/inventory.ini": ini, "inventory.json": smallInventory}
	for name, text := range more {
		files[name] = text
	}
	dir = tree(t, files)
	root, err := osa.ReadJSON("inventory.json", []byte(smallInventory))
	if err != nil {
		t.Fatal(err)
	}
	m, _ := root.(*osa.Map)
	return dir, osa.NewInventory(m)
}

func loadThree(t *testing.T, ini string, more map[string]string, opts osa.VarsOptions) (string, *osa.Variables, error) {
	t.Helper()
	dir, inv := three(t, ini, more)
	opts.Config, opts.Tree = filepath.Join(dir, "operator"), filepath.Join(dir, "tree")
	all, err := osa.LoadVars(inv, opts)
	return dir, all, err
}

func TestThreeInventories(t *testing.T) {
	dir, all, err := loadThree(t, operatorINI, map[string]string{
		"operator/group_vars/web.yml": "from_file: yes\nlevel: file of web\n", "tree/group_vars/physical_hosts.yml": "x: 1\n", "operator/user_variables.yml": "count: 9\n",
	}, osa.VarsOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ host, name, want, reason string }{
		{"h1", "from_all", `"operator"`, "a later source wins within the same group"},
		{"h1", "version", `"1.28.12"`, "the version of Kubernetes that an operator set there"},
		{"h1", "count", `9`, "extra variables win"},
		{"h1", "flag", `true`, "Python's literals"},
		{"h1", "lower", `"true"`, "JSON's words are text"},
		{"h1", "level", `"ini"`, "the inventories' host beats group_vars"},
		{"h1", "from_file", `true`, "group_vars for a group that only the file has"},
		{"h1", "kept", `"operator"`, ""},
		{"h1", "from_ini", `"operator"`, "values are templates"},
		{"h1", "group_names", `["alpha","beta","deep","extra-dash","top","web"]`, ""},
		{"h1", "ansible_group_priority", "not defined", "it is an order, not a variable"},
		{"h2", "addr", `"10.0.0.9"`, ""},
		{"h2", "address", `"10.0.0.2"`, "what the program says stays"},
		{"h2", "group_names", `["extra-dash","late_child","late_parent","top","web"]`, "a parent that was named first"},
		{"web02.example.com", "role", `"front end"`, "ranges, and quotes"},
		{"web02.example.com", "size", `5`, ""},
		{"db-b", "path", `"C:\\x"`, ""},
		{"first.example.com", "ansible_port", `2222`, ""},
		{"first.example.com", "group_names", `["ungrouped"]`, ""},
		{"localhost", "ansible_connection", `"local"`, "the release's file has it"},
		{"localhost", "group_names", `["ungrouped"]`, ""},
		{"localhost", "inventory_file", `"` + filepath.Join(dir, "tree/inventory.ini") + `"`, "where it was met first"},
		{"h1", "inventory_file", `"` + filepath.Join(dir, "tree/dynamic_inventory.py") + `"`, ""},
		{"h1", "physical", "not defined", ""},
	} {
		h, err := all.Host(c.host)
		if err != nil {
			t.Errorf("%s: %v", c.host, err)
			continue
		}
		if got := text(t, h, c.name); got != c.want {
			t.Errorf("%s %s = %s, want %s (%s)", c.host, c.name, got, c.want, c.reason)
		}
	}
	h, err := all.Host("h1")
	if err != nil {
		t.Fatal(err)
	}
	v, _ := h.Variable("kept")
	var at []string
	for _, d := range append([]osa.Definition{v.Origin}, v.Overrides...) {
		at = append(at, strings.TrimPrefix(d.Pos.String(), dir+"/")+" "+d.Level)
	}
	if diff := cmp.Diff([]string{"operator/inventory.ini:32 inventory, group top", "tree/inventory.ini:15 inventory, group top"}, at); diff != "" {
		t.Errorf("where it comes from (-want +got):\n%s", diff)
	}
	if _, ok := all.Inventory().Group("physical_hosts"); !ok {
		t.Error("the release's groups are missing")
	}
}

func TestSafeGroups(t *testing.T) {
	_, all, err := loadThree(t, operatorINI, map[string]string{"operator/group_vars/extra_dash.yml": "x: 1\n"}, osa.VarsOptions{SafeGroups: true})
	if err != nil {
		t.Fatal(err)
	}
	h, err := all.Host("h1")
	if err != nil {
		t.Fatal(err)
	}
	if got := text(t, h, "group_names") + text(t, h, "x"); got != `["alpha","beta","deep","extra_dash","top","web"]1` {
		t.Errorf("from release 33 on: %s", got)
	}
}

// Every line that Ansible would not take is named at once.
func TestBrokenINI(t *testing.T) {
	for _, c := range []struct{ text, want, reason string }{
		{"[a:vars]\nx=1\n", ":1: [a:vars] is for a group that nothing declares", "Ansible drops the whole file"},
		{"[a:children]\nnosuch\n", ":2: [a:children] names the group nosuch, which nothing declares", ""},
		{"[a:bogus]\nx\n", ":1: [a:bogus]: there are only", ""},
		{"[a b]\n", ":1: [a b] is not a section", ""},
		{"[a]\nh x\n", `:2: after a host only name=value may follow, and this is "x"`, ""},
		{"[a]\nh x='y\n", ":2: a quote (') is not closed", ""},
		{"[a]\n[a:vars]\nx\n", `:3: a line of [a:vars] must be name=value`, ""},
		{"[a]\nh[3:1]\n", ":2: the range", ""},
		{"[a]\nh[01:100]\n", ":2: the range", "lengths differ"},
		{"[a]\nh[1:100000000]\n", ":2: the range", "too many"},
		{"[a]\nh[1:300][1:300][1:300]\n", ":2: the range", "too many"},
		{"[a]\nh:\n", ":2: the host", ""},
		{"[a:children]\na\n", ":2: the group a cannot be below a", ""},
		{"[a:children]\nb\n[b:children]\na\n", ":4: the group a cannot be below b", "a loop"},
		{"[a]\nh x\n[b c]\n", ":3: [b c] is not a section", "all at once"},
		{"[a:vars\nx=1\n", ":1: \"[a:vars\" is not a host name", "a section that is not closed"},
		{"[a]\nx=1\n", ":2: \"x=1\" is not a host name", "a variable below a group of hosts"},
		{"\xff\xfe\n", ":1: is not UTF-8", ""},
	} {
		_, _, err := loadThree(t, c.text, nil, osa.VarsOptions{})
		if err == nil || !strings.Contains(err.Error(), "operator/inventory.ini"+c.want) {
			t.Errorf("%q: %v, want %s (%s)", c.text, err, c.want, c.reason)
		}
	}
}

func TestThreeInventoriesAreAnsibles(t *testing.T) {
	types := ansibleTypes(t)
	dir, all, err := loadThree(t, operatorINI, map[string]string{
		"operator/group_vars/web.yml": "from_file: yes\nlevel: file of web\n", "operator/group_vars/ungrouped.yml": "alone: yes\n",
		"tree/host_vars/localhost.yml": "local: yes\n",
	}, osa.VarsOptions{Types: types})
	if err != nil {
		t.Fatal(err)
	}
	if types != jinja.Text {
		t.Log("the inventory's rules are compared with native types")
	}
	first := source(t, filepath.Join(dir, "tree"), filepath.Join(dir, "inventory.json"))
	for name, text := range map[string]string{"tree": releaseINI, "operator": operatorINI} { // source empties it
		if err := os.WriteFile(filepath.Join(dir, name, "inventory.ini"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sources := []string{first, filepath.Join(dir, "tree/inventory.ini"), filepath.Join(dir, "operator/inventory.ini")}
	compared := 0
	for _, host := range all.Inventory().Hosts() {
		h, err := all.Host(host.Name)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, v := range h.Names() {
			if !h.Builtin(v) {
				names = append(names, v)
			}
		}
		names = append(names, "groups", "group_names", "inventory_hostname", "inventory_file", "inventory_dir")
		if host.Name == "localhost" {
			names = slices.DeleteFunc(names, func(n string) bool { return n == "ansible_python_interpreter" })
		}
		if !slices.Contains([]string{"h1", "h2", "localhost", "first.example.com", "web02.example.com", "db-b", "pair1", "1-x", "2001:db8::1"}, host.Name) {
			continue
		}
		compared += compareVars(t, all, strings.ReplaceAll(host.Name, "2001:db8::1", "*db8*"), []string{host.Name}, names, sources)
	}
	if compared < 200 {
		t.Errorf("only %d values were compared", compared)
	}
	t.Logf("%d values are the same", compared)
}

func FuzzINI(f *testing.F) {
	f.Add(operatorINI)
	f.Add(releaseINI)
	f.Add("[a:vars]\nx='\\x41' \"b\" # c\n[a]\nh[1:3]:22 y=(1,)\n")
	f.Fuzz(func(_ *testing.T, text string) {
		_ = osa.ParseINI(text)
		osa.PythonLiteral(text)
	})
}
