package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Clients beside the openstack command line (TestClusterWithTheClient and its kind) and gophercloud (TestGophercloud): make e2e-clients runs
// all of them and prints their versions. docs/clients.md says what is known not to pass.

// debianPython is the one that Debian's packages are for.
const debianPython = "/usr/bin/python3"

// sdkDay is a day of a cluster as a program sees it that uses openstacksdk's cloud layer. It prints what it has seen.
const sdkDay = `
import json, sys, time
import openstack
conn = openstack.connect(cloud="demo")
seen = {"version": openstack.version.__version__}
template = conn.create_cluster_template(
    "sdk", image_id="ubuntu-2204-kube-v1.34.2", keypair_id="default", coe="kubernetes", external_network_id="public",
    flavor_id="m1.small", master_flavor_id="m1.small", network_driver="calico", master_lb_enabled=True,
    labels={"kube_tag": "v1.34.2"})
seen["template"] = conn.get_cluster_template("sdk")["uuid"] == template["uuid"]
cluster = conn.create_coe_cluster("sdk", template["uuid"], node_count=1, master_count=1, keypair="default")
def await_state(*states):
    for _ in range(1200):
        found = conn.get_coe_cluster("sdk")
        if found is None or found["status"] in states:
            return found
        if found["status"].endswith("FAILED"):
            sys.exit("cluster sdk: %s %s" % (found["status"], found["status_reason"]))
        time.sleep(0.25)
    sys.exit("cluster sdk stays %s: %s" % (found["status"], found["status_reason"]))
seen["created"] = await_state("CREATE_COMPLETE")["status"]
seen["listed"] = [c["name"] for c in conn.list_coe_clusters() if c["name"] == "sdk"]
conn.update_coe_cluster("sdk", "replace", node_count=2)
updated = await_state("UPDATE_COMPLETE")
seen["updated"] = [updated["status"], updated["node_count"]]
seen["authority"] = conn.get_coe_cluster_certificate(updated["uuid"])["pem"].splitlines()[0]
seen["deleted"] = conn.delete_coe_cluster("sdk")
await_state("DELETE_COMPLETE")
seen["gone"] = conn.get_coe_cluster("sdk") is None
seen["template_deleted"] = conn.delete_cluster_template("sdk")
print(json.dumps(seen))
`

func TestOpenStackSDK(t *testing.T) {
	t.Parallel()
	if out, err := exec.CommandContext(t.Context(), debianPython, "-c", "import openstack").CombinedOutput(); err != nil {
		t.Skipf("Debian's python3-openstacksdk is not there: %v %s", err, out)
	}
	all := shared(t)
	env := []string{"OS_CLIENT_CONFIG_FILE=" + filepath.Join(all.stateDir, "clouds.yaml"), "PYTHONWARNINGS=ignore"}
	out, problems, err := programWithin(t, clusterBound, env, debianPython, "-c", sdkDay)
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, problems)
	}
	var seen struct {
		Version, Created, Authority string
		Template, Deleted, Gone     bool
		TemplateDeleted             bool `json:"template_deleted"`
		Listed                      []string
		Updated                     []any
	}
	if err := json.Unmarshal([]byte(out), &seen); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	t.Logf("openstacksdk %s", seen.Version)
	if !seen.Template || seen.Created != "CREATE_COMPLETE" || len(seen.Listed) != 1 || len(seen.Updated) != 2 || seen.Updated[1] != 2.0 ||
		seen.Authority != "-----BEGIN CERTIFICATE-----" || !seen.Deleted || !seen.Gone || !seen.TemplateDeleted {
		t.Errorf("got %s", out)
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
