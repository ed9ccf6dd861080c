package workload

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const manifest = `apiVersion: v1
kind: Namespace
metadata: {name: shop}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {plural: boats, kind: Boat}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {masts: {type: integer}}}}}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent, namespace: shop}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers:
      - {name: agent, image: "example.com/agent:v1", securityContext: {privileged: true}}
---
apiVersion: v1
kind: Service
metadata: {name: agent, namespace: shop}
spec: {selector: {app: agent}, ports: [{port: 80}]}
`

const boatManifest = "apiVersion: example.com/v1\nkind: Boat\nmetadata: {name: b, namespace: shop}\nspec: {masts: 2}\n"

// What an administrator types, with the kubectl that is installed.
func TestKubectl(t *testing.T) {
	cfg, home := serve(t, newServer(t, startEtcd(t)), "ns/a"), t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(home, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	kubectl := func(args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "kubectl", append([]string{"--server", cfg.Host}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+home, "KUBECONFIG="+os.DevNull)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	all, one := file("all.yaml", manifest), file("boat.yaml", boatManifest)
	misspelt := file("misspelt.yaml", strings.ReplaceAll(manifest, "containers:", "contaners:"))
	steps := []struct {
		args []string
		want string
		fail bool
	}{
		{args: []string{"version"}, want: "v1.33.7"},
		{args: []string{"apply", "--server-side", "-f", misspelt}, want: "contaners", fail: true},
		{args: []string{"apply", "--server-side", "-f", all}, want: "daemonset.apps/agent serverside-applied"},
		{args: []string{"apply", "--server-side", "-f", one}, want: "boat.example.com/b serverside-applied"},
		{args: []string{"apply", "--server-side", "-f", all}, want: "service/agent serverside-applied"},
		{args: []string{"get", "daemonsets", "-A"}, want: "DESIRED"},
		{args: []string{"get", "boats", "-n", "shop", "-o", "jsonpath={.items[*].spec.masts}"}, want: "2"},
		{args: []string{"apply", "--server-side", "--field-manager=other", "-f", file("other.yaml", strings.ReplaceAll(boatManifest, "2", "3"))}, want: "conflict", fail: true},
		{args: []string{"delete", "boat", "b", "-n", "shop"}, want: "deleted"},
		{args: []string{"get", "sloops"}, want: "doesn't have a resource type", fail: true},
	}
	for _, s := range steps {
		out, err := kubectl(s.args...)
		if (err != nil) != s.fail || !strings.Contains(out, s.want) {
			t.Errorf("kubectl %s: %v\n%s", strings.Join(s.args, " "), err, out)
		}
	}
	if out, err := kubectl("get", "--raw", "/openapi/v2"); err != nil || !strings.Contains(out, "io.k8s.api.apps.v1.DaemonSet") {
		t.Errorf("an old kubectl finds no models: %v, %d bytes", err, len(out))
	}
}
