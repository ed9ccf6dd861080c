package store

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// ClusterOf is the cluster that a record and its node groups describe, as clients see it and controllers reason about
// it.
func ClusterOf(r *v1alpha1.MagnumCluster, groups []*magnum.NodeGroup) *magnum.Cluster {
	s, st := &r.Spec, &r.Status
	c := &magnum.Cluster{
		ID: recordID(r), UUID: r.Name, Name: s.Name, ProjectID: s.ProjectID, UserID: s.UserID,
		ClusterTemplateID: s.ClusterTemplateID, StackID: s.StackID, Keypair: s.Keypair,
		DockerVolumeSize: s.DockerVolumeSize, Labels: s.Labels, MasterFlavorID: s.MasterFlavorID, FlavorID: s.FlavorID,
		CreateTimeout: s.CreateTimeout, DiscoveryURL: s.DiscoveryURL, FixedNetwork: s.FixedNetwork,
		FixedSubnet: s.FixedSubnet, FloatingIPEnabled: s.FloatingIPEnabled, MasterLBEnabled: s.MasterLBEnabled,
		Resolved: magnum.Resolved(s.Resolved), Upgrade: magnum.Upgrade(s.Upgrade), StatusReason: st.StatusReason, Health: magnum.Health(st.Health),
		HealthReason: st.HealthReason, APIAddress: st.APIAddress, COEVersion: st.COEVersion,
		Rotation:         magnum.Rotation{Generation: s.Rotation.Generation, Authority: magnum.Authority(s.Rotation.Authority)},
		Rotating:         s.Rotation.Generation > st.Rotated,
		ContainerVersion: st.ContainerVersion, MutableLabels: st.MutableLabels, Rotatable: st.Rotatable,
		CreatedAt: r.CreationTimestamp.Time, UpdatedAt: updatedAt(r, st.UpdatedAt),
		DeletionRequested: r.DeletionTimestamp != nil, OperationRequestID: r.Annotations[v1alpha1.AnnotationRequestID],
	}
	if c.Labels == nil {
		c.Labels = map[string]string{}
	}
	c.Template = templateOf(s.ClusterTemplateID, &s.Template)
	c.Status = magnum.StatusOf(ClusterFacts(r, groups)).Status
	if !magnum.KnowsHealth(c.Status) {
		c.Health, c.HealthReason = "", nil
	}
	for _, g := range groups {
		if g.Role == magnum.RoleMaster {
			c.MasterCount += g.NodeCount
			c.MasterAddresses = append(c.MasterAddresses, g.NodeAddresses...)
		} else {
			c.NodeCount += g.NodeCount
			c.NodeAddresses = append(c.NodeAddresses, g.NodeAddresses...)
		}
		if g.Status.Failed() {
			if c.Faults == nil {
				c.Faults = map[string]string{}
			}
			c.Faults[g.Name] = g.StatusReason
		}
	}
	return c
}

// ClusterRecord is the record of a new cluster.
func ClusterRecord(c *magnum.Cluster) *v1alpha1.MagnumCluster {
	t := templateSpec(&c.Template)
	return &v1alpha1.MagnumCluster{
		ObjectMeta: metav1.ObjectMeta{
			Name: c.UUID, Namespace: v1alpha1.Namespace,
			Labels: map[string]string{v1alpha1.LabelClusterUUID: c.UUID, v1alpha1.LabelProject: labelValue(c.ProjectID)},

			Finalizers: []string{v1alpha1.Finalizer},
		},
		Spec: v1alpha1.MagnumClusterSpec{
			Name: c.Name, ProjectID: c.ProjectID, UserID: c.UserID, ClusterTemplateID: c.ClusterTemplateID, Template: t,
			StackID: c.StackID, Keypair: c.Keypair, DockerVolumeSize: c.DockerVolumeSize, Labels: c.Labels,
			MasterFlavorID: c.MasterFlavorID, FlavorID: c.FlavorID, CreateTimeout: c.CreateTimeout,
			DiscoveryURL: c.DiscoveryURL, FixedNetwork: c.FixedNetwork, FixedSubnet: c.FixedSubnet,
			FloatingIPEnabled: c.FloatingIPEnabled, MasterLBEnabled: c.MasterLBEnabled,
			MasterCount: c.MasterCount, NodeCount: c.NodeCount, Resolved: v1alpha1.Resolved(c.Resolved), Upgrade: v1alpha1.Upgrade(c.Upgrade),
		},
	}
}

