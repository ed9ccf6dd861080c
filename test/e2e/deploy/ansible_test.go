package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestBesideAnsible measures a run that changes nothing, ours and a playbook's with a task for each thing that ours
// looks at, over the same transport: SSH to the physical host, lxc-attach from there. It needs a converged deployment
// and Debian's ansible, and judges no figure.
//
// The playbook is given what can be given: pipelining, connections that stay open, facts left out, one fork for each
// host. What has no module of Ansible's is left out of it: the comparison of the cluster's objects, certificates, and
// preflight.
func TestBesideAnsible(t *testing.T) {
	l := open(t)
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		t.Skip("ansible is not installed (apt-get install ansible); the figures are in docs/deploy.md")
	}
	l.converged(t)
	play := l.playbook(t)
	var ours, theirs []time.Duration
	for range 3 { // by turns: what else the machine does hits both
		began := time.Now()
		if out, code := l.deploy(t, "apply"); code != 0 {
			t.Fatalf("apply: status %d\n%s", code, out)
		}
		ours = append(ours, time.Since(began))
		began = time.Now()
		out, code := l.run(t, "env", "ANSIBLE_CONFIG="+filepath.Join(play, "ansible.cfg"), "ansible-playbook", "-i", filepath.Join(play, "hosts.json"), filepath.Join(play, "site.yml"))
		theirs = append(theirs, time.Since(began))
		if code != 0 || regexp.MustCompile(`changed=[1-9]`).MatchString(out) {
			t.Fatalf("the playbook: status %d, should change nothing:\n%s", code, out)
		}
		t.Log(out[strings.LastIndex(out, "PLAY RECAP"):])
	}
	best := func(all []time.Duration) float64 { return min(all[0], all[1], all[2]).Seconds() }
	t.Logf("ours %.1f s (%v), the playbook %.1f s (%v): ratio %.1f", best(ours), ours, best(theirs), theirs, best(theirs)/best(ours))
}

// onDisk is a file of the playbook.
type onDisk struct {
	Src  string `json:"src"`
	Dest string `json:"dest"`
	Mode string `json:"mode"`
}

// playbook writes inventory, settings and files for testdata/ansible/site.yml, from what is on the hosts.
func (l lab) playbook(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		if err == nil {
			err = os.WriteFile(path, []byte(text), mode)
		}
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	text, err := os.ReadFile("testdata/ansible/site.yml")
	if err != nil {
		t.Fatal(err)
	}
	put("site.yml", string(text), 0o600)
	put("ansible.cfg", "[defaults]\nforks = 10\n[connection]\npipelining = True\n[ssh_connection]\npipelining = True\nssh_args = -o ControlMaster=auto -o ControlPersist=60s\ncontrol_path_dir = "+dir+"/cp\n", 0o600)

	common := map[string]any{
		"ansible_user": "root", "ansible_ssh_private_key_file": l.dir + "/ssh/id_ed25519", "ansible_python_interpreter": "/usr/bin/python3",
		"ansible_ssh_common_args": "-o UserKnownHostsFile=" + l.dir + "/ssh/known_hosts -o LogLevel=ERROR",
	}
	physical, nodes := map[string]any{}, map[string]any{}
	for _, n := range l.nodes(t) {
		physical[n.host] = map[string]any{
			"container": n.name, "sysctls": words("fs.inotify.max_queued_events fs.inotify.max_user_instances fs.inotify.max_user_watches net.netfilter.nf_conntrack_max"),
			"files": l.onDisk(t, put, n.host, func(s string) string { return l.ssh(t, n.host, s) }, "/etc/modules-load.d/jeroboam.conf", "/etc/sysctl.d/99-zz-jeroboam.conf", "/var/lib/lxc/"+n.name+"/config"),
		}
		// The way into containers that OpenStack-Ansible's connection plugin takes.
		attach := put("ssh-"+n.name, fmt.Sprintf("#!/bin/bash\nlast=${!#}\nset -- \"${@:1:$#-1}\"\ncase $last in /bin/sh*) exec ssh \"$@\" \"lxc-attach --clear-env --name %s -- $last\";; esac\nexec ssh \"$@\" \"$last\"\n", n.name), 0o700)
		nodes[n.name] = map[string]any{
			"ansible_host": n.host, "ansible_ssh_executable": attach, "programs": l.programFiles(t),
			"directories": []onDisk{{Dest: "/etc/kubernetes", Mode: "0755"}, {Dest: "/etc/kubernetes/manifests", Mode: "0755"}, {Dest: "/etc/containerd/certs.d", Mode: "0755"}, {Dest: "/opt/cni/bin", Mode: "0755"}, {Dest: "/root/.kube", Mode: "0750"}},
			"packages":    words("conntrack ebtables ethtool iptables libedit2 socat"),
			"sysctls":     words("net.bridge.bridge-nf-call-ip6tables net.bridge.bridge-nf-call-iptables net.ipv4.conf.all.rp_filter net.ipv4.ip_forward"),
			"units":       words("bpf-mount cilium-cgroup2-mount noswap containerd kubelet"),
			"files": l.onDisk(t, put, n.name, func(s string) string { return l.inside(t, n, s) }, "/etc/sysctl.d/90-jeroboam.conf", "/etc/crictl.yaml", "/etc/containerd/config.toml",
				"/etc/systemd/system/containerd.service", "/etc/systemd/system/bpf-mount.service", "/etc/systemd/system/cilium-cgroup2-mount.service", "/etc/systemd/system/noswap.service",
				"/etc/systemd/system/kubelet.service", "/etc/systemd/system/kubelet.service.d/10-kubeadm.conf", "/etc/kubernetes/kubeadm.yaml"),
		}
	}
	_, balancer := l.hosts(t)
	fragment := l.onDisk(t, put, "lb", func(s string) string { return l.ssh(t, balancer, s) }, "/etc/haproxy/conf.d/k8s")
	inventory := map[string]any{
		"all": map[string]any{"vars": common}, "physical": map[string]any{"hosts": physical}, "nodes": map[string]any{"hosts": nodes},
		"balancers": map[string]any{"hosts": map[string]any{"lb": map[string]any{"ansible_host": balancer, "files": fragment}}},
	}
	written, err := json.Marshal(inventory)
	if err != nil {
		t.Fatal(err)
	}
	put("hosts.json", string(written), 0o600)
	return dir
}

func words(s string) []string { return strings.Fields(s) }

// onDisk fetches files as they are, for tasks that will find nothing to change.
func (l lab) onDisk(t *testing.T, put func(name, text string, mode os.FileMode) string, place string, run func(script string) string, paths ...string) []onDisk {
	t.Helper()
	var out []onDisk
	for _, p := range paths {
		mode := strings.TrimSpace(run("stat -c 0%a " + p))
		out = append(out, onDisk{Src: put(filepath.Join("files", place, p), run("cat "+p), 0o600), Dest: p, Mode: mode})
	}
	return out
}

// programFiles are the bundle's.
func (l lab) programFiles(t *testing.T) []onDisk {
	t.Helper()
	var out []onDisk
	for _, f := range l.index(t).Files {
		dir, name := filepath.Split(f.Path)
		if at, ok := map[string]string{"bin/": "/usr/bin/", "cni/": "/opt/cni/bin/"}[dir]; ok {
			out = append(out, onDisk{Src: filepath.Join(l.bundle, "files", f.Path), Dest: at + name})
		}
	}
	return out
}
