package capi_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// TestNamesOfTheCloud: volume types and availability zones are called whatever the cloud's operator likes, also what
// would be YAML, JSON or a template elsewhere. They arrive in Cluster API's objects as they are, as one string each.
func TestNamesOfTheCloud(t *testing.T) {
	const odd = `SSD (gold)"}, evil: {{ .builtin.cluster.name }} ' # $(x) \ <é>`
	class := capi.ClusterClass(capi.OpenStack())
	r := newRenderer(t, class)
	c, groups := aCluster()
	for _, name := range []string{
		label.BootVolumeType, label.EtcdVolumeType, label.DockerVolumeType, label.BootVolumeZone, label.AvailabilityZone, label.APIServerLBFlavor,
		label.APIServerLBZone, label.ControlPlaneZones,
	} {
		c.Labels[name] = odd
	}
	c.Labels[label.ControlPlaneZones] = strings.ReplaceAll(odd, ",", ";") // a list's items hold no comma
	c.Labels[label.BootVolumeSize], c.Labels[label.EtcdVolumeSize], c.DockerVolumeSize = "40", "20", 50
	groups[1].Labels = map[string]string{label.AvailabilityZone: odd, label.BootVolumeType: odd}
	wanted, err := capi.Cluster(c, groups, capi.Options{Class: class.Name})
	if err != nil || len(wanted.Faults) > 0 {
		t.Fatal(err, wanted.Faults)
	}
	cluster := wanted.Cluster
	checkVariables(t, r.class, cluster)
	if got := cluster.Spec.Topology.Workers.MachineDeployments[0].FailureDomain; got != odd {
		t.Errorf("the workers' zone is %q", got)
	}
	whole, err := json.Marshal(odd)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, o := range r.cluster(t, cluster) {
		data, err := json.Marshal(o.Object.Object)
		if err != nil {
			t.Fatal(err)
		}
		seen += strings.Count(string(data), string(whole))
		if strings.Contains(string(data), `"evil"`) {
			t.Errorf("%s of %s: a name became structure: %s", o.Object.GetKind(), o.For, data)
		}
	}
	// Of masters: root volume, etcd and docker, each with type and zone; of workers: root and docker. Load balancer:
	// flavor and zone.
	if want := 6 + 4 + 2; seen != want {
		t.Errorf("the name arrived %d times as it is, want %d", seen, want)
	}
}
