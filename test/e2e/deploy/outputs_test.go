package deploy

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestContract is what must be on hosts, in containers and on the load balancer after apply: the outputs of the
// original collection (P, K and H, as docs/deploy.md numbers them), in the form without its defects.
func TestContract(t *testing.T) {
	l := open(t)
	l.configure(t)
	l.apply(t)
	l.converged(t)
	_, balancer := l.hosts(t)
	c := contract{l, l.nodes(t), balancer}
	t.Run("P1 LXC configuration", c.containerConfig)
	t.Run("P2 directories and hardware addresses", c.containerNetwork)
	t.Run("P3 kernel modules and swap", c.kernel)
	t.Run("P4 connection tracking on the host", c.conntrack)
	t.Run("K1 programs are the bundle's", c.programs)
	t.Run("K2 units and mounts", c.units)
	t.Run("K3 kubeconfig and kubeadm.yaml", c.configuration)
	t.Run("K4 Nodes", c.nodeObjects)
	t.Run("K5 etcd and kubeadm's own copy", c.etcd)
	t.Run("K6 kube-proxy and CoreDNS", c.addons)
	t.Run("K7 network of pods and cert-manager", c.network)
	t.Run("K8 Cluster API", c.clusterAPI)
	t.Run("K9 images are the bundle's", c.images)
	t.Run("H1 fragment", c.fragment)
	t.Run("H2 backends", c.backends)
	t.Run("H3 other fragments and reloads", c.others)
}

// contract is a deployment that stands.
type contract struct {
	lab

	nodes    []node
	balancer string
}

// lines must all be in a text.
func lines(t *testing.T, where, text string, want ...string) {
	t.Helper()
	have := strings.Split(text, "\n")
	for _, w := range want {
		if !slices.Contains(have, w) {
			t.Errorf("%s: nothing is %q in\n%s", where, w, text)
		}
	}
}

func (c contract) containerConfig(t *testing.T) {
	for _, n := range c.nodes {
		text := c.ssh(t, n.host, "cat /var/lib/lxc/"+n.name+"/config")
		lines(t, n.name, text,
			"lxc.mount.auto = proc:rw sys:rw", "lxc.apparmor.profile = unconfined", "lxc.cap.drop =", "lxc.cgroup.devices.allow = a",
			"lxc.cgroup2.devices.allow = a", "lxc.autodev = 1", "lxc.start.order = 100", "lxc.signal.halt = SIGRTMIN+4",
			"lxc.mount.entry = /openstack/backup/"+n.name+" var/backup none bind,create=dir 0 0",
			"lxc.mount.entry = /openstack/log/"+n.name+" var/log none bind,create=dir 0 0",
			"lxc.mount.entry = /usr/lib/modules usr/lib/modules none bind,create=dir 0 0",
			"lxc.mount.entry = /usr/src usr/src none bind,create=dir 0 0",
			"lxc.mount.entry = /dev/kmsg dev/kmsg none bind,create=file 0 0",
			"lxc.include = /var/lib/lxc/"+n.name+"/eth0.ini", "lxc.include = /var/lib/lxc/"+n.name+"/eth1.ini",
		)
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "lxc.apparmor.profile") && strings.TrimSpace(line) != "lxc.apparmor.profile = unconfined" {
				t.Errorf("%s: %s", n.name, line)
			}
		}
		if state := strings.TrimSpace(c.ssh(t, n.host, "lxc-info -s -H -n "+n.name)); state != "RUNNING" {
			t.Errorf("%s is %s", n.name, state)
		}
	}
}

