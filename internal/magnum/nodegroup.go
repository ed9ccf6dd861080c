package magnum

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// MaxNodes is how many nodes one group may have: far above what a cluster can hold, far below what a counter can.
const MaxNodes = 10_000

const (
	maxGroupName = 255 // Magnum 1.14; what Kubernetes calls the group is derived from it (DeploymentName)
	maxShown     = 100 // bytes of a text that a fault repeats
)

// GroupFault is one thing that a node group cannot be.
type GroupFault struct {
	Attribute string
	Why       string
}

// CheckNodeGroup reports everything that is wrong with a node group by itself. It is the one rule set: the API asks it
// before it accepts a group, and whoever writes a group for Cluster API asks it again.
func CheckNodeGroup(g *NodeGroup) []GroupFault {
	var out []GroupFault
	fault := func(attribute, format string, args ...any) {
		out = append(out, GroupFault{attribute, fmt.Sprintf(format, args...)})
	}
	if g.Name == "" || len(g.Name) > maxGroupName {
		fault("name", "a name has 1 to %d characters", maxGroupName)
	}
	if !labelName.MatchString(g.Role) {
		fault("role", "a role becomes part of node labels: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at "+
			"both ends")
	}
	if g.Role == controlPlaneRole {
		fault("role", "Kubernetes marks its control plane with the role %s", g.Role)
	}
	if g.NodeCount < 0 || g.NodeCount > MaxNodes {
		fault("node_count", "node_count (%d) should be between 0 and %d", g.NodeCount, MaxNodes)
	}
	if g.MaxNodeCount != nil && *g.MaxNodeCount < g.MinNodeCount {
		fault("min_node_count", "min_node_count (%d) should be less or equal to max_node_count (%d)", g.MinNodeCount, *g.MaxNodeCount)
	}
	if g.Role == RoleMaster && len(g.NodeLabels)+len(g.NodeTaints) > 0 {
		fault("node_labels or node_taints", "masters cannot have them")
	}
	for _, k := range slices.Sorted(maps.Keys(g.NodeLabels)) {
		if why := nodeLabelProblem(g, k, g.NodeLabels[k]); why != "" {
			fault("node_labels", "%s", why)
		}
	}
	known := map[Taint]bool{}
	for _, t := range g.NodeTaints {
		if why := taintProblem(t); why != "" {
			fault("node_taints", "%s", why)
		}
		// Kubernetes (ValidateNodeTaints): a node with both would be refused, and so never join.
		if id := (Taint{Key: t.Key, Effect: t.Effect}); known[id] {
			fault("node_taints", "there are two taints %s with the effect %s, and a node can have one", Shorten(t.Key, maxShown), t.Effect)
		} else {
			known[id] = true
		}
	}
	return out
}

// CheckNodeCount reports that a group has fewer or more nodes than it is to have.
func CheckNodeCount(g *NodeGroup) []GroupFault {
	switch {
	case g.NodeCount < g.MinNodeCount:
		return []GroupFault{{"node_count", fmt.Sprintf("min_node_count (%d) should be less or equal to node_count (%d)", g.MinNodeCount, g.NodeCount)}}
	case g.MaxNodeCount != nil && g.NodeCount > *g.MaxNodeCount:
		return []GroupFault{{"node_count", fmt.Sprintf("node_count (%d) should be less or equal to max_node_count (%d)", g.NodeCount, *g.MaxNodeCount)}}
	}
	return nil
}

// AskSize is a request for n nodes. The nodes to remove are given up first, and belong to this request alone.
func (g *NodeGroup) AskSize(n int, remove []string) {
	g.NodeCount, g.Asked, g.NodesToRemove = n, n, remove
	g.Resize++
}

// GiveBounds makes the bounds of a new group of workers its own, which its owner may change: those that nobody gave are
// those of its labels. A group that the autoscaler sizes always has a maximum, and begins within its bounds. Where
// there is no autoscaler, labels bind nobody: Magnum's do not, and templates of before have them.
func (g *NodeGroup) GiveBounds(fewest int, most *int, autoscaled bool) {
	if !autoscaled {
		return
	}
	if g.MinNodeCount == 0 {
		g.MinNodeCount = fewest
	}
	if g.MaxNodeCount == nil {
		g.MaxNodeCount = most
	}
	g.NodeCount = max(g.NodeCount, g.MinNodeCount)
	if g.MaxNodeCount == nil {
		g.MaxNodeCount = new(AutoscaledMost(g.MinNodeCount, g.NodeCount))
	}
}

// AutoscaledMost is the most nodes of a group that the autoscaler sizes and for which nobody gave a maximum: one more
// than the fewest (magnum-cluster-api, utils.py), and not fewer than it begins with.
func AutoscaledMost(fewest, begins int) int { return max(fewest+1, begins) }

// DeploymentName is what Kubernetes calls the group: its machine deployment, and the label on its nodes. A name that
// Kubernetes can use is used as it is, so that groups that exist keep theirs; of others the readable part is kept, and
// told apart by a hash.
func (g *NodeGroup) DeploymentName() string {
	if len(g.Name) <= 63 && deploymentName.MatchString(g.Name) {
		return g.Name
	}
	readable := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '-'
	}, g.Name)
	readable = strings.Trim(readable[:min(len(readable), 40)], "-")
	sum := sha256.Sum256([]byte(g.Name))
	return strings.TrimPrefix(readable+"-"+hex.EncodeToString(sum[:])[:8], "-")
}

