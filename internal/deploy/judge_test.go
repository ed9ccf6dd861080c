package deploy_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Etcd and CoreDNS come with Kubernetes, and go back no more than what a bundle has of its own.
func TestEtcdAndCoreDNSDoNotGoBack(t *testing.T) {
	w := want(t, seed(t), facts(seed(t)))
	world := converged(w)
	for name, n := range world.Nodes {
		n.StaticPods["etcd"] = "3.7.1-0"
		world.Nodes[name] = n
	}
	world.Cluster.Shared.CoreDNS = "v1.15.0"
	var got []string
	for _, f := range plan.Judged(plan.Plan{}, deploy.Judges(w, world)...).Blocked(nil) {
		got = append(got, f.Judge+": "+f.Text)
	}
	want := []string{
		"downgrade: etcd 3.7.1-0 -> 3.6.16-0 is a downgrade: use a bundle that has 3.7.1-0 or newer",
		"downgrade: CoreDNS 1.15.0 -> 1.14.0 is a downgrade: use a bundle that has 1.15.0 or newer",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
