package intent

import (
	"github.com/jeroboam-cloud/jeroboam/internal/osa/haproxy"

	"github.com/jeroboam-cloud/jeroboam/internal/backup/offsite"
)

// HAProxy is the load balancers in front of the management cluster's API.
type HAProxy struct {
	// Hosts are the hosts (physical or containers) of the group haproxy, in order.
	Hosts []HAProxyHost `json:"hosts"`
}

// HAProxyHost is one load balancer. Hosts may differ: binds and defaults are evaluated for each.
type HAProxyHost struct {
	Container
	// Services are the management cluster's services as this host serves them: k8s_haproxy_services.
	Services []haproxy.Service `json:"services"`
	// Magnum are Magnum's: magnum_haproxy_services.
	Magnum []haproxy.Service `json:"magnum"`
	// Settings are the role's settings on this host.
	Settings haproxy.Settings `json:"settings"`
}

// Magnum is the Magnum that uses the management cluster.
type Magnum struct {
	// Hosts are the containers (or hosts) of magnum_all, in order.
	Hosts []MagnumHost `json:"hosts"`
	// Service is the API that users meet.
	Service MagnumService `json:"service"`
	// DriverRepository is the git repository of magnum-cluster-api; the tag is Versions.MagnumClusterAPI.
	DriverRepository string `json:"driverRepository"`
	// PipPackages are installed into Magnum's virtual environment beyond Magnum: magnum_user_pip_packages.
	PipPackages []string `json:"pipPackages"`
	// ConfigOverrides are options of magnum.conf by section: magnum_config_overrides. Values are as an INI file has them.
	ConfigOverrides map[string]map[string]string `json:"configOverrides"`
	// DriversCAFile is [drivers] openstack_ca_file: trusted by workload nodes, exclusively. CAPIClientCAFile is
	// [capi_client] ca_file: trusted by Cluster API's controllers, exclusively. "" is the system's trust.
	DriversCAFile    string `json:"driversCAFile"`
	CAPIClientCAFile string `json:"capiClientCAFile"`
	// EndpointType is the endpoints Cluster API's controllers use: [capi_client] endpoint_type, "publicURL" if nobody set
	// it. WantedEndpointType is what [capi_client] endpoint asks for, which no driver reads; "" if it is not there.
	EndpointType       string `json:"endpointType"`
	WantedEndpointType string `json:"wantedEndpointType"`
	// NetworkDrivers are the network drivers that templates may name, NetworkDriver the default.
	NetworkDrivers []string `json:"networkDrivers"`
	NetworkDriver  string   `json:"networkDriver"`
	// CertManagerType is [certificates] cert_manager_type, "barbican" if nobody set it.
	CertManagerType string `json:"certManagerType"`
	// KubeconfigPath is where the driver looks for the management cluster.
	KubeconfigPath string `json:"kubeconfigPath"`
	VenvTag        string `json:"venvTag"`
}

// MagnumHost is one server of Magnum.
type MagnumHost struct {
	Container
	// Bind is the address it listens on: magnum_api_uwsgi_bind_address.
	Bind string `json:"bind"`
	// Certificate and Key are for TLS to it, where there are files of the operator's or of the role pki's, in PEM.
	Certificate string `json:"certificate"`
	Key         Secret `json:"key"`
	// Networks and LXC are how the container is made where there is none. Empty on metal.
	Networks []ContainerNetwork `json:"networks"`
	LXC      LXC                `json:"lxc"`
}

