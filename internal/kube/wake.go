package kube

import (
	"context"
	"log/slog"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
)

// RecordsOfStack wakes a controller of MagnumClusters when something of Cluster API's changes: a Cluster, or an object
// that carries the label with its cluster's name. The cache behind r knows the indexes.
func RecordsOfStack(r client.Reader, log *slog.Logger) handler.MapFunc {
	return func(ctx context.Context, o client.Object) []reconcile.Request {
		stack := o.GetLabels()[clusterv1.ClusterNameLabel]
		if _, ok := o.(*clusterv1.Cluster); ok {
			stack = o.GetName()
		}
		if stack == "" {
			return nil
		}
		list := &v1alpha1.MagnumClusterList{}
		err := r.List(ctx, list, client.InNamespace(o.GetNamespace()), client.MatchingFields{IndexStack: stack})
		if err != nil {
			log.ErrorContext(ctx, "cannot find the record of a stack", "stack", stack, "error", err)
			return nil
		}
		var out []reconcile.Request
		for i := range list.Items {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
		return out
	}
}
