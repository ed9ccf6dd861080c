package cloud

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// TestLife is the thread: one master and one worker come up and run pods, are reached from outside and with Keystone's
// tokens, grow and shrink, and leave nothing.
func TestLife(t *testing.T) {
	w := newWorld(t)
	before := w.inventory(t)
	w.template(t, "life", "cilium", "--labels", labels)
	began := time.Now()
	w.create(t, "life", "life", 1, 1)
	s := w.reaches(t, "life", "CREATE_COMPLETE", 15*time.Minute)
	t.Logf("complete %.0f s after the request", time.Since(began).Seconds())
	w.whereTimeWent(t, s, began)
	config := w.config(t, "life")

	t.Run("nodes are ready", func(t *testing.T) { w.nodesAreReady(t, config, "life", 2) })
	t.Run("pods run, reach each other, and DNS works", func(t *testing.T) { w.podsTalk(t, config, 2, withShell("cilium")) })
	t.Run("a load balancer answers outside", func(t *testing.T) { w.loadBalancer(t, config) })
	t.Run("Keystone's tokens are known", func(t *testing.T) { w.keystone(t, config) })
	t.Run("nodes are measured", func(t *testing.T) {
		w.await(t, 3*time.Minute, "kubectl top", func() error {
			out, err := w.kubectl(t, config, "top", "nodes", "--no-headers")
			if err == nil && len(strings.Split(strings.TrimSpace(out), "\n")) != 2 {
				err = fmt.Errorf("%w: %s", errNotYet, out)
			}
			return err
		})
	})
	t.Run("it grows and shrinks", func(t *testing.T) { w.resize(t, config) })
	t.Run("a node group comes and goes", func(t *testing.T) { w.nodeGroup(t, config) })
	t.Run("what a tenant breaks is put back, and what is theirs stays", func(t *testing.T) { w.drift(t, config) })
	if t.Failed() {
		return
	}
	t.Logf("gone %.0f s after the request", w.delete(t, "life").Seconds())
	w.nothingLeft(t, before, s)
}

// whereTimeWent says when the parts of a cluster were done, as the management cluster has it.
func (w *world) whereTimeWent(t *testing.T, c shown, began time.Time) {
	t.Helper()
	for _, part := range []struct{ what, kind, condition string }{
		{"network is there, servers asked for", "openstackservers", ""},
		{"servers active", "openstackservers", "Ready"},
		{"API server initialized", "kubeadmcontrolplanes", "Initialized"},
		{"nodes ready", "machines", "Ready"},
		{"addons available", "magnumclusters", ""},
	} {
		var after []string
		for _, at := range w.times(t, c, part.kind, part.condition) {
			after = append(after, fmt.Sprintf("%.0f s", at.Sub(began).Seconds()))
		}
		t.Logf("%s: %s", part.what, strings.Join(after, ", "))
	}
}

