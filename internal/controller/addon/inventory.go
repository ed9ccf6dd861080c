package addon

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
)

// The inventory is a ConfigMap of the workload cluster that names every object of ours there. Before something is
// applied its name is in it, and it leaves only after it is gone; so whatever was applied is found and pruned, whoever
// was killed when.
const inventoryName = "jeroboam-addons"

// item is one line of the inventory.
type item struct {
	Group     string `json:"group,omitempty"`
	Version   string `json:"version"`
	Kind      string `json:"kind"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

func itemOf(r ref) item {
	return item{r.kind.Group, r.kind.Version, r.kind.Kind, r.namespace, r.name}
}

func (i item) ref() ref {
	return ref{schema.GroupVersionKind{Group: i.Group, Version: i.Version, Kind: i.Kind}, i.Namespace, i.Name}
}

func configMapKind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
}

// readInventory returns what stands in the workload cluster; nothing when there is no inventory yet. A tenant may have
// written anything into it: what is no inventory is none.
func readInventory(ctx context.Context, s *session) ([]ref, error) {
	u, err := s.cluster.Get(ctx, configMapKind(), catalogue.Namespace, inventoryName)
	if err != nil || u == nil {
		return nil, err
	}
	text, _, _ := unstructured.NestedString(u.Object, "data", "objects")
	var items []item
	if json.Unmarshal([]byte(text), &items) != nil {
		return nil, nil //nolint:nilerr // a tenant's text, as the comment says
	}
	refs := make([]ref, len(items))
	for i := range items {
		refs[i] = items[i].ref()
	}
	return refs, nil
}

func writeInventory(ctx context.Context, s *session, refs []ref) error {
	items := make([]item, len(refs))
	for i := range refs {
		items[i] = itemOf(refs[i])
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	text, err := json.Marshal(slices.Compact(items))
	if err != nil {
		return fmt.Errorf("write the inventory: %w", err)
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{
			"name": inventoryName, "namespace": catalogue.Namespace,
			"annotations": map[string]any{"magnum.jeroboam.cloud/about": "The objects that Magnum installed into this cluster. Changes are undone."},
		},
		"data": map[string]any{"objects": string(text)},
	}}
	_, err = s.cluster.Apply(ctx, u, string(kube.FieldOwner))
	return err
}

// announce writes down what the cluster will have besides what it has.
func (r *Reconciler) announce(ctx context.Context, s *scope) (phase.Outcome, error) {
	wanted := s.wanted()
	known := s.session.inventory
	if known == nil {
		var err error
		if known, err = readInventory(ctx, s.session); err != nil {
			return phase.Done(), err
		}
	}
	union := slices.Clone(known)
	for _, w := range wanted {
		if !slices.Contains(union, w) {
			union = append(union, w)
		}
	}
	if len(union) != len(known) {
		if err := writeInventory(ctx, s.session, union); err != nil {
			return phase.Done(), err
		}
	}
	s.session.inventory = union
	return phase.Done(), nil
}

// wanted are the objects of all releases that could be made. What a failed release had stays.
func (s *scope) wanted() []ref {
	var out []ref
	for _, release := range s.releases {
		if release.Home {
			continue
		}
		for _, u := range release.Objects {
			out = append(out, refOf(u))
		}
	}
	return out
}

// prune deletes what is in the inventory and in no release. Only what has our label goes: an inventory is a tenant's to
// write, and must not make us delete what is theirs. While a release cannot be made nothing is pruned, for what it had
// is unknown.
func (r *Reconciler) prune(ctx context.Context, s *scope) (phase.Outcome, error) {
	wanted := s.wanted()
	var stale []ref
	for _, o := range s.session.inventory {
		if !slices.Contains(wanted, o) {
			stale = append(stale, o)
		}
	}
	if len(stale) == 0 || len(s.failed) > 0 {
		return phase.Done(), nil
	}
	slices.Reverse(stale)
	for _, o := range stale {
		u, err := s.session.cluster.Get(ctx, o.kind, o.namespace, o.name)
		if err != nil {
			return phase.Done(), err
		}
		if u == nil || u.GetLabels()[catalogue.Label] == "" {
			continue
		}
		if err := s.session.cluster.Delete(ctx, o.kind, o.namespace, o.name); err != nil {
			return phase.Done(), err
		}
		s.log.InfoContext(ctx, "pruned an object of an addon", "kind", o.kind.Kind, "namespace", o.namespace, "name", o.name)
	}
	if err := writeInventory(ctx, s.session, wanted); err != nil {
		return phase.Done(), err
	}
	s.session.inventory = wanted
	return phase.Done(), nil
}
