package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

func TestDownLeavesStrangersAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := (&Lab{Dir: dir, Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}).Down(t.Context())
	if err == nil || !strings.Contains(err.Error(), "thesis.tex") {
		t.Errorf("down in a directory that is no lab: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "thesis.tex")); err != nil {
		t.Error(err)
	}
}

func TestLayout(t *testing.T) {
	for _, n := range []int{1, 3} {
		hosts, err := layout(n, n == 3)
		if err != nil {
			t.Fatal(err)
		}
		l := &Lab{Dir: "/lab", Hosts: hosts}
		files := l.deployFiles()
		if got := strings.Count(files["conf.d/k8s.yml"], "ip:"); got != n {
			t.Errorf("%d hosts: conf.d/k8s.yml names %d", n, got)
		}
		_, balancers, _ := strings.Cut(files["openstack_user_config.yml"], "load_balancer_hosts:")
		if strings.Count(balancers, "ip:") != 1 {
			t.Errorf("%d hosts: load balancers %q", n, balancers)
		}
	}
	if _, err := layout(2, false); err == nil {
		t.Error("two hosts are no lab")
	}
}

// Beside a cloud, hosts and their containers have a way to it; without one there is none at all.
func TestBesideACloud(t *testing.T) {
	hosts, err := layout(1, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, cloud := range []string{"", "/cloud"} {
		l := &Lab{Dir: "/lab", Hosts: hosts, Cloud: cloud}
		files, deploy := l.hostFiles(hosts[0]), l.deployFiles()["openstack_user_config.yml"]
		for _, tt := range []struct{ reason, text, has string }{
			{"the host has a way to OpenStack's services", files["etc/systemd/network/30-br.network"], "Destination=10.77.0.0/24\nGateway=172.29.236.21"},
			{"and to floating addresses", files["etc/systemd/network/30-br.network"], "Destination=10.78.0.0/24\nGateway=172.29.236.21"},
			{"containers have one by way of it", files["etc/systemd/network/40-lxcbr0.network"], "EmitRouter=yes"},
			{"with its address", files["etc/systemd/network/40-lxcbr0.network"], "IPMasquerade=ipv4"},
			{"its name is known", files["etc/hosts"], "172.29.236.21 cloud"},
			{"Neutron is on the cloud's host", deploy, "network_hosts:\n  cloud:\n    ip: 172.29.236.21\n"},
			{"Magnum is not", deploy, "magnum-infra_hosts:\n  infra1:\n    ip: 172.29.236.11\nnetwork_hosts"},
		} {
			if got := strings.Contains(tt.text, tt.has); got != (cloud != "") {
				t.Errorf("%s: with the cloud %q: %v", tt.reason, cloud, got)
			}
		}
	}
	l := &Lab{Dir: t.TempDir(), Cloud: t.TempDir()}
	if err := l.checkCloud(t.Context()); err == nil || !strings.Contains(err.Error(), "there is no cloud in "+l.Cloud) {
		t.Errorf("a cloud that is not there: %v", err)
	}
	if err := (&Lab{Dir: l.Dir, Cloud: l.Cloud}).Up(t.Context(), 1, true); err == nil || !strings.Contains(err.Error(), "exclude each other") {
		t.Errorf("two Keystones: %v", err)
	}
}

// TestLab makes a host, kills the lab in the middle of making it, makes it again, and takes it away.
func TestLab(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("making hosts needs root")
	}
	l := &Lab{Dir: filepath.Join(t.TempDir(), "lab"), Cache: cacheDir(), Source: "../..", Out: t.Output(), Err: t.Output()}
	if err := l.checkPrograms(t.Context()); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := l.Down(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	if err := l.fillCache(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Stopped while the host boots: namespaces, a running container and half a directory are left.
	ctx, cancel := context.WithCancel(t.Context())
	stopped := *l
	stopped.Out = writer(func(p []byte) {
		if bytes.Contains(p, []byte("hosts started")) {
			cancel()
		}
	})
	if err := stopped.Up(ctx, 1, false); err == nil {
		t.Fatal("it was not stopped")
	}
	if err := l.Up(t.Context(), 1, false); err != nil {
		t.Fatal(err)
	}
	host := l.Hosts[0]
	onHost := func(command string) string {
		cmd, err := l.ssh(t.Context(), host, command)
		if err != nil {
			t.Fatal(err)
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", command, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	if got := onHost("ip -4 -o addr show br-mgmt"); !strings.Contains(got, host.Address+"/22") || !strings.Contains(got, internalVIP+"/32") {
		t.Errorf("addresses: %s", got)
	}
	if got := onHost("ip route get 192.0.2.1 2>&1 || true"); !strings.Contains(got, "unreachable") {
		t.Errorf("the host has a way out: %s", got)
	}
	if got := onHost("echo 10 > /proc/sys/kernel/panic; cat /proc/sys/kernel/panic"); got != "10" {
		t.Errorf("a host cannot set its own kernel.panic: %s", got)
	}
	if err := l.sysctls().Check(); err != nil {
		t.Error(err)
	}
	// The plug is pulled and put back; the disk has kept what was on it.
	onHost("touch /root/kept && sync")
	for _, on := range []bool{false, true} {
		if err := l.Power(t.Context(), host.Name, on); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.waitHost(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	onHost("test -e /root/kept")
	holder := l.holder().PID()
	if err := l.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(l.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory is left: %v", err)
	}
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/lxc.*." + l.containerPrefix() + "*"); len(left) > 0 {
		t.Errorf("cgroups are left: %v", left)
	}
	if err := machine.WaitFor(t.Context(), 10*time.Second, func() error { return gone(t.Context(), holder, host.Container) }); err != nil {
		t.Error(err)
	}
}

// gone is an error while a process of the lab is there.
func gone(ctx context.Context, holder int, container string) error {
	if machine.StartTime(holder) != "" {
		return errors.New("the process that holds the namespaces lives")
	}
	out, err := exec.CommandContext(ctx, "ps", "-eo", "args").Output()
	if err == nil && strings.Contains(string(out), container) {
		err = errors.New("there are processes of " + container)
	}
	return err
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }
