package capi_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// TestRefused: which machines are made anew when Nova refuses servers, and how often. A row's machines are written as
// NAME:STATE:AGE; the group is the name's first letter.
func TestRefused(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 14, 0, 0, time.UTC)
	none := func(*capi.Observed) {}
	making := func(o *capi.Observed) {
		o.Cluster.Status = clusterv1.ClusterStatus{}
		o.ControlPlane.Status.Initialization.ControlPlaneInitialized = nil
	}
	for name, is := range map[string]struct {
		reason   string
		machines string
		change   func(*capi.Observed)
		want     string
	}{
		"all is well":           {"", "w1:node:1h w2:node:1h", none, ""},
		"one is refused":        {"a cloud without room has none a minute later either", "w1:refused:4m", none, ""},
		"some time ago":         {"the only one of its group: Cluster API's health check never would", "w1:refused:5m", none, "w1"},
		"beside one that runs":  {"the next attempt is worth while at once", "w1:refused:30s w2:ready:10s", none, "w1"},
		"beside an old node":    {"which says nothing of what the cloud has now", "w1:node:1h w2:refused:1m", none, ""},
		"all of a group":        {"one is tried, the oldest", "w1:refused:9m w2:refused:8m w3:refused:7m", none, "w1"},
		"one was tried":         {"and refused just now: the others wait", "w2:refused:9m w3:refused:8m w4:refused:2m", none, ""},
		"one is being tried":    {"and nothing is known of it", "w2:refused:9m w3:refused:8m w4:making:1m", none, ""},
		"one was tried and ran": {"there is room again", "w2:refused:9m w3:refused:8m w4:ready:1m", none, "w2 w3"},
		"two groups":            {"each has a flavor of its own", "a1:refused:9m b1:refused:6m b2:ready:1m c1:refused:1m", none, "a1 b1"},
		"it was a node":         {"a server that fails later has data on it: that is for health checks", "w1:lost:9m", none, ""},
		"it goes already":       {"", "w1:going:9m", none, ""},
		"the first master":      {"nothing is there yet that could be lost", "m1:refused:6m", making, "m1"},
		"a master more":         {"Cluster API knows what etcd bears", "m1:node:1h m2:refused:9m", none, ""},
		"a master of a cluster that forgot": {"Cluster and control plane are not of one mind for a moment", "m1:refused:9m", func(o *capi.Observed) {
			o.ControlPlane.Status.Initialization.ControlPlaneInitialized = nil
		}, ""},
		"healing is off": {"the owner decides himself", "w1:refused:9m", func(o *capi.Observed) { o.Cluster.Spec.Topology.ControlPlane.HealthCheck.Enabled = new(false) }, ""},
		"paused":         {"somebody works on it", "w1:refused:9m", func(o *capi.Observed) { o.Cluster.Spec.Paused = new(true) }, ""},
		"deleted":        {"it goes anyway", "w1:refused:9m", func(o *capi.Observed) { o.Cluster.DeletionTimestamp = new(metav1.Now()) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			o, p := silenced(), &kube.Provider{}
			o.Machines = nil
			for word := range strings.FieldsSeq(is.machines) {
				part := strings.Split(word, ":")
				age, err := time.ParseDuration(part[2])
				if err != nil {
					t.Fatal(err)
				}
				group := part[0][:1]
				if group == "m" {
					group = magnum.DefaultMaster
				}
				m := aMachine(part[0], group)
				m.CreationTimestamp = metav1.NewTime(now.Add(-age))
				if part[1] != "node" && part[1] != "lost" {
					m.Status.NodeRef = clusterv1.MachineNodeReference{}
				}
				if part[1] == "going" {
					m.DeletionTimestamp = new(metav1.NewTime(now))
				}
				o.Machines = append(o.Machines, m)
				p.Servers = append(p.Servers, kube.ProviderServer{
					Name: m.Spec.InfrastructureRef.Name, Ready: part[1] == "ready" || part[1] == "node",
					Failed: part[1] == "refused" || part[1] == "lost" || part[1] == "going",
				})
			}
			is.change(&o)
			var got []string
			for _, m := range o.Refused(p, now) {
				got = append(got, m.Name)
			}
			if strings.Join(got, " ") != is.want {
				t.Errorf("%v are replaced, want %q: %s", got, is.want, is.reason)
			}
		})
	}
	if o := silenced(); len(o.Refused(nil, now)) > 0 {
		t.Error("another provider says nothing of servers")
	}
}
