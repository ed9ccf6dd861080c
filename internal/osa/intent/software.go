package intent

import (
	"net"
	"strconv"
)

// Network are the address ranges that meet in a management cluster.
type Network struct {
	// ManagementCIDR is the network of hosts, containers and the internal VIP: cidr_networks.management (or container).
	ManagementCIDR string `json:"managementCIDR"`
	// PodCIDR is Cilium's pool: cilium_ipv4_cidr, 10.0.0.0/8 if nobody set it. PodMaskSize is what a node gets of it, 24
	// by Cilium's default: a /22 is enough for four nodes.
	PodCIDR     string `json:"podCIDR"`
	PodMaskSize int    `json:"podMaskSize"`
	// ServiceCIDR is kubeadm's 10.96.0.0/12: the collection never sets another.
	ServiceCIDR string `json:"serviceCIDR"`
	// DNSDomain is kubeadm's cluster.local.
	DNSDomain string `json:"dnsDomain"`
	// LXCCIDR is the network behind lxcbr0 on every host, 10.0.3.0/24: lxc_net_address and lxc_net_netmask.
	LXCCIDR string `json:"lxcCIDR"`
	// Others are all cidr_networks by name, the management network among them.
	Others []NamedCIDR `json:"others"`
}

// NamedCIDR is one of the operator's networks.
type NamedCIDR struct {
	Name string `json:"name"`
	CIDR string `json:"cidr"`
}

// Versions are what to install. No field has a leading v, whoever wrote one.
type Versions struct {
	// Kubernetes is the management cluster's, X.Y.Z: kubernetes_version.
	Kubernetes string `json:"kubernetes"`
	// ClusterAPI is Cluster API's core, bootstrap and control plane provider; the single ones are in ClusterAPI.
	ClusterAPI string `json:"clusterAPI"`
	Clusterctl string `json:"clusterctl"`
	// ClusterAPIProviderOpenStack is CAPO: cluster_api_infrastructure_version.
	ClusterAPIProviderOpenStack string `json:"clusterAPIProviderOpenStack"`
	// OpenStackResourceController is what CAPO needs from 0.12.0 on, "" before.
	OpenStackResourceController string `json:"openstackResourceController"`
	Containerd                  string `json:"containerd"`
	Runc                        string `json:"runc"`
	CNIPlugins                  string `json:"cniPlugins"`
	CRITools                    string `json:"criTools"`
	Pause                       string `json:"pause"`
	Cilium                      string `json:"cilium"`
	Helm                        string `json:"helm"`
	HelmDiff                    string `json:"helmDiff"`
	CertManager                 string `json:"certManager"`
	// MagnumClusterAPI is the git branch or tag of the driver: magnum_magnum_cluster_api_git_install_branch, as written.
	MagnumClusterAPI string `json:"magnumClusterAPI"`
}

// Kubernetes is how kubeadm makes the management cluster.
type Kubernetes struct {
	// ControlPlaneHost is where everybody reaches the API, an address or name without a port: kubernetes_hostname. The
	// port is 6443, which the role has no variable for. BackendPort is where API servers listen behind the load balancer.
	ControlPlaneHost string `json:"controlPlaneHost"`
	ControlPlanePort int    `json:"controlPlanePort"`
	BackendPort      int    `json:"backendPort"`
	// ControlPlaneGroup is the group whose members are control plane nodes: kubernetes_control_plane_group.
	ControlPlaneGroup string `json:"controlPlaneGroup"`
	// ImageRepository is where kubeadm's images come from; with another than registry.k8s.io CoreDNS comes from
	// <ImageRepository>/coredns: kubernetes_image_repository.
	ImageRepository string `json:"imageRepository"`
	// CRISocket is containerd's, with the scheme: kubelet_cri_socket.
	CRISocket string `json:"criSocket"`
	// NonInitNamespace says that nodes are containers: kube-proxy must not touch conntrack (conntrack.maxPerCore 0).
	NonInitNamespace bool `json:"nonInitNamespace"`
	// AllowUnsafeSwap lets kubelet run with swap on: kubernetes_allow_unsafe_swap.
	AllowUnsafeSwap bool `json:"allowUnsafeSwap"`
	// RemoveKubeProxy leaves kube-proxy to Cilium: kubernetes_remove_kube_proxy.
	RemoveKubeProxy bool `json:"removeKubeProxy"`
	// TLSMinVersion is "VersionTLS13" for API server, controller manager, scheduler and kubelet ("TLS1.3" for etcd), or
	// "".
	TLSMinVersion string `json:"tlsMinVersion"`
	// KubeletExtraArgs are kubelet's arguments beyond node-ip and container-runtime-endpoint.
	KubeletExtraArgs map[string]string `json:"kubeletExtraArgs"`
	// CoreDNSNodeSelector is kubernetes_coredns_node_selector.
	CoreDNSNodeSelector map[string]string `json:"coreDNSNodeSelector"`
	OIDC                OIDC              `json:"oidc"`
	// KubeletSysctls are set in each node: kubelet_sysctls.
	KubeletSysctls map[string]string `json:"kubeletSysctls"`
	// Serial is how many nodes are worked on at a time, a number or a percentage: k8s_serial.
	Serial string `json:"serial"`
}

// OIDC lets API users log in with tokens of an issuer; without an IssuerURL there is none.
type OIDC struct {
	IssuerURL     string `json:"issuerURL"`
	ClientID      string `json:"clientID"`
	UsernameClaim string `json:"usernameClaim"`
}

