package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// program runs a client that answers soon in an environment that holds nothing of the person who runs the tests.
func program(t *testing.T, env []string, name string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return programWithin(t, 2*time.Minute, env, name, args...)
}

// programWithin runs a client that itself waits for clusters.
func programWithin(
	t *testing.T, bound time.Duration, env []string, name string, args ...string,
) (stdout, stderr string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	home := t.TempDir()
	cmd.Dir = home
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "SHELL=/bin/sh", "LC_ALL=C.UTF-8"}, env...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err = cmd.Run()
	return out.String(), problems.String(), err
}

// client is the openstack command line of one cloud in clouds.yaml.
type client struct {
	all     *allinone
	cloud   string
	modules string // a directory of Python's that goes before Debian's; empty: Debian's alone
}

func (a *allinone) client(cloud string) client { return client{all: a, cloud: cloud} }

func (c client) run(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	env := []string{"OS_CLIENT_CONFIG_FILE=" + filepath.Join(c.all.stateDir, "clouds.yaml")}
	if c.modules != "" {
		env = append(env, "PYTHONPATH="+c.modules)
	}
	return program(t, env, "openstack", append([]string{"--os-cloud", c.cloud}, args...)...)
}

// says runs a command that must succeed and returns what it printed.
func (c client) says(t *testing.T, args ...string) string {
	t.Helper()
	out, problems, err := c.run(t, args...)
	if err != nil {
		t.Fatalf("openstack --os-cloud %s %s: %v\n%s%s", c.cloud, strings.Join(args, " "), err, out, problems)
	}
	return out
}

// shows runs a command with -f json and reads what it printed into out.
func (c client) shows(t *testing.T, out any, args ...string) {
	t.Helper()
	text := c.says(t, append(args, "-f", "json")...)
	if err := json.Unmarshal([]byte(text), out); err != nil {
		t.Fatalf("openstack %s: %v:\n%s", strings.Join(args, " "), err, text)
	}
}

// table runs a command that has no -f and reads the table of properties that it prints.
func (c client) table(t *testing.T, args ...string) map[string]string {
	t.Helper()
	text := c.says(t, args...)
	out := map[string]string{}
	for line := range strings.Lines(text) {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			out[strings.TrimSpace(cells[1])] = strings.TrimSpace(cells[2])
		}
	}
	if len(out) == 0 {
		t.Fatalf("openstack %s prints no table:\n%s", strings.Join(args, " "), text)
	}
	return out
}

// refused runs a command that must fail, with words in what it prints. Some commands of the client end with 0 and only
// say "failed": those that work on several things at once.
func (c client) refused(t *testing.T, words string, args ...string) {
	t.Helper()
	out, problems, err := c.run(t, args...)
	switch said := out + problems; {
	case err == nil && !strings.Contains(said, "failed"):
		t.Errorf("openstack --os-cloud %s %s succeeded, want a failure with %q:\n%s", c.cloud, strings.Join(args, " "), words, said)
	case !strings.Contains(said, words):
		t.Errorf("openstack --os-cloud %s %s failed, but not with %q:\n%s", c.cloud, strings.Join(args, " "), words, said)
	}
}

// config fetches a cluster's kubeconfig as a tenant does, and returns its path.
func (c client) config(t *testing.T, ident string) string {
	t.Helper()
	dir := t.TempDir()
	out := c.says(t, "coe", "cluster", "config", ident, "--dir", dir)
	path := filepath.Join(dir, "config")
	if !strings.Contains(out, path) {
		t.Errorf("coe cluster config does not say where the file is: %q", out)
	}
	return path
}

// jeroboam runs a command for owners of clusters, which must succeed.
func jeroboam(t *testing.T, all *allinone, cloud string, args ...string) string {
	t.Helper()
	path, err := filepath.Abs(light)
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"OS_CLIENT_CONFIG_FILE=" + filepath.Join(all.stateDir, "clouds.yaml"), "OS_CLOUD=" + cloud}
	out, problems, err := programWithin(t, clusterBound, env, path, args...)
	if err != nil {
		t.Fatalf("jeroboam %s: %v\n%s%s", strings.Join(args, " "), err, out, problems)
	}
	return out
}

// kubectl runs kubectl.
func kubectl(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	return program(t, nil, "kubectl", args...)
}

// kubectlSays runs a kubectl that must succeed.
func kubectlSays(t *testing.T, args ...string) string {
	t.Helper()
	out, problems, err := kubectl(t, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s%s", strings.Join(args, " "), err, out, problems)
	}
	return out
}

// node is a node of a workload cluster as kubectl shows it.
type node struct{ Name, Version, Role, Group string }

// nodes lists a cluster's nodes by name.
func nodes(t *testing.T, kubeconfig string) []node {
	t.Helper()
	text := kubectlSays(t, "--kubeconfig", kubeconfig, "get", "nodes", "-o", "json")
	var list struct {
		Items []struct {
			Metadata struct {
				Name   string
				Labels map[string]string
			}
			Status struct {
				NodeInfo struct{ KubeletVersion string }
			}
		}
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	var out []node
	for _, n := range list.Items {
		role := "worker"
		if _, ok := n.Metadata.Labels["node-role.kubernetes.io/control-plane"]; ok {
			role = "master"
		}
		out = append(out, node{n.Metadata.Name, n.Status.NodeInfo.KubeletVersion, role, n.Metadata.Labels["node.cluster.x-k8s.io/nodegroup"]})
	}
	slices.SortFunc(out, func(a, b node) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func names(nodes []node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.Name)
	}
	return out
}

// wantNodes checks how many masters and workers a cluster has, and their version.
func wantNodes(t *testing.T, kubeconfig string, masters, workers int, version string) []node {
	t.Helper()
	list := nodes(t, kubeconfig)
	count := map[string]int{}
	for _, n := range list {
		count[n.Role]++
		if n.Version != version {
			t.Errorf("node %s has kubelet %s, want %s", n.Name, n.Version, version)
		}
	}
	if count["master"] != masters || count["worker"] != workers {
		t.Errorf("nodes are %+v, want %d masters and %d workers", list, masters, workers)
	}
	return list
}
