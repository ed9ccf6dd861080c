package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Clients beside the openstack command line (TestClusterWithTheClient and its kind) and gophercloud (TestGophercloud): make e2e-clients runs
// all of them and prints their versions. docs/clients.md says what is known not to pass.

// debianPython is the one that Debian's packages are for.
const debianPython = "/usr/bin/python3"

// script is a program of testdata/clients. It lives a client's day against the cloud of clouds.yaml and prints what it has seen as JSON.
func (a *allinone) script(t *testing.T, name string, seen any, args ...string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata/clients", name))
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"OS_CLIENT_CONFIG_FILE=" + filepath.Join(a.stateDir, "clouds.yaml"), "PYTHONWARNINGS=ignore"}
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

func TestOpenStackSDK(t *testing.T) {
	t.Parallel()
	imports(t, "openstack", "python3-openstacksdk")
	all := shared(t)
	var seen struct {
		Version, Created, Authority string
		Template, Deleted, Gone     bool
		TemplateDeleted             bool `json:"template_deleted"`
		Listed                      []string
		Updated                     []any
	}
	all.script(t, "sdk_day.py", &seen)
	t.Logf("openstacksdk %s", seen.Version)
	if !seen.Template || seen.Created != "CREATE_COMPLETE" || len(seen.Listed) != 1 || len(seen.Updated) != 2 || seen.Updated[1] != 2.0 ||
		seen.Authority != "-----BEGIN CERTIFICATE-----" || !seen.Deleted || !seen.Gone || !seen.TemplateDeleted {
		t.Errorf("got %+v", seen)
	}
}

// TestAnsible makes and removes a cluster template with Debian's openstack.cloud collection. Its 1.x refuses openstacksdk 0.99 and later, of
// which Debian 12 has one: then nothing reaches us, and the test says so.
func TestAnsible(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ansible"); err != nil {
		t.Skip("Debian's ansible is not there")
	}
	all := shared(t)
	env := []string{
		"OS_CLIENT_CONFIG_FILE=" + filepath.Join(all.stateDir, "clouds.yaml"), "HOME=" + t.TempDir(), "ANSIBLE_LOCALHOST_WARNING=False",
		"ANSIBLE_PYTHON_INTERPRETER=" + debianPython,
	}
	for _, state := range []string{"present", "absent"} {
		arguments := "cloud=demo name=ansible coe=kubernetes image_id=ubuntu-2204-kube-v1.34.2 keypair_id=default external_network_id=public " +
			"flavor_id=m1.small master_flavor_id=m1.small network_driver=calico state=" + state
		out, problems, err := program(t, env, "ansible", "localhost", "-m", "openstack.cloud.coe_cluster_template", "-a", arguments)
		if strings.Contains(out+problems, "openstacksdk") && strings.Contains(out+problems, "MUST be") {
			t.Skip("this openstack.cloud refuses this openstacksdk before it asks us anything")
		}
		if err != nil || !strings.Contains(out, `"changed": true`) {
			t.Fatalf("%s: %v\n%s%s", state, err, out, problems)
		}
	}
}
