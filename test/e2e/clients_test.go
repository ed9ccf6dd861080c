package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Clients beside the openstack command line (TestClusterWithTheClient and its kind) and gophercloud (TestGophercloud):
// make e2e-clients runs all of them and prints their versions. docs/clients.md says what is known not to pass.

// debianPython is the one that Debian's packages are for.
const debianPython = "/usr/bin/python3"

// script is a program of testdata/clients. It lives a client's day against the cloud of clouds.yaml and prints what it
// has seen as JSON.
func (a *allinone) script(t *testing.T, name string, seen any, args ...string) {
	t.Helper()
	a.scriptWith(t, "", name, seen, args...)
}

// scriptWith is script with a directory of Python's that goes before Debian's.
func (a *allinone) scriptWith(t *testing.T, modules, name string, seen any, args ...string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata/clients", name))
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"OS_CLIENT_CONFIG_FILE=" + filepath.Join(a.stateDir, "clouds.yaml"), "PYTHONWARNINGS=ignore"}
	if modules != "" {
		env = append(env, "PYTHONPATH="+modules)
	}
	out, problems, err := programWithin(t, suiteBound, env, debianPython, append([]string{path}, args...)...)
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, out, lastLines(problems, 20))
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), seen); err != nil {
		t.Fatalf("%s: %v:\n%s", name, err, out)
	}
}

// onlyAsClient skips a test that wants packages and minutes which "make e2e" does not spend.
func onlyAsClient(t *testing.T) {
	t.Helper()
	if os.Getenv("E2E_CLIENTS") == "" {
		t.Skip("\"make e2e-clients\" runs it")
	}
}

// imports skips a test when a module of Debian's Python is not there, and says which package has it.
func imports(t *testing.T, modules, debianPackage string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), debianPython, "-W", "ignore", "-c", "import "+modules).CombinedOutput(); err != nil {
		t.Skipf("Debian's %s is not installed: %s", debianPackage, lastLines(string(out), 1))
	}
}

