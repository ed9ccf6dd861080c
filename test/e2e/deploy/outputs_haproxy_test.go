package deploy

import (
	"strings"
	"testing"
)

func (c contract) fragment(t *testing.T) {
	if got := strings.TrimSpace(c.ssh(t, c.balancer, "stat -c %a:%U:%G /etc/haproxy/conf.d/k8s")); got != "640:root:haproxy" {
		t.Errorf("the fragment is %s", got)
	}
	text := c.ssh(t, c.balancer, "cat /etc/haproxy/conf.d/k8s")
	rendered, code := c.run(t, c.jeroboam, "deploy", "haproxy", "--config", c.dir+"/openstack_deploy", "-e", c.dir+"/openstack-ansible/inventory")
	if code != 0 {
		t.Fatal(rendered)
	}
	// The configuration's own text has the external address as well; a new fragment has not.
	if !strings.Contains(rendered, "bind openstack.example.com:6443") || strings.Contains(text, "openstack.example.com") || strings.Count(text, "bind ") != 1 || !strings.Contains(text, "    bind "+vip+":6443\n") {
		t.Errorf("binds:\n%s", text)
	}
	_, backend, _ := strings.Cut(text, "backend k8s-back")
	if backend == "" || !strings.Contains(rendered, "backend k8s-back"+strings.TrimRight(backend, "\n")) {
		t.Errorf("the backend is not the configuration's:\n%s", text)
	}
	for _, n := range c.nodes {
		if !strings.Contains(backend, "server "+n.name+" "+n.address+":6443 check") {
			t.Errorf("%s is no server of\n%s", n.name, backend)
		}
	}
	c.ssh(t, c.balancer, "haproxy -c -f /etc/haproxy/haproxy.cfg >/dev/null")
	if got := strings.TrimSpace(c.ssh(t, c.balancer, "ss -Hltn 'sport = 6443' | awk '{print $4}'")); got != vip+":6443" {
		t.Errorf("haproxy listens on %q", got)
	}
}

func (c contract) backends(t *testing.T) {
	out, code := c.deploy(t, "status", "--output", "json")
	if code != 0 {
		t.Fatalf("status %d", code)
	}
	var status struct {
		Backends []struct{ Balancer, Server, Status, Check string }
	}
	decode(t, out, &status)
	if len(status.Backends) != len(c.nodes) {
		t.Errorf("backends: %+v", status.Backends)
	}
	for _, b := range status.Backends {
		if b.Status != "UP" || b.Check != "L7OK" {
			t.Errorf("backend %+v", b)
		}
	}
}

func (c contract) others(t *testing.T) {
	galera := c.ssh(t, c.balancer, "cat /etc/haproxy/conf.d/galera")
	if !strings.HasPrefix(galera, "\n# Ansible managed\n") || !strings.HasSuffix(galera, "check port 9200 inter 12000 rise 3 fall 3\n") {
		t.Errorf("galera's fragment is not the lab's:\n%s", galera)
	}
	if assembled := c.ssh(t, c.balancer, "cat /etc/haproxy/haproxy.cfg"); assembled != c.ssh(t, c.balancer, "cat /etc/haproxy/conf.d/*") {
		t.Errorf("haproxy.cfg is not its fragments:\n%s", assembled)
	}
	const worker = "systemctl show -p MainPID --value haproxy | xargs pgrep -P"
	before := c.ssh(t, c.balancer, worker)
	c.apply(t)
	if after := c.ssh(t, c.balancer, worker); after != before {
		t.Errorf("a run without changes has reloaded haproxy: worker %s, then %s", before, after)
	}
}
