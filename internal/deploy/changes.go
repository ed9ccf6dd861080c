package deploy

import (
	"fmt"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// What kubeadm does is in a plan as a typed value beside its words: judges and steps look for the value.
type (
	// KubeadmInit makes the cluster, or goes on making it.
	KubeadmInit struct {
		Node, Version string
		Again         bool
	}
	// KubeadmJoin lets a node join; Again says that what an earlier join left is cleared before.
	KubeadmJoin struct {
		Node, Version string
		Again         bool
	}
	// KubeadmUpgrade brings a node's control plane and kubelet from one version to another.
	KubeadmUpgrade struct{ Node, From, To string }
	// KubeadmSettings changes arguments of a node's static pods.
	KubeadmSettings struct {
		Node string
		What []string
	}
	// KubeletSettings changes a node's kubelet, which alone is restarted.
	KubeletSettings struct {
		Node string
		What []string
	}
	// CertificatesRenewal renews a node's certificates.
	CertificatesRenewal struct {
		Node  string
		Names []string
	}
	// KubeadmReset takes the cluster away that a restore replaces.
	KubeadmReset struct{ Node string }
	// SharedSettings changes what the cluster keeps for all nodes, under one of the names below.
	SharedSettings struct {
		Name string
		What []string
	}
	// EtcdSnapshot is taken on a node before an upgrade, and stays there. Fresh says that no member has begun the upgrade yet: a file of
	// that name is of an older attempt.
	EtcdSnapshot struct {
		Node, File string
		Fresh      bool
	}
)

// The names of SharedSettings: kubeadm's ConfigMaps, and its two addons.
const (
	sharedCluster = "kubeadm-config"
	sharedKubelet = "kubelet-config"
	sharedProxy   = "kube-proxy"
	sharedAddons  = "addons"
)

// typed is a change that says what it is.
func typed(what any, place, kind, name string, a plan.Action, format string, args ...any) plan.Change {
	return plan.Change{Place: place, Group: groupControl, Kind: kind, Name: name, Action: a, Summary: fmt.Sprintf(format, args...), What: what}
}

const kubeadmKind = "kubeadm"

func (k KubeadmInit) change() plan.Change {
	if k.Again {
		return typed(k, k.Node, kubeadmKind, "init", plan.Run, "go on making the cluster")
	}
	return typed(k, k.Node, kubeadmKind, "init", plan.Run, "make the cluster, Kubernetes %s", k.Version)
}

func (k KubeadmJoin) change() plan.Change {
	if k.Again {
		return typed(k, k.Node, kubeadmKind, "join", plan.Run, "clear what a join that did not end has left, and join again")
	}
	return typed(k, k.Node, kubeadmKind, "join", plan.Run, "join the control plane, Kubernetes %s", k.Version)
}

func (k KubeadmUpgrade) change() plan.Change {
	return typed(k, k.Node, kubeadmKind, "upgrade", plan.Run, "%s -> %s, one node at a time", k.From, k.To)
}

func (k KubeadmSettings) change() plan.Change {
	return typed(k, k.Node, kubeadmKind, "settings", plan.Run, "%s", strings.Join(k.What, ", "))
}

func (k KubeletSettings) change() plan.Change {
	return typed(k, k.Node, kubeadmKind, "kubelet settings", plan.Run, "%s", strings.Join(k.What, ", "))
}

func (k CertificatesRenewal) change() plan.Change {
	return typed(k, k.Node, kubeadmKind, "certs renew", plan.Run, "renew %s", strings.Join(k.Names, ", "))
}

func (k KubeadmReset) change() plan.Change {
	return typed(k, k.Node, kubeadmKind, "reset", plan.Delete, "the cluster that is there, with etcd's data")
}

func (s SharedSettings) change() plan.Change {
	return typed(s, site.Cluster, "settings", s.Name, plan.Update, "%s", strings.Join(s.What, ", "))
}

func (e EtcdSnapshot) change() plan.Change {
	return typed(e, e.Node, "snapshot", e.File, plan.Run, "etcd's data before the upgrade, checked; it stays on the node")
}

// upgradeOf says whether a node is upgraded, and the like of it for the other changes of one node.
func upgradeOf(p plan.Plan, node string) bool {
	return plan.Has(p, func(k KubeadmUpgrade) bool { return k.Node == node })
}

func settingsOf(p plan.Plan, node string) bool {
	return plan.Has(p, func(k KubeadmSettings) bool { return k.Node == node })
}

func kubeletOf(p plan.Plan, node string) bool {
	return plan.Has(p, func(k KubeletSettings) bool { return k.Node == node })
}

func renewalOf(p plan.Plan, node string) bool {
	return plan.Has(p, func(k CertificatesRenewal) bool { return k.Node == node })
}

// shares says whether one of the shared settings changes.
func shares(p plan.Plan, name string) bool {
	return plan.Has(p, func(s SharedSettings) bool { return s.Name == name })
}
