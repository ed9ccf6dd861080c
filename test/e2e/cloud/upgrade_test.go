package cloud

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// service is what an upgrade must not disturb: two pods on two nodes, of which one must always be there.
const service = web + `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      affinity:
        podAntiAffinity:
          requiredDuringSchedulingIgnoredDuringExecution: [{topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: web}}}]
      containers:
      - name: web
        image: registry.k8s.io/coredns/coredns:v1.14.2
        imagePullPolicy: Never
        args: [-conf, /etc/web/Corefile]
        readinessProbe: {periodSeconds: 2, httpGet: {path: /health, port: 8080}}
        lifecycle: {preStop: {sleep: {seconds: 10}}}
        volumeMounts: [{name: config, mountPath: /etc/web}]
      volumes: [{name: config, configMap: {name: web}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec:
  minAvailable: 1
  selector: {matchLabels: {app: web}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: written}
`

// TestUpgrade takes a cluster to this Kubernetes from the one of another image of nodes (NODE_IMAGE_BEFORE: the patch
// or the minor version before), while its web service is read and its API is written to.
func TestUpgrade(t *testing.T) {
	file := os.Getenv("NODE_IMAGE_BEFORE")
	if file == "" {
		t.Skip("NODE_IMAGE_BEFORE is not set: it is an image of nodes with an earlier Kubernetes (docs/cloud.md)")
	}
	w := newWorld(t)
	before := w.inventory(t)
	old := versionOf(t, file)
	w.upload(t, file, nodeImage+"-"+old)
	w.template(t, "new", network(), "--labels", labels, "--master-lb-enabled")
	w.image = nodeImage + "-" + old
	w.template(t, "old", network(), "--labels", strings.Replace(labels, "v1.36.4", old, 1), "--master-lb-enabled")
	w.create(t, "up", "old", 1, 2)
	s := w.reaches(t, "up", "CREATE_COMPLETE", 15*time.Minute)
	config := w.config(t, "up")
	w.apply(t, config, service)
	w.await(t, 3*time.Minute, "the web service", func() error {
		_, err := w.kubectl(t, config, "rollout", "status", "deployment/web", "--timeout=25s")
		return err
	})
	w.loadBalancer(t, config)
	address, err := w.kubectl(t, config, "get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
	if err != nil {
		t.Fatal(err)
	}
	reads := w.watchURL(t, "http://"+address+"/health", "OK")
	writes := w.writeAPI(t, config)
	turns := w.watchTurns(t, config)
	began := time.Now()
	w.say(t, w.tenant, "coe", "cluster", "upgrade", "up", "new")
	w.reaches(t, "up", "UPDATE_COMPLETE", 30*time.Minute)
	t.Logf("from %s to v1.36.4: %.0f s after the request", old, time.Since(began).Seconds())
	asked, failed, gap := reads()
	t.Logf("of %d requests to the web service %d failed; longest time without an answer %.1f s", asked, failed, gap.Seconds())
	if gap > 30*time.Second {
		t.Errorf("the web service did not answer for %s", gap)
	}
	asked, failed, gap = writes()
	t.Logf("of %d writes to the API %d failed; longest time without one %.1f s", asked, failed, gap.Seconds())
	if gap > time.Minute {
		t.Errorf("nothing could be written for %s", gap)
	}
	turnsAreKept(t, turns())
	w.nodesAreReady(t, config, "up", 3)
	versions, err := w.kubectl(t, config, "get", "nodes", "-o", "jsonpath={.items[*].status.nodeInfo.kubeletVersion}")
	if err != nil || strings.Count(versions, "v1.36.4") != 3 {
		t.Errorf("%v: kubelets are %s", err, versions)
	}
	addons, err := w.manage(t, "get", "magnumcluster", s.UUID, "-o", "jsonpath={range .status.addons[*]}{.name} {.version} {.state}{\"\\n\"}{end}")
	if err != nil || strings.Contains(addons, "Progressing") || strings.Contains(addons, "Failed") {
		t.Errorf("%v: %s", err, addons)
	}
	t.Logf("addons:\n%s", addons)
	if minor := version.Minor(old); minor < version.Minor("v1.36.4") && !strings.Contains(addons, "openstack-cloud-controller-manager v1.36.") {
		t.Error("the cloud controller manager is not the new Kubernetes'")
	}
	if conformance() != "none" { // what was upgraded is judged as what was made
		if out, _, err := w.verify(t, "--cluster", "up", "--only", "nodes,health,conformance"); err != nil {
			t.Errorf("%v\n%s", err, out)
		} else {
			t.Log(out)
		}
	}
	w.delete(t, "up")
	w.nothingLeft(t, before, s)
}

// turn is what a cluster was at one moment: its cloud controller manager's version, and its masters' kubelets.
type turn struct{ manager, masters string }

// watchTurns looks at the workload cluster itself every two seconds, until the function that it returns is called,
// which has what was seen, each state once. The manager is read before the masters: these become newer in between,
// never older.
func (w *world) watchTurns(t *testing.T, config string) func() []turn {
	t.Helper()
	const image = "jsonpath={.spec.template.spec.containers[0].image}"
	const kubelets = "jsonpath={.items[*].status.nodeInfo.kubeletVersion}"
	done, ended := make(chan struct{}), make(chan struct{})
	var seen []turn
	go func() {
		defer close(ended)
		for {
			select {
			case <-done:
				return
			case <-time.After(2 * time.Second):
			}
			manager, err1 := w.kubectl(t, config, "get", "daemonset", "-n", "kube-system", "openstack-cloud-controller-manager", "-o", image)
			masters, err2 := w.kubectl(t, config, "get", "nodes", "-l", "node-role.kubernetes.io/control-plane", "-o", kubelets)
			now := turn{manager[strings.LastIndex(manager, ":")+1:], masters}
			if err1 == nil && err2 == nil && (len(seen) == 0 || seen[len(seen)-1] != now) {
				seen = append(seen, now)
			}
		}
	}()
	return func() []turn { close(done); <-ended; return seen }
}

// turnsAreKept holds a cloud controller manager to be no newer than any master, as Kubernetes wants it.
func turnsAreKept(t *testing.T, seen []turn) {
	t.Helper()
	if len(seen) == 0 {
		t.Error("nobody saw the cloud controller manager")
	}
	for _, s := range seen {
		t.Logf("cloud controller manager %s, masters %s", s.manager, s.masters)
		for _, master := range strings.Fields(s.masters) {
			if version.Minor(s.manager) > version.Minor(master) {
				t.Errorf("the cloud controller manager is %s while a master is %s", s.manager, master)
			}
		}
	}
}

// versionOf reads what "image build" says of an image.
func versionOf(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var about struct {
		Version string `json:"kube_version"`
	}
	if err := json.Unmarshal(text, &about); err != nil {
		t.Fatal(err)
	}
	return about.Version
}

// writeAPI changes an object five times a second through the cluster's address, each time on a new connection.
func (w *world) writeAPI(t *testing.T, config string) func() (asked, failed int, gap time.Duration) {
	t.Helper()
	raw := func(path, file string) string {
		out, err := w.kubectl(t, config, "config", "view", "--raw", "-o", "jsonpath="+path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := base64.StdEncoding.DecodeString(strings.TrimSpace(out))
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(w.work, file)
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	server, err := w.kubectl(t, config, "config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
	if err != nil {
		t.Fatal(err)
	}
	return w.watchURL(t, fmt.Sprintf("%s/api/v1/namespaces/default/configmaps/written", strings.TrimSpace(server)), "",
		raw("{.users[0].user.client-certificate-data}", "client.crt"), raw("{.users[0].user.client-key-data}", "client.key"))
}
