package deploy

import (
	"cmp"
	"context"
	"encoding/csv"
	"path"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// Status is how a deployment is, for people and machines.
type Status struct {
	Endpoint string `json:"endpoint"`
	// Kubernetes is the version the configuration asks for.
	Kubernetes string       `json:"kubernetes"`
	Nodes      []NodeStatus `json:"nodes"`
	Backends   []Backend    `json:"backends"`
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
	// Backups says whether the node makes backups and could be looked at, and Backup when the newest was begun; the zero time if there is none.
	Backups bool      `json:"backups"`
	Backup  time.Time `json:"backup,omitzero"`
}

// Backend is a server of a load balancer.
type Backend struct {
	Balancer string `json:"balancer"`
	Server   string `json:"server"`
	Status   string `json:"status"`
	Check    string `json:"check"`
}

// StatusOf tells how everything is.
func StatusOf(ctx context.Context, h site.Hosts, w Wanted, world World, now time.Time) Status {
	p := Diff(w, world, now)
	s := Status{Endpoint: "https://" + endpoint(w.Intent), Kubernetes: w.Intent.Versions.Kubernetes, Drift: plan.Summary(p), Changes: p.Changes, Runs: site.Runs(w.Facts), Healthy: true}
	for _, n := range w.Intent.Nodes {
		state := world.Nodes[n.Name]
		ns := NodeStatus{Name: n.NodeName, Host: n.PhysicalHost, Address: n.NodeIP, API: cmp.Or(state.Ready, absence(world, n.Name)), Etcd: cmp.Or(state.Etcd, absence(world, n.Name)), Member: "none"}
		ns.APIServer = version.Trim(state.StaticPods["kube-apiserver"])
		if node, ok := world.Cluster.Nodes[n.NodeName]; ok {
			ns.Kubelet = version.Trim(node.Status.NodeInfo.KubeletVersion)
			ns.Ready = slices.ContainsFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool {
				return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
			})
		}
		for _, other := range world.Nodes {
			if m, ok := other.Member(n.NodeName); ok {
				ns.Member = "voter"
				if m.Learner {
					ns.Member = "learner"
				}
			}
		}
		if _, seen := world.Nodes[n.Name]; seen && backupsOn(w.Intent, n) != "" {
			ns.Backups = true
			ns.Backup = backup.Newest(state.Files, n.NodeName)
		}
		for _, c := range state.Certificates {
			if !c.CA && (ns.Expires.IsZero() || c.Until.Before(ns.Expires)) {
				ns.Expires, ns.Certificate = c.Until, path.Base(c.Path)
			}
		}
		s.Healthy = s.Healthy && ns.Ready && ns.Member == "voter" && state.Healthy()
		s.Nodes = append(s.Nodes, ns)
	}
	s.Backends, s.Healthy = balanced(ctx, h, w, s.Healthy)
	s.Healthy = s.Healthy && !slices.ContainsFunc(s.Backends, func(b Backend) bool { return !strings.HasPrefix(b.Status, "UP") })
	return s
}

// balanced asks load balancers for their servers; healthy stays so if all of them answer.
func balanced(ctx context.Context, h site.Hosts, w Wanted, healthy bool) ([]Backend, bool) {
	var out []Backend
	for _, b := range w.Intent.HAProxy.Hosts {
		text, err := site.Ask[string](ctx, h, site.At(b.Where()), host.OpStats, "show stat")
		if err != nil {
			out, healthy = append(out, Backend{Balancer: b.Name, Status: err.Error()}), false
			continue
		}
		services := b.Services
		if w.Serves == intent.ImplementationJeroboam {
			services = slices.Concat(services, b.Magnum)
		}
		for _, svc := range services {
			out = append(out, backends(b.Name, backendOf(svc.Name), text)...)
		}
	}
	return out, healthy
}

// With adds the services.
func (s Status) With(services Services) Status {
	s.Services = services.Status()
	s.Healthy = s.Healthy && !slices.ContainsFunc(s.Services, func(one ServiceStatus) bool { return !one.Runs })
	return s
}

// absence says why nothing is known of a node.
func absence(w World, node string) string {
	if w.Unseen[node] {
		return "its host does not answer"
	}
	return "not there"
}

// backends reads haproxy's "show stat" (its management guide, section 9.1).
func backends(balancer, proxy, text string) []Backend {
	rows, err := csv.NewReader(strings.NewReader(strings.TrimPrefix(strings.TrimSpace(text), "# "))).ReadAll()
	if err != nil || len(rows) == 0 {
		return []Backend{{Balancer: balancer, Status: "haproxy's answer cannot be read"}}
	}
	at := func(name string) int { return slices.Index(rows[0], name) }
	px, sv, status, check := at("pxname"), at("svname"), at("status"), at("check_status")
	if px < 0 || sv < 0 || status < 0 || check < 0 {
		return []Backend{{Balancer: balancer, Status: "haproxy's answer lacks columns"}}
	}
	var out []Backend
	for _, r := range rows[1:] {
		if len(r) > max(px, sv, status, check) && r[px] == proxy && r[sv] != "BACKEND" && r[sv] != "FRONTEND" {
			out = append(out, Backend{Balancer: balancer, Server: r[sv], Status: r[status], Check: strings.TrimPrefix(r[check], "* ")})
		}
	}
	return out
}
