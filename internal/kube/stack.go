package kube

import (
	"context"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
)

// Stack is what Cluster API has made of one cluster so far. What is not there yet is nil or empty. It may hold objects
// of the cache itself: who changes one copies it first.
type Stack struct {
	Cluster      *clusterv1.Cluster
	ControlPlane *controlplanev1.KubeadmControlPlane
	Deployments  []*clusterv1.MachineDeployment
	Machines     []*clusterv1.Machine
	// Foreign says that the name belongs to somebody else's cluster, of which nothing is shown.
	Foreign bool
}

// Belongs tells whether an object is one of the cluster's. A name alone proves nothing: the Python driver beside us, or
// a name drawn twice, would give one tenant another's cluster.
func Belongs(o client.Object, uuid string) bool {
	return o.GetLabels()[v1alpha1.LabelClusterUUID] == uuid
}

// The field indexes that controllers look things up by.
const (
	// IndexStack is the Cluster API cluster an object belongs to, or that a MagnumCluster is named by.
	IndexStack = "stack"
	// IndexGroup is the stack and the node group of a Machine (GroupOf).
	IndexGroup = "group"
	// IndexCluster is the UUID of the cluster that a MagnumNodeGroup belongs to.
	IndexCluster = "cluster"
)

// AddIndexes makes the cache answer by stack and by cluster without looking at every object.
func AddIndexes(ctx context.Context, f client.FieldIndexer) error {
	byLabel := func(o client.Object) []string {
		if s := o.GetLabels()[clusterv1.ClusterNameLabel]; s != "" {
			return []string{s}
		}
		return nil
	}
	for _, ix := range []struct {
		object client.Object
		field  string
		key    client.IndexerFunc
	}{
		{&controlplanev1.KubeadmControlPlane{}, IndexStack, byLabel},
		{&clusterv1.MachineDeployment{}, IndexStack, byLabel},
		{&clusterv1.Machine{}, IndexStack, byLabel},
		{&clusterv1.Machine{}, IndexGroup, func(o client.Object) []string {
			l := o.GetLabels()
			if _, master := l[clusterv1.MachineControlPlaneLabel]; master {
				return []string{GroupOf(l[clusterv1.ClusterNameLabel], "")}
			}
			return []string{GroupOf(l[clusterv1.ClusterNameLabel], l[clusterv1.ClusterTopologyMachineDeploymentNameLabel])}
		}},
		{&v1alpha1.MagnumCluster{}, IndexStack, func(o client.Object) []string {
			if c, ok := o.(*v1alpha1.MagnumCluster); ok {
				return []string{c.Spec.StackID}
			}
			return nil
		}},
		{&v1alpha1.MagnumNodeGroup{}, IndexCluster, func(o client.Object) []string {
			if g, ok := o.(*v1alpha1.MagnumNodeGroup); ok {
				return []string{g.Spec.ClusterID}
			}
			return nil
		}},
	} {
		if err := f.IndexField(ctx, ix.object, ix.field, ix.key); err != nil {
			return fmt.Errorf("index %T by %s: %w", ix.object, ix.field, err)
		}
	}
	return nil
}

// GroupOf is the value of IndexGroup: of the masters when deployment is empty.
func GroupOf(stack, deployment string) string { return stack + "/" + deployment }

// ReadStack reads what there is of the Cluster API cluster name of the cluster uuid, from a cache that knows the
// indexes.
func ReadStack(ctx context.Context, r client.Reader, name, uuid string) (*Stack, error) {
	of := client.MatchingFields{IndexStack: name}
	return readStack(ctx, r, name, uuid, of, of)
}

// ReadGroup is ReadStack with the machines of one node group only: what it costs does not grow with the cluster.
func ReadGroup(ctx context.Context, r client.Reader, name, uuid, deployment string) (*Stack, error) {
	return readStack(ctx, r, name, uuid, client.MatchingFields{IndexStack: name}, client.MatchingFields{IndexGroup: GroupOf(name, deployment)})
}

// ReadStackLive is ReadStack from the API server itself. The caches of several kinds are never equally old; what must
// not be concluded from a mixture of ages is looked at here.
func ReadStackLive(ctx context.Context, r client.Reader, name, uuid string) (*Stack, error) {
	of := client.MatchingLabels{clusterv1.ClusterNameLabel: name}
	return readStack(ctx, r, name, uuid, of, of)
}

func readStack(ctx context.Context, r client.Reader, name, uuid string, members, ofGroup client.ListOption) (*Stack, error) {
	s := &Stack{Cluster: &clusterv1.Cluster{}}
	err := r.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}, s.Cluster)
	switch {
	case apierrors.IsNotFound(err):
		s.Cluster = nil
	case err != nil:
		return nil, fmt.Errorf("read cluster %s: %w", name, err)
	case !Belongs(s.Cluster, uuid):
		return &Stack{Foreign: true}, nil
	}
	where := []client.ListOption{client.InNamespace(v1alpha1.Namespace), members, client.UnsafeDisableDeepCopy}
	planes := &controlplanev1.KubeadmControlPlaneList{}
	if err := r.List(ctx, planes, where...); err != nil {
		return nil, fmt.Errorf("read control plane of %s: %w", name, err)
	}
	if len(planes.Items) > 0 {
		s.ControlPlane = &planes.Items[0]
	}
	deployments := &clusterv1.MachineDeploymentList{}
	if err := r.List(ctx, deployments, where...); err != nil {
		return nil, fmt.Errorf("read machine deployments of %s: %w", name, err)
	}
	where[1] = ofGroup
	machines := &clusterv1.MachineList{}
	if err := r.List(ctx, machines, where...); err != nil {
		return nil, fmt.Errorf("read machines of %s: %w", name, err)
	}
	for i := range deployments.Items {
		s.Deployments = append(s.Deployments, &deployments.Items[i])
	}
	for i := range machines.Items {
		s.Machines = append(s.Machines, &machines.Items[i])
	}
	return s, nil
}

// NamesMachine tells whether a node that a user named is this machine: by the server's UUID, which is the last part of
// the provider ID, or by the node's or the machine's name.
func NamesMachine(m *clusterv1.Machine, node string) bool {
	if node == "" {
		return false
	}
	server := m.Spec.ProviderID[strings.LastIndex(m.Spec.ProviderID, "/")+1:]
	return strings.EqualFold(node, server) || node == m.Name || node == m.Status.NodeRef.Name
}
