package cloud

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// world is the real cloud, with Jeroboam and Cluster API's provider in its network.
type world struct {
	dir     string // the cloud's
	program string // test/cloud, built
	state   string // the all-in-one's
	image   string // of nodes, in Glance
}

// place reads where things are: the Makefile says so.
func place(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Skipf("%s is not set: \"make e2e-cloud\" runs this, after \"make cloud-up\" (root)", name)
	}
	return value
}

// newWorld brings the image of nodes into the cloud and starts the all-in-one there.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{dir: place(t, "CLOUD_DIR"), program: place(t, "CLOUD_PROGRAM"), state: t.TempDir(), image: "e2e-node"}
	jeroboam, allinone, node := place(t, "JEROBOAM"), place(t, "ALLINONE"), place(t, "NODE_IMAGE")
	w.mustExec(t, 5*time.Minute, "admin", "sh", "-c",
		"openstack image show "+w.image+" >/dev/null 2>&1 || "+jeroboam+" image upload "+node+" --name "+w.image+" --public")
	cmd := w.command(t.Context(), "", allinone, "up", "--state-dir", w.state, "--cloud", filepath.Join(w.dir, "clouds.yaml"),
		"--address", "10.77.0.1", "--no-first-cluster", "--addon-catalogue", place(t, "CATALOGUE"))
	log, err := os.Create(filepath.Join(w.state, "up.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		if t.Failed() {
			text, _ := os.ReadFile(log.Name()) // only to be shown
			t.Logf("the all-in-one said:\n%s", text)
		}
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended by itself
		if err := <-ended; err != nil {
			t.Log(err)
		}
	})
	w.await(t, 3*time.Minute, "the Magnum API", func() error {
		_, err := w.openstack(t, "demo", "coe", "cluster", "list")
		return err
	})
	return w
}

// command runs in the cloud's network, as a user of its clouds.yaml.
func (w *world) command(ctx context.Context, user string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.program, append([]string{"exec", "--dir", w.dir, "--"}, args...)...)
	if user != "" {
		cmd.Env = append(os.Environ(), "OS_CLOUD="+user)
	}
	return cmd
}

func (w *world) exec(t *testing.T, limit time.Duration, user string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := w.command(ctx, user, args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s%s", strings.Join(args, " "), err, out.String(), problems.String())
	}
	return out.String(), nil
}

func (w *world) mustExec(t *testing.T, limit time.Duration, user string, args ...string) string {
	t.Helper()
	out, err := w.exec(t, limit, user, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// openstack is Debian's client.
func (w *world) openstack(t *testing.T, user string, args ...string) (string, error) {
	t.Helper()
	return w.exec(t, 3*time.Minute, user, append([]string{"openstack"}, args...)...)
}

func (w *world) say(t *testing.T, user string, args ...string) string {
	t.Helper()
	out, err := w.openstack(t, user, args...)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func (w *world) await(t *testing.T, limit time.Duration, what string, ready func() error) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for {
		err := ready()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %s: %v", what, limit, err)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(2 * time.Second):
		}
	}
}

// shown is what the openstack client shows of a cluster.
type shown struct {
	UUID         string   `json:"uuid"`
	Status       string   `json:"status"`
	StatusReason string   `json:"status_reason"`
	Health       string   `json:"health_status"`
	APIAddress   string   `json:"api_address"`
	Nodes        []string `json:"node_addresses"`
}

func (w *world) cluster(t *testing.T, name string) (shown, error) {
	t.Helper()
	out, err := w.openstack(t, "demo", "coe", "cluster", "show", name, "-f", "json")
	if err != nil {
		return shown{}, err
	}
	var s shown
	return s, json.Unmarshal([]byte(out), &s)
}

// reaches waits for a state, and fails at once in a failed one.
func (w *world) reaches(t *testing.T, name, status string, limit time.Duration) shown {
	t.Helper()
	var last shown
	w.await(t, limit, name+" is "+status, func() error {
		s, err := w.cluster(t, name)
		if err != nil {
			return err
		}
		if last = s; strings.HasSuffix(s.Status, "_FAILED") {
			t.Fatalf("%s: %s: %s", name, s.Status, s.StatusReason)
		}
		if s.Status != status {
			return fmt.Errorf("%s: %s", s.Status, s.StatusReason)
		}
		return nil
	})
	return last
}

// kubectl speaks to a cluster with the kubeconfig that "coe cluster config" makes.
func (w *world) kubectl(t *testing.T, config string, args ...string) (string, error) {
	t.Helper()
	return w.exec(t, time.Minute, "demo", append([]string{"kubectl", "--kubeconfig", config, "--request-timeout=30s"}, args...)...)
}

// apply brings objects to a cluster.
func (w *world) apply(t *testing.T, config, objects string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := w.command(ctx, "demo", "kubectl", "--kubeconfig", config, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(objects)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("apply: %v: %s", err, out)
	}
}

// inventory is everything that a project has in the cloud, by kind.
func (w *world) inventory(t *testing.T) map[string][]string {
	t.Helper()
	out := w.mustExec(t, 2*time.Minute, "demo", "/usr/bin/python3", "-c", inventoryScript)
	have := map[string][]string{}
	if err := json.Unmarshal([]byte(out), &have); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return have
}

// One process: the openstack command takes seconds for each list.
const inventoryScript = `
import json, openstack
c = openstack.connect(); p = c.current_project_id
print(json.dumps({
 'servers': sorted(s.name for s in c.compute.servers()),
 'ports': sorted((x.name or x.id) + ' ' + x.device_owner for x in c.network.ports(project_id=p)),
 'networks': sorted(x.name for x in c.network.networks(project_id=p)),
 'routers': sorted(x.name for x in c.network.routers(project_id=p)),
 'security groups': sorted(x.name for x in c.network.security_groups(project_id=p)),
 'floating addresses': sorted(x.floating_ip_address for x in c.network.ips(project_id=p)),
 'load balancers': sorted(x.name for x in c.load_balancer.load_balancers()),
 'server groups': sorted(x.name for x in c.compute.server_groups()),
 'volumes': sorted(x.name for x in c.block_storage.volumes()),
 'application credentials': sorted(x.name for x in c.identity.application_credentials(user=c.current_user_id)),
}))`

var errNotYet = errors.New("not yet")
