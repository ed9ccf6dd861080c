package kube

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
)

// FreeMachineSets lets machine sets go whose machine deployment is gone, and returns how many there still are. which
// are labels that they have. Both arguments ask the API server itself.
//
// Cluster API 1.14 lets a machine deployment go as soon as its cache shows no machine set. One that was made a moment
// before stays then: its controller, and that of its machines, fail because they do not find the deployment, and the
// deletion of the whole cluster waits for them for ever. Without the label that names the deployment it is a machine
// set of its own, and is deleted as one.
func FreeMachineSets(ctx context.Context, live client.Reader, w client.Writer, which client.MatchingLabels) (left int, err error) {
	sets := &clusterv1.MachineSetList{}
	if err := live.List(ctx, sets, client.InNamespace(v1alpha1.Namespace), which); err != nil {
		return 0, fmt.Errorf("read machine sets: %w", err)
	}
	for i := range sets.Items {
		set := &sets.Items[i]
		name := set.Labels[clusterv1.MachineDeploymentNameLabel]
		if set.DeletionTimestamp == nil || name == "" {
			continue
		}
		err := live.Get(ctx, client.ObjectKey{Namespace: set.Namespace, Name: name}, &clusterv1.MachineDeployment{})
		if err == nil {
			continue
		}
		if !apierrors.IsNotFound(err) {
			return 0, fmt.Errorf("read machine deployment %s: %w", name, err)
		}
		was := set.DeepCopy()
		delete(set.Labels, clusterv1.MachineDeploymentNameLabel)
		if err := w.Patch(ctx, set, client.MergeFrom(was), FieldOwner); client.IgnoreNotFound(err) != nil {
			return 0, fmt.Errorf("let machine set %s go: %w", set.Name, err)
		}
	}
	return len(sets.Items), nil
}
