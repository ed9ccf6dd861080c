package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// byHand makes a control plane in the original collection's layout on the one host, with plain kubeadm.
func (l lab) byHand(t *testing.T) {
	t.Helper()
	n := l.nodes(t)[0]
	b, err := bundle.Open(l.bundle, sign.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	tags, references := map[string]string{}, []string{}
	for _, i := range b.Index.Images {
		if strings.HasPrefix(i.Reference, "registry.k8s.io/kube-") || i.Name == "etcd" || i.Name == "coredns" || i.Name == "pause" {
			tags[i.Name] = i.Reference[strings.LastIndexByte(i.Reference, ':')+1:]
			references = append(references, i.Reference)
		}
	}
	if _, err := os.Stat(l.bundle + "/files/debs"); err != nil {
		t.Fatalf("plain kubeadm needs Debian's packages: make the bundle with \"--group byhand\" (%v)", err)
	}
	ssh := strings.Join(l.sshArgs("infra1"), " ") + " "
	shell := func(script string) {
		t.Helper()
		if out, code := l.run(t, "sh", "-c", script); code != 0 {
			t.Fatalf("%s: status %d\n%s", script, code, out)
		}
	}
	shell("tar -C " + l.bundle + "/files -c bin cni debs | " + ssh + "'mkdir -p /root/byhand && tar -C /root/byhand -x'")
	shell(l.jeroboam + " bundle export " + l.bundle + " " + strings.Join(references, " ") + " | " + ssh + "'cat > /root/byhand/images.tar'")
	script, err := filepath.Abs("testdata/byhand.sh")
	if err != nil {
		t.Fatal(err)
	}
	variables := fmt.Sprintf("C=%s A=%s VIP=172.29.236.9 EXTERNAL=openstack.example.com VERSION=%s ETCD=%s DNS=%s PAUSE=%s",
		n.name, n.address, l.kubernetes(t), tags["etcd"], tags["coredns"], tags["pause"])
	shell(ssh + "'" + variables + " bash -s' < " + script + " 2>&1")
}

// TestAdopt takes over a control plane that plain kubeadm made in the original collection's layout. It needs a lab with
// one host, and nothing on it but what an earlier run of it made by hand.
func TestAdopt(t *testing.T) {
	l := open(t)
	if hosts, _ := l.hosts(t); len(hosts) != 1 {
		t.Skip("needs a lab with one host (lab up --hosts 1)")
	}
	l.configure(t)
	name := l.nodes(t)[0].name
	switch l.ssh(t, "infra1", "lxc-ls -1; test ! -e /var/lib/lxc/*/rootfs/.made-by-jeroboam || echo ours") {
	case "":
		l.byHand(t)
	case name + "\n":
	default:
		t.Skip("needs a host without containers of a deployment (lab down, lab up --hosts 1)")
	}
	fragment := l.ssh(t, "infra1", "cat /etc/haproxy/conf.d/k8s")
	config := l.ssh(t, "infra1", "cat /var/lib/lxc/"+name+"/config")
	// What may not be restarted: the container, and the control plane's processes in it.
	processes := "lxc-info -n " + name + " -p -H; lxc-attach -n " + name + " -- pgrep -a -x \"etcd|kube-apiserver|kube-controller|kube-scheduler\" | cut -c1-40 | sort"
	before := l.ssh(t, "infra1", processes)

	p, code := l.plan(t)
	if code != 2 {
		t.Errorf("plan: status %d", code)
	}
	for _, c := range p.Changes {
		t.Logf("%s / %s: %s %s %s %s", c.Place, c.Group, c.Action, c.Kind, c.Name, c.Summary)
		if c.Action == plan.Delete || c.Kind == "container" || c.Kind == "kubeadm" && c.Name != "kubelet settings" || strings.Contains(c.Diff, "certificateKey") {
			t.Errorf("the plan has %s %s %s on %s: %s", c.Action, c.Kind, c.Name, c.Place, c.Summary)
		}
	}
	if blocked := p.Blocked(nil); len(blocked) > 0 {
		t.Errorf("the plan is dangerous: %+v", blocked)
	}

	t.Logf("adopted in %.0f s", l.applied(t).Seconds())
	if after := l.ssh(t, "infra1", processes); after != before {
		t.Errorf("what may not be restarted was:\n%s\nand is\n%s", before, after)
	}
	if now := l.ssh(t, "infra1", "cat /etc/haproxy/conf.d/k8s"); now != fragment {
		t.Errorf("haproxy's fragment was:\n%s\nand is\n%s", fragment, now)
	}
	if now := l.ssh(t, "infra1", "cat /var/lib/lxc/"+name+"/config"); now != config {
		t.Errorf("the container's configuration was:\n%s\nand is\n%s", config, now)
	}
	l.running(t, l.kubernetes(t))
}
