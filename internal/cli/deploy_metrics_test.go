package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

var update = golden.Flag()

var lookedAt = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// everything is a deployment of which each metric says something, good and bad.
func everything() deploy.Status {
	return deploy.Status{
		Nodes: []deploy.NodeStatus{
			{
				Name: "infra1_k8s_container-1", Host: "infra1", Ready: true, Kubelet: "1.36.4", APIServer: "1.36.4", API: "ok", Etcd: "ok", Member: "voter",
				Expires: lookedAt.AddDate(1, 0, 0), Certificate: "apiserver.crt", Backups: true, Backup: lookedAt.Add(-12 * time.Hour),
			},
			{Name: "infra2_k8s_container-2", Host: "infra2", API: "its host does not answer", Etcd: "its host does not answer", Backups: true},
		},
		Backends: []balance.Backend{
			{Balancer: "infra1", Service: "k8s", Server: "infra1_k8s_container-1", Status: "UP"},
			{Balancer: "infra1", Service: "k8s", Server: "infra2_k8s_container-2", Status: "DOWN"},
			{Balancer: "infra1", Service: "k8s", Server: "infra3", Status: "UP"}, // on metal, the host's name for both
			{Balancer: "infra1", Service: "magnum", Server: "infra3", Status: "UP"},
			{Balancer: "infra2", Service: "k8s", Status: "haproxy's answer cannot be read"},
			{Balancer: "infra2", Service: "magnum", Status: "haproxy's answer cannot be read"},
			{Balancer: "infra3", Status: "its host does not answer"},
		},
		Services: []deploy.ServiceStatus{{Service: "magnum", Place: "infra1", State: "runs", Runs: true}, {Service: "proxy", Place: "net1", State: "is stopped"}},
		Changes:  []plan.Change{{}, {}},
		Runs:     []site.UnderWay{{}},
	}
}

func textMetrics(t *testing.T, s deploy.Status) string {
	t.Helper()
	var out bytes.Buffer
	if err := writeMetrics(&out, "", s, lookedAt); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestStatusAsMetrics(t *testing.T) {
	golden.Compare(t, *update, "status.prom", textMetrics(t, everything()))

	file := filepath.Join(t.TempDir(), "jeroboam-deploy.prom")
	if err := writeMetrics(nil, file, everything(), lookedAt); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != textMetrics(t, everything()) {
		t.Errorf("the file says %v\n%s", err, text)
	}
	if stat, err := os.Stat(file); err != nil || stat.Mode().Perm() != 0o644 {
		t.Errorf("node_exporter cannot read it: %v %v", stat.Mode(), err)
	}
	if err := writeMetrics(nil, filepath.Join(t.TempDir(), "no", "such"), everything(), lookedAt); err == nil {
		t.Error("a directory that does not exist is no error")
	}
}

// A deployment that is not there yet has no nodes, and still says so.
func TestMetricsOfNothing(t *testing.T) {
	if got := textMetrics(t, deploy.Status{}); !bytes.Contains([]byte(got), []byte("jeroboam_deploy_healthy 0\n")) {
		t.Errorf("got\n%s", got)
	}
}