// times are when a condition of a cluster's objects last changed; without a condition, when they were made, or when
// addons were seen.
func (w *world) times(t *testing.T, c shown, kind, condition string) []time.Time {
	t.Helper()
	out, err := w.manage(t, "get", kind, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Items []struct {
			Metadata struct {
				Name    string    `json:"name"`
				Created time.Time `json:"creationTimestamp"`
			} `json:"metadata"`
			Status struct {
				Conditions []struct {
					Type  string    `json:"type"`
					Since time.Time `json:"lastTransitionTime"`
				} `json:"conditions"`
				Addons []struct {
					Since time.Time `json:"since"`
				} `json:"addons"`
			} `json:"status"`
		} `json:"items"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	var found []time.Time
	for _, item := range list.Items {
		if !strings.HasPrefix(item.Metadata.Name, c.Stack) && item.Metadata.Name != c.UUID {
			continue
		}
		for _, a := range item.Status.Addons {
			found = append(found, a.Since)
		}
		for _, have := range item.Status.Conditions {
			if have.Type == condition && condition != "" {
				found = append(found, have.Since)
			}
		}
		if condition == "" && len(item.Status.Addons) == 0 {
			found = append(found, item.Metadata.Created)
		}
	}
	return found
}

func (w *world) nodesAreReady(t *testing.T, config, name string, n int) {
	t.Helper()
	out, err := w.kubectl(t, config, "get", "nodes", "-o", `jsonpath={range .items[*]}{.spec.providerID} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
	if err != nil || strings.Count(out, "openstack:///") != n || strings.Count(out, " True") != n {
		t.Errorf("%d ready nodes wanted: %v: %s", n, err, out)
	}
	w.await(t, 2*time.Minute, "health", func() error {
		s, err := w.cluster(t, name)
		if err == nil && s.Health != "HEALTHY" {
			err = fmt.Errorf("%w: it is %s", errNotYet, s.Health)
		}
		return err
	})
}

// keystone asks the API server with tokens of the project's member, and of another project's.
func (w *world) keystone(t *testing.T, config string) {
	t.Helper()
	asks := func(user string, args ...string) (string, error) {
		return w.kubectl(t, w.withToken(t, config, w.say(t, user, "token", "issue", "-f", "value", "-c", "id")), args...)
	}
	w.await(t, 2*time.Minute, "an answer for a member's token", func() error {
		_, err := asks(w.tenant, "get", "pods")
		return err
	})
	for _, refused := range []struct {
		user, reason string
		args         []string
	}{
		{"other", "another project's member", []string{"get", "pods"}},
		{"reader", "a reader of the project is no member", []string{"get", "pods"}},
		{w.tenant, "secrets are not in the policy", []string{"get", "secrets", "-n", "kube-system"}},
	} {
		out, err := asks(refused.user, refused.args...)
		switch {
		case err == nil:
			t.Errorf("%s: allowed: %s", refused.reason, out)
		case !strings.Contains(err.Error(), "Forbidden") && !strings.Contains(err.Error(), "Unauthorized"):
			t.Errorf("%s: neither 401 nor 403: %v", refused.reason, err)
		}
	}
	if out, err := w.kubectl(t, w.withToken(t, config, "nonsense"), "get", "pods"); err == nil || !strings.Contains(err.Error(), "Unauthorized") {
		t.Errorf("a token that is none: %v %s", err, out)
	}
}

// withToken is a kubeconfig that has a token in place of the certificate. A token in an argument would be in logs.
func (w *world) withToken(t *testing.T, config, token string) string {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	parsed := map[string]any{}
	if err := yaml.Unmarshal(text, &parsed); err != nil {
		t.Fatal(err)
	}
	user := parsed["users"].([]any)[0].(map[string]any)["name"] //nolint:forcetypeassert // a kubeconfig
	parsed["users"] = []any{map[string]any{"name": user, "user": map[string]any{"token": token}}}
	if text, err = yaml.Marshal(parsed); err != nil {
		t.Fatal(err)
	}
	file := config + "-token"
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// workers are the cluster's worker nodes by the ID of their server.
func (w *world) workers(t *testing.T, config string) map[string]string {
	t.Helper()
	out, err := w.kubectl(t, config, "get", "nodes", "-l", "!node-role.kubernetes.io/control-plane", "-o", `jsonpath={range .items[*]}{.spec.providerID} {.metadata.name}{"\n"}{end}`)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for line := range strings.Lines(out) {
		if id, name, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			found[id[strings.LastIndex(id, "/")+1:]] = name
		}
	}
	return found
}

// resize goes from one worker to two, and takes away the one that is named.
func (w *world) resize(t *testing.T, config string) {
	t.Helper()
	to := func(n int, more ...string) {
		t.Helper()
		began := time.Now()
		w.say(t, w.tenant, append([]string{"coe", "cluster", "resize", "life", fmt.Sprint(n)}, more...)...)
		w.reaches(t, "life", "UPDATE_COMPLETE", 15*time.Minute)
		if have := w.workers(t, config); len(have) != n {
			t.Errorf("%d workers wanted: %v", n, have)
		}
		t.Logf("%d workers %.0f s after the request", n, time.Since(began).Seconds())
	}
	first := w.workers(t, config)
	to(2)
	var named string
	for id := range first { // the oldest: by itself Cluster API would not choose it
		named = id
	}
	to(1, "--nodes-to-remove", named)
	if name, there := w.workers(t, config)[named]; there {
		t.Errorf("%s was named and is still there", name)
	}
	if _, there := w.workerServers(t)[named]; there {
		t.Errorf("server %s was named and is still in Nova", named)
	}
}

func (w *world) workerServers(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for name, id := range w.servers(t, "life") {
		found[id] = name
	}
	return found
}

// nodeGroup adds a group of nodes, makes it larger, and removes it.
func (w *world) nodeGroup(t *testing.T, config string) {
	t.Helper()
	began := time.Now()
	w.say(t, w.tenant, "coe", "nodegroup", "create", "life", "extra", "--node-count", "1", "--flavor", "m1.small", "--role", "batch")
	w.reaches(t, "life", "UPDATE_COMPLETE", 15*time.Minute)
	out, err := w.kubectl(t, config, "get", "nodes", "-l", "node-role.kubernetes.io/batch", "-o", `jsonpath={.items[*].metadata.labels.node\.kubernetes\.io/instance-type}`)
	if err != nil || strings.TrimSpace(out) != "m1.small" {
		t.Errorf("one node of the role batch and the flavor m1.small wanted: %v %q", err, out)
	}
	t.Logf("there %.0f s after the request", time.Since(began).Seconds())
	began = time.Now()
	w.say(t, w.tenant, "coe", "nodegroup", "delete", "life", "extra")
	w.reaches(t, "life", "UPDATE_COMPLETE", 15*time.Minute)
	w.await(t, time.Minute, "no node of the group", func() error {
		if have := w.workers(t, config); len(have) != 1 {
			return fmt.Errorf("%w: %v", errNotYet, have)
		}
		return nil
	})
	if have := w.servers(t, "life"); len(have) != 2 {
		t.Errorf("two servers wanted: %v", have)
	}
	t.Logf("gone %.0f s after the request", time.Since(began).Seconds())
}

// drift breaks what is ours and changes what is not.
func (w *world) drift(t *testing.T, config string) {
	t.Helper()
	run := func(args ...string) {
		t.Helper()
		if out, err := w.kubectl(t, config, args...); err != nil {
			t.Fatalf("%v %s", err, out)
		}
	}
	run("-n", "kube-system", "delete", "clusterrole", "cilium")
	run("-n", "kube-system", "set", "image", "daemonset/openstack-cloud-controller-manager", "*=example.com/other:v1")
	run("-n", "kube-system", "annotate", "daemonset/cilium", "example.com/mine=stays")
	w.await(t, time.Minute, "repair", func() error {
		if _, err := w.kubectl(t, config, "get", "clusterrole", "cilium"); err != nil {
			return err
		}
		out, err := w.kubectl(t, config, "-n", "kube-system", "get", "daemonset", "openstack-cloud-controller-manager", "-o", "jsonpath={.spec.template.spec.containers[0].image}")
		if err == nil && !strings.Contains(out, "provider-os/openstack-cloud-controller-manager") {
			err = fmt.Errorf("%w: the image is %s", errNotYet, out)
		}
		return err
	})
	out, err := w.kubectl(t, config, "-n", "kube-system", "get", "daemonset", "cilium", "-o", `jsonpath={.metadata.annotations.example\.com/mine}`)
	if err != nil || out != "stays" {
		t.Errorf("a tenant's annotation is gone: %v %q", err, out)
	}
}
