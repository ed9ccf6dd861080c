package components

import (
	"context"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
)

// Revived waits until pods run again. What the objects of the backup say of themselves is of before.
func Revived(ctx context.Context, r site.Run, step string, c client.Client, objects []Object) error {
	ours := map[string]bool{"kube-system": true} // whether others' pods run is not ours to wait for
	for _, o := range objects {
		ours[o.U.GetNamespace()] = true
	}
	return r.Wait(ctx, step, site.Cluster, 10*time.Minute, func() (bool, string) {
		late, err := notReady(ctx, c, ours)
		if err != nil {
			return false, err.Error()
		}
		return len(late) == 0, "pods are not ready: " + strings.Join(late, ", ")
	})
}

// notReady counts ready pods of each ReplicaSet and DaemonSet of the namespaces.
func notReady(ctx context.Context, c client.Client, namespaces map[string]bool) ([]string, error) {
	var pods corev1.PodList
	if err := c.List(ctx, &pods); err != nil {
		return nil, err
	}
	ready := map[types.UID]int64{}
	for _, p := range pods.Items {
		owner := metav1.GetControllerOf(&p)
		if owner != nil && p.DeletionTimestamp == nil && slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		}) {
			ready[owner.UID]++
		}
	}
	var late []string
	for kind, field := range map[string][]string{"ReplicaSet": {"spec", "replicas"}, "DaemonSet": {"status", "desiredNumberScheduled"}} {
		list := &unstructured.UnstructuredList{}
		list.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind(kind + "List"))
		if err := c.List(ctx, list); err != nil {
			return nil, err
		}
		for _, u := range list.Items {
			want, _, err := unstructured.NestedInt64(u.Object, field...)
			if !namespaces[u.GetNamespace()] {
				continue
			}
			if err != nil || ready[u.GetUID()] < want {
				late = append(late, u.GetNamespace()+"/"+u.GetName())
			}
		}
	}
	slices.Sort(late)
	return late, nil
}
