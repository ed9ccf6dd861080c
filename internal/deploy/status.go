package deploy

import (
	"cmp"
	"context"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/backups"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// Status is how a deployment is, for people and machines.
type Status struct {
	Endpoint string `json:"endpoint"`
	// Kubernetes is the version the configuration asks for.
	Kubernetes string            `json:"kubernetes"`
	Nodes      []NodeStatus      `json:"nodes"`
	Backends   []balance.Backend `json:"backends"`
	// Services are Magnum's servers and the proxies, those that are ours.
	Services []ServiceStatus `json:"services,omitempty"`
	// Drift is what apply would change, in one line; Changes in detail.
	Drift   string        `json:"drift"`
	Changes []plan.Change `json:"changes"`
	// Runs are those that are under way.
	Runs []site.UnderWay `json:"runs,omitempty"`
	// Healthy: every node is a Ready member, every backend is up, and every service runs.
	Healthy bool `json:"healthy"`
}

// NodeStatus is a node's.
type NodeStatus struct {
	Name      string `json:"name"`
	Host      string `json:"host"`
	Address   string `json:"address"`
	Ready     bool   `json:"ready"`
	Kubelet   string `json:"kubelet"`
	APIServer string `json:"apiServer"`
	// API and Etcd are "ok", or why not. Member is "voter", "learner" or "none".
	API    string `json:"api"`
	Etcd   string `json:"etcd"`
	Member string `json:"member"`
	// Expires is when the first certificate that is no authority's ends, and Certificate which one.
	Expires     time.Time `json:"expires"`
	Certificate string    `json:"certificate"`
	// Backups says whether the node makes backups and could be looked at, and Backup when the newest was begun; the zero
	// time if there is none.
	Backups bool      `json:"backups"`
	Backup  time.Time `json:"backup,omitzero"`
}

// Status is how everything is, what is beside the cluster among it.
func (s *Session) Status(ctx context.Context, now time.Time) Status {
	p := s.Plan(now)
	out := Status{
		Endpoint: "https://" + s.Wanted.Intent.Endpoint(), Kubernetes: s.Wanted.Intent.Versions.Kubernetes,
		Services: s.Services.status(), Drift: plan.Summary(p), Changes: p.Changes, Runs: site.Runs(s.Wanted.Facts), Healthy: true,
	}
	for _, n := range s.Wanted.Intent.Nodes {
		one := nodeStatus(s.Wanted, s.World, n)
		out.Healthy = out.Healthy && one.Ready && one.Member == "voter" && s.World.Nodes[n.Name].Healthy()
		out.Nodes = append(out.Nodes, one)
	}
	backends, all := balance.At(ctx, s.Hosts, s.Wanted.Intent.HAProxy.Hosts, s.Wanted.Serves == intent.ImplementationJeroboam)
	out.Backends = backends
	out.Healthy = out.Healthy && all &&
		!slices.ContainsFunc(backends, func(b balance.Backend) bool { return !strings.HasPrefix(b.Status, "UP") }) &&
		!slices.ContainsFunc(out.Services, func(one ServiceStatus) bool { return !one.Runs })
	return out
}

// nodeStatus is how a node is.
func nodeStatus(w Wanted, world World, n intent.Node) NodeStatus {
	state := world.Nodes[n.Name]
	out := NodeStatus{
		Name: n.NodeName, Host: n.PhysicalHost, Address: n.NodeIP, APIServer: version.Trim(state.StaticPods["kube-apiserver"]),
		API: cmp.Or(state.Ready, absence(world, n.Name)), Etcd: cmp.Or(state.Etcd, absence(world, n.Name)), Member: "none",
	}
	if node, ok := world.Cluster.Nodes[n.NodeName]; ok {
		out.Kubelet = version.Trim(node.Status.NodeInfo.KubeletVersion)
		out.Ready = slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
			return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
		})
	}
	for _, other := range world.Nodes {
		if m, ok := other.Member(n.NodeName); ok {
			out.Member = "voter"
			if m.Learner {
				out.Member = "learner"
			}
		}
	}
	if _, seen := world.Nodes[n.Name]; seen && backups.On(w.Intent, n) != "" {
		out.Backups = true
		out.Backup = backup.Newest(state.Files, n.NodeName)
	}
	for _, c := range state.Certificates {
		if !c.CA && (out.Expires.IsZero() || c.Until.Before(out.Expires)) {
			out.Expires, out.Certificate = c.Until, path.Base(c.Path)
		}
	}
	return out
}

// absence says why nothing is known of a node.
func absence(w World, node string) string {
	if w.Unseen[node] {
		return "its host does not answer"
	}
	return "not there"
}

// ServiceStatus is how one service stands at one place.
type ServiceStatus struct {
	Service string `json:"service"`
	Place   string `json:"place"`
	// State is "runs", or why not, in words.
	State string `json:"state"`
	Runs  bool   `json:"runs"`
	// Credential is "good", or what is to happen to it.
	Credential string `json:"credential,omitempty"`
}

// status tells of all services that are ours, from what was seen of them.
func (s Services) status() []ServiceStatus {
	var out []ServiceStatus
	for i, item := range s.List.Items {
		name := ""
		switch {
		case item.Unit != nil && !item.Unit.Gone && item.Group == magnum.Group:
			name = magnum.Group
		case item.Unit != nil && !item.Unit.Gone && item.Group == proxy.GroupAccess:
			name = proxy.GroupAccess
		case item.Relay != nil && !item.Relay.Gone:
			name = proxy.Group
		default:
			continue
		}
		st := ServiceStatus{Service: name, Place: item.Place}
		have := s.Seen.Items[i]
		switch {
		case s.Seen.Unseen[item.Place]:
			st.State = "its host does not answer"
		case have == nil:
			st.State = "not there"
		case have["active"] != "yes":
			st.State = "does not run"
		case have["ready"] == "no":
			st.State = "starts, and is not ready: see its journal"
		default:
			st.State, st.Runs = "runs", true
		}
		if !s.Seen.Unseen[item.Place] {
			st.Credential = s.List.Credential(s.Seen, item.Place, item.Group)
		}
		out = append(out, st)
	}
	return out
}