func (c contract) containerNetwork(t *testing.T) {
	for _, n := range c.nodes {
		c.ssh(t, n.host, "test -d /openstack/backup/"+n.name+" && test -d /openstack/log/"+n.name)
		for _, name := range []string{"eth0", "eth1"} {
			ini := c.ssh(t, n.host, "cat /var/lib/lxc/"+n.name+"/"+name+".ini")
			found := regexp.MustCompile(`hwaddr = (00:16:3e:[0-9a-f:]{8})\n`).FindStringSubmatch(ini)
			if found == nil {
				t.Errorf("%s: %s.ini has no address of LXC's:\n%s", n.name, name, ini)
				continue
			}
			if got := strings.TrimSpace(c.inside(t, n, "cat /sys/class/net/"+name+"/address")); got != found[1] {
				t.Errorf("%s: %s has %s, its file %s", n.name, name, got, found[1])
			}
			if got := strings.TrimSpace(c.ssh(t, n.host, "cat /var/lib/lxc/"+n.name+"/"+name+".hwaddr")); got != found[1] {
				t.Errorf("%s: %s.hwaddr has %s, its file %s", n.name, name, got, found[1])
			}
		}
		if got := c.inside(t, n, "ip -4 -o addr show eth1"); !strings.Contains(got, " "+n.address+"/22 ") {
			t.Errorf("%s: eth1 has %s", n.name, got)
		}
	}
}

// kernel: headers, which the original installs, are in docs/deploy.md among what is not needed.
func (c contract) kernel(t *testing.T) {
	for _, n := range c.nodes {
		lines(t, n.host, c.ssh(t, n.host, "cat /etc/modules-load.d/jeroboam.conf"), "br_netfilter", "nf_conntrack", "overlay")
		c.ssh(t, n.host, "test -d /proc/sys/net/bridge && test -e /proc/sys/net/netfilter/nf_conntrack_max && grep -qw overlay /proc/filesystems")
		if swaps := c.ssh(t, n.host, "cat /proc/swaps"); strings.Count(swaps, "\n") > 1 {
			t.Errorf("%s: swap is on: %s", n.host, swaps)
		}
	}
}

func (c contract) conntrack(t *testing.T) {
	for _, n := range c.nodes {
		if got := strings.TrimSpace(c.ssh(t, n.host, "cat /proc/sys/net/netfilter/nf_conntrack_max")); got != "1572864" {
			t.Errorf("%s: nf_conntrack_max is %s", n.host, got)
		}
		lines(t, n.host, c.ssh(t, n.host, "cat /etc/sysctl.d/99-zz-jeroboam.conf"), "net.netfilter.nf_conntrack_max = 1572864")
	}
}

// bundled is the bundle's list.
type bundled struct {
	Files  []struct{ Name, Kind, Path, Digest string }
	Images []struct{ Reference, Digest, Release string }
}

// index reads the bundle's list.
func (l lab) index(t *testing.T) (index bundled) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(l.bundle, "bundle.json"))
	if err == nil {
		err = json.Unmarshal(text, &index)
	}
	if err != nil {
		t.Fatal(err)
	}
	return index
}

func (c contract) programs(t *testing.T) {
	for _, n := range c.nodes {
		var want []string
		for _, f := range c.index(t).Files {
			dir, name := filepath.Split(f.Path)
			if at, ok := map[string]string{"bin/": "/usr/bin/", "cni/": "/opt/cni/bin/"}[dir]; ok {
				want = append(want, strings.TrimPrefix(f.Digest, "sha256:")+"  "+at+name)
			}
		}
		if len(want) < 12 {
			t.Fatalf("the bundle has only %q", want)
		}
		lines(t, n.name, c.inside(t, n, "sha256sum /usr/bin/kube* /usr/bin/containerd* /usr/bin/ctr /usr/bin/runc /usr/bin/crictl /usr/bin/etcd* /opt/cni/bin/*"), want...)
	}
}

