package cloud

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shown is what the openstack client shows of a cluster.
type shown struct {
	UUID         string   `json:"uuid"`
	Stack        string   `json:"-"` // as the management cluster has it
	Status       string   `json:"status"`
	StatusReason string   `json:"status_reason"`
	Health       string   `json:"health_status"`
	APIAddress   string   `json:"api_address"`
	Nodes        []string `json:"node_addresses"`
}

func (w *world) cluster(t *testing.T, name string) (shown, error) {
	t.Helper()
	out, err := w.openstack(t, w.tenant, "coe", "cluster", "show", name, "-f", "json")
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
	last.Stack = w.stack(t, last.UUID)
	return last
}

// labels are what this machine's images of nodes lack: what no module proxy serves.
const labels = "kube_tag=v1.36.4,cinder_csi_enabled=false"

// template makes a cluster template that is gone with the test.
func (w *world) template(t *testing.T, name, driver string, more ...string) {
	t.Helper()
	args := append([]string{
		"coe", "cluster", "template", "create", name, "--coe", "kubernetes", "--image", w.image, "--flavor", "m1.medium",
		"--master-flavor", "m1.medium", "--external-network", "public", "--network-driver", driver, "--keypair", "default",
	}, more...)
	_, _ = w.openstack(t, w.tenant, "coe", "cluster", "template", "delete", name) // what a run that was killed has left
	w.say(t, w.tenant, args...)
	t.Cleanup(func() { _, _ = w.afterwards("coe", "cluster", "template", "delete", name) }) // the test says what it misses
}

// create makes a cluster and does not wait. Whatever fails, the cloud is given back.
func (w *world) create(t *testing.T, name, template string, masters, workers int, more ...string) {
	t.Helper()
	w.say(t, w.tenant, append([]string{
		"coe", "cluster", "create", name, "--cluster-template", template, "--master-count", fmt.Sprint(masters), "--node-count", fmt.Sprint(workers),
	}, more...)...)
	t.Cleanup(func() {
		deadline := time.Now().Add(10 * time.Minute)
		for time.Now().Before(deadline) {
			if _, err := w.afterwards("coe", "cluster", "delete", name); err != nil {
				return // it is gone
			}
			time.Sleep(5 * time.Second)
		}
		t.Errorf("%s is still there ten minutes after its deletion", name)
	})
}

// afterwards speaks as the tenant when the test's own context has ended.
func (w *world) afterwards(args ...string) (string, error) { return w.lately(w.tenant, args...) }

func (w *world) lately(user string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := w.command(ctx, user, append([]string{"openstack"}, args...)...).CombinedOutput()
	return string(out), err
}

// insideLately runs something in the cloud's own container, whatever became of the test.
func (w *world) insideLately(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, w.program, append([]string{"inside", "--dir", w.dir, "--"}, args...)...).CombinedOutput()
	return string(out), err
}

// delete ends a cluster and waits for it.
func (w *world) delete(t *testing.T, name string) time.Duration {
	t.Helper()
	uuid := w.mustCluster(t, name).UUID
	began := time.Now()
	w.say(t, w.tenant, "coe", "cluster", "delete", name)
	w.gone(t, uuid)
	return time.Since(began)
}

func (w *world) gone(t *testing.T, uuid string) {
	t.Helper()
	w.await(t, 15*time.Minute, "the end of "+uuid, func() error {
		s, err := w.cluster(t, uuid)
		switch {
		case err == nil:
			return fmt.Errorf("%w: %s %s", errNotYet, s.Status, s.StatusReason)
		case strings.Contains(err.Error(), "404"), strings.Contains(err.Error(), "could not be found"):
			return nil
		}
		return err
	})
}

func (w *world) mustCluster(t *testing.T, name string) shown {
	t.Helper()
	s, err := w.cluster(t, name)
	if err != nil {
		t.Fatal(err)
	}
	s.Stack = w.stack(t, s.UUID)
	return s
}

// stack is the cluster's name in Cluster API and in the cloud.
func (w *world) stack(t *testing.T, uuid string) string {
	t.Helper()
	out, err := w.manage(t, "get", "magnumcluster", uuid, "-o", "jsonpath={.spec.stackID}")
	if err != nil || strings.TrimSpace(out) == "" {
		t.Fatalf("the stack of %s: %v %q", uuid, err, out)
	}
	return strings.TrimSpace(out)
}

// config is a kubeconfig as the tenant gets one.
func (w *world) config(t *testing.T, cluster string) string {
	t.Helper()
	dir := filepath.Join(w.work, "config-"+cluster)
	w.mustExec(t, time.Minute, w.tenant, "sh", "-c", "mkdir -p "+dir+" && openstack coe cluster config "+cluster+" --force --dir "+dir)
	return filepath.Join(dir, "config")
}

// kubectl speaks to a cluster with the kubeconfig that "coe cluster config" makes.
func (w *world) kubectl(t *testing.T, config string, args ...string) (string, error) {
	t.Helper()
	return w.exec(t, time.Minute, w.tenant, append([]string{"kubectl", "--kubeconfig", config, "--request-timeout=30s"}, args...)...)
}

// apply brings objects to a cluster.
func (w *world) apply(t *testing.T, config, objects string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := w.command(ctx, w.tenant, "kubectl", "--kubeconfig", config, "apply", "-f", "-")
	cmd.Stdin = strings.NewReader(objects)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("apply: %v: %s", err, out)
	}
}

// manage asks the management cluster.
func (w *world) manage(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return w.exec(t, time.Minute, "", append([]string{"kubectl", "--kubeconfig", filepath.Join(w.state, "management.kubeconfig"), "-n", "magnum-system"}, args...)...)
}

// servers are the cluster's in Nova, by name: their IDs.
func (w *world) servers(t *testing.T, cluster string) map[string]string {
	t.Helper()
	stack := w.mustCluster(t, cluster).Stack
	out := w.say(t, w.tenant, "server", "list", "-f", "json", "-c", "ID", "-c", "Name")
	var list []struct{ ID, Name string }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	found := map[string]string{}
	for _, s := range list {
		if strings.HasPrefix(s.Name, stack+"-") {
			found[s.Name] = s.ID
		}
	}
	return found
}
