package api

import (
	"context"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// What the API needs of the rest of the house. Every store method takes a policy.Grant and answers only about projects
// the grant allows: what lies outside it is "not found", never "forbidden". Values that come back are shared snapshots
// and must not be changed; a change is a function that the store runs on a copy, again if somebody else was faster.
// Refusals are *magnum.Error; anything else is a fault of the service (500). The id of the request that asks is
// magnum.RequestID(ctx): stores keep it with what they write, also where no argument carries it.

// ClusterStore keeps clusters.
type ClusterStore interface {
	// Clusters returns every cluster that g allows, oldest first.
	Clusters(ctx context.Context, g policy.Grant) ([]*magnum.Cluster, error)
	// Cluster finds one by UUID or name: 404 when there is none, 409 when the name is ambiguous.
	Cluster(ctx context.Context, g policy.Grant, ident string) (*magnum.Cluster, error)
	// CreateCluster stores c (UUID and StackID are chosen by the store when empty) if its project has fewer than limit
	// clusters; 403 otherwise. What it returns is visible to every following read of this process.
	CreateCluster(ctx context.Context, g policy.Grant, c magnum.Cluster, limit int) (*magnum.Cluster, error)
	// UpdateCluster applies change. Only Labels, ClusterTemplateID, Template, Resolved, Upgrade, Rotation, UserID, Health,
	// HealthReason and OperationRequestID are kept.
	UpdateCluster(ctx context.Context, g policy.Grant, uuid string, change func(*magnum.Cluster) error) (*magnum.Cluster, error)
	// DeleteCluster asks for the end of a cluster; asking again is fine, and retries a deletion that failed.
	DeleteCluster(ctx context.Context, g policy.Grant, uuid string) error
}

// NodeFinder finds a group and its nodes.
type NodeFinder interface {
	// NodeGroup finds one by UUID or name.
	NodeGroup(ctx context.Context, g policy.Grant, clusterUUID, ident string) (*magnum.NodeGroup, error)
	// FindNodes returns the machines of the group that nodes name, each once: by the id or the name of a server, or the
	// name of a node; and those of nodes that name none.
	FindNodes(ctx context.Context, g policy.Grant, clusterUUID, uuid string, nodes []string) (machines, unknown []string, err error)
}

// NodeGroupStore keeps node groups.
type NodeGroupStore interface {
	// NodeGroups returns the groups of a cluster, oldest first. The default groups of a cluster that was just created are
	// among them, even before a controller has made their records.
	NodeGroups(ctx context.Context, g policy.Grant, clusterUUID string) ([]*magnum.NodeGroup, error)
	// CreateNodeGroup stores ng; 409 when the cluster has one of that name.
	CreateNodeGroup(ctx context.Context, g policy.Grant, ng magnum.NodeGroup) (*magnum.NodeGroup, error)
	NodeFinder
	// UpdateNodeGroup applies change. Only what AskSize sets, MinNodeCount, MaxNodeCount, NodeLabels, NodeTaints, Upgrade,
	// ImageID, Labels and Resolved are kept.
	UpdateNodeGroup(ctx context.Context, g policy.Grant, clusterUUID, uuid string, change func(*magnum.NodeGroup) error) (*magnum.NodeGroup, error)
	// DeleteNodeGroup asks for the end of a group.
	DeleteNodeGroup(ctx context.Context, g policy.Grant, clusterUUID, uuid string) error
}

// TemplateStore keeps cluster templates. Reading also answers about public templates of other projects; hidden ones
// only when g allows their project.
type TemplateStore interface {
	Templates(ctx context.Context, g policy.Grant) ([]*magnum.ClusterTemplate, error)
	Template(ctx context.Context, g policy.Grant, ident string) (*magnum.ClusterTemplate, error)
	CreateTemplate(ctx context.Context, g policy.Grant, t magnum.ClusterTemplate) (*magnum.ClusterTemplate, error)
	// UpdateTemplate applies change; referenced tells it whether a cluster of any project was made from the template.
	UpdateTemplate(ctx context.Context, g policy.Grant, uuid string, change func(t *magnum.ClusterTemplate, referenced bool) error) (*magnum.ClusterTemplate, error)
	// DeleteTemplate refuses (400) while a cluster of any project uses the template.
	DeleteTemplate(ctx context.Context, g policy.Grant, uuid string) error
}

// QuotaStore keeps quotas.
type QuotaStore interface {
	Quotas(ctx context.Context, g policy.Grant) ([]*magnum.Quota, error)
	// Quota returns 404 when the project has none of its own.
	Quota(ctx context.Context, g policy.Grant, projectID, resource string) (*magnum.Quota, error)
	CreateQuota(ctx context.Context, g policy.Grant, q magnum.Quota) (*magnum.Quota, error)
	UpdateQuota(ctx context.Context, g policy.Grant, projectID, resource string, hardLimit int) (*magnum.Quota, error)
	DeleteQuota(ctx context.Context, g policy.Grant, projectID, resource string) error
}

// SecretStore reads and writes what belongs to one cluster and must not be cached.
type SecretStore interface {
	// CertificateAuthority returns the PEM certificate and private key of one of a cluster's authorities: "kubernetes",
	// "etcd" or "front_proxy". 404 while it has not been made.
	CertificateAuthority(ctx context.Context, g policy.Grant, clusterUUID, kind string) (certPEM, keyPEM []byte, err error)
	// PutCloudConfig stores the credential that the cluster's machines and controllers use in the owner's cloud.
	PutCloudConfig(ctx context.Context, g policy.Grant, clusterUUID string, cloudsYAML, cacert []byte) error
}

// ServiceStore knows which processes are at work.
type ServiceStore interface {
	Services(ctx context.Context, g policy.Grant) ([]magnum.Service, error)
}

// EventStore tells what happened.
type EventStore interface {
	// Events returns what happened to a cluster and its node groups, oldest first.
	Events(ctx context.Context, g policy.Grant, clusterUUID string) ([]magnum.Event, error)
}

// TokenValidator turns a token into who sent it (openstack.ErrUnauthorized, openstack.ErrUnavailable).
type TokenValidator interface {
	Validate(ctx context.Context, token string) (openstack.Identity, error)
}

// Cloud answers questions with the caller's own token.
type Cloud interface {
	CloudMachines
	CloudBounds
	CloudNetworks
	CloudBalancers
	CloudNames
}

// CloudMachines are what machines are made from.
type CloudMachines interface {
	Image(ctx context.Context, nameOrID string) (openstack.Image, error)
	Flavor(ctx context.Context, nameOrID string) (openstack.Flavor, error)
	Keypair(ctx context.Context, name string) (openstack.Keypair, error)
	// ServerName returns the name of a server.
	ServerName(ctx context.Context, id string) (string, error)
}

// CloudBounds are what the cloud has, and how much of it a project may have.
type CloudBounds interface {
	// Has tells whether the cloud has a service, openstack.LoadBalancer for example.
	Has(ctx context.Context, service string) (bool, error)
	// Limits are Nova's quotas of the caller's project.
	Limits(ctx context.Context) (openstack.Limits, error)
}

// CloudNetworks are what machines are put into.
type CloudNetworks interface {
	Network(ctx context.Context, nameOrID string, external bool) (openstack.Network, error)
	Subnet(ctx context.Context, nameOrID string) (openstack.Subnet, error)
	Subnets(ctx context.Context, networkID string) ([]openstack.Subnet, error)
	// FloatingIP finds a floating IP of the caller's project.
	FloatingIP(ctx context.Context, address string) (openstack.FloatingIP, error)
}

// CloudBalancers lists what labels may name of Octavia; openstack.ErrNotFound when the cloud has none.
type CloudBalancers interface {
	LoadBalancerProviders(ctx context.Context) ([]string, error)
	LoadBalancerFlavors(ctx context.Context) ([]string, error)
	LoadBalancerZones(ctx context.Context) ([]string, error)
}

// CloudNames lists what labels may name; openstack.ErrNotFound when the cloud has no such service.
type CloudNames interface {
	Zones(ctx context.Context) ([]string, error)
	VolumeZones(ctx context.Context) ([]string, error)
	VolumeTypes(ctx context.Context) ([]string, error)
	NetworkIDs(ctx context.Context) ([]string, error)
	SecurityGroupIDs(ctx context.Context) ([]string, error)
}

// Workload is what is asked of a workload cluster before it is upgraded.
type Workload interface {
	DeprecatedAPIs(ctx context.Context) ([]workload.DeprecatedAPI, error)
	Budgets(ctx context.Context) ([]workload.Budget, error)
	Close()
}

// Credentials makes the credential that a cluster acts with in its owner's cloud, with the owner's token.
type Credentials interface {
	// CloudConfig makes an application credential, whose name begins with the cluster's UUID, and returns clouds.yaml and
	// the CA bundle.
	CloudConfig(ctx context.Context, token string, id openstack.Identity, name string) (cloudsYAML, cacert []byte, err error)
	// TakeBack deletes what CloudConfig made for a cluster that does not come to be; that there is nothing is fine.
	TakeBack(ctx context.Context, id openstack.Identity, clusterUUID string) error
}

// Projects tells whether Keystone knows a project; quotas are only for projects that exist.
type Projects interface {
	ProjectExists(ctx context.Context, projectID string) (bool, error)
}
