package store

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// NodeGroups returns the groups of a cluster: default-master, default-worker, then the others, oldest first.
func (s *Store) NodeGroups(_ context.Context, g policy.Grant, clusterUUID string) ([]*magnum.NodeGroup, error) {
	c, groups := s.view.entry(clusterUUID)
	if c == nil || !g.Allows(c.ProjectID) {
		return nil, clusterNotFound(clusterUUID)
	}
	return groups, nil
}

// NodeGroup finds one by UUID or name.
func (s *Store) NodeGroup(ctx context.Context, g policy.Grant, clusterUUID, ident string) (*magnum.NodeGroup, error) {
	groups, err := s.NodeGroups(ctx, g, clusterUUID)
	if err != nil {
		return nil, err
	}
	if id, err := uuid.Parse(ident); err == nil {
		ident = id.String()
	}
	for _, ng := range groups {
		if ng.UUID == ident || ng.Name == ident {
			return ng, nil
		}
	}
	return nil, nodeGroupNotFound(ident)
}

func nodeGroupNotFound(ident string) error {
	return magnum.NotFound("Nodegroup %s could not be found.", ident)
}

// CreateNodeGroup stores a new group. Its UUID follows from the cluster and the name, so that two of one name cannot be
// made even by two processes at once.
func (s *Store) CreateNodeGroup(ctx context.Context, g policy.Grant, ng magnum.NodeGroup) (*magnum.NodeGroup, error) {
	groups, err := s.NodeGroups(ctx, g, ng.ClusterID)
	if err != nil {
		return nil, err
	}
	taken := magnum.Conflict("A node group with name %s already exists in the cluster %s.", ng.Name, ng.ClusterID)
	if slices.ContainsFunc(groups, func(o *magnum.NodeGroup) bool { return o.Name == ng.Name }) {
		return nil, taken
	}
	c := &v1alpha1.MagnumCluster{}
	if err := s.client.Get(ctx, key(ng.ClusterID), c); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, clusterNotFound(ng.ClusterID)
		}
		return nil, refusal(err, "read")
	}
	if c.DeletionTimestamp != nil {
		return nil, magnum.Conflict("Cluster %s is being deleted.", ng.ClusterID)
	}
	ng.UUID = uuid.NewSHA1(uuid.NameSpaceOID, []byte(c.Name+"/"+ng.Name)).String()
	r := nodeGroupRecord(&ng, c)
	if err := s.create(ctx, kindNodeGroup, r); err != nil {
		if apierrors.IsAlreadyExists(err) {
			return nil, taken
		}
		return nil, err
	}
	return NodeGroupOf(r), nil
}

// UpdateNodeGroup applies change to a copy of the group and keeps what may change.
func (s *Store) UpdateNodeGroup(
	ctx context.Context, g policy.Grant, clusterUUID, id string, change func(*magnum.NodeGroup) error,
) (*magnum.NodeGroup, error) {
	if _, err := s.NodeGroup(ctx, g, clusterUUID, id); err != nil {
		return nil, err
	}
	r := &v1alpha1.MagnumNodeGroup{}
	apply := func() error {
		if !g.Allows(r.Spec.ProjectID) || r.Spec.ClusterID != clusterUUID {
			return nodeGroupNotFound(id)
		}
		ng := NodeGroupOf(r.DeepCopy())
		ng.Labels = maps.Clone(ng.Labels)
		shown, asked := ng.NodeCount, ng.Resize
		if err := change(ng); err != nil {
			return err
		}
		if ng.NodeCount != shown && ng.Resize == asked {
			ng.AskSize(ng.NodeCount, ng.NodesToRemove)
		}
		changeNodeGroup(&r.Spec, ng)
		return nil
	}
	if err := s.update(ctx, kindNodeGroup, r, id, apply); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nodeGroupNotFound(id)
		}
		return nil, err
	}
	return NodeGroupOf(r), nil
}

// FindNodes returns the machines of the group that nodes name, each once, and those of nodes that name none. It asks
// the API server: a node may have come a moment ago.
func (s *Store) FindNodes(
	ctx context.Context, g policy.Grant, clusterUUID, id string, nodes []string,
) (found, unknown []string, err error) {
	ng, err := s.NodeGroup(ctx, g, clusterUUID, id)
	if err != nil {
		return nil, nil, err
	}
	of := client.MatchingLabels{clusterv1.ClusterNameLabel: ng.StackID, clusterv1.ClusterTopologyMachineDeploymentNameLabel: ng.DeploymentName()}
	if ng.Role == magnum.RoleMaster {
		of = client.MatchingLabels{clusterv1.ClusterNameLabel: ng.StackID, clusterv1.MachineControlPlaneLabel: ""}
	}
	machines := &clusterv1.MachineList{}
	if err := s.client.List(ctx, machines, client.InNamespace(v1alpha1.Namespace), of); err != nil {
		return nil, nil, refusal(err, "read")
	}
	for _, node := range nodes {
		at := slices.IndexFunc(machines.Items, func(m clusterv1.Machine) bool { return kube.NamesMachine(&m, node) })
		switch {
		case at < 0:
			unknown = append(unknown, node)
		case !slices.Contains(found, machines.Items[at].Name):
			found = append(found, machines.Items[at].Name)
		}
	}
	return found, unknown, nil
}

// DeleteNodeGroup asks for the end of a group.
func (s *Store) DeleteNodeGroup(ctx context.Context, g policy.Grant, clusterUUID, id string) error {
	ng, err := s.NodeGroup(ctx, g, clusterUUID, id)
	if err != nil {
		return err
	}
	o := &v1alpha1.MagnumNodeGroup{ObjectMeta: metav1.ObjectMeta{Name: ng.UUID, Namespace: v1alpha1.Namespace}}
	return s.remove(ctx, o, func() bool {
		e := s.view.clusters[clusterUUID]
		return e == nil || e.groups[id] == nil || e.groups[id].Status.Deleting()
	})
}
