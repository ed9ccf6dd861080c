package kubeadm_test

import (
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
)

func TestForeignClusters(t *testing.T) {
	in := deploytest.Seed(t)
	w := deploytest.Want(t, in, deploytest.Facts(in))
	world := deploytest.Converged(w)
	if err := kubeadm.Foreign(w.Wanted, world.World); err != nil {
		t.Fatal(err)
	}
	n := world.Nodes[in.Nodes[0].Name]
	n.Server, n.CA = "https://10.0.0.1:6443", "sha256:other"
	world.Nodes[in.Nodes[0].Name] = n
	err := kubeadm.Foreign(w.Wanted, world.World)
	if err == nil || !strings.Contains(err.Error(), "10.0.0.1") || !strings.Contains(err.Error(), "2 different clusters") {
		t.Errorf("got %v", err)
	}
}
