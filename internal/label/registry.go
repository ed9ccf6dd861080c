package label

import "slices"

// The names of the labels that this code asks for. Those that only addons read are in the registry alone.
const (
	KubeTag                      = "kube_tag"
	ContainerInfraPrefix         = "container_infra_prefix"
	AutoHealingEnabled           = "auto_healing_enabled"
	AutoScalingEnabled           = "auto_scaling_enabled"
	MinNodeCount                 = "min_node_count"
	MaxNodeCount                 = "max_node_count"
	AvailabilityZone             = "availability_zone"
	ControlPlaneZones            = "control_plane_availability_zones"
	ServerGroupPolicies          = "server_group_policies"
	DifferentFailureDomain       = "different_failure_domain"
	BootVolumeSize               = "boot_volume_size"
	BootVolumeType               = "boot_volume_type"
	BootVolumeZone               = "boot_volume_availability_zone"
	EtcdVolumeSize               = "etcd_volume_size"
	EtcdVolumeType               = "etcd_volume_type"
	DockerVolumeType             = "docker_volume_type"
	CalicoPool                   = "calico_ipv4pool"
	CiliumPool                   = "cilium_ipv4pool"
	ServiceRange                 = "service_cluster_ip_range"
	ClusterDomain                = "dns_cluster_domain"
	FixedSubnetCIDR              = "fixed_subnet_cidr"
	FloatingIPEnabled            = "master_lb_floating_ip_enabled"
	APIServerFloatingIP          = "api_server_floating_ip"
	APIServerLBFlavor            = "api_server_lb_flavor"
	APIServerLBZone              = "api_server_lb_availability_zone"
	APIServerAllowedCIDRs        = "api_server_allowed_cidrs"
	NodePortAllowedCIDRs         = "node_port_allowed_cidrs"
	UpgradeChecks                = "upgrade_checks"
	ExtraNetworks                = "extra_networks"
	ExtraSecurityGroups          = "extra_security_groups"
	APIServerCertSANs            = "api_server_cert_sans"
	APIServerTLSCipherSuites     = "api_server_tls_cipher_suites"
	KubeletTLSCipherSuites       = "kubelet_tls_cipher_suites"
	AdmissionControlList         = "admission_control_list"
	AuditLogEnabled              = "audit_log_enabled"
	AuditLogMaxAge               = "audit_log_max_age"
	AuditLogMaxBackup            = "audit_log_max_backup"
	AuditLogMaxSize              = "audit_log_max_size"
	OIDCIssuerURL                = "oidc_issuer_url"
	OIDCClientID                 = "oidc_client_id"
	OIDCUsernameClaim            = "oidc_username_claim"
	OIDCUsernamePrefix           = "oidc_username_prefix"
	OIDCGroupsClaim              = "oidc_groups_claim"
	OIDCGroupsPrefix             = "oidc_groups_prefix"
	OctaviaProvider              = "octavia_provider"
	OctaviaAlgorithm             = "octavia_lb_algorithm"
	KeystoneAuthEnabled          = "keystone_auth_enabled"
	CalicoTag                    = "calico_tag"
	CinderCSIEnabled             = "cinder_csi_enabled"
	AddonsExcluded               = "addons_excluded"
	sourceDriver                 = "magnum-cluster-api 0.38.1"
	sourceMagnum                 = "Magnum 1.14"
	sourceOwn                    = "Jeroboam"
	intermediateECDSA            = "TLS_ECDHE_ECDSA_WITH_"
	intermediateRSA              = "TLS_ECDHE_RSA_WITH_"
	gcm128, gcm256, chacha       = "AES_128_GCM_SHA256", "AES_256_GCM_SHA384", "CHACHA20_POLY1305"
	defaultAPIServerCipherSuites = intermediateECDSA + gcm128 + "," + intermediateRSA + gcm128 + "," +
		intermediateECDSA + gcm256 + "," + intermediateRSA + gcm256 + "," +
		intermediateECDSA + chacha + "," + intermediateRSA + chacha
	defaultKubeletCipherSuites = intermediateECDSA + gcm128 + "," + intermediateECDSA + gcm256 + "," + intermediateECDSA + chacha
)

