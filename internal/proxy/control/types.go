package control

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

// Names in the management cluster. The first three labels and the annotation are those of magnum-cluster-api-proxy, so
// that hosts of both kinds understand each other's objects.
const (
	Namespace      = "magnum-system"  // of clusters and all that belongs to them
	FleetNamespace = "jeroboam-proxy" // of the fleet's leases and its service account

	LabelNode           = "magnum-cluster-api.vexxhost.com/node"
	LabelCluster        = "magnum-cluster-api.vexxhost.com/proxied-cluster"
	LabelService        = "magnum-cluster-api.vexxhost.com/proxied-service"
	AnnotationTimestamp = "magnum-cluster-api.vexxhost.com/timestamp"

	// LabelManaged tells our slices from those of hosts with the old proxy: only ours have a lease behind them.
	LabelManaged = discoveryv1.LabelManagedBy
	ManagedBy    = "proxy.jeroboam.cloud"

	// ServicePort is the port of Services and of kubeconfigs.
	ServicePort = 6443
)

// Server is the URL that a proxied cluster's kubeconfig has.
func Server(stack string) string {
	return "https://" + net.JoinHostPort(stack+"."+Namespace, strconv.Itoa(ServicePort))
}

// OpenStackCluster is what we read of Cluster API Provider OpenStack's object. The two versions have different fields
// for the same things; both are here, for their names do not meet. (cluster-api-provider-openstack: api/v1beta1 and
// api/v1beta2.)
type OpenStackCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   openStackClusterSpec   `json:"spec,omitempty"`
	Status openStackClusterStatus `json:"status,omitempty"`
}

type openStackClusterSpec struct {
	DisableAPIServerFloatingIP *bool `json:"disableAPIServerFloatingIP,omitempty"`
	APIServerPort              *int  `json:"apiServerPort,omitempty"`
	APIServer                  *struct {
		EnableFloatingIP *bool `json:"enableFloatingIP,omitempty"`
		Port             *int  `json:"port,omitempty"`
	} `json:"apiServer,omitempty"`
	ControlPlaneEndpoint *struct {
		Host string `json:"host,omitempty"`
		Port int    `json:"port,omitempty"`
	} `json:"controlPlaneEndpoint,omitempty"`
}

type openStackClusterStatus struct {
	Network *struct {
		ID string `json:"id,omitempty"`
	} `json:"network,omitempty"`
	APIServerLoadBalancer *struct {
		InternalIP string `json:"internalIP,omitempty"`
	} `json:"apiServerLoadBalancer,omitempty"`
}

// OpenStackClusterList is a list of them.
type OpenStackClusterList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []OpenStackCluster `json:"items"`
}

// DeepCopyObject implements runtime.Object. What pointers lead to is never changed.
func (c *OpenStackCluster) DeepCopyObject() runtime.Object {
	out := *c
	c.DeepCopyInto(&out.ObjectMeta)
	return &out
}

// DeepCopyObject implements runtime.Object.
func (l *OpenStackClusterList) DeepCopyObject() runtime.Object {
	out := *l
	out.Items = make([]OpenStackCluster, len(l.Items))
	for i := range l.Items {
		out.Items[i] = *l.Items[i].DeepCopyObject().(*OpenStackCluster)
	}
	return &out
}

// versions of OpenStackCluster that are understood, the one to ask for first.
func versions() []schema.GroupVersion {
	const group = "infrastructure.cluster.x-k8s.io"
	return []schema.GroupVersion{{Group: group, Version: "v1beta2"}, {Group: group, Version: "v1beta1"}}
}

// NewScheme knows what the proxy reads and writes, but for OpenStackClusters, which it reads in either version.
func NewScheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, coordinationv1.AddToScheme, discoveryv1.AddToScheme, rbacv1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("register types: %w", err)
		}
	}
	return s, nil
}

// Cluster is what the proxy knows of a workload cluster.
type Cluster struct {
	Stack    string
	Network  string         // Neutron's id
	Address  netip.AddrPort // of the API server on that network
	Private  bool           // its API server has no floating IP
	Why      string         // why it cannot be proxied anywhere; empty if it can
	Endpoint string         // host:port that Cluster API knows it by
}

// defaultPort is CAPO's default for the API server's port.
const defaultPort = 6443

// read makes a Cluster of CAPO's object.
func read(o *OpenStackCluster) Cluster {
	c := Cluster{Stack: o.Labels[clusterv1.ClusterNameLabel], Private: private(o)}
	port, address := defaultPort, ""
	if o.Spec.APIServerPort != nil && *o.Spec.APIServerPort != 0 {
		port = *o.Spec.APIServerPort
	}
	if o.Spec.APIServer != nil && o.Spec.APIServer.Port != nil && *o.Spec.APIServer.Port != 0 {
		port = *o.Spec.APIServer.Port
	}
	if o.Status.Network != nil {
		c.Network = o.Status.Network.ID
	}
	if o.Status.APIServerLoadBalancer != nil {
		address = o.Status.APIServerLoadBalancer.InternalIP
	}
	if e := o.Spec.ControlPlaneEndpoint; e != nil && e.Host != "" {
		c.Endpoint = net.JoinHostPort(e.Host, strconv.Itoa(e.Port))
		if address == "" && c.Private {
			address = e.Host // without a load balancer and without a floating IP it is the address on the network (CAPO)
		}
	}
	ip, err := netip.ParseAddr(address)
	switch {
	case c.Stack == "":
		c.Why = "the OpenStackCluster has no label " + clusterv1.ClusterNameLabel
	case c.Network == "":
		c.Why = "its network has no id in the status yet"
	case address == "":
		c.Why = "its API server has no internal address in the status yet"
	case err != nil:
		c.Why = fmt.Sprintf("its internal address %q is none", address)
	case port < 1 || port > 65535:
		c.Why = fmt.Sprintf("its port %d is none", port)
	default:
		c.Address = netip.AddrPortFrom(ip.Unmap(), uint16(port))
	}
	return c
}

// private: v1beta1 has disableAPIServerFloatingIP, false unless set; a v1beta2 with apiServer has enableFloatingIP in
// it, true unless set.
func private(o *OpenStackCluster) bool {
	if d := o.Spec.DisableAPIServerFloatingIP; d != nil {
		return *d
	}
	return o.Spec.APIServer != nil && o.Spec.APIServer.EnableFloatingIP != nil && !*o.Spec.APIServer.EnableFloatingIP
}