// newest is a directory of clients that are newer than Debian 12's.
func newest(t *testing.T, name string) string {
	t.Helper()
	onlyAsClient(t)
	dir, err := filepath.Abs(filepath.Join("../../bin/clients", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Fatalf("%v: test/e2e/newest-clients.sh fetches it", err)
	}
	return dir
}

func TestOpenStackSDK(t *testing.T) {
	t.Parallel()
	imports(t, "openstack", "python3-openstacksdk")
	all := shared(t)
	t.Run("of Debian 12", func(t *testing.T) {
		t.Parallel()
		sdkDay(t, all, "", "sdk")
	})
	t.Run("the newest", func(t *testing.T) {
		t.Parallel()
		sdkDay(t, all, newest(t, "sdk"), "sdk-newest")
	})
}

func sdkDay(t *testing.T, all *allinone, modules, cluster string) {
	t.Helper()
	var seen struct {
		Version, Created, Authority string
		Template, Deleted, Gone     bool
		TemplateDeleted             bool `json:"template_deleted"`
		Listed                      []string
		Updated                     []any
	}
	all.scriptWith(t, modules, "sdk_day.py", &seen, cluster)
	t.Logf("openstacksdk %s", seen.Version)
	if !seen.Template || seen.Created != "CREATE_COMPLETE" || len(seen.Listed) != 1 || len(seen.Updated) != 2 || seen.Updated[1] != 2.0 ||
		seen.Authority != "-----BEGIN CERTIFICATE-----" || !seen.Deleted || !seen.Gone || !seen.TemplateDeleted {
		t.Errorf("got %+v", seen)
	}
}

// TestAnsible lives a day with the modules of the newest openstack.cloud: a template and a cluster are made, found to
// be as they were asked for, and removed. The 1.x of Debian 12 refuses the openstacksdk of Debian 12 before it asks
// anything.
func TestAnsible(t *testing.T) {
	t.Parallel()
	modules := newest(t, "ansible")
	sdk := newest(t, "sdk")
	if _, err := exec.LookPath("ansible"); err != nil {
		t.Skip("Debian's ansible is not there")
	}
	all := shared(t)
	user := all.as(t, "demo")
	env := []string{
		"OS_CLIENT_CONFIG_FILE=" + filepath.Join(all.stateDir, "clouds.yaml"), "ANSIBLE_LOCALHOST_WARNING=False", "ANSIBLE_COLLECTIONS_PATH=" + modules,
		"ANSIBLE_PYTHON_INTERPRETER=" + debianPython, "PYTHONPATH=" + sdk, "PYTHONWARNINGS=ignore",
	}
	// does runs a module and tells whether it says that it changed something.
	does := func(module, arguments string) bool {
		t.Helper()
		out, problems, err := program(t, env, "ansible", "localhost", "-m", "openstack.cloud."+module, "-a", "cloud=demo name=ansible "+arguments)
		if err != nil {
			t.Fatalf("%s %s: %v\n%s%s", module, arguments, err, out, problems)
		}
		return strings.Contains(out, `"changed": true`)
	}
	template := "coe=kubernetes image_id=ubuntu-2204-kube-v1.34.2 keypair_id=default external_network_id=public flavor_id=m1.small " +
		"master_flavor_id=m1.small network_driver=calico labels=kube_tag:v1.34.2 state="
	of := func(state string) string { // wait=false: the module waits for a status that Magnum does not have
		var list struct{ ClusterTemplates []struct{ UUID, Name string } }
		user.want(t, http.StatusOK, http.MethodGet, "/clustertemplates", nil, &list)
		for _, c := range list.ClusterTemplates {
			if c.Name == "ansible" {
				return "cluster_template_id=" + c.UUID + " keypair=default master_count=1 node_count=1 wait=false state=" + state
			}
		}
		t.Fatalf("no template of that name: %v", list)
		return ""
	}

	if !does("coe_cluster_template", template+"present") {
		t.Error("making the template changed nothing")
	}
	if does("coe_cluster_template", template+"present") {
		t.Error("the template is as it was asked for, and the module changes it")
	}
	if !does("coe_cluster", of("present")) {
		t.Error("making the cluster changed nothing")
	}
	user.deleteAfter(t, "ansible")
	made := user.reaches(t, "ansible", "CREATE_COMPLETE")
	if does("coe_cluster", of("present")) {
		t.Error("the cluster is as it was asked for, and the module changes it")
	}
	if !does("coe_cluster", "wait=false state=absent") {
		t.Error("removing the cluster changed nothing")
	}
	user.gone(t, made.UUID)
	if !does("coe_cluster_template", "state=absent") || does("coe_cluster_template", "state=absent") {
		t.Error("the template goes once")
	}
}

// TestNewestMagnumClient lives the day with the newest python-magnumclient, and what it has beyond Debian 12's: node
// labels and taints, and a new credential.
func TestNewestMagnumClient(t *testing.T) {
	t.Parallel()
	all := shared(t)
	demo := all.client("demo")
	demo.modules = newest(t, "magnumclient")
	t.Run("the day", func(t *testing.T) {
		t.Parallel()
		clusterDay(t, demo, "day-newest", "--node-count", "1")
	})
	t.Run("what is new in it", func(t *testing.T) {
		t.Parallel()
		user := all.as(t, "demo")
		made := user.make(t, "newest", object{"node_count": 1})
		config := demo.config(t, "newest")
		shows := func(ident, template string) string {
			return kubectlSays(t, "--kubeconfig", config, "get", "nodes", "-l", "node.cluster.x-k8s.io/nodegroup="+ident, "-o", "jsonpath="+template)
		}
		demo.says(t, "coe", "nodegroup", "create", "newest", "gold", "--node-count", "1", "--node-labels", "example.com/tier=gold",
			"--node-taints", "example.com/gold=yes:NoSchedule")
		user.reaches(t, made.UUID, "UPDATE_COMPLETE")
		if got := shows("gold", `{.items[*].metadata.labels.example\.com/tier} {.items[*].spec.taints[?(@.key=="example.com/gold")].effect}`); got != "gold NoSchedule" {
			t.Errorf("label and taint of the new group's node: %q", got)
		}
		demo.says(t, "coe", "nodegroup", "update", "newest", "gold", "--node-labels", "example.com/tier=silver", "--node-taints", "", "--max-nodes", "3")
		user.reaches(t, made.UUID, "UPDATE_COMPLETE")
		await(t, "the node is as its group is now", clusterBound, func(context.Context) (bool, string, error) {
			got := shows("gold", `{.items[*].metadata.labels.example\.com/tier} {.items[*].spec.taints[?(@.key=="example.com/gold")].effect}`)
			return got == "silver ", got, nil
		})
		// A command that fails says so and ends with 0: what it printed is what counts.
		if said := demo.says(t, "coe", "credential", "rotate", "newest"); !strings.Contains(said, made.UUID+" accepted") {
			t.Errorf("coe credential rotate: %q", said)
		}
		user.reaches(t, made.UUID, "UPDATE_COMPLETE")
		demo.refused(t, "is referenced by one or multiple clusters", "coe", "cluster", "template", "update", "newest", "--keypair", "default")
	})
}