// registry and byName are made once and never change.
var (
	registry = slices.Concat(basics(), placement(), volumes(), networks(), apiServer(), loadBalancers(), addons())
	byName   = index(registry)
)

// Registry returns every label Jeroboam understands, in the order of the documentation. The slice is the caller's.
func Registry() []Label { return slices.Clone(registry) }

// Mutable tells whether a label of a cluster can change while the cluster lives, without an upgrade.
func Mutable(name string) bool { return byName[name].From == AtOnce }

// Lookup finds a label by name.
func Lookup(name string) (Label, bool) {
	l, ok := byName[name]
	return l, ok
}

func index(ls []Label) map[string]Label {
	m := make(map[string]Label, len(ls))
	for _, l := range ls {
		m[l.Name] = l
	}
	return m
}

// machines completes entries that act on Cluster API objects and come from the driver.
func machines(changes string, ls []Label) []Label { return complete(Machines, changes, ls) }

// complete fills in what is the same for most entries of a list.
func complete(e Effect, changes string, ls []Label) []Label {
	for i := range ls {
		ls[i].Effect = e
		if ls[i].Changes == "" {
			ls[i].Changes = changes
		}
		if ls[i].From == "" {
			ls[i].From = Creation
		}
		if ls[i].Scope == 0 {
			ls[i].Scope = Cluster
		}
		if ls[i].Source == "" {
			ls[i].Source = sourceDriver
		}
	}
	return ls
}

func basics() []Label {
	return machines("machines", []Label{
		{
			Name: KubeTag, Changes: "Kubernetes of all nodes", From: Upgrade, Type: Version, Required: true, Since: "0.1",
			Doc: "Version of Kubernetes, v1.22.0 or later. Not given: the image's property `kube_version`, if it has one; an image whose property names another version is refused. Changed by an upgrade only.",
		},
		{
			Name: UpgradeChecks, Changes: "upgrades", From: AtOnce, Type: Enum, Default: "refuse", Allowed: []string{"refuse", "warn"}, Source: sourceOwn,
			Doc: "What happens to an upgrade when an API is in use that the new version of Kubernetes has removed, or a PodDisruptionBudget allows no eviction: " +
				"`refuse` it, or only `warn` in status_reason.",
		},
		{
			Name: ContainerInfraPrefix, Changes: "images of nodes and addons", Type: Path, Scope: Both, Since: "0.1",
			Doc: "Registry, or path in a registry, that all images are taken from, without a slash at the end. Absent: the public registries.",
		},
		{
			Name: AutoHealingEnabled, Changes: "machine health checks", Type: Bool, Default: "true", Since: "0.1",
			Doc: "Replace machines whose node is not ready for five minutes, as long as at most 80 % of the group are so; and those that Nova " +
				"refuses a server, or has none of any more.",
		},
		{
			Name: AutoScalingEnabled, Changes: "sizes of node groups, the addon cluster-autoscaler", Type: Bool, Default: "false", Since: "0.2",
			Doc: "Let the cluster autoscaler decide the number of nodes of worker node groups. It is installed if the catalogue of addons has one and " +
				"the management cluster runs pods.",
		},
		{
			Name: MinNodeCount, Changes: "sizes of node groups", Type: Int, Max: 10000, Scope: NodeGroup, Since: "0.2", Source: sourceMagnum,
			DefaultDoc: "the node group's min_node_count",
			Doc:        "Fewest nodes the autoscaler leaves, for node groups that have no min_node_count of their own. Without the autoscaler nothing is bound by it.",
		},
		{
			Name: MaxNodeCount, Changes: "sizes of node groups", Type: Int, Min: 1, Max: 10000, Scope: NodeGroup, Since: "0.2",
			DefaultDoc: "the node group's max_node_count, else one more than its minimum, or the nodes it begins with if they are more",
			Doc:        "Most nodes the autoscaler makes, for node groups that have no max_node_count of their own. Without the autoscaler nothing is bound by it.",
		},
	})
}