var (
	deploymentName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`)
	labelName      = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$`)
)

// The domains whose labels Cluster API itself carries from machines to nodes (Cluster API 1.14, "metadata
// propagation").
const (
	roleDomain        = "node-role.kubernetes.io"
	restrictionDomain = "node-restriction.kubernetes.io"
	managedDomain     = "node.cluster.x-k8s.io"
)

// controlPlaneRole is the role that kubeadm gives masters.
const controlPlaneRole = "control-plane"

// NodeGroupLabel is on every node, with DeploymentName as its value.
const NodeGroupLabel = managedDomain + "/nodegroup"

// RoleLabel is on every node of the group, without a value.
func (g *NodeGroup) RoleLabel() string { return roleDomain + "/" + g.Role }

// CarriedByClusterAPI tells whether Cluster API keeps a label of a machine on its node, too.
func CarriedByClusterAPI(key string) bool {
	domain, _, _ := strings.Cut(key, "/")
	return domain == roleDomain || within(domain, restrictionDomain) || within(domain, managedDomain)
}

func within(domain, parent string) bool {
	return domain == parent || strings.HasSuffix(domain, "."+parent)
}

func nodeLabelProblem(g *NodeGroup, k, v string) string {
	domain, _, _ := strings.Cut(k, "/")
	switch {
	case !qualified(k) || v != "" && !labelName.MatchString(v):
		return fmt.Sprintf("%q: %q is not a Kubernetes label", Shorten(k, maxShown), Shorten(v, maxShown))
	case k == roleDomain+"/"+RoleMaster, k == roleDomain+"/"+controlPlaneRole:
		return fmt.Sprintf("%q marks the control plane", k)
	case k == NodeGroupLabel || k == g.RoleLabel():
		return fmt.Sprintf("%q is set by the service", k)
	case slices.Contains(setElsewhere(), k):
		return fmt.Sprintf("%q is different for each node, and set by its kubelet or the cloud", k)
	case CarriedByClusterAPI(k), within(domain, "node.kubernetes.io"), within(domain, "kubelet.kubernetes.io"):
		return ""
	case within(domain, "kubernetes.io"), within(domain, "k8s.io"):
		return fmt.Sprintf("%q is in a namespace that Kubernetes keeps to itself", Shorten(k, maxShown))
	}
	return ""
}

// setElsewhere are the labels that a kubelet could be told (k8s.io/kubelet, pkg/apis/well_known_labels.go), but that
// it, or the cloud controller manager, then sets to what is true of the node: asking for another value has no effect,
// or breaks scheduling.
func setElsewhere() []string {
	return []string{
		"kubernetes.io/hostname", "kubernetes.io/os", "kubernetes.io/arch", "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
		"beta.kubernetes.io/instance-type", "node.kubernetes.io/instance-type",
		"topology.kubernetes.io/zone", "topology.kubernetes.io/region",
		"failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
	}
}

// qualified tells whether a key is "name" or "domain/name" as Kubernetes wants it.
func qualified(key string) bool {
	domain, name, has := strings.Cut(key, "/")
	if !has {
		return labelName.MatchString(key)
	}
	return len(domain) <= 253 && deploymentName.MatchString(domain) && labelName.MatchString(name)
}

// takenAway are the taints that say how a node is: its kubelet, the node lifecycle controller (k8s.io/api,
// core/v1/well_known_taints.go), the cloud controller manager (k8s.io/cloud-provider/api) and Cluster API remove them
// as soon as that is over, so that asking for one has no lasting effect, or keeps a node from ever being used.
func takenAway() []string {
	return []string{
		"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/unschedulable",
		"node.kubernetes.io/memory-pressure", "node.kubernetes.io/disk-pressure", "node.kubernetes.io/pid-pressure",
		"node.kubernetes.io/network-unavailable", "node.cloudprovider.kubernetes.io/uninitialized", "node.cloudprovider.kubernetes.io/shutdown",
		managedDomain + "/uninitialized", managedDomain + "/outdated-revision",
	}
}

func taintProblem(t Taint) string {
	switch {
	case !qualified(t.Key):
		return fmt.Sprintf("%q is not the key of a taint", Shorten(t.Key, maxShown))
	case slices.Contains(takenAway(), t.Key):
		return fmt.Sprintf("the taint %s is added and removed by Kubernetes itself", t.Key)
	case t.Value != "" && !labelName.MatchString(t.Value):
		return fmt.Sprintf("%q is not the value of a taint", Shorten(t.Value, maxShown))
	case !slices.Contains([]string{"NoSchedule", "PreferNoSchedule", "NoExecute"}, t.Effect):
		return fmt.Sprintf("the effect %q is not one of NoSchedule, PreferNoSchedule, NoExecute", Shorten(t.Effect, maxShown))
	}
	return ""
}
