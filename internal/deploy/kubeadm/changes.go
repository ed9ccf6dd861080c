package kubeadm

import (
	"fmt"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// What kubeadm does is in a plan as a typed value beside its words: judges and steps look for the value.
type (
	// Init makes the cluster, or goes on making it.
	Init struct {
		Node, Version string
		Again         bool
	}
	// Join lets a node join; Again says that what an earlier join left is cleared before.
	Join struct {
		Node, Version string
		Again         bool
	}
	// Upgrade brings a node's control plane and kubelet from one version to another.
	Upgrade struct{ Node, From, To string }
	// Settings changes arguments of a node's static pods.
	Settings struct {
		Node string
		What []string
	}
	// KubeletSettings changes a node's kubelet, which alone is restarted.
	KubeletSettings struct {
		Node string
		What []string
	}
	// Renewal renews a node's certificates.
	Renewal struct {
		Node  string
		Names []string
	}
	// Reset takes the cluster away that a restore replaces.
	Reset struct{ Node string }
	// SharedSettings changes what the cluster keeps for all nodes, under one of the names below.
	SharedSettings struct {
		Name string
		What []string
	}
	// Snapshot is taken on a node before an upgrade, and stays there. Fresh says that no member has begun the upgrade yet:
	// a file of that name is of an older attempt.
	Snapshot struct {
		Node, File string
		Fresh      bool
	}
)

// The names of SharedSettings: kubeadm's ConfigMaps, and its two addons.
const (
	sharedCluster = "kubeadm-config"
	sharedKubelet = "kubelet-config"
	sharedProxy   = "kube-proxy"
	SharedAddons  = "addons"
)

// typed is a change that says what it is.
func typed(what any, place, kind, name string, a plan.Action, format string, args ...any) plan.Change {
	return plan.Change{Place: place, Group: Group, Kind: kind, Name: name, Action: a, Summary: fmt.Sprintf(format, args...), What: what}
}

// Kind is that of changes which kubeadm makes of a node.
const Kind = "kubeadm"

func (k Init) change() plan.Change {
	if k.Again {
		return typed(k, k.Node, Kind, "init", plan.Run, "go on making the cluster")
	}
	return typed(k, k.Node, Kind, "init", plan.Run, "make the cluster, Kubernetes %s", k.Version)
}

func (k Join) change() plan.Change {
	if k.Again {
		return typed(k, k.Node, Kind, "join", plan.Run, "clear what a join that did not end has left, and join again")
	}
	return typed(k, k.Node, Kind, "join", plan.Run, "join the control plane, Kubernetes %s", k.Version)
}

func (k Upgrade) change() plan.Change {
	return typed(k, k.Node, Kind, "upgrade", plan.Run, "%s -> %s, one node at a time", k.From, k.To)
}

func (k Settings) change() plan.Change {
	return typed(k, k.Node, Kind, "settings", plan.Run, "%s", strings.Join(k.What, ", "))
}

func (k KubeletSettings) change() plan.Change {
	return typed(k, k.Node, Kind, "kubelet settings", plan.Run, "%s", strings.Join(k.What, ", "))
}

func (k Renewal) change() plan.Change {
	return typed(k, k.Node, Kind, "certs renew", plan.Run, "renew %s", strings.Join(k.Names, ", "))
}

// Change is what a plan says of it.
func (k Reset) Change() plan.Change {
	return typed(k, k.Node, Kind, "reset", plan.Delete, "the cluster that is there, with etcd's data")
}

func (s SharedSettings) change() plan.Change {
	return typed(s, site.Cluster, "settings", s.Name, plan.Update, "%s", strings.Join(s.What, ", "))
}

func (e Snapshot) change() plan.Change {
	return typed(e, e.Node, "snapshot", e.File, plan.Run, "etcd's data before the upgrade, checked; it stays on the node")
}

// UpgradeOf says whether a node is upgraded, and the like of it for the other changes of one node.
func UpgradeOf(p plan.Plan, node string) bool {
	return plan.Has(p, func(k Upgrade) bool { return k.Node == node })
}

func settingsOf(p plan.Plan, node string) bool {
	return plan.Has(p, func(k Settings) bool { return k.Node == node })
}

// KubeletOf says whether a node's kubelet is restarted for its settings.
func KubeletOf(p plan.Plan, node string) bool {
	return plan.Has(p, func(k KubeletSettings) bool { return k.Node == node })
}

func renewalOf(p plan.Plan, node string) bool {
	return plan.Has(p, func(k Renewal) bool { return k.Node == node })
}

// Shares says whether one of the shared settings changes.
func Shares(p plan.Plan, name string) bool {
	return plan.Has(p, func(s SharedSettings) bool { return s.Name == name })
}

// Fresh are the nodes on which kubeadm changes something, their admin.conf perhaps.
func Fresh(p plan.Plan) map[string]bool {
	out := map[string]bool{}
	for _, c := range p.Changes {
		if c.Kind == Kind {
			out[c.Place] = true
		}
	}
	return out
}
