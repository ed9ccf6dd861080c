package deploy

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/jeroboam-cloud/jeroboam/test/internal/inventory"
)

// TestBesideCloud is an operator's whole journey beside a real OpenStack ("lab up --cloud DIR" beside "cloud up"): one
// apply makes the management cluster, Magnum behind TLS, and the proxy on the host where Neutron's namespaces are;
// clients find Magnum on both addresses; a tenant's private cluster is made through that proxy, and verify judges the
// cloud by another one; Magnum's server and the proxy are killed under clients; a second apply changes nothing; destroy
// leaves nothing.
//
// Parts can be run one after the other (ARGS="-run TestBesideCloud/one_apply"), as long as they are in this order.
//
// The cloud may have others in it: Magnum's endpoints are in a region of their own, which the test makes and takes
// away.
func TestBesideCloud(t *testing.T) {
	b := besideCloud(t)
	b.configure(t, append(wholeSettings(b.shell(t) != ""), b.settings()...)...)
	b.node = b.nodes(t)[0]
	stage := func(name string, do func(*testing.T)) bool {
		began := time.Now()
		ok := t.Run(name, do)
		t.Logf("%s: %s", name, time.Since(began).Round(time.Second))
		return ok
	}
	if !stage("one apply", b.applyOnce) {
		return
	}
	b.servers = b.group(t, "magnum_container")
	stage("clients find Magnum", b.clients)
	if b.image != "" && stage("a private cluster", b.privateCluster) {
		stage("killed under clients", b.killedUnderClients)
		stage("an infra host loses power", b.hostLosesPower)
		stage("the private cluster is deleted", b.privateClusterGone)
		stage("apply with verify", b.verified)
	}
	stage("a second apply changes nothing", func(t *testing.T) {
		t.Helper()
		if again := b.apply(t); !strings.Contains(again, "no changes") {
			t.Errorf("it changes something:\n%s", again)
		}
	})
	stage("destroy leaves nothing", func(t *testing.T) {
		t.Helper()
		if _, err := b.cluster(t, private); err == nil { // a stage that failed has left it, and nobody could delete it after destroy
			b.deleted(t, private)
		}
		if out, code := b.deploy(t, "destroy", "--allow", "delete"); code != 0 {
			t.Fatalf("destroy: status %d\n%s", code, out)
		}
		if b.file != "" {
			_, _ = b.openstack(t, true, "image", "delete", ownImage) // it may never have been there
		}
		b.inRegion(t, "remove")
		if diff := gocmp.Diff(b.tracesBefore(t), b.traces(t), cmpopts.AcyclicTransformer("lines", func(s string) []string { return strings.Split(s, "\n") })); diff != "" {
			t.Errorf("the hosts are not as they were (-before +after):\n%s", diff)
		}
	})
}

// beside is the lab and the cloud beside it.
type beside struct {
	magnumLab

	cloud string // its directory
	file  string // of nodes, to be uploaded; "" if it is in the cloud already
	image string // its name; "" for a journey without clusters
}

// Names that the test uses in the cloud.
const (
	ownRegion  = "whole"
	ownAccount = "magnum-whole"
	ownImage   = "whole-node"
	tenantName = "other"
	private    = "whole-private"
)

// besideCloud is where the two are. "make e2e-whole CLOUD_DIR=DIR" says so.
func besideCloud(t *testing.T) *beside {
	t.Helper()
	cloud := os.Getenv("CLOUD_DIR")
	if cloud == "" {
		t.Skip("CLOUD_DIR is not set: \"make e2e-whole CLOUD_DIR=DIR\" runs this, after \"make cloud-up\" and \"lab up --cloud DIR\" (root)")
	}
	b := &beside{magnumLab: magnumLab{lab: open(t)}, cloud: cloud, file: os.Getenv("NODE_IMAGE"), image: os.Getenv("NODE_IMAGE_NAME")}
	if b.file != "" {
		b.image = ownImage
	}
	b.keystone = "http://10.77.0.10:5000/v3"
	b.regionName = ownRegion
	return b
}

// networkDriver is the network of pods that the images of nodes have: NETWORK_DRIVER, or Cilium.
func networkDriver() string { return cmp.Or(os.Getenv("NETWORK_DRIVER"), "cilium") }

// settings are the operator's words for a cloud that has another Magnum already, and images of nodes for one network.
func (b *beside) settings() []string {
	return []string{
		"service_region: " + ownRegion,
		"magnum_service_user_name: " + ownAccount,
		"magnum_config_overrides:",
		fmt.Sprintf("  cluster_template: {kubernetes_allowed_network_drivers: %s, kubernetes_default_network_driver: %[1]s}", networkDriver()),
		"  capi_client: {ca_file: /usr/local/share/ca-certificates/ExampleCorpRoot.crt, endpoint: internalURL}",
		"  drivers: {openstack_ca_file: /usr/local/share/ca-certificates/ExampleCorpRoot.crt}",
	}
}

// regionScript gives all services of the cloud but Magnum endpoints in a second region, or takes that region away with
// what was made in it.
const regionScript = `
import openstack, sys
region, account, verb = sys.argv[1:]
c = openstack.connect(load_yaml_config=False, auth=dict(auth_url="http://10.77.0.10:5000/v3", username="admin", password="lab", project_name="admin",
    user_domain_name="Default", project_domain_name="Default"), region_name="RegionOne").identity
for e in list(c.endpoints(region_id=region)):
    c.delete_endpoint(e)
for r in c.regions():
    if r.id == region:
        c.delete_region(r)
for u in c.users(name=account):
    c.delete_user(u)
if verb == "make":
    c.create_region(id=region)
    types = {s.id: s.type for s in c.services()}
    for e in list(c.endpoints(region_id="RegionOne")):
        if types[e.service_id] != "container-infra":
            c.create_endpoint(service_id=e.service_id, interface=e.interface, region_id=region, url=e.url)
`

