package cloud

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// server is an HTTP server made of an image that every node has.
const server = `
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data:
  Corefile: |
    .:1053 {
      health :8080
    }
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      tolerations: [{operator: Exists}]
      containers:
      - name: web
        image: registry.k8s.io/coredns/coredns:v1.14.2
        imagePullPolicy: Never
        args: [-conf, /etc/web/Corefile]
        readinessProbe: {httpGet: {path: /health, port: 8080}}
        volumeMounts: [{name: config, mountPath: /etc/web}]
      volumes: [{name: config, configMap: {name: web}}]
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`

// probe speaks from inside a pod: to the cluster's DNS, to a service, and to a pod on each node.
const probe = `
apiVersion: v1
kind: Pod
metadata: {name: probe}
spec:
  containers:
  - name: probe
    image: quay.io/cilium/cilium:v1.20.2
    imagePullPolicy: Never
    command: [/bin/sleep, infinity]
`

// TestLife is the thread: one master and one worker come up and run pods, are reached from outside, grow and shrink, and leave
// nothing.
func TestLife(t *testing.T) {
	w := newWorld(t)
	before := w.inventory(t)
	w.say(t, "demo", "coe", "cluster", "template", "create", "e2e", "--coe", "kubernetes", "--image", w.image, "--flavor", "m1.medium",
		"--master-flavor", "m1.medium", "--external-network", "public", "--network-driver", "cilium", "--keypair", "default",
		"--labels", "kube_tag=v1.36.4,cinder_csi_enabled=false,keystone_auth_enabled=false,addons_excluded=metrics-server")
	began := time.Now()
	w.say(t, "demo", "coe", "cluster", "create", "life", "--cluster-template", "e2e", "--master-count", "1", "--node-count", "1")
	t.Cleanup(func() { // whatever failed, the cloud is given back
		if _, err := w.cluster(t, "life"); err == nil {
			_, _ = w.openstack(t, "demo", "coe", "cluster", "delete", "life") // it may be gone
		}
	})
	s := w.reaches(t, "life", "CREATE_COMPLETE", 15*time.Minute)
	t.Logf("complete %.0f s after the request", time.Since(began).Seconds())
	config := w.config(t, "life")

	t.Run("nodes are ready", func(t *testing.T) {
		out, err := w.kubectl(t, config, "get", "nodes", "-o", `jsonpath={range .items[*]}{.spec.providerID} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}`)
		if err != nil || strings.Count(out, "openstack:///") != 2 || strings.Count(out, " True") != 2 {
			t.Errorf("%v: %s", err, out)
		}
		w.await(t, time.Minute, "health", func() error {
			s, err := w.cluster(t, "life")
			if err == nil && s.Health != "HEALTHY" {
				err = fmt.Errorf("%w: it is %s", errNotYet, s.Health)
			}
			return err
		})
	})
	t.Run("pods run, reach each other, and DNS works", func(t *testing.T) {
		w.apply(t, config, server+"---"+probe)
		for _, what := range []string{"daemonset/web", "pod/probe"} {
			args := []string{"rollout", "status", what, "--timeout=25s"}
			if what == "pod/probe" {
				args = []string{"wait", "--for=condition=Ready", what, "--timeout=25s"}
			}
			w.await(t, 3*time.Minute, what, func() error { _, err := w.kubectl(t, config, args...); return err })
		}
		addresses, err := w.kubectl(t, config, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.podIP}")
		if err != nil || len(strings.Fields(addresses)) != 2 {
			t.Fatalf("%v: pods at %q", err, addresses)
		}
		for _, target := range append(strings.Fields(addresses), "web.default.svc.cluster.local/80", "kubernetes.default.svc.cluster.local/443") {
			if !strings.Contains(target, "/") {
				target += "/8080"
			}
			host, port, _ := strings.Cut(target, "/")
			if out, err := w.kubectl(t, config, "exec", "probe", "--", "/bin/bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port); err != nil {
				t.Errorf("%s: %v %s", target, err, out)
			}
		}
	})
	t.Run("a load balancer answers outside", func(t *testing.T) { w.loadBalancer(t, config) })
	t.Run("it grows and shrinks", func(t *testing.T) {
		for _, n := range []string{"2", "1"} {
			w.say(t, "demo", "coe", "cluster", "resize", "life", n)
			w.reaches(t, "life", "UPDATE_COMPLETE", 15*time.Minute)
			out, err := w.kubectl(t, config, "get", "nodes", "-l", "node-role.kubernetes.io/worker", "-o", "name")
			if err != nil || fmt.Sprint(len(strings.Fields(out))) != n {
				t.Errorf("%s workers wanted: %v %s", n, err, out)
			}
		}
	})
	t.Run("what a tenant breaks is put back, and what is theirs stays", func(t *testing.T) { w.drift(t, config) })
	if t.Failed() {
		return
	}
	began = time.Now()
	w.say(t, "demo", "coe", "cluster", "delete", "life")
	w.await(t, 15*time.Minute, "the end of life", func() error {
		if s, err := w.cluster(t, s.UUID); err == nil {
			return fmt.Errorf("%w: %s %s", errNotYet, s.Status, s.StatusReason)
		}
		return nil
	})
	t.Logf("gone %.0f s after the request", time.Since(began).Seconds())
	w.say(t, "demo", "coe", "cluster", "template", "delete", "e2e")
	if diff := cmp.Diff(before, w.inventory(t)); diff != "" {
		t.Errorf("the project has something else than before (-before +after):\n%s", diff)
	}
	left, err := w.exec(t, time.Minute, "demo", "kubectl", "--kubeconfig", filepath.Join(w.state, "management.kubeconfig"), "-n", "magnum-system",
		"get", "secrets,clusters,machines,openstackclusters,openstackservers,openstackmachines,magnumclusters,magnumnodegroups", "-o", "name")
	if err != nil || strings.TrimSpace(left) != "" {
		t.Errorf("left in the management cluster: %v\n%s", err, left)
	}
}

func (w *world) config(t *testing.T, cluster string) string {
	t.Helper()
	dir := filepath.Join(w.state, "config-"+cluster)
	w.mustExec(t, time.Minute, "demo", "sh", "-c", "mkdir -p "+dir+" && openstack coe cluster config "+cluster+" --force --dir "+dir)
	return filepath.Join(dir, "config")
}

func (w *world) loadBalancer(t *testing.T, config string) {
	t.Helper()
	began := time.Now()
	var address string
	w.await(t, 5*time.Minute, "the load balancer's address", func() error {
		out, err := w.kubectl(t, config, "get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
		if address = strings.TrimSpace(out); err == nil && address == "" {
			err = errNotYet
		}
		return err
	})
	w.await(t, 2*time.Minute, "an answer of http://"+address, func() error {
		out, err := w.exec(t, 10*time.Second, "", "curl", "-sS", "-m", "5", "http://"+address+"/health")
		if err == nil && out != "OK" {
			err = fmt.Errorf("it said %q", out)
		}
		return err
	})
	t.Logf("http://%s answered after %.0f s", address, time.Since(began).Seconds())
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