func placement() []Label {
	return machines("placement of machines", []Label{
		{
			Name: AvailabilityZone, Type: Zone, Scope: Both, Since: "0.1",
			Doc: "Of a node group: the Nova availability zone of its nodes. Of a cluster: the Cinder availability zone of its volumes. The control plane is placed by " + ControlPlaneZones + ".",
		},
		{
			Name: ControlPlaneZones, Type: Zone, List: true, Since: "0.17",
			DefaultDoc: "all availability zones", Doc: "Nova availability zones that control plane machines are spread over.",
		},
		{
			Name: ServerGroupPolicies, Changes: "server groups", Type: Enum, List: true, Default: "soft-anti-affinity", Scope: Both, Since: "0.24",
			Allowed: []string{"affinity", "anti-affinity", "soft-affinity", "soft-anti-affinity"},
			Doc:     "Policy of the Nova server group of each node group: one of them.",
		},
		{
			Name: DifferentFailureDomain, Type: Bool, Default: "false", Scope: Both, Since: "0.24",
			Doc: "Ask Nova for machines in different failure domains. The cloud needs the scheduler filter of the same name.",
		},
	})
}

func volumes() []Label {
	return machines("volumes of machines", []Label{
		{
			Name: BootVolumeSize, Type: Int, Max: 65536, Scope: Both, Since: "0.1",
			DefaultDoc: "magnum.conf [cinder] default_boot_volume_size, normally 0",
			Doc:        "Size in GiB of the volume that machines boot from; 0 boots from the hypervisor's disk.",
		},
		{
			Name: BootVolumeType, Type: Text, Scope: Both, Since: "0.1",
			DefaultDoc: "magnum.conf [cinder] default_boot_volume_type, else Cinder's default", Doc: "Cinder volume type of boot volumes.",
		},
		{
			Name: BootVolumeZone, Type: Zone, Since: "0.36.1",
			DefaultDoc: "the label " + AvailabilityZone, Doc: "Cinder availability zone of boot volumes, of all machines.",
		},
		{
			Name: EtcdVolumeSize, Type: Int, Default: "0", Max: 65536, Since: "0.14",
			Doc: "Size in GiB of a volume of its own for etcd on control plane machines; 0 keeps etcd on the root disk.",
		},
		{
			Name: EtcdVolumeType, Type: Text, Since: "0.14",
			DefaultDoc: "Cinder's default", Doc: "Cinder volume type of etcd's volume.",
		},
		{
			Name: DockerVolumeType, Type: Text, Scope: Both, Since: "0.19",
			DefaultDoc: "Cinder's default", Doc: "Cinder volume type of the volume for containers that docker_volume_size asks for.",
		},
	})
}

func networks() []Label {
	return machines("networks", []Label{
		{
			Name: CalicoPool, Type: CIDR, Default: "10.100.0.0/16", Min: 8, Max: 24, Since: "0.1",
			Doc: "Addresses of pods, with the network driver calico.",
		},
		{
			Name: CiliumPool, Type: CIDR, Default: "10.100.0.0/16", Min: 8, Max: 24, Since: "0.20",
			Doc: "Addresses of pods, with the network driver cilium.",
		},
		{
			Name: ServiceRange, Type: CIDR, Default: "10.254.0.0/16", Min: 12, Max: 28, Since: "0.3.2",
			Doc: "Addresses of services.",
		},
		{
			Name: ClusterDomain, Type: Domain, Default: "cluster.local", Since: "0.1",
			Doc: "DNS domain of services inside the cluster.",
		},
		{
			Name: FixedSubnetCIDR, Type: CIDR, Default: "10.0.0.0/24", Min: 8, Max: 29, Since: "0.1",
			Doc: "Addresses of machines in the network made for the cluster.",
		},
		{
			Name: NodePortAllowedCIDRs, Type: CIDR, List: true, Max: 32, Source: sourceOwn, From: AtOnce, Changes: "security groups of nodes",
			DefaultDoc: "the nodes' own network; `0.0.0.0/0` where that is not known (an existing network), with the provider ovn, and in clusters that are older than the label",
			Doc: "Who may reach the ports of Services (30000 to 32767) on nodes. Load balancers of Services reach them from the nodes' network, but with the " +
				"provider ovn, where clients reach them with their own addresses. Nodes of a cluster always reach each other.",
		},
		{
			Name: ExtraNetworks, Type: UUID, List: true, Scope: Both, Source: sourceOwn, Changes: "ports of machines",
			Doc: "More networks, by id. Each machine gets a port in each of them, after its port in the cluster's network, which stays the one that " +
				"Kubernetes uses. Of a cluster: all its machines; of a node group: its own machines.",
		},
		{
			Name: ExtraSecurityGroups, Type: UUID, List: true, Scope: Both, Source: sourceOwn, Changes: "security groups of machines",
			Doc: "More security groups, by id, for all ports of machines, beside those that Cluster API makes for the cluster.",
		},
	})
}

