package deploy

import (
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy"
)

// privateCluster is made by a tenant: its API server has no address outside, so that everybody who is not in its
// network goes through the proxy that apply has put beside Neutron. Meanwhile packets are looked at.
func (b *beside) privateCluster(t *testing.T) {
	t.Helper()
	b.upload(t)
	t.Cleanup(func() {
		if t.Failed() {
			b.tell(t)
		}
	})
	_, _ = b.tenant(t, "openstack", "coe", "cluster", "template", "delete", private) // of a run that was killed
	began := time.Now()
	b.say(t, "coe", "cluster", "template", "create", private, "--coe", "kubernetes", "--image", b.image, "--flavor", "m1.medium", "--master-flavor", "m1.medium",
		"--external-network", "public", "--network-driver", networkDriver(), "--keypair", "default", "--master-lb-enabled",
		"--labels", strings.Join(append(b.labels(t), "master_lb_floating_ip_enabled=false"), ","))
	host, network := b.watch(t, b.node.host), b.watch(t, cloudHost)
	b.say(t, "coe", "cluster", "create", private, "--cluster-template", private, "--master-count", "1", "--node-count", "1")
	last := ""
	b.until(t, 20*time.Minute, private+" is complete", func() (bool, string) {
		s, err := b.cluster(t, private)
		if err != nil {
			return false, err.Error()
		}
		if s.Reason != last {
			last = s.Reason
			t.Logf("%3.0f s: %s: %s", time.Since(began).Seconds(), s.Status, s.Reason)
		}
		if strings.HasSuffix(s.Status, "_FAILED") {
			t.Fatalf("%s: %s", s.Status, s.Reason)
		}
		return s.Status == "CREATE_COMPLETE", s.Status + ": " + s.Reason
	})
	t.Logf("complete %s after the request", time.Since(began).Round(time.Second))
	id := b.say(t, "network", "list", "--name", "k8s-clusterapi-cluster-magnum-system-"+b.stack(t), "-f", "value", "-c", "ID")
	if c := b.proxied(t); c.Namespace != "qdhcp-"+id || !c.Published || c.Connections == 0 {
		t.Errorf("published, with connections, in qdhcp-%s wanted: %+v", id, c)
	}
	b.healthy(t, 5*time.Minute, "it is healthy")
	b.straying(t, b.node.host, host(), func(name string) bool { return name == "lxcbr0" || strings.HasSuffix(name, "_eth0") })
	b.straying(t, cloudHost, network(), func(name string) bool { return name != "br-mgmt" && name != "lo" })
}

// healthy waits until Magnum says so of the private cluster.
func (b *beside) healthy(t *testing.T, limit time.Duration, what string) {
	t.Helper()
	b.until(t, limit, what, func() (bool, string) {
		s, err := b.cluster(t, private)
		return err == nil && s.Health == "HEALTHY", s.Health
	})
}

// stack is the private cluster's name in Cluster API.
func (b *beside) stack(t *testing.T) string {
	t.Helper()
	s, err := b.cluster(t, private)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.kubectl(t, b.node, "-n magnum-system get magnumcluster "+s.UUID+" -o jsonpath={.spec.stackID}"))
}

// tell says what there is to know of a cluster that does not come up.
func (b *beside) tell(t *testing.T) {
	t.Helper()
	for _, what := range []string{
		"-n magnum-system get clusters,openstackclusters,kubeadmcontrolplanes,machines,openstackmachines,openstackservers -o wide",
		"-n capo-system logs deployment/capo-controller-manager --tail 30", "get pods -A",
	} {
		out, _ := b.sh(t, b.node.host, "lxc-attach -n "+b.node.name+" -- "+kubectl+what)
		t.Logf("%s\n%s", what, out)
	}
	for _, s := range b.servers {
		out, _ := b.sh(t, s.host, "lxc-attach -n "+s.name+" -- journalctl -u jeroboam -n 40 --no-pager -o cat")
		t.Logf("%s\n%s", s.name, out)
	}
}

