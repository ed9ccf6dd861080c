package inmemory

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/duration"
	"sigs.k8s.io/controller-runtime/pkg/client"

	inmemoryruntime "sigs.k8s.io/cluster-api/test/infrastructure/inmemory/pkg/runtime"
)

// nodeTables answers "kubectl get nodes" with the table that an API server makes of nodes: status, roles, age, version. Cluster
// API's in-memory server knows no tables, and kubectl then shows names only. Everything else goes to next.
type nodeTables struct {
	next    http.Handler
	served  func(*http.Request) (types.NamespacedName, error) // the cluster a request is for
	manager inmemoryruntime.Manager
	now     func() time.Time
}

func (t *nodeTables) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	selector, err := labels.Parse(q.Get("labelSelector"))
	if r.Method != http.MethodGet || r.URL.Path != "/api/v1/nodes" || !strings.Contains(r.Header.Get("Accept"), "as=Table") ||
		q.Get("watch") != "" || q.Get("fieldSelector") != "" || err != nil {
		t.next.ServeHTTP(w, r)
		return
	}
	cluster, err := t.served(r)
	if err != nil {
		t.next.ServeHTTP(w, r)
		return
	}
	nodes, err := t.nodes(r.Context(), cluster.String(), selector)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(tableOf(nodes, t.now()))
}

// nodes reads them untyped: that is what a node becomes that was written through the API.
func (t *nodeTables) nodes(ctx context.Context, cluster string, selector labels.Selector) ([]corev1.Node, error) {
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	if err := t.manager.GetResourceGroup(cluster).GetClient().List(ctx, list, client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return nil, fmt.Errorf("list the nodes: %w", err)
	}
	nodes := make([]corev1.Node, len(list.Items))
	for i := range list.Items {
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(list.Items[i].Object, &nodes[i]); err != nil {
			return nil, fmt.Errorf("read node %s: %w", list.Items[i].GetName(), err)
		}
	}
	return nodes, nil
}

func tableOf(nodes []corev1.Node, now time.Time) *metav1.Table {
	slices.SortFunc(nodes, func(a, b corev1.Node) int { return cmp.Compare(a.Name, b.Name) })
	table := &metav1.Table{TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "Table"}}
	for _, name := range []string{"Name", "Status", "Roles", "Age", "Version"} {
		table.ColumnDefinitions = append(table.ColumnDefinitions, metav1.TableColumnDefinition{Name: name, Type: "string", Format: strings.ToLower(name)})
	}
	for i := range nodes {
		n := &nodes[i]
		n.APIVersion, n.Kind = "v1", "Node"
		table.Rows = append(table.Rows, metav1.TableRow{
			Cells: []any{n.Name, nodeStatus(n), nodeRoles(n), duration.HumanDuration(now.Sub(n.CreationTimestamp.Time)), n.Status.NodeInfo.KubeletVersion},
			Object: runtime.RawExtension{Object: &metav1.PartialObjectMetadata{
				TypeMeta: metav1.TypeMeta{APIVersion: "meta.k8s.io/v1", Kind: "PartialObjectMetadata"}, ObjectMeta: n.ObjectMeta,
			}},
		})
	}
	return table
}

func nodeStatus(n *corev1.Node) string {
	status := "Unknown"
	for _, c := range n.Status.Conditions {
		if c.Type == corev1.NodeReady {
			status = map[corev1.ConditionStatus]string{corev1.ConditionTrue: "Ready", corev1.ConditionFalse: "NotReady"}[c.Status]
		}
	}
	if n.Spec.Unschedulable {
		status += ",SchedulingDisabled"
	}
	return status
}

func nodeRoles(n *corev1.Node) string {
	var roles []string
	for label := range n.Labels {
		if role, ok := strings.CutPrefix(label, "node-role.kubernetes.io/"); ok && role != "" {
			roles = append(roles, role)
		}
	}
	slices.Sort(roles)
	return cmp.Or(strings.Join(roles, ","), "<none>")
}