func apiServer() []Label {
	return machines("API server", []Label{
		{
			Name: APIServerCertSANs, Type: Host, List: true, Since: "0.20",
			Doc: "More names and addresses in the API server's certificate.",
		},
		{
			Name: APIServerTLSCipherSuites, Type: Cipher, List: true, Default: defaultAPIServerCipherSuites, Since: "0.13",
			Doc: "TLS 1.2 cipher suites of the API server. The default is Mozilla's intermediate set.",
		},
		{
			Name: KubeletTLSCipherSuites, Changes: "kubelets", Type: Cipher, List: true, Default: defaultKubeletCipherSuites, Since: "0.13",
			Doc: "TLS 1.2 cipher suites of kubelets.",
		},
		{
			Name: AdmissionControlList, Type: Plugin, List: true, Since: "0.31",
			Doc: "Admission plugins enabled besides NodeRestriction and Kubernetes' own defaults.",
		},
		{
			Name: AuditLogEnabled, Type: Bool, Default: "false", Since: "0.1",
			Doc: "Write the API server's audit log to /var/log/kubernetes/audit on control plane machines.",
		},
		{Name: AuditLogMaxAge, Type: Int, Default: "30", Max: 3650, Since: "0.1", Doc: "Days that audit logs are kept."},
		{Name: AuditLogMaxBackup, Type: Int, Default: "10", Max: 1000, Since: "0.1", Doc: "Number of old audit logs kept."},
		{Name: AuditLogMaxSize, Type: Int, Default: "100", Min: 1, Max: 10240, Since: "0.1", Doc: "Size in MB at which an audit log is rotated."},
		{Name: OIDCIssuerURL, Type: URL, Since: "0.7", Doc: "Issuer of OpenID Connect tokens the API server accepts. Needs " + OIDCClientID + "."},
		{Name: OIDCClientID, Type: Claim, Since: "0.7", Doc: "Client that OpenID Connect tokens must be for."},
		{Name: OIDCUsernameClaim, Type: Claim, Default: "sub", Since: "0.7", Doc: "Claim that is the user's name."},
		{Name: OIDCUsernamePrefix, Type: Claim, Default: "-", Since: "0.7", Doc: "Put before user names; \"-\" is nothing."},
		{Name: OIDCGroupsClaim, Type: Claim, Since: "0.7", Doc: "Claim that holds the user's groups."},
		{Name: OIDCGroupsPrefix, Type: Claim, Since: "0.7", Doc: "Put before group names."},
		{
			Name: KeystoneAuthEnabled, Type: Bool, Default: "true", Since: "0.14",
			Doc: "Let the API server ask Keystone about tokens and permissions, through the k8s-keystone-auth webhook.",
		},
	})
}

