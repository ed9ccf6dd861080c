package nodegroup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// managedAnnotation is on nodes and says which of their labels and taints came from their node group, so that they can
// go again.
const managedAnnotation = "magnum.jeroboam.cloud/managed"

// nodesAgain is how often nodes that could not be reached are tried again.
const nodesAgain = 10 * time.Second

// managed is what the annotation holds.
type managed struct {
	Labels []string `json:"labels,omitempty"`
	Taints []string `json:"taints,omitempty"` // key:effect, which is what tells taints apart
}

func taintID(key, effect string) string { return key + ":" + effect }

// syncNodes gives the nodes of a group the labels and taints that Cluster API does not carry to them: those outside its
// own domains, which kubelets only register with. New nodes get them when they join, and machines are not replaced for
// them. It returns what keeps it from that; nothing is asked of a cluster whose nodes are known to be right.
func (r *Reconciler) syncNodes(ctx context.Context, s *scope) string {
	if s.group.Role == magnum.RoleMaster || s.observed.Cluster == nil {
		return ""
	}
	if capi.AskedOf(s.observed.Cluster).Groups[s.group.Name].Record < s.record.Generation {
		return ""
	}
	var nodes []string
	for _, m := range s.observed.GroupMachines(s.group) {
		if m.Status.NodeRef.Name != "" && m.DeletionTimestamp == nil {
			nodes = append(nodes, m.Status.NodeRef.Name)
		}
	}
	registered := capi.Registered(s.observed.Cluster, s.group)
	never := s.record.Status.NodesSynced == "" && len(registered.Labels)+len(registered.Taints) == 0
	if len(nodes) == 0 || never && len(ownLabels(s.group))+len(s.group.NodeTaints) == 0 {
		return ""
	}
	digest := digestOf(ownLabels(s.group), s.group.NodeTaints, nodes)
	if digest == s.record.Status.NodesSynced {
		return ""
	}
	if err := r.changeNodes(ctx, s, nodes, registered); err != nil {
		s.log.InfoContext(ctx, "labels and taints of nodes wait", "error", err)
		return "labels and taints of its nodes: " + err.Error()
	}
	s.record.Status.NodesSynced = digest
	return ""
}

// ownLabels are those of a group's labels that Cluster API does not carry.
func ownLabels(g *magnum.NodeGroup) map[string]string {
	out := maps.Clone(g.NodeLabels)
	maps.DeleteFunc(out, func(k, _ string) bool { return magnum.CarriedByClusterAPI(k) })
	return out
}

func digestOf(labels map[string]string, taints []magnum.Taint, nodes []string) string {
	b, err := json.Marshal([]any{labels, taints, slices.Sorted(slices.Values(nodes))})
	if err != nil {
		panic("nodegroup: labels do not marshal: " + err.Error())
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

func (r *Reconciler) changeNodes(ctx context.Context, s *scope, nodes []string, registered capi.Registration) error {
	config := &corev1.Secret{}
	err := r.Reader.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: kube.KubeconfigSecretName(s.record.Spec.StackID)}, config)
	if err != nil {
		return fmt.Errorf("read the cluster's kubeconfig: %w", err)
	}
	cluster, err := workload.Open(config.Data["value"], r.Dial)
	if err != nil {
		return err
	}
	defer cluster.Close()
	kind := corev1.SchemeGroupVersion.WithKind("Node")
	for _, name := range nodes {
		u, err := cluster.Get(ctx, kind, "", name)
		if err != nil {
			return err
		}
		if u == nil {
			continue // gone meanwhile; its machine goes too
		}
		node := &corev1.Node{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, node); err != nil {
			return fmt.Errorf("read node %s: %w", name, err)
		}
		patch := nodePatch(node, ownLabels(s.group), s.group.NodeTaints, registered)
		if patch == nil {
			continue
		}
		if err := cluster.Merge(ctx, kind, "", name, patch, string(kube.FieldOwner)); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// nodePatch is what makes a node as its group is; nil when it is. What others set stays.
func nodePatch(node *corev1.Node, labels map[string]string, taints []magnum.Taint, registered capi.Registration) []byte {
	before := managed{Labels: slices.Clone(registered.Labels)}
	for _, t := range registered.Taints {
		before.Taints = append(before.Taints, taintID(t.Key, t.Effect))
	}
	var noted managed
	_ = json.Unmarshal([]byte(node.Annotations[managedAnnotation]), &noted) // what cannot be read was not written by us
	before.Labels, before.Taints = append(before.Labels, noted.Labels...), append(before.Taints, noted.Taints...)

	change := map[string]any{}
	for _, k := range before.Labels {
		_, there := node.Labels[k]
		if _, wanted := labels[k]; there && !wanted && !magnum.CarriedByClusterAPI(k) {
			change[k] = nil
		}
	}
	for k, v := range labels {
		if has, there := node.Labels[k]; !there || has != v {
			change[k] = v
		}
	}
	after := managed{Labels: slices.Sorted(maps.Keys(labels))}
	wanted := map[string]bool{}
	for _, t := range taints {
		wanted[taintID(t.Key, t.Effect)] = true
		after.Taints = append(after.Taints, taintID(t.Key, t.Effect))
	}
	slices.Sort(after.Taints)
	list, differs := nodeTaints(node.Spec.Taints, taints, wanted, before.Taints)
	note, err := json.Marshal(after)
	if err != nil {
		panic("nodegroup: names do not marshal: " + err.Error())
	}
	meta := map[string]any{"resourceVersion": node.ResourceVersion}
	if len(change) > 0 {
		meta["labels"] = change
	}
	if string(note) != node.Annotations[managedAnnotation] {
		meta["annotations"] = map[string]any{managedAnnotation: string(note)}
	}
	patch := map[string]any{"metadata": meta}
	if differs {
		patch["spec"] = map[string]any{"taints": list}
	}
	if len(meta) == 1 && !differs {
		return nil
	}
	b, err := json.Marshal(patch)
	if err != nil {
		panic("nodegroup: a patch does not marshal: " + err.Error())
	}
	return b
}

// nodeTaints is the whole list, because a merge patch replaces lists.
func nodeTaints(have []corev1.Taint, want []magnum.Taint, wanted map[string]bool, before []string) (list []corev1.Taint, differs bool) {
	list = []corev1.Taint{}
	there := map[string]bool{}
	for _, t := range have {
		id := taintID(t.Key, string(t.Effect))
		if slices.Contains(before, id) && !wanted[id] {
			differs = true
			continue
		}
		for _, w := range want {
			if taintID(w.Key, w.Effect) == id && w.Value != t.Value {
				t.Value, differs = w.Value, true
			}
		}
		there[id] = true
		list = append(list, t)
	}
	for _, w := range want {
		if !there[taintID(w.Key, w.Effect)] {
			list, differs = append(list, corev1.Taint{Key: w.Key, Value: w.Value, Effect: corev1.TaintEffect(w.Effect)}), true
		}
	}
	return list, differs
}

// carriedWait says which label that Cluster API carries is not on the way to a machine yet.
func carriedWait(s *scope) string {
	want := maps.Clone(s.group.NodeLabels)
	maps.DeleteFunc(want, func(k, _ string) bool { return !magnum.CarriedByClusterAPI(k) })
	for _, m := range s.observed.GroupMachines(s.group) {
		for k, v := range want {
			if has, there := m.Labels[k]; m.DeletionTimestamp == nil && (!there || has != v) {
				return "machine " + m.Name + " does not have the label " + k + " yet"
			}
		}
	}
	return ""
}
