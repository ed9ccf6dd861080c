package cloud

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// web is what makes an HTTP server of CoreDNS, an image that every node has.
const web = `
apiVersion: v1
kind: ConfigMap
metadata: {name: web}
data:
  Corefile: |
    .:1053 {
      health :8080
    }
---
`

// server is such a server on every node.
const server = web + `apiVersion: apps/v1
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

// probe speaks from inside a pod: to the cluster's DNS, to a service, and to a pod on each node. Its image is the
// network's, which has bash.
const probe = `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s}}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: probe
    image: %[2]s
    imagePullPolicy: Never
    command: [/bin/sleep, infinity]
`

// podsTalk runs a pod on each of n nodes, and one that speaks to all of them, to a service by its name, and to the API
// server.
func (w *world) podsTalk(t *testing.T, config string, n int, image string) {
	t.Helper()
	w.apply(t, config, server+"---"+fmt.Sprintf(probe, "probe", image))
	for _, what := range []string{"daemonset/web", "pod/probe"} {
		args := []string{"rollout", "status", what, "--timeout=25s"}
		if what == "pod/probe" {
			args = []string{"wait", "--for=condition=Ready", what, "--timeout=25s"}
		}
		w.await(t, 3*time.Minute, what, func() error { _, err := w.kubectl(t, config, args...); return err })
	}
	addresses, err := w.kubectl(t, config, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.podIP}")
	if err != nil || len(strings.Fields(addresses)) != n {
		t.Fatalf("%v: pods at %q", err, addresses)
	}
	for _, target := range append(strings.Fields(addresses), "web.default.svc.cluster.local/80", "kubernetes.default.svc.cluster.local/443") {
		if err := w.connects(t, config, "probe", target); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
}

// connects opens a connection from a pod to HOST/PORT, or to a web server's pod.
func (w *world) connects(t *testing.T, config, pod, target string) error {
	t.Helper()
	if !strings.Contains(target, "/") {
		target += "/8080"
	}
	_, err := w.kubectl(t, config, "exec", pod, "--", "/usr/bin/timeout", "5", "/bin/bash", "-c", "exec 3<>/dev/tcp/"+target)
	return err
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

// policy lets only pods with a label reach the web servers.
const policy = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  policyTypes: [Ingress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: friend}}}]
    ports: [{port: 8080}]
`

// policyHolds keeps one pod away from the web servers and lets another one in, on all nodes.
func (w *world) policyHolds(t *testing.T, config, image string) {
	t.Helper()
	w.apply(t, config, fmt.Sprintf(probe, "friend", image)+"---"+fmt.Sprintf(probe, "stranger", image))
	for _, pod := range []string{"friend", "stranger"} {
		w.await(t, 2*time.Minute, pod, func() error {
			_, err := w.kubectl(t, config, "wait", "--for=condition=Ready", "pod/"+pod, "--timeout=25s")
			return err
		})
	}
	addresses, err := w.kubectl(t, config, "get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].status.podIP}")
	if err != nil {
		t.Fatal(err)
	}
	for _, address := range strings.Fields(addresses) {
		if err := w.connects(t, config, "stranger", address); err != nil {
			t.Errorf("without a policy: %v", err)
		}
	}
	w.apply(t, config, policy)
	for _, address := range strings.Fields(addresses) {
		w.await(t, time.Minute, "the policy at "+address, func() error {
			if w.connects(t, config, "stranger", address) == nil {
				return fmt.Errorf("%w: a stranger gets in", errNotYet)
			}
			return w.connects(t, config, "friend", address)
		})
	}
}