func loadBalancers() []Label {
	return append(machines("API load balancer", []Label{
		{
			Name: FloatingIPEnabled, Type: Bool, Default: "true", Since: "0.5",
			Doc: "Give the API server a floating IP. Without one it is reachable through `jeroboam proxy` and from the cluster's own network only.",
		},
		{
			Name: APIServerFloatingIP, Type: IP, Since: "0.32",
			DefaultDoc: "a new one", Doc: "The floating IP of the API server: one of the project's own, on the external network, that is free.",
		},
		{
			Name: APIServerAllowedCIDRs, Type: CIDR, List: true, Max: 32, Source: sourceOwn, From: AtOnce,
			DefaultDoc: "everybody",
			Doc: "Who may reach the API server through its load balancer. The nodes' network and the management cluster (magnum.conf [kubernetes] " +
				"management_cidrs) always may. Needs a load balancer of a provider other than ovn.",
		},
		{Name: APIServerLBFlavor, Type: Text, Since: "0.32", DefaultDoc: "Octavia's default", Doc: "Octavia flavor of the API server's load balancer, by name: one that is enabled."},
		{Name: APIServerLBZone, Type: Zone, Since: "0.32", DefaultDoc: "Octavia's default", Doc: "Octavia availability zone of the API server's load balancer: one that is enabled."},
		{
			Name: OctaviaProvider, Changes: "all load balancers", Type: Name, Since: "0.16",
			DefaultDoc: "amphora for services, Octavia's default for the API server",
			Doc:        "Octavia provider of the API server's load balancer and of services of type LoadBalancer: one that the cloud has enabled.",
		},
	}), complete(Addon, "load balancers of services", []Label{
		{
			Name: OctaviaAlgorithm, Type: Enum, Since: "0.17",
			Allowed:    []string{"ROUND_ROBIN", "LEAST_CONNECTIONS", "SOURCE_IP", "SOURCE_IP_PORT"},
			DefaultDoc: "SOURCE_IP_PORT with the provider ovn, else ROUND_ROBIN",
			Doc:        "How load balancers of services choose a member. The provider ovn knows SOURCE_IP_PORT only, and only ovn knows it.",
		},
		{
			Name: "octavia_lb_healthcheck", Type: Bool, Default: "true", Since: "0.24",
			Doc: "Give load balancers of services a health monitor.",
		},
	})...)
}

func addons() []Label {
	tag := func(name, since, changes, doc string) Label {
		return Label{Name: name, Type: Tag, Changes: changes, DefaultDoc: "the newest in the addon catalogue that serves " + KubeTag, Since: since, Doc: doc}
	}
	sidecar := func(name, doc string) Label {
		return Label{Name: name, Type: Tag, Changes: "Cinder CSI", DefaultDoc: "the one in the Cinder CSI chart", Since: "0.30", Doc: doc}
	}
	return complete(Addon, "addons", []Label{
		{
			Name: AddonsExcluded, Type: Name, List: true, Source: sourceOwn,
			Doc: "Addons that are not installed, by their names in the catalogue: who names one installs something in its place. Other names are refused.",
		},
		tag(CalicoTag, "0.1", "network addon", "Version of Calico."),
		tag("cilium_tag", "0.20", "network addon", "Version of Cilium."),
		{Name: "cilium_hubble_ui_enabled", Changes: "network addon", Type: Bool, Default: "false", Since: "0.35", Doc: "Install Hubble's relay and user interface."},
		{
			Name: "cloud_provider_tag", Changes: "cloud controller manager", Type: Tag, Since: "0.1", DefaultDoc: "by " + KubeTag,
			Doc: "Version of the OpenStack cloud controller manager.",
		},
		{Name: CinderCSIEnabled, Changes: "Cinder CSI", Type: Bool, Default: "true", Since: "0.1", Doc: "Install the Cinder CSI driver and a storage class for each volume type, if the cloud has Cinder."},
		tag("cinder_csi_plugin_tag", "0.1", "Cinder CSI", "Version of the Cinder CSI driver."),
		{Name: "manila_csi_enabled", Changes: "Manila CSI", Type: Bool, Default: "true", Since: "0.6", Doc: "Install the Manila and NFS CSI drivers, if the cloud has Manila."},
		tag("manila_csi_plugin_tag", "0.6", "Manila CSI", "Version of the Manila CSI driver."),
		{Name: "manila_csi_share_network_id", Changes: "Manila CSI", Type: UUID, Since: "0.6", DefaultDoc: "no storage classes for shares", Doc: "Share network of Manila shares: with it there is a storage class for each share type."},
		sidecar("csi_attacher_tag", "Version of the CSI attacher."),
		sidecar("csi_liveness_probe_tag", "Version of the CSI liveness probe."),
		sidecar("csi_node_driver_registrar_tag", "Version of the CSI node driver registrar."),
		sidecar("csi_provisioner_tag", "Version of the CSI provisioner."),
		sidecar("csi_resizer_tag", "Version of the CSI resizer."),
		sidecar("csi_snapshotter_tag", "Version of the CSI snapshotter."),
	})
}
