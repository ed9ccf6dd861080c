package deploy

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// reach are pods on each node that answer on port 8080, pods on each node that ask, and a service of the first ones.
// The images are the bundle's: CoreDNS answers, and Cilium's image has a shell.
const reach = `
apiVersion: v1
kind: Namespace
metadata: {name: reach}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: server, namespace: reach}
data:
  Corefile: ".:8053 {\n  whoami\n  health :8080\n}\n"
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: reach}
spec:
  selector: {app: server}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: server, namespace: reach}
spec:
  selector: {matchLabels: {app: server}}
  template:
    metadata: {labels: {app: server}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: server
        image: %[1]s
        imagePullPolicy: Never
        args: ["-conf", "/etc/coredns/Corefile"]
        readinessProbe: {httpGet: {path: /health, port: 8080}, periodSeconds: 2}
        volumeMounts: [{name: config, mountPath: /etc/coredns}]
      volumes: [{name: config, configMap: {name: server}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: client, namespace: reach}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: client
        image: %[2]s
        imagePullPolicy: Never
        command: [sleep, infinity]
`

// onlyFriends lets pods with a label in, and nobody else.
const onlyFriends = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: friends, namespace: reach}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress: [{from: [{podSelector: {matchLabels: {friend: "yes"}}}]}]
`

// image is the reference of an image of the bundle, "" if it has none of that name.
func (l lab) image(t *testing.T, name string) string {
	t.Helper()
	out, code := l.run(t, l.jeroboam, "bundle", "show", l.bundle)
	if code != 0 {
		t.Fatalf("bundle show: status %d", code)
	}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 6 && f[0] == "image" && f[1] == name {
			return f[4]
		}
	}
	return ""
}

// TestNetwork: pods reach pods of all nodes and services, and a network policy keeps out who is not let in. It needs
// what TestDeploy has left.
func TestNetwork(t *testing.T) {
	l := open(t)
	if l.shell(t) == "" {
		t.Skip(noShell)
	}
	l.networked(t)
}

// TestWithoutKubeProxy: Cilium does kube-proxy's work. It needs hosts without a deployment.
func TestWithoutKubeProxy(t *testing.T) {
	l := open(t)
	if l.shell(t) == "" {
		t.Skip(noShell)
	}
	l.configure(t, "kubernetes_remove_kube_proxy: true")
	t.Logf("deployed in %.0f s", l.applied(t).Seconds())
	l.withoutKubeProxy(t)
}

// withoutKubeProxy looks whether pods and services are reached without it.
func (l lab) withoutKubeProxy(t *testing.T) {
	t.Helper()
	n := l.nodes(t)[0]
	if left := l.kubectl(t, n, "-n kube-system get daemonset kube-proxy -o name --ignore-not-found"); left != "" {
		t.Errorf("there is %s", left)
	}
	for _, n := range l.nodes(t) {
		if pid := l.inside(t, n, "pgrep -x kube-proxy || true"); pid != "" {
			t.Errorf("%s: kube-proxy runs as %s", n.name, pid)
		}
	}
	l.networked(t)
}

const noShell = "the bundle was built without cilium: the light network has no policies, and no image with a shell to ask from"

// shell is an image of the bundle with a shell in it, "" if there is none.
func (l lab) shell(t *testing.T) string {
	t.Helper()
	return l.image(t, "cilium")
}

func (l lab) networked(t *testing.T) {
	t.Helper()
	n := l.nodes(t)[0]
	l.kubectlWith(t, n, fmt.Sprintf(reach, l.image(t, "coredns"), l.shell(t)), "apply -f -")
	defer l.kubectl(t, n, "delete namespace reach --wait=false")
	for _, name := range []string{"server", "client"} {
		l.kubectl(t, n, "-n reach rollout status --timeout 180s daemonset/"+name)
	}
	pods := func(app string) map[string]string { // name -> address
		out := map[string]string{}
		for line := range strings.Lines(l.kubectl(t, n, "-n reach get pods -l app="+app+" -o custom-columns=N:.metadata.name,I:.status.podIP --no-headers")) {
			f := strings.Fields(line)
			out[f[0]] = f[1]
		}
		return out
	}
	servers, clients := pods("server"), pods("client")
	service := strings.TrimSpace(l.kubectl(t, n, "-n reach get service server -o custom-columns=I:.spec.clusterIP --no-headers"))
	answers := func(client, address, port string) bool {
		script := fmt.Sprintf("-n reach exec %s -- timeout 3 bash -c ': </dev/tcp/%s/%s' && echo yes || true", client, address, port)
		return strings.HasSuffix(l.kubectl(t, n, script), "yes\n")
	}
	for client := range clients {
		for server, address := range servers {
			if !answers(client, address, "8080") {
				t.Errorf("%s does not reach %s at %s", client, server, address)
			}
		}
		if !answers(client, service, "80") {
			t.Errorf("%s does not reach the service at %s", client, service)
		}
	}
	if t.Failed() {
		return
	}
	l.kubectlWith(t, n, onlyFriends, "apply -f -")
	friend := ""
	for client := range clients {
		if friend == "" {
			friend = client
			l.kubectl(t, n, "-n reach label pod "+client+" friend=yes")
		}
	}
	var wrong []string
	for range 20 { // agents hear of it a moment later
		wrong = nil
		for client := range clients {
			for server, address := range servers {
				if got := answers(client, address, "8080"); got != (client == friend) {
					wrong = append(wrong, fmt.Sprintf("%s (friend: %v) reaches %s: %v", client, client == friend, server, got))
				}
			}
		}
		if wrong == nil {
			break
		}
		time.Sleep(time.Second)
	}
	if wrong != nil {
		t.Errorf("the network policy: %v", wrong)
	}
	if len(clients) == 1 && answers(friend, service, "80") {
		l.kubectl(t, n, "-n reach label pod "+friend+" friend-")
		for range 20 {
			if !answers(friend, service, "80") {
				return
			}
			time.Sleep(time.Second)
		}
		t.Error("the only client is no friend any more, and still gets in")
	}
}