// inRegion makes the region, or removes it.
func (b *beside) inRegion(t *testing.T, verb string) {
	t.Helper()
	if out, code := b.run(t, "/usr/bin/python3", "-c", regionScript, ownRegion, ownAccount, verb); code != 0 {
		t.Fatalf("%s the region %s: status %d: %s", verb, ownRegion, code, out)
	}
}

// applyOnce is the one apply, with the time of each of its steps.
func (b *beside) applyOnce(t *testing.T) {
	t.Helper()
	b.inRegion(t, "make")
	text, err := json.Marshal(b.traces(t))
	if err == nil {
		err = os.WriteFile(b.dir+tracesFile, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	out := b.apply(t)
	for line := range strings.Lines(out) {
		if strings.Contains(line, ": done (") {
			t.Log(strings.TrimSpace(line))
		}
	}
	b.converged(t)
	if out := b.ssh(t, cloudHost, "/usr/local/bin/jeroboam proxy status --output json"); !strings.Contains(out, `"ready":true`) {
		t.Errorf("the proxy beside Neutron: %s", out)
	}
}

const (
	cloudHost = "cloud"
	// tracesFile is where the parts of the test keep what there was before the apply, below the lab's directory.
	tracesFile = "/log/before.json"
)

// tracesBefore are those of the hosts before the apply.
func (b *beside) tracesBefore(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(b.dir + tracesFile)
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]string{}
	decode(t, string(text), &before)
	return before
}

// traces are the files of the hosts, and those of the cloud's host where a deployment could leave some. What libvirt
// makes there for servers is not its.
func (b *beside) traces(t *testing.T) map[string]string {
	t.Helper()
	out := b.files(t)
	out[cloudHost] = b.ssh(t, cloudHost, "find /etc /root /opt /usr/local -xdev -path /etc/libvirt -prune -o -print | sort; find /var/lib /var/cache /var/log -xdev -maxdepth 1 | sort")
	return out
}

// tenant runs the client as an ordinary user, by the public endpoints.
func (b *beside) tenant(t *testing.T, args ...string) (string, int) {
	t.Helper()
	return b.run(t, append(append([]string{"env"}, b.client(false, tenantName, tenantName, tenantName)...), args...)...)
}

// say is a command of the client that must succeed.
func (b *beside) say(t *testing.T, args ...string) string {
	t.Helper()
	out, code := b.tenant(t, append([]string{"openstack"}, args...)...)
	if code != 0 {
		t.Fatalf("openstack %s: status %d: %s", strings.Join(args, " "), code, out)
	}
	return strings.TrimSpace(out)
}

// upload brings the image of nodes into Glance.
func (b *beside) upload(t *testing.T) {
	t.Helper()
	if _, code := b.openstack(t, true, "image", "show", b.image); code == 0 {
		return // somebody's, or of a run before
	}
	admin := append([]string{"env"}, b.client(true, "admin", "lab", "admin")...)
	if out, code := b.run(t, append(admin, b.jeroboam, "image", "upload", b.file, "--name", b.image, "--public")...); code != 0 {
		t.Fatalf("image upload: status %d: %s", code, out)
	}
}

// shown is what the client shows of a cluster.
type shown struct {
	UUID       string `json:"uuid"`
	Status     string `json:"status"`
	Reason     string `json:"status_reason"`
	Health     string `json:"health_status"`
	APIAddress string `json:"api_address"`
}

func (b *beside) cluster(t *testing.T, name string) (shown, error) {
	t.Helper()
	out, code := b.tenant(t, "openstack", "coe", "cluster", "show", name, "-f", "json")
	if code != 0 {
		return shown{}, fmt.Errorf("coe cluster show %s: status %d", name, code)
	}
	var s shown
	return s, json.Unmarshal([]byte(out), &s)
}

// have is everything that the tenant's project has in the cloud, by kind.
func (b *beside) have(t *testing.T) map[string][]string {
	t.Helper()
	have, err := inventory.Of(func(command ...string) (string, error) {
		out, code := b.tenant(t, command...)
		if code != 0 {
			return "", fmt.Errorf("status %d: %s", code, out)
		}
		return out, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return have
}

// labels are what this machine's images of nodes lack: what no module proxy serves.
func (b *beside) labels(t *testing.T) []string {
	t.Helper()
	return []string{"kube_tag=v" + b.kubernetes(t), "cinder_csi_enabled=false"}
}

// verified lets apply judge the cloud at its end, by a cluster that is reached through the proxy only.
func (b *beside) verified(t *testing.T) {
	t.Helper()
	args := []string{"--verify", "--verify-private", "--verify-image-name", b.image, "--verify-conformance", "none", "--verify-external-network", "public"}
	for _, label := range b.labels(t) {
		args = append(args, "--verify-label", label)
	}
	out, code := b.deploy(t, "apply", args...)
	t.Log(tailOf(out))
	if code != 0 {
		t.Errorf("the cloud did not pass: status %d", code)
	}
	for _, check := range []string{"cluster", "connect", "nodes", "pods", "dns", "reach", "policy", "balancer", "resize", "health"} {
		if !strings.Contains(out, check+": passed") {
			t.Errorf("%s did not pass", check)
		}
	}
}
