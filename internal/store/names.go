package store

import (
	"context"
	"errors"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// nameLabel marks the leases that reserve names of Cluster API Clusters.
const nameLabel = "magnum.jeroboam.cloud/name"

// StackReservation is the name of the lease that reserves a stack's name. It is held as long as the cluster's record
// lives.
func StackReservation(stack string) string { return "magnum-name." + stack }

const nameTries = 100 // each finds a taken name once in sixty million, were there one cluster

// reserveStack draws a name for a Cluster API Cluster that nobody has: neither another replica, which draws at the same
// moment, nor the Python driver, whose Clusters have no record here. The API server decides, because there is one of
// it.
func (s *Store) reserveStack(ctx context.Context, uuid string) (string, error) {
	for range nameTries {
		s.mu.Lock()
		name := magnum.RandomStackID(s.rand)
		s.mu.Unlock()
		free, err := s.reserve(ctx, name, uuid)
		if err != nil {
			return "", refusal(err, "reserve the name of")
		}
		if free {
			return name, nil
		}
	}
	return "", errors.New("no name for a cluster is free")
}

func (s *Store) reserve(ctx context.Context, name, uuid string) (bool, error) {
	for _, c := range s.view.list("") { // from before names were reserved
		if c.StackID == name {
			return false, nil
		}
	}
	err := s.client.Get(ctx, key(name), &clusterv1.Cluster{})
	if !apierrors.IsNotFound(err) && !meta.IsNoMatchError(err) { // the latter: without Cluster API nobody makes Clusters
		return false, err
	}
	now := metav1.NewMicroTime(s.now())
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Name: StackReservation(name), Namespace: v1alpha1.Namespace,
			Labels: map[string]string{nameLabel: name, v1alpha1.LabelClusterUUID: uuid},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &uuid, AcquireTime: &now},
	}
	err = s.client.Create(ctx, lease, kube.FieldOwner)
	if apierrors.IsAlreadyExists(err) {
		return false, nil
	}
	return err == nil, err
}

// releaseStack gives a name back whose record could not be stored. What a killed process leaves is given back by Tidy.
func (s *Store) releaseStack(ctx context.Context, name string) {
	o := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: StackReservation(name), Namespace: v1alpha1.Namespace}}
	_ = s.client.Delete(context.WithoutCancel(ctx), o) // see above
}