// NodeGroupOf is the node group that a record describes.
func NodeGroupOf(r *v1alpha1.MagnumNodeGroup) *magnum.NodeGroup {
	s, st := &r.Spec, &r.Status
	g := &magnum.NodeGroup{
		ID: recordID(r), UUID: r.Name, Name: s.Name, ClusterID: s.ClusterID, ProjectID: s.ProjectID, StackID: s.StackID,
		Role: s.Role, IsDefault: s.IsDefault, NodeCount: s.NodeCount, MinNodeCount: s.MinNodeCount,
		MaxNodeCount: s.MaxNodeCount, FlavorID: s.FlavorID, ImageID: s.ImageID, DockerVolumeSize: s.DockerVolumeSize,
		Labels: s.Labels, NodeLabels: s.NodeLabels, NodesToRemove: s.NodesToRemove, Resolved: magnum.Resolved(s.Resolved),
		Asked: s.NodeCount, Resize: s.Resize, Resized: st.Resized,
		Upgrade: magnum.Upgrade(s.Upgrade), Upgraded: st.Upgraded, ClusterUpgrade: s.ClusterUpgrade,
		Status: magnum.StatusOf(NodeGroupFacts(r)).Status, StatusReason: st.StatusReason, NodeAddresses: st.NodeAddresses, Version: st.Version,
		CreatedAt: r.CreationTimestamp.Time, UpdatedAt: updatedAt(r, st.UpdatedAt),
	}
	if g.Labels == nil {
		g.Labels = map[string]string{}
	}
	for _, t := range s.NodeTaints {
		g.NodeTaints = append(g.NodeTaints, magnum.Taint(t))
	}
	if st.Nodes != nil { // the autoscaler's
		g.NodeCount = *st.Nodes
	}
	return g
}

// nodeGroupRecord is the record of a new node group of cluster c.
func nodeGroupRecord(g *magnum.NodeGroup, c *v1alpha1.MagnumCluster) *v1alpha1.MagnumNodeGroup {
	r := &v1alpha1.MagnumNodeGroup{
		ObjectMeta: metav1.ObjectMeta{
			Name: g.UUID, Namespace: v1alpha1.Namespace, Finalizers: []string{v1alpha1.Finalizer},
			Labels: map[string]string{v1alpha1.LabelClusterUUID: c.Name, v1alpha1.LabelProject: labelValue(c.Spec.ProjectID)},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion().String(), Kind: "MagnumCluster", Name: c.Name, UID: c.UID,
			}},
		},
		Spec: v1alpha1.MagnumNodeGroupSpec{
			Name: g.Name, ClusterID: c.Name, ProjectID: c.Spec.ProjectID, StackID: c.Spec.StackID, Role: g.Role,
			IsDefault: g.IsDefault, Resolved: v1alpha1.Resolved(g.Resolved), DockerVolumeSize: g.DockerVolumeSize,
			FlavorID: g.FlavorID, ClusterUpgrade: c.Spec.Upgrade.Generation,
		},
	}
	made := *g
	made.Asked, made.ClusterUpgrade = g.NodeCount, c.Spec.Upgrade.Generation
	changeNodeGroup(&r.Spec, &made)
	return r
}

// changeNodeGroup carries over what may change in the life of a node group.
func changeNodeGroup(s *v1alpha1.MagnumNodeGroupSpec, g *magnum.NodeGroup) {
	s.NodeCount, s.MinNodeCount, s.MaxNodeCount = g.Asked, g.MinNodeCount, g.MaxNodeCount
	s.Resize, s.Upgrade, s.ClusterUpgrade = g.Resize, v1alpha1.Upgrade(g.Upgrade), g.ClusterUpgrade
	s.NodeLabels, s.NodesToRemove = g.NodeLabels, g.NodesToRemove
	s.ImageID, s.Labels, s.Resolved = g.ImageID, g.Labels, v1alpha1.Resolved(g.Resolved)
	s.NodeTaints = nil
	for _, t := range g.NodeTaints {
		s.NodeTaints = append(s.NodeTaints, v1alpha1.Taint(t))
	}
}