// proxied is what the proxy beside Neutron says of the private cluster.
func (b *beside) proxied(t *testing.T) proxy.ClusterStatus {
	t.Helper()
	out := b.ssh(t, cloudHost, "/usr/local/bin/jeroboam proxy status --output json")
	var s proxy.Status
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	stack := b.stack(t)
	for _, c := range s.Clusters {
		if c.Cluster == stack {
			return c
		}
	}
	t.Fatalf("the proxy knows nothing of %s: %s", stack, out)
	return proxy.ClusterStatus{}
}

// flow is packets between two addresses on an interface; Port is the lower one of TCP and UDP.
type flow struct {
	Interface, From, To string
	Protocol, Port      int
	Packets             int
}

// flowScript counts what passes all interfaces of a host until its standard input ends.
const flowScript = `
import collections, json, select, socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
seen = collections.Counter()
while True:
    ready = select.select([s, sys.stdin], [], [])[0]
    if sys.stdin in ready:
        break
    p, where = s.recvfrom(128)
    if len(p) < 34 or p[12:14] != b"\x08\x00":
        continue
    at, port = 14 + (p[14] & 15) * 4, 0
    if p[23] in (6, 17) and len(p) >= at + 4:
        port = min(struct.unpack("!HH", p[at:at + 4]))
    seen[(where[0], socket.inet_ntoa(p[26:30]), socket.inet_ntoa(p[30:34]), p[23], port)] += 1
print(json.dumps([dict(zip(("Interface", "From", "To", "Protocol", "Port"), k), Packets=n) for k, n in seen.items()]))
`

