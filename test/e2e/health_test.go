package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// healthy waits until a cluster's health is so, with a reason for each of its nodes.
func (u *tenant) healthy(t *testing.T, ident, want string, reasons map[string]string) {
	t.Helper()
	await(t, "cluster "+ident+" is "+want, clusterBound, func(ctx context.Context) (bool, string, error) {
		c, ok, err := u.get(ctx, ident)
		seen := fmt.Sprintf("%s %v", c.HealthStatus, c.HealthStatusReason)
		for k, v := range reasons {
			ok = ok && c.HealthStatusReason[k] == v
		}
		return ok && c.HealthStatus == want, seen, err
	})
}

// Health follows the machines: a node that is not ready, or that comes anew, shows; the cluster's status does not
// change.
func TestHealth(t *testing.T) {
	t.Parallel()
	all := shared(t)
	demo, user := all.client("demo"), all.as(t, "demo")
	// Without repair, a node stays as it was made.
	c := user.make(t, "patient", object{"merge_labels": true, "labels": object{"auto_healing_enabled": "false"}})
	config := demo.config(t, "patient")
	list := nodes(t, config)
	reasons := map[string]string{"api": "ok"}
	worker := ""
	for _, n := range list {
		reasons[n.Name+".Ready"] = "True"
		if n.Role == "worker" {
			worker = n.Name
		}
	}
	user.healthy(t, c.UUID, "HEALTHY", reasons)
	if got := user.show(t, c.UUID).HealthStatusReason; len(got) != len(reasons) {
		t.Errorf("health_status_reason is %v, want %v", got, reasons)
	}

	ready := func(status string) {
		t.Helper()
		setReady(t, config, worker, status)
	}
	ready("False")
	reasons[worker+".Ready"] = "False"
	user.healthy(t, c.UUID, "UNHEALTHY", reasons)
	var shown object
	demo.shows(t, &shown, "coe", "cluster", "show", "patient")
	if why, _ := shown["health_status_reason"].(object); shown["health_status"] != "UNHEALTHY" || why[worker+".Ready"] != "False" {
		t.Errorf("coe cluster show says %v %v", shown["health_status"], shown["health_status_reason"])
	}
	if now := user.show(t, c.UUID); now.Status != "CREATE_COMPLETE" {
		t.Errorf("status is %s: health is no operation", now.Status)
	}
	ready("True")
	reasons[worker+".Ready"] = "True"
	user.healthy(t, c.UUID, "HEALTHY", reasons)

	t.Log("a resize brings machines that health knows")
	user.want(t, 202, "POST", "/clusters/patient/actions/resize", object{"node_count": 2}, nil)
	user.reaches(t, c.UUID, "UPDATE_COMPLETE")
	for _, n := range nodes(t, config) {
		reasons[n.Name+".Ready"] = "True"
	}
	user.healthy(t, c.UUID, "HEALTHY", reasons)

	t.Log("magnum-auto-healer may report too, and is believed until the machines change")
	user.want(t, 202, "PATCH", "/clusters/patient", []object{
		{"op": "replace", "path": "/health_status", "value": "UNHEALTHY"},
		{"op": "replace", "path": "/health_status_reason", "value": "{'api': 'bad'}"},
	}, nil)
	if c := user.show(t, "patient"); !strings.HasSuffix(c.Status, "_COMPLETE") {
		t.Errorf("a report of health changed the status to %s", c.Status)
	}
}

// setReady says of a node what its kubelet would say.
func setReady(t *testing.T, config, name, status string) {
	t.Helper()
	var node object
	path := "/api/v1/nodes/" + name
	if err := json.Unmarshal([]byte(kubectlSays(t, "--kubeconfig", config, "get", "--raw", path)), &node); err != nil {
		t.Fatal(err)
	}
	state, _ := node["status"].(object) // every node has one
	conditions := []any{object{
		"type": "Ready", "status": status, "reason": "Kubelet", "message": "said by a test", "lastTransitionTime": "2026-01-01T00:00:00Z",
	}}
	for _, pressure := range []string{"MemoryPressure", "DiskPressure", "PIDPressure"} {
		conditions = append(conditions, object{"type": pressure, "status": "False", "reason": "Kubelet", "lastTransitionTime": "2026-01-01T00:00:00Z"})
	}
	state["conditions"] = conditions
	text, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "node.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	kubectlSays(t, "--kubeconfig", config, "replace", "--raw", path+"/status", "-f", file)
}
