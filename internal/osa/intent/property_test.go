package intent_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/jeroboam-cloud/jeroboam/internal/osa/haproxy"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
)

func yamlOf(t *testing.T, opts intent.Options) string {
	t.Helper()
	in, _, err := intent.Read(opts)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := in.WriteYAML(&out, true); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// The order of keys in a file of variables, and which file of a group holds them, changes no value. Comments with lines
// do.
func TestOrderOfVariablesDoesNotMatter(t *testing.T) {
	opts := clean(t)
	want := values(yamlOf(t, opts))
	file := filepath.Join(opts.Config, k8s)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string // a key with what is indented below it
	for line := range strings.Lines(string(text)) {
		if line[0] == ' ' {
			blocks[len(blocks)-1] += line
		} else {
			blocks = append(blocks, line)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		shuffled := rapid.Permutation(blocks).Draw(rt, "order")
		cut := rapid.IntRange(0, len(shuffled)).Draw(rt, "first file")
		write(t, file, strings.Join(shuffled[:cut], ""))
		write(t, filepath.Join(opts.Config, "group_vars/k8s_all/zz.yml"), strings.Join(shuffled[cut:], ""))
		if diff := cmp.Diff(want, values(yamlOf(t, opts))); diff != "" {
			rt.Fatal(diff)
		}
	})
}

// values leaves the comments of a YAML text out.
func values(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, " # ")
		out.WriteString(strings.TrimRight(line, "\n") + "\n")
	}
	return out.String()
}

// A host more adds to hosts, nodes, load balancers and servers, and leaves what there was.
func TestAddingAHostOnlyAdds(t *testing.T) {
	before, _, err := intent.Read(clean(t))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(1, 4).Draw(rt, "more hosts")
		opts := clean(t)
		more := ""
		for i := range n {
			more += fmt.Sprintf("  infra%d: {ip: 172.29.236.%d}\n", 4+i, 14+i)
		}
		file := filepath.Join(opts.Config, nodes)
		text, _ := os.ReadFile(file)
		write(t, file, string(text)+more)
		after, _, err := intent.Read(opts)
		if err != nil {
			rt.Fatal(err)
		}
		if len(after.Nodes) != len(before.Nodes)+n || len(after.Hosts) != len(before.Hosts)+n {
			rt.Fatalf("%d nodes, %d hosts", len(after.Nodes), len(after.Hosts))
		}
		if diff := cmp.Diff(before.Nodes, after.Nodes[:len(before.Nodes)]); diff != "" {
			rt.Fatalf("nodes that were there changed:\n%s", diff)
		}
		for i, h := range after.HAProxy.Hosts {
			old := before.HAProxy.Hosts[i].Services[0]
			if got := len(h.Services[0].Servers); got != len(old.Servers)+n {
				rt.Fatalf("%d servers", got)
			}
			if diff := cmp.Diff(old.Servers, h.Services[0].Servers[:len(old.Servers)]); diff != "" {
				rt.Fatalf("servers that were there changed:\n%s", diff)
			}
		}
		if diff := cmp.Diff(before.Versions, after.Versions); diff != "" || before.VIPs != after.VIPs {
			rt.Fatalf("what has nothing to do with it changed:\n%s", diff)
		}
	})
}

// Reading twice gives the same, to the letter, findings included.
func TestReadingIsRepeatable(t *testing.T) {
	for name, opts := range oracle(t) {
		first, found, err := intent.Read(opts)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			again, foundAgain, err := intent.Read(opts)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(first.Tree(true), again.Tree(true)); diff != "" {
				t.Errorf("%s: %s", name, diff)
			}
			if diff := cmp.Diff(found.Sorted(), foundAgain.Sorted()); diff != "" {
				t.Errorf("%s: findings differ: %s", name, diff)
			}
		}
	}
}

// The fragments of every oracle case are valid for the real haproxy. The external name of the cases is made an address,
// because haproxy resolves names when it reads them.
func TestOracleFragmentsAreValid(t *testing.T) {
	bin, err := exec.LookPath("haproxy")
	if err != nil {
		t.Skipf("haproxy is not installed (apt-get install haproxy): fragments are not run: %v", err)
	}
	for name, opts := range oracle(t) {
		in, _, err := intent.Read(opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range in.HAProxy.Hosts {
			text := "global\ndefaults\n    timeout client 50s\n    timeout connect 10s\n    timeout server 50s\n"
			for _, f := range haproxy.Files(h.Services, h.Settings) {
				text += "\n" + f.Text
			}
			file := filepath.Join(t.TempDir(), "haproxy.cfg")
			write(t, file, strings.ReplaceAll(text, "openstack.example.com", "192.0.2.1"))
			if out, err := exec.CommandContext(t.Context(), bin, "-c", "-f", file).CombinedOutput(); err != nil {
				t.Errorf("%s on %s: %v\n%s\n%s", name, h.Name, err, out, text)
			}
		}
	}
}

// FuzzVariables gives the reader any text as the group's variables: it does not panic, and ends.
func FuzzVariables(f *testing.F) {
	for _, seed := range []string{
		"cilium_ipv4_cidr: 10.0.0.0/8", "k8s_haproxy_services: [{haproxy_service_name: x, haproxy_backend_nodes: [{name: a}], haproxy_bind: [{address: {}}]}]",
		"magnum_config_overrides: {a: {b: {c: d}}, e: [1, [2]]}", "lxc_container_bind_mounts: [1]", "container_networks: {a: {interface: eth0, static_routes: [1]}}",
		"kubelet_sysctls: {a: b}", "haproxy_vip_binds: 5", "cluster_api_backups_nodes: {}", "deployment_environment_variables: [a]", "kubernetes_version: 1.30",
		"k8s_haproxy_services: \"{{ k8s_haproxy_services }}\"", "openstack_pki_install_ca: x", "openstack_host_nf_conntrack_max: -1", "clusterctl_config: {1: 2}",
	} {
		f.Add(seed)
	}
	opts := cleanForFuzz(f)
	f.Fuzz(func(t *testing.T, text string) {
		if err := os.WriteFile(filepath.Join(opts.Config, "user_fuzz.yml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		in, found, err := intent.Read(opts)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := in.WriteText(&out, false); err != nil {
			t.Fatal(err)
		}
		if err := in.WriteJSON(&out, found, false); err != nil {
			t.Fatal(err)
		}
		for _, h := range in.HAProxy.Hosts {
			haproxy.Files(h.Services, h.Settings)
		}
	})
}

func cleanForFuzz(f *testing.F) intent.Options {
	f.Helper()
	dir := f.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../testdata/oracle/ha3/deploy")); err != nil {
		f.Fatal(err)
	}
	return intent.Options{Config: dir, Environment: "../testdata/base/30.1.5", System: "testdata/nowhere", Env: func(string) (string, bool) { return "", false }}
}