func (c contract) units(t *testing.T) {
	for _, n := range c.nodes {
		for _, unit := range []string{"containerd", "kubelet", "bpf-mount", "cilium-cgroup2-mount", "noswap"} {
			if got := c.inside(t, n, "systemctl is-active "+unit+"; systemctl is-enabled "+unit); got != "active\nenabled\n" {
				t.Errorf("%s: %s is %q", n.name, unit, got)
			}
		}
		for path, want := range map[string]string{"/sys/fs/bpf": "bpf shared", "/run/cilium/cgroupv2": "cgroup2 shared"} {
			if got := strings.Join(strings.Fields(c.inside(t, n, "findmnt -n -o FSTYPE,PROPAGATION "+path)), " "); got != want {
				t.Errorf("%s: %s is %q, want %q", n.name, path, got, want)
			}
		}
	}
}

const vip = "172.29.236.9"

func (c contract) configuration(t *testing.T) {
	asked, code := c.run(t, c.jeroboam, "deploy", "config", "--output", "json", "--config", c.dir+"/openstack_deploy", "-e", c.dir+"/openstack-ansible/inventory")
	if code != 0 || !strings.Contains(asked, `"tlsMinVersion"`) {
		t.Fatalf("the configuration: status %d\n%s", code, asked)
	}
	var secure []string // the playbooks that OpenStack-Ansible ships ask for no version of TLS
	if strings.Contains(asked, `"tlsMinVersion": "VersionTLS13"`) {
		secure = []string{"      value: TLS1.3", "    value: VersionTLS13", "tlsMinVersion: VersionTLS13"}
	}
	for _, n := range c.nodes {
		if got := c.kubectl(t, n, "config view -o jsonpath={.clusters[*].cluster.server}"); got != "https://"+vip+":6443" {
			t.Errorf("%s: admin.conf names %s", n.name, got)
		}
		if got := strings.TrimSpace(c.inside(t, n, "readlink /root/.kube/config; stat -c %a:%U /root/.kube /etc/kubernetes/kubeadm.yaml")); got != "/etc/kubernetes/admin.conf\n750:root\n640:root" {
			t.Errorf("%s: %s", n.name, got)
		}
		text := c.inside(t, n, "cat /etc/kubernetes/kubeadm.yaml")
		lines(t, n.name, text,
			"apiVersion: kubeadm.k8s.io/v1beta4", "controlPlaneEndpoint: "+vip+":6443", "  advertiseAddress: "+n.address, "    value: "+n.address,
			"  - name: cgroups-per-qos", "    value: \"false\"", "  - name: enforce-node-allocatable", "    value: \"\"", "    value: 0.0.0.0", "metricsBindAddress: 0.0.0.0", "  maxPerCore: 0",
			"kubernetesVersion: v"+c.kubernetes(t),
		)
		lines(t, n.name, text, secure...)
		if strings.Contains(text, "token") || strings.Contains(text, "certificateKey") {
			t.Errorf("%s: there is a secret in kubeadm.yaml", n.name)
		}
	}
}

// nodeObject is what of a Node is looked at.
type nodeObject struct {
	Metadata struct {
		Name   string
		Labels map[string]string
	}
	Spec   struct{ Taints []struct{ Key string } }
	Status struct {
		Addresses  []struct{ Type, Address string }
		Conditions []struct{ Type, Status string }
		NodeInfo   struct{ KubeletVersion string }
	}
}

