package magnum_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

func TestWhatANodeGroupCanBe(t *testing.T) {
	for name, is := range map[string]struct {
		reason string
		edit   func(g *magnum.NodeGroup)
		fault  string // the attribute; empty: none
		says   string
	}{
		"an ordinary one":           {"", func(*magnum.NodeGroup) {}, "", ""},
		"a role with capitals":      {"Terraform's acceptance tests: myRole", func(g *magnum.NodeGroup) { g.Role = "GPU" }, "", ""},
		"a role that is no label":   {"", func(g *magnum.NodeGroup) { g.Role = "my role" }, "role", "node labels"},
		"the control plane's role":  {"", func(g *magnum.NodeGroup) { g.Role = "control-plane" }, "role", "control plane"},
		"the control plane's label": {"", func(g *magnum.NodeGroup) { g.NodeLabels = map[string]string{"node-role.kubernetes.io/master": ""} }, "node_labels", "control plane"},
		"a long role":               {"", func(g *magnum.NodeGroup) { g.Role = strings.Repeat("r", 64) }, "role", "63"},
		"any name of Magnum's":      {"", func(g *magnum.NodeGroup) { g.Name = "Größe: 2_x" }, "", ""},
		"no name":                   {"", func(g *magnum.NodeGroup) { g.Name = "" }, "name", "1 to 255"},
		"more than a counter":       {"", func(g *magnum.NodeGroup) { g.NodeCount = 10_001 }, "node_count", "10000"},
		"a range upside down":       {"", func(g *magnum.NodeGroup) { g.MinNodeCount, g.MaxNodeCount = 3, new(2) }, "min_node_count", "(3)"},
		"labels of its own":         {"", func(g *magnum.NodeGroup) { g.NodeLabels = map[string]string{"example.com/x": "y", "plain": ""} }, "", ""},
		"labels that CAPI carries":  {"", func(g *magnum.NodeGroup) { g.NodeLabels = map[string]string{"node-restriction.kubernetes.io/a": "b"} }, "", ""},
		"another role as well":      {"", func(g *magnum.NodeGroup) { g.NodeLabels = map[string]string{"node-role.kubernetes.io/gpu": ""} }, "", ""},
		"what a kubelet may say": {"", func(g *magnum.NodeGroup) {
			g.NodeLabels = map[string]string{"node.kubernetes.io/exclude-from-external-load-balancers": "true"}
		}, "", ""},
		"what the cloud says":   {"it would be written over", func(g *magnum.NodeGroup) { g.NodeLabels = map[string]string{"topology.kubernetes.io/zone": "a"} }, "node_labels", "set by its kubelet or the cloud"},
		"what the kubelet says": {"", func(g *magnum.NodeGroup) { g.NodeLabels = map[string]string{"kubernetes.io/os": "linux"} }, "node_labels", "set by its kubelet"},
		"what Kubernetes keeps": {"", func(g *magnum.NodeGroup) { g.NodeLabels = map[string]string{"foo.kubernetes.io/x": "y"} }, "node_labels", "keeps to itself"},
		"what we set":           {"", func(g *magnum.NodeGroup) { g.NodeLabels = map[string]string{magnum.NodeGroupLabel: "y"} }, "node_labels", "by the service"},
		"its own role again":    {"", func(g *magnum.NodeGroup) { g.NodeLabels = map[string]string{"node-role.kubernetes.io/worker": ""} }, "node_labels", "by the service"},
		"no label":              {"", func(g *magnum.NodeGroup) { g.NodeLabels = map[string]string{"a b": "c"} }, "node_labels", "not a Kubernetes label"},
		"a taint": {"", func(g *magnum.NodeGroup) {
			g.NodeTaints = []magnum.Taint{{Key: "a/b", Value: "c", Effect: "NoExecute"}}
		}, "", ""},
		"a taint without effect":   {"", func(g *magnum.NodeGroup) { g.NodeTaints = []magnum.Taint{{Key: "a", Effect: "Never"}} }, "node_taints", "NoSchedule"},
		"a taint with no good key": {"", func(g *magnum.NodeGroup) { g.NodeTaints = []magnum.Taint{{Key: "a/", Effect: "NoExecute"}} }, "node_taints", "key"},
		"a taint twice": {"a node with both never joins", func(g *magnum.NodeGroup) {
			g.NodeTaints = []magnum.Taint{{Key: "a", Effect: "NoExecute"}, {Key: "a", Value: "b", Effect: "NoExecute"}}
		}, "node_taints", "two taints a with the effect NoExecute"},
		"a taint with two effects": {"", func(g *magnum.NodeGroup) {
			g.NodeTaints = []magnum.Taint{{Key: "a", Effect: "NoExecute"}, {Key: "a", Effect: "NoSchedule"}}
		}, "", ""},
		"a taint that Kubernetes removes": {"it would not stay", func(g *magnum.NodeGroup) {
			g.NodeTaints = []magnum.Taint{{Key: "node.kubernetes.io/unreachable", Effect: "NoSchedule"}}
		}, "node_taints", "by Kubernetes itself"},
		"a taint that Cluster API removes": {"it would not stay", func(g *magnum.NodeGroup) {
			g.NodeTaints = []magnum.Taint{{Key: "node.cluster.x-k8s.io/uninitialized", Effect: "NoSchedule"}}
		}, "node_taints", "by Kubernetes itself"},
		"a taint for operators": {"nobody else sets or removes it", func(g *magnum.NodeGroup) {
			g.NodeTaints = []magnum.Taint{{Key: "node.kubernetes.io/out-of-service", Value: "nodeshutdown", Effect: "NoExecute"}}
		}, "", ""},
		"labels on masters":          {"", func(g *magnum.NodeGroup) { g.Role, g.NodeLabels = "master", map[string]string{"a": "b"} }, "node_labels or node_taints", "masters"},
		"a label with too long name": {"", func(g *magnum.NodeGroup) { g.NodeLabels = map[string]string{strings.Repeat("a", 64): ""} }, "node_labels", "not a Kubernetes label"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &magnum.NodeGroup{Name: "more", Role: "worker", NodeCount: 1}
			is.edit(g)
			faults := magnum.CheckNodeGroup(g)
			switch {
			case is.fault == "" && len(faults) > 0:
				t.Errorf("refused: %v (%s)", faults, is.reason)
			case is.fault != "" && (len(faults) != 1 || faults[0].Attribute != is.fault || !strings.Contains(faults[0].Why, is.says)):
				t.Errorf("%v, want %s with %q (%s)", faults, is.fault, is.says, is.reason)
			}
		})
	}
}

// Cluster API 1.14 takes a DNS name of at most 63 characters for a machine deployment of a topology, and puts it into
// labels.
func TestEveryNodeGroupHasANameForKubernetes(t *testing.T) {
	legal := regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	seen := map[string]string{}
	for _, name := range []string{
		"gpu-pool", "gpu_pool", "GPU-pool", "NG1", "ng1", "test-ng-GgicFjoZ", "日本", "_", "a.b", "a.-b", strings.Repeat("x", 64), strings.Repeat("X", 255),
		"-a-", "a b",
	} {
		d := (&magnum.NodeGroup{Name: name}).DeploymentName()
		if len(d) > 63 || !legal.MatchString(d) {
			t.Errorf("%q becomes %q, which Kubernetes does not take", name, d)
		}
		if other, taken := seen[d]; taken {
			t.Errorf("%q and %q both become %q", name, other, d)
		}
		seen[d] = name
	}
	for _, same := range []string{"gpu-pool", "ng1", "a.b"} {
		if d := (&magnum.NodeGroup{Name: same}).DeploymentName(); d != same {
			t.Errorf("%q becomes %q: groups that exist must keep their machines", same, d)
		}
	}
}