// watch counts packets of a host; what it returns stops it and gives them.
func (b *beside) watch(t *testing.T, host string) func() []flow {
	t.Helper()
	args := append([]string{"exec", "--dir", b.dir, "--"}, b.sshArgs(host, "python3 -c "+quote(flowScript))...)
	cmd := exec.CommandContext(t.Context(), b.program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	stop, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() (all []flow) {
		t.Helper()
		if err := stop.Close(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%s: packets were not counted: %v", host, err)
		}
		decode(t, out.String(), &all)
		return all
	}
}

// straying are packets with an address of the management network on interfaces where there must be none of it.
func (b *beside) straying(t *testing.T, host string, all []flow, outside func(name string) bool) {
	t.Helper()
	management := netip.MustParsePrefix("172.29.236.0/22")
	packets, within := 0, 0
	for _, f := range all {
		packets += f.Packets
		from, to := netip.MustParseAddr(f.From), netip.MustParseAddr(f.To)
		if !management.Contains(from) && !management.Contains(to) {
			continue
		}
		within += f.Packets
		if outside(f.Interface) {
			t.Errorf("%s: %d packets of the management network on %s: %s to %s, protocol %d, port %d", host, f.Packets, f.Interface, f.From, f.To, f.Protocol, f.Port)
		}
	}
	t.Logf("%s: %d packets on all interfaces, %d of the management network", host, packets, within)
	if within == 0 {
		t.Errorf("%s: nothing of the management network was seen at all", host)
	}
}

// killedUnderClients kills the proxy and Magnum's server, as power loss would, while clients work.
func (b *beside) killedUnderClients(t *testing.T) {
	t.Helper()
	service := strings.TrimSpace(b.kubectl(t, b.node, "-n magnum-system get service "+b.stack(t)+" -o jsonpath={.spec.clusterIP}"))
	inNode := func(script string) string { return b.inside(t, b.node, script) }
	// There is one host with the proxy, and its unit starts again after a second: who tries for three comes through.
	api := workBy(t, inNode, 10, "", "https://"+b.stack(t)+".magnum-system:6443/readyz", service+":6443")
	magnum := b.workers(t)
	b.ssh(t, cloudHost, "systemctl kill -s KILL 'jeroboam-proxy@*'")
	time.Sleep(20 * time.Second)
	for _, s := range b.servers {
		b.inside(t, s, "systemctl kill -s KILL jeroboam")
		time.Sleep(20 * time.Second)
	}
	asked := api()
	if len(asked) < 20 {
		t.Errorf("the client of the private cluster has asked %d times", len(asked))
	}
	if failed := sum(t, "the private cluster's API, its proxy killed", asked); failed > 0 {
		t.Errorf("%d requests to the private cluster failed", failed)
	}
	if failed := magnum(); failed > 0 {
		t.Errorf("%d requests to Magnum failed", failed)
	}
	b.healthy(t, 3*time.Minute, "it is healthy again")
}

// hostLosesPower pulls an infra host's plug for a minute. The tenant's cluster does not notice: its API answers in its
// own network all the time, and nobody takes its servers away when the management cluster is back. With one host,
// Magnum is away with it.
func (b *beside) hostLosesPower(t *testing.T) {
	t.Helper()
	nodes := b.nodes(t)
	host := nodes[len(nodes)-1].host
	s, err := b.cluster(t, private)
	if err != nil {
		t.Fatal(err)
	}
	servers := b.have(t)["servers"]
	onCloud := func(script string) string { return b.ssh(t, cloudHost, script) }
	api := workBy(t, onCloud, 1, "ip netns exec "+b.proxied(t).Namespace, s.APIAddress+"/readyz", "")
	magnum := b.workers(t)
	b.power(t, "off", host)
	time.Sleep(time.Minute)
	b.power(t, "on", host)
	back := b.until(t, 8*time.Minute, "the host comes back", func() (bool, string) {
		out, code := b.deploy(t, "status")
		return code == 0, out
	})
	t.Logf("everything serves %s after power came back", back.Round(time.Second))
	b.healthy(t, 5*time.Minute, "the cluster is healthy again")
	asked := api()
	if len(asked) < 200 {
		t.Errorf("the tenant's client has asked %d times", len(asked))
	}
	// Nothing of the tenant's is on that host, and it is away for a minute: if it mattered, hundreds would fail. One or
	// two may, because all hosts share one machine and its disk.
	if failed := sum(t, "the tenant's own API, an infra host without power", asked); failed*100 > len(asked) {
		t.Errorf("%d requests of the tenant failed", failed)
	}
	if failed := magnum(); failed > 0 && len(nodes) > 1 {
		t.Errorf("%d requests to Magnum failed", failed)
	}
	if diff := cmp.Diff(servers, b.have(t)["servers"]); diff != "" {
		t.Errorf("the cluster's servers are others (-before +after):\n%s", diff)
	}
	if p, code := b.plan(t); code != 0 {
		t.Errorf("after it there are changes: %s", plan.Summary(p))
	}
}

// deleted deletes a cluster and waits until it is gone.
func (b *beside) deleted(t *testing.T, name string) time.Duration {
	t.Helper()
	b.say(t, "coe", "cluster", "delete", name)
	return b.until(t, 15*time.Minute, name+" is gone", func() (bool, string) {
		s, err := b.cluster(t, name)
		return err != nil, s.Status + " " + s.Reason
	})
}

// privateClusterGone deletes it; the project and the management cluster have what they had before.
func (b *beside) privateClusterGone(t *testing.T) {
	t.Helper()
	stack := b.stack(t)
	t.Logf("gone %s after the request", b.deleted(t, private).Round(time.Second))
	b.say(t, "coe", "cluster", "template", "delete", private)
	want := map[string][]string{}
	for kind := range b.have(t) {
		want[kind] = []string{}
	}
	want["security groups"] = []string{"default"}
	if diff := cmp.Diff(want, b.have(t)); diff != "" {
		t.Errorf("the tenant's project is not empty (-want +have):\n%s", diff)
	}
	left := b.kubectl(t, b.node, "-n magnum-system get secrets,clusters,machines,openstackclusters,openstackservers,openstackmachines,magnumclusters,magnumnodegroups,services -o name")
	if strings.Contains(left, stack) {
		t.Errorf("left in the management cluster:\n%s", left)
	}
}