func (c contract) nodeObjects(t *testing.T) {
	var list struct{ Items []nodeObject }
	decode(t, c.kubectl(t, c.nodes[0], "get nodes -o json"), &list)
	if len(list.Items) != len(c.nodes) {
		t.Fatalf("%d Nodes for %d containers", len(list.Items), len(c.nodes))
	}
	for _, n := range c.nodes {
		i := slices.IndexFunc(list.Items, func(o nodeObject) bool { return o.Metadata.Name == strings.ToLower(n.name) })
		if i < 0 {
			t.Errorf("there is no Node %s", n.name)
			continue
		}
		o := list.Items[i]
		if o.Metadata.Labels["openstack-control-plane"] != "enabled" || len(o.Spec.Taints) > 0 || o.Status.NodeInfo.KubeletVersion != "v"+c.kubernetes(t) {
			t.Errorf("%s: labels %v, taints %v, kubelet %s", n.name, o.Metadata.Labels, o.Spec.Taints, o.Status.NodeInfo.KubeletVersion)
		}
		if !slices.Contains(o.Status.Addresses, struct{ Type, Address string }{"InternalIP", n.address}) {
			t.Errorf("%s: addresses %v", n.name, o.Status.Addresses)
		}
		if !slices.Contains(o.Status.Conditions, struct{ Type, Status string }{"Ready", "True"}) {
			t.Errorf("%s is not Ready", n.name)
		}
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}

func (c contract) etcd(t *testing.T) {
	var list struct {
		Members []struct {
			Name      string
			IsLearner bool
		}
	}
	decode(t, c.inside(t, c.nodes[0], etcdctl+"member list -w json"), &list)
	if len(list.Members) != len(c.nodes) {
		t.Errorf("etcd's members: %+v", list.Members)
	}
	for _, m := range list.Members {
		if m.IsLearner || !slices.ContainsFunc(c.nodes, func(n node) bool { return n.name == m.Name }) {
			t.Errorf("member %+v", m)
		}
	}
	c.inside(t, c.nodes[0], etcdctl+"endpoint health --cluster")
	lines(t, "kubeadm-config", c.kubectl(t, c.nodes[0], "-n kube-system get configmap kubeadm-config -o jsonpath={.data.ClusterConfiguration}"),
		"kubernetesVersion: v"+c.kubernetes(t), "controlPlaneEndpoint: "+vip+":6443")
}

func (c contract) addons(t *testing.T) {
	n := c.nodes[0]
	c.kubectl(t, n, "-n kube-system rollout restart daemonset/kube-proxy")
	c.kubectl(t, n, "-n kube-system rollout status daemonset/kube-proxy --timeout=3m")
	// It is up before it has written anything, and the node has no nft.
	time.Sleep(5 * time.Second)
	services := c.ssh(t, n.host, "nsenter -t $(lxc-info -p -H -n "+n.name+") -n nft list map ip kube-proxy service-ips")
	if !regexp.MustCompile(`\b10\.96\.0\.1 \. tcp \. 443 : goto `).MatchString(services) {
		t.Errorf("a kube-proxy that starts on another one's rules loses services: %s", services)
	}
	lines(t, "kube-proxy", c.kubectl(t, n, `-n kube-system get configmap kube-proxy -o "jsonpath={.data.config\.conf}"`), "  maxPerCore: 0", "metricsBindAddress: 0.0.0.0")
	var dns struct {
		Spec struct {
			Replicas int
			Template struct {
				Spec struct{ NodeSelector map[string]string }
			}
		}
		Status struct{ ReadyReplicas, UpdatedReplicas int }
	}
	decode(t, c.kubectl(t, n, "-n kube-system get deployment coredns -o json"), &dns)
	if dns.Spec.Template.Spec.NodeSelector["openstack-control-plane"] != "enabled" || dns.Status.ReadyReplicas != dns.Spec.Replicas || dns.Status.UpdatedReplicas != dns.Spec.Replicas {
		t.Errorf("CoreDNS: %+v", dns)
	}
}

// network: there is no helm, so no releases: what they would have installed is looked at. Without Cilium in the bundle
// nodes have the light network.
func (c contract) network(t *testing.T) {
	if !slices.ContainsFunc(c.index(t).Files, func(f struct{ Name, Kind, Path, Digest string }) bool {
		return f.Name == "cilium" && f.Kind == "manifest"
	}) {
		for _, n := range c.nodes {
			c.inside(t, n, "test -s /etc/cni/net.d/10-jeroboam.conflist && systemctl is-active --quiet jeroboam-pod-routes")
		}
	} else {
		tunnel := "geneve"
		if values, _ := os.ReadFile(c.dir + "/openstack_deploy/user_lab.yml"); strings.Contains(string(values), "vxlan") {
			tunnel = "vxlan" // the machine's kernel has no geneve: docs/lab.md
		}
		lines(t, "cilium", c.kubectl(t, c.nodes[0], `-n kube-system get configmap cilium-config -o "jsonpath={.data.tunnel-protocol}{'\n'}{.data.tunnel-port}{'\n'}{.data.cluster-pool-ipv4-cidr}{'\n'}"`), tunnel, "6082", "172.29.200.0/22")
	}
	args := c.kubectl(t, c.nodes[0], "-n cert-manager get deployment cert-manager cert-manager-webhook -o jsonpath={.items[*].spec.template.spec.containers[0].args}")
	if strings.Count(args, "AdditionalCertificateOutputFormats=true") < 2 {
		t.Errorf("cert-manager: %s", args)
	}
	c.kubectl(t, c.nodes[0], "-n cert-manager wait --for=condition=Available --timeout=5s deployment --all")
}

func (c contract) clusterAPI(t *testing.T) {
	n := c.nodes[0]
	version := func(key string) string {
		return "v" + regexp.MustCompile(key + `: (\S+)`).FindStringSubmatch(versions)[1]
	}
	core, openstack := version("cluster_api_version"), version("cluster_api_infrastructure_version")
	want := []string{"BootstrapProvider kubeadm " + core, "ControlPlaneProvider kubeadm " + core, "CoreProvider cluster-api " + core, "InfrastructureProvider openstack " + openstack}
	got := strings.Split(strings.TrimSpace(c.kubectl(t, n, `get providers.clusterctl.cluster.x-k8s.io -A -o "jsonpath={range .items[*]}{.type} {.providerName} {.version}{'\n'}{end}"`)), "\n")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for namespace, name := range map[string]string{
		"capi-system": "capi-controller-manager", "capi-kubeadm-bootstrap-system": "capi-kubeadm-bootstrap-controller-manager",
		"capi-kubeadm-control-plane-system": "capi-kubeadm-control-plane-controller-manager", "capo-system": "capo-controller-manager",
	} {
		c.kubectl(t, n, "-n "+namespace+" wait --for=condition=Available --timeout=5s deployment/"+name)
	}
	if args := c.kubectl(t, n, "-n capi-system get deployment capi-controller-manager -o jsonpath={.spec.template.spec.containers[*].args}"); !strings.Contains(args, "ClusterTopology=true") {
		t.Errorf("arguments of Cluster API: %s", args)
	}
	if env := c.kubectl(t, n, "-n capo-system get deployment capo-controller-manager -o jsonpath={.spec.template.spec.containers[*].env}"); !strings.Contains(env, `"name":"CLUSTER_API_OPENSTACK_INSTANCE_CREATE_TIMEOUT","value":"10"`) {
		t.Errorf("environment of the OpenStack provider: %s", env)
	}
	c.kubectl(t, n, "-n orc-system wait --for=condition=Available --timeout=5s deployment --all") // needed from 0.12 on
}

func (c contract) images(t *testing.T) {
	for _, n := range c.nodes {
		var list struct {
			Images []struct{ RepoTags []string }
		}
		decode(t, c.inside(t, n, "crictl images -o json"), &list)
		var known []string
		for _, i := range c.index(t).Images {
			if i.Release == "" { // those of older releases come to nodes that go through them
				known = append(known, i.Reference)
			}
		}
		count := 0
		for _, i := range list.Images {
			for _, tag := range i.RepoTags {
				count++
				if !slices.Contains(known, tag) {
					t.Errorf("%s has an image that is not the bundle's: %s", n.name, tag)
				}
			}
		}
		if count < len(known) {
			t.Errorf("%s has %d images, the bundle %d", n.name, count, len(known))
		}
	}
}