// MagnumService is Magnum as OpenStack's users meet it: who serves it, its account and its place in the catalog.
type MagnumService struct {
	// Implementation is who serves: "jeroboam", "magnum" (OpenStack's own, of which nothing is touched), or "" if nobody
	// said: whoever is there. Variable magnum_implementation.
	Implementation string `json:"implementation"`
	Port           int    `json:"port"`
	Debug          bool   `json:"debug"`
	// Name, Type and Description are in the catalog, with the three URLs.
	Name        string `json:"name"`
	Type        string `json:"type"`
	Description string `json:"description"`
	Region      string `json:"region"`
	PublicURL   string `json:"publicURL"`
	InternalURL string `json:"internalURL"`
	AdminURL    string `json:"adminURL"`
	// AuthURL is where it reaches Keystone, WWWAuthenticateURI where it sends users.
	AuthURL            string `json:"authURL"`
	WWWAuthenticateURI string `json:"wwwAuthenticateURI"`
	Insecure           bool   `json:"insecure"`
	// The account, with its roles in its project.
	User          string   `json:"user"`
	Password      Secret   `json:"password"`
	Project       string   `json:"project"`
	UserDomain    string   `json:"userDomain"`
	ProjectDomain string   `json:"projectDomain"`
	Roles         []string `json:"roles"`
	// Admin is who may make all that in Keystone.
	Admin         string `json:"admin"`
	AdminPassword Secret `json:"adminPassword"`
	AdminProject  string `json:"adminProject"`
	// Regions are those in which it looks for other services, by section of magnum.conf.
	Regions map[string]string `json:"regions"`
	// Policy is magnum_policy_overrides.
	Policy map[string]string `json:"policy"`
	// BackendSSL asks for TLS between load balancers and Magnum.
	BackendSSL bool       `json:"backendSSL"`
	BackendTLS BackendTLS `json:"backendTLS"`
	// Authorities are the certificates, in PEM by name, that OpenStack-Ansible installs on every host and has made itself.
	Authorities map[string]string `json:"authorities"`
}

// Proxy is the service that reaches workload clusters without a floating address, beside Neutron's namespaces.
type Proxy struct {
	// Pattern is the hosts as the operator wrote them: mcapi_vexxhost_proxy_hosts, "network_hosts" if nobody did.
	Pattern string `json:"pattern"`
	// Implementation is which proxy they have: "jeroboam", "magnum-cluster-api" (the collection's, of which only
	// kubeconfigs are made), or "" if nobody said. Variable magnum_proxy_implementation.
	Implementation string `json:"implementation"`
	// Hosts are those it means, in order. Settings are evaluated for each.
	Hosts []ProxyHost `json:"hosts"`
}

// ProxyHost is one host with the proxy.
type ProxyHost struct {
	Container
	// Bind and Port are where it listens: PROXY_BIND ("*") and PROXY_PORT (0 is a free one).
	Bind string `json:"bind"`
	Port int    `json:"port"`
	// Advertise is the address that EndpointSlices name: POD_IP, or Bind where that is an address. "" is the host's
	// address on the management network; the original takes that of its default route.
	Advertise string `json:"advertise"`
	// Always is PROXY_ALWAYS: use the proxy even for clusters with a floating address.
	Always bool `json:"always"`
	// Environment is all of mcapi_vexxhost_proxy_environment.
	Environment map[string]string `json:"environment"`
	User        string            `json:"user"`
	Group       string            `json:"group"`
	Home        string            `json:"home"`
	Kubeconfig  string            `json:"kubeconfig"`
	// Driver and Repository are the version of magnum-cluster-api that the proxy is of.
	Driver     string `json:"driver"`
	Repository string `json:"repository"`
}

// BackupCopy is a place that backups are copied to.
type BackupCopy struct {
	URL string `json:"url"`
	// Keep is how many of each node's backups stay there; 0 is all.
	Keep int `json:"keep"`
	// Target is the place with what opens it. It is never shown.
	Target offsite.Target `json:"-"`
}

// Backups are the periodic backups of the management cluster. Most names are those of the playbook, which exports
// Cluster API's objects; Recipients, Keep, Nodes and Copies are our own.
type Backups struct {
	Enabled bool `json:"enabled"`
	// Path is in the node; on its physical host it is /openstack/backup/<container>/...
	Path  string `json:"path"`
	Group string `json:"group"`
	GID   int    `json:"gid"`
	// OnCalendar and RandomizedDelaySec are systemd's.
	OnCalendar         string `json:"onCalendar"`
	RandomizedDelaySec int    `json:"randomizedDelaySec"`
	// Recipients are the public keys (age) that backups are encrypted for: cluster_api_backups_recipients. Keep is how
	// many each node keeps: cluster_api_backups_keep, 7 if nobody said.
	Recipients []string `json:"recipients"`
	Keep       int      `json:"keep"`
	// Nodes are the nodes that make backups, each its own; the last one if nobody said.
	Nodes []string `json:"nodes"`
	// Copies are where each backup is copied to, off the hosts: cluster_api_backups_copies.
	Copies []BackupCopy `json:"copies"`
	// NotifyOverrides are systemd settings of the service: cluster_api_backups_init_overrides.
	InitOverrides map[string]any `json:"initOverrides"`
}