// DefaultNodeGroups are the two groups every cluster is born with. Their UUIDs follow from the cluster's, so that
// making them twice makes them once.
func DefaultNodeGroups(c *v1alpha1.MagnumCluster) []*v1alpha1.MagnumNodeGroup {
	s := &c.Spec
	group := func(name, role, flavorID, flavorName string, count, minimum int) *v1alpha1.MagnumNodeGroup {
		res := magnum.Resolved(s.Resolved)
		res.FlavorName = flavorName
		made := &magnum.NodeGroup{
			UUID: uuid.NewSHA1(uuid.NameSpaceOID, []byte(c.Name+"/"+name)).String(), Name: name, Role: role, IsDefault: true,
			NodeCount: count, MinNodeCount: minimum, FlavorID: flavorID, ImageID: s.Template.ImageID,
			DockerVolumeSize: s.DockerVolumeSize, Labels: maps.Clone(s.Labels), Resolved: res,
		}
		if role != magnum.RoleMaster {
			fewest, most := label.Bounds(s.Labels)
			made.GiveBounds(fewest, most, label.Of(s.Labels).Bool(label.AutoScalingEnabled))
		}
		g := nodeGroupRecord(made, c)
		g.CreationTimestamp = c.CreationTimestamp
		return g
	}
	return []*v1alpha1.MagnumNodeGroup{
		group(magnum.DefaultMaster, magnum.RoleMaster, s.MasterFlavorID, s.Resolved.MasterFlavorName, s.MasterCount, 1),
		group(magnum.DefaultWorker, magnum.RoleWorker, s.FlavorID, s.Resolved.FlavorName, s.NodeCount, 0),
	}
}

// ClusterTemplateOf is the cluster template that a record describes.
func ClusterTemplateOf(r *v1alpha1.MagnumClusterTemplate) *magnum.ClusterTemplate {
	t := templateOf(r.Name, &r.Spec)
	t.ID, t.CreatedAt, t.UpdatedAt = recordID(r), r.CreationTimestamp.Time, updatedAt(r, nil)
	return &t
}

func templateOf(id string, s *v1alpha1.MagnumClusterTemplateSpec) magnum.ClusterTemplate {
	t := magnum.ClusterTemplate{UUID: id, TemplateFields: magnum.TemplateFields(*s)}
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	return t
}

func templateSpec(t *magnum.ClusterTemplate) v1alpha1.MagnumClusterTemplateSpec {
	return v1alpha1.MagnumClusterTemplateSpec(t.TemplateFields)
}

func quotaOf(r *v1alpha1.MagnumQuota) *magnum.Quota {
	return &magnum.Quota{
		ID: recordID(r), ProjectID: r.Spec.ProjectID, Resource: r.Spec.Resource, HardLimit: r.Spec.HardLimit,
		CreatedAt: r.CreationTimestamp.Time, UpdatedAt: updatedAt(r, nil),
	}
}

// recordID numbers records in the order of their creation, in microseconds since 1970. UUIDs made by this package are
// of version 7 and carry the time in them; of others, Kubernetes keeps the second of creation and the rest is drawn
// from the name, so that a record's number never changes.
func recordID(o metav1.Object) int64 {
	if id, err := uuid.Parse(o.GetName()); err == nil && id.Version() == 7 {
		millis := int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 | int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5])
		fraction := int64(id[6]&0x0f)<<8 | int64(id[7]) // of a millisecond, in 4096ths
		return millis*1000 + fraction*1000/4096
	}
	var h int64
	for _, b := range []byte(o.GetName()) {
		h = (h*31 + int64(b)) % 1_000_000
	}
	return o.GetCreationTimestamp().Unix()*1_000_000 + h
}

func updatedAt(o metav1.Object, seen *metav1.Time) time.Time {
	var at time.Time
	if s := o.GetAnnotations()[v1alpha1.AnnotationUpdatedAt]; s != "" {
		at, _ = time.Parse(time.RFC3339, s) // written by us; a hand-made one that does not parse counts as none
	}
	if seen != nil && seen.After(at) {
		at = seen.Time
	}
	return at.UTC()
}

// labelValue makes a project ID fit a label: Keystone's are 32 hexadecimal digits, those of other backends may not be.
func labelValue(s string) string {
	keep := strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, s)
	return strings.Trim(keep[:min(len(keep), 63)], "-_.")
}

// SortNodeGroups puts groups in the order clients see them.
func SortNodeGroups(groups []*magnum.NodeGroup) {
	// Masters first, then by age: the order of Magnum's own rows, which are made in this order.
	slices.SortFunc(groups, func(a, b *magnum.NodeGroup) int {
		rank := func(g *magnum.NodeGroup) int64 {
			switch {
			case g.IsDefault && g.Role == magnum.RoleMaster:
				return 0
			case g.IsDefault:
				return 1
			}
			return g.ID
		}
		if d := rank(a) - rank(b); d != 0 {
			return int(max(-1, min(1, d)))
		}
		return strings.Compare(a.UUID, b.UUID)
	})
}