// CustomCA are authorities of the operator for the management cluster, in PEM. They are used if Allow is set.
type CustomCA struct {
	Allow          bool   `json:"allow"`
	Cert           string `json:"cert"`
	Key            Secret `json:"key"`
	EtcdCert       string `json:"etcdCert"`
	EtcdKey        Secret `json:"etcdKey"`
	FrontProxyCert string `json:"frontProxyCert"`
	FrontProxyKey  Secret `json:"frontProxyKey"`
}

// Containerd is the container runtime.
type Containerd struct {
	PauseImage string `json:"pauseImage"`
	// InsecureRegistries are reached with plain HTTP.
	InsecureRegistries []string `json:"insecureRegistries"`
	// Registries are those that have mirrors, authorities or credentials: containerd_registries, which is Jeroboam's own.
	Registries  map[string]Registry `json:"registries"`
	HTTPProxy   string              `json:"httpProxy"`
	HTTPSProxy  string              `json:"httpsProxy"`
	NoProxy     string              `json:"noProxy"`
	DebugLevel  string              `json:"debugLevel"`
	Snapshotter string              `json:"snapshotter"`
	StorageDir  string              `json:"storageDir"`
	StateDir    string              `json:"stateDir"`
}

// Cilium is the network of pods.
type Cilium struct {
	ReleaseName string `json:"releaseName"`
	Namespace   string `json:"namespace"`
	// ChartRef is a directory on the node, a chart or a URL.
	ChartRef      string `json:"chartRef"`
	NodeImage     string `json:"nodeImage"`
	OperatorImage string `json:"operatorImage"`
	// TunnelProtocol is "geneve" and TunnelPort 6082, because Neutron has geneve's 6081, if cilium_helm_values has no
	// others.
	TunnelProtocol string `json:"tunnelProtocol"`
	TunnelPort     int    `json:"tunnelPort"`
	// ReplaceKubeProxy is Kubernetes.RemoveKubeProxy unless set.
	ReplaceKubeProxy bool `json:"replaceKubeProxy"`
	// Values are the operator's Helm values, merged over the rest: cilium_helm_values.
	Values map[string]any `json:"values"`
}

// Helm is for the charts and for Magnum's driver, which calls it.
type Helm struct {
	// CertManagerRepository is where cert-manager's chart comes from.
	CertManagerRepository string            `json:"certManagerRepository"`
	CertManagerRelease    string            `json:"certManagerRelease"`
	CertManagerNamespace  string            `json:"certManagerNamespace"`
	CertManagerSelector   map[string]string `json:"certManagerSelector"`
	CertManagerValues     map[string]any    `json:"certManagerValues"`
}

// ClusterAPI is what the management cluster is for.
type ClusterAPI struct {
	CoreProvider           string `json:"coreProvider"`
	CoreVersion            string `json:"coreVersion"`
	BootstrapProvider      string `json:"bootstrapProvider"`
	BootstrapVersion       string `json:"bootstrapVersion"`
	ControlPlaneProvider   string `json:"controlPlaneProvider"`
	ControlPlaneVersion    string `json:"controlPlaneVersion"`
	InfrastructureProvider string `json:"infrastructureProvider"`
	InfrastructureVersion  string `json:"infrastructureVersion"`
	// NodeSelector is put on the four managers.
	NodeSelector map[string]string `json:"nodeSelector"`
	// InstanceCreateTimeout is CLUSTER_API_OPENSTACK_INSTANCE_CREATE_TIMEOUT of CAPO, in minutes.
	InstanceCreateTimeout int `json:"instanceCreateTimeout"`
	// ProviderPath is where provider manifests are on a node: cluster_api_provider_path.
	ProviderPath string `json:"providerPath"`
	// ClusterctlConfig is the operator's /etc/clusterctl.yaml, with image overrides among it.
	ClusterctlConfig map[string]any `json:"clusterctlConfig"`
	GitHubToken      Secret         `json:"githubToken"`
}

// Sources say where things are fetched from, where the operator overrode it. What is not here comes from the lock
// file's default place.
type Sources struct {
	// URLs are download URLs by variable: "kubeadm_download_url" and the like, evaluated for the first node.
	URLs map[string]string `json:"urls"`
	// Images are image references and repositories by variable: "cilium_node_image", "kubernetes_image_repository".
	Images map[string]string `json:"images"`
	// Charts are chart places by variable: "cilium_helm_chart_ref".
	Charts map[string]string `json:"charts"`
	// HTTPProxy, HTTPSProxy and NoProxy are for downloads on hosts: http_proxy, https_proxy, no_proxy.
	HTTPProxy  string `json:"httpProxy"`
	HTTPSProxy string `json:"httpsProxy"`
	NoProxy    string `json:"noProxy"`
	// ValidateCerts is download_artifact_validate_certs; Username and Password are sent to the download server.
	ValidateCerts bool   `json:"validateCerts"`
	Username      string `json:"username"`
	Password      Secret `json:"password"`
	// GitHubBase replaces https://github.com for git: openstack_github_base_url.
	GitHubBase string `json:"githubBase"`
}

// Endpoint is where everybody reaches the API: host and port.
func (i Intent) Endpoint() string {
	return net.JoinHostPort(i.Kubernetes.ControlPlaneHost, strconv.Itoa(i.Kubernetes.ControlPlanePort))
}

// CgroupDriver is who makes the cgroups of pods, for kubelet and containerd alike. Without cgroups by quality of
// service, which is what the collection configures, kubelet names no parent, and runc refuses to ask systemd ("expected
// cgroupsPath to be of format slice:prefix:name").
func (k Kubernetes) CgroupDriver() string {
	if k.KubeletExtraArgs["cgroups-per-qos"] == "false" {
		return "cgroupfs"
	}
	return "systemd"
}
