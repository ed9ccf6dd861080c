package intent

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

// Ranges that kubeadm and Cilium use if nobody sets them, which the collections do not.
const (
	kubeadmServices = "10.96.0.0/12"
	kubeadmDomain   = "cluster.local"
	kubeadmPort     = 6443
	ciliumMask      = 24
	neutronGeneve   = 6081
)

func (r *reader) ranges() error {
	s := r.first()
	n := &r.in.Network
	n.PodCIDR = s.text("network.podCIDR", "cilium_ipv4_cidr")
	n.PodMaskSize, n.ServiceCIDR, n.DNSDomain = ciliumMask, kubeadmServices, kubeadmDomain
	r.from("network.podMaskSize", Origin{Level: "default", Why: "Cilium's cluster pool"})
	r.from("network.serviceCIDR", Origin{Level: "default", Why: "kubeadm's; the roles never set another"})
	r.from("network.dnsDomain", Origin{Level: "default", Why: "kubeadm's"})
	address, mask := s.text("network.lxcCIDR", "lxc_net_address"), s.text("network.lxcCIDR", "lxc_net_netmask")
	if p, err := netip.ParsePrefix(withPrefix(address, mask)); err == nil {
		n.LXCCIDR = p.Masked().String()
	}
	n.Others = []NamedCIDR{}
	networks, _ := r.src.Config.Get("cidr_networks").(*osa.Map)
	for _, e := range networks.Entries() {
		name := fmt.Sprint(e.Key)
		cidr, _ := asText(e.Value)
		if p, err := osa.ParseNetwork(cidr); err == nil {
			cidr = p.String() // whether it was written with a length or a netmask
		}
		o := Origin{Pos: e.Pos, Variable: "cidr_networks." + name, Level: "user configuration"}
		r.from(fmt.Sprintf("network.others[%d]", len(n.Others)), o)
		n.Others = append(n.Others, NamedCIDR{Name: name, CIDR: cidr})
		if name == "container" || name == "management" && n.ManagementCIDR == "" {
			n.ManagementCIDR = cidr
			r.from("network.managementCIDR", o)
		}
	}
	if n.ManagementCIDR == "" {
		r.managementOfProvider(n)
	}
	return nil
}

// managementOfProvider finds the management network by the provider network that carries management addresses.
func (r *reader) managementOfProvider(n *Network) {
	overrides, _ := r.src.Config.Get("global_overrides").(*osa.Map)
	providers, _ := overrides.Get("provider_networks").(*osa.List)
	r.from("network.managementCIDR", Origin{Level: "derived", Why: "no network is called management, and none has is_management_address"})
	for i, item := range providers.Items() {
		m, _ := item.(*osa.Map)
		p, _ := m.Get("network").(*osa.Map)
		if !osa.Truth(p.Get("is_management_address")) && !osa.Truth(p.Get("is_container_address")) {
			continue
		}
		for _, o := range n.Others {
			if o.Name == text(p, "ip_from_q") {
				n.ManagementCIDR = o.CIDR
				r.from("network.managementCIDR", Origin{Pos: providers.PosOf(i), Variable: "provider_networks", Level: "user configuration"})
			}
		}
	}
}

func (r *reader) versions() error {
	s := r.first()
	v := &r.in.Versions
	for _, f := range []struct {
		to         *string
		path, name string
	}{
		{&v.Kubernetes, "kubernetes", "kubernetes_version"},
		{&v.ClusterAPI, "clusterAPI", "cluster_api_version"},
		{&v.Clusterctl, "clusterctl", "clusterctl_version"},
		{&v.ClusterAPIProviderOpenStack, "clusterAPIProviderOpenStack", "cluster_api_infrastructure_version"},
		{&v.OpenStackResourceController, "openstackResourceController", "openstack_resource_controller_version"},
		{&v.Containerd, "containerd", "containerd_version"},
		{&v.Runc, "runc", "runc_version"},
		{&v.CNIPlugins, "cniPlugins", "cni_plugins_version"},
		{&v.CRITools, "criTools", "cri_tools_version"},
		{&v.Cilium, "cilium", "cilium_image_tag"},
		{&v.Helm, "helm", "helm_version"},
		{&v.HelmDiff, "helmDiff", "helm_diff_version"},
		{&v.CertManager, "certManager", "cert_manager_helm_chart_version"},
	} {
		*f.to = bare(s.text("versions."+f.path, f.name))
	}
	_, tag := imageTag(s.text("versions.pause", "containerd_pause_image"))
	v.Pause = tag
	if capo, err := parseVersion(v.ClusterAPIProviderOpenStack); err == nil && capo.before(0, 12) {
		v.OpenStackResourceController = ""
		r.from("versions.openstackResourceController", Origin{Level: "derived", Why: "Cluster API's OpenStack provider needs none before 0.12.0"})
	}
	if tag, ok := ciliumOfImage(s); ok {
		v.Cilium = tag
	}
	return nil
}

// imageTag parts an image reference from its tag, leaving a digest out.
func imageTag(image string) (name, tag string) {
	image, _, _ = strings.Cut(image, "@")
	if i := strings.LastIndex(image, ":"); i > strings.LastIndex(image, "/") {
		return image[:i], image[i+1:]
	}
	return image, ""
}

// ciliumOfImage is Cilium's version if the operator names an image of his own rather than its tag.
func ciliumOfImage(s *scope) (string, bool) {
	if _, ok := s.written("cilium_node_image"); !ok {
		return "", false
	}
	_, tag := imageTag(s.text("versions.cilium", "cilium_node_image"))
	return bare(tag), tag != ""
}

func (r *reader) kubernetes() error {
	s := r.first()
	at := func(field string) string { return "kubernetes." + field }
	k := &r.in.Kubernetes
	*k = Kubernetes{
		ControlPlaneHost:    s.text(at("controlPlaneHost"), "kubernetes_hostname"),
		ControlPlanePort:    kubeadmPort,
		BackendPort:         kubeadmPort,
		ControlPlaneGroup:   s.text(at("controlPlaneGroup"), "kubernetes_control_plane_group"),
		ImageRepository:     s.text(at("imageRepository"), "kubernetes_image_repository"),
		CRISocket:           s.text(at("criSocket"), "kubernetes_cri_socket|kubelet_cri_socket"),
		NonInitNamespace:    s.boolean(at("nonInitNamespace"), "kubernetes_non_init_namespace"),
		AllowUnsafeSwap:     s.boolean(at("allowUnsafeSwap"), "kubernetes_allow_unsafe_swap"),
		RemoveKubeProxy:     s.boolean(at("removeKubeProxy"), "kubernetes_remove_kube_proxy"),
		CoreDNSNodeSelector: s.textMap(at("coreDNSNodeSelector"), "kubernetes_coredns_node_selector"),
		Serial:              s.text(at("serial"), "k8s_serial"),
		OIDC: OIDC{
			IssuerURL:     s.text(at("oidc.issuerURL"), "kubernetes_oidc_issuer_url"),
			ClientID:      s.text(at("oidc.clientID"), "kubernetes_oidc_client_id"),
			UsernameClaim: s.text(at("oidc.usernameClaim"), "kubernetes_oidc_username_claim"),
		},
		KubeletExtraArgs: map[string]string{"cgroups-per-qos": "false", "enforce-node-allocatable": ""},
		KubeletSysctls:   map[string]string{},
	}
	r.from(at("controlPlanePort"), Origin{Level: "default", Why: "the role has no variable for it"})
	r.from(at("backendPort"), Origin{Level: "default", Why: "kubeadm's"})
	r.from(at("kubeletExtraArgs"), Origin{Level: "default of kubernetes", Why: "always, and fail-swap-on with kubernetes_allow_unsafe_swap"})
	if k.AllowUnsafeSwap {
		k.KubeletExtraArgs["fail-swap-on"] = "false"
	}
	if !strings.Contains(k.CRISocket, "://") && k.CRISocket != "" {
		k.CRISocket = "unix://" + k.CRISocket
	}
	r.from(at("tlsMinVersion"), Origin{Level: "default of kubernetes", Why: "from Kubernetes 1.28 on; the in-tree role sets none"})
	if v, err := parseVersion(r.in.Versions.Kubernetes); err == nil && !v.before(1, 28) && r.in.Generation != InTree {
		k.TLSMinVersion = "VersionTLS13"
	}
	sysctls, _ := s.take(at("kubeletSysctls"), "kubelet_sysctls")
	list, _ := sysctls.(*osa.List)
	for _, item := range list.Items() {
		m, _ := item.(*osa.Map)
		k.KubeletSysctls[text(m, "name")] = text(m, "value")
	}
	return nil
}

func (r *reader) customCA() error {
	s := r.first()
	r.in.CustomCA = CustomCA{
		Allow:          s.boolean("customCA.allow", "kubernetes_allow_custom_ca"),
		Cert:           s.text("customCA.cert", "kubernetes_custom_ca_cert"),
		Key:            s.secret("customCA.key", "kubernetes_custom_ca_key"),
		EtcdCert:       s.text("customCA.etcdCert", "kubernetes_custom_etcd_ca_cert"),
		EtcdKey:        s.secret("customCA.etcdKey", "kubernetes_custom_etcd_ca_key"),
		FrontProxyCert: s.text("customCA.frontProxyCert", "kubernetes_custom_front_proxy_ca_cert"),
		FrontProxyKey:  s.secret("customCA.frontProxyKey", "kubernetes_custom_front_proxy_ca_key"),
	}
	return nil
}

func (r *reader) containerd() error {
	s := r.first()
	at := func(field string) string { return "containerd." + field }
	r.in.Containerd = Containerd{
		PauseImage:         s.text(at("pauseImage"), "containerd_pause_image"),
		InsecureRegistries: s.texts(at("insecureRegistries"), "containerd_insecure_registries"),
		Registries:         s.registries(at("registries"), "containerd_registries"),
		HTTPProxy:          s.text(at("httpProxy"), "containerd_http_proxy"),
		HTTPSProxy:         s.text(at("httpsProxy"), "containerd_https_proxy"),
		NoProxy:            s.text(at("noProxy"), "containerd_no_proxy"),
		DebugLevel:         s.text(at("debugLevel"), "containerd_debug_level"),
		Snapshotter:        s.text(at("snapshotter"), "containerd_snapshotter"),
		StorageDir:         s.text(at("storageDir"), "containerd_storage_dir"),
		StateDir:           s.text(at("stateDir"), "containerd_state_dir"),
	}
	return nil
}

func (r *reader) charts() error {
	s := r.first()
	at := func(field string) string { return "cilium." + field }
	r.in.Cilium = Cilium{
		ReleaseName:      s.text(at("releaseName"), "cilium_helm_release_name"),
		Namespace:        s.text(at("namespace"), "cilium_helm_release_namespace"),
		ChartRef:         s.text(at("chartRef"), "cilium_helm_chart_ref|cilium_helm_repo_url"),
		NodeImage:        s.text(at("nodeImage"), "cilium_node_image"),
		OperatorImage:    s.text(at("operatorImage"), "cilium_operator_image"),
		ReplaceKubeProxy: s.boolean(at("replaceKubeProxy"), "cilium_replace_kube_proxy"),
		Values:           s.anyMap(at("values"), "cilium_helm_values"),
	}
	r.tunnel(&r.in.Cilium, r.in.Origin("cilium.values"))
	r.in.Helm = Helm{
		CertManagerRepository: s.text("helm.certManagerRepository", "cert_manager_helm_chart_repository|cert_manager_helm_repo_url"),
		CertManagerRelease:    s.text("helm.certManagerRelease", "cert_manager_helm_release_name"),
		CertManagerNamespace:  s.text("helm.certManagerNamespace", "cert_manager_helm_release_namespace"),
		CertManagerSelector:   s.textMap("helm.certManagerSelector", "cert_manager_node_selector"),
		CertManagerValues:     s.anyMap("helm.certManagerValues", "cert_manager_helm_values"),
	}
	return nil
}

// tunnel is how Cilium's nodes reach each other: on geneve's port Neutron is already.
func (r *reader) tunnel(c *Cilium, origin Origin) {
	c.TunnelProtocol, c.TunnelPort = "geneve", neutronGeneve+1
	ours := Origin{Level: "default of cilium", Why: "Neutron has geneve's own port"}
	r.from("cilium.tunnelProtocol", ours)
	r.from("cilium.tunnelPort", ours)
	if p, ok := c.Values["tunnelProtocol"].(string); ok {
		c.TunnelProtocol = p
		r.from("cilium.tunnelProtocol", origin)
	}
	if p, ok := asInt(c.Values["tunnelPort"]); ok {
		c.TunnelPort = p
		r.from("cilium.tunnelPort", origin)
	}
}

func (r *reader) clusterAPI() error {
	s := r.first()
	at := func(field string) string { return "clusterAPI." + field }
	r.in.ClusterAPI = ClusterAPI{
		CoreProvider:           s.text(at("coreProvider"), "cluster_api_core_provider"),
		CoreVersion:            bare(s.text(at("coreVersion"), "cluster_api_core_version")),
		BootstrapProvider:      s.text(at("bootstrapProvider"), "cluster_api_bootstrap_provider"),
		BootstrapVersion:       bare(s.text(at("bootstrapVersion"), "cluster_api_bootstrap_version")),
		ControlPlaneProvider:   s.text(at("controlPlaneProvider"), "cluster_api_control_plane_provider"),
		ControlPlaneVersion:    bare(s.text(at("controlPlaneVersion"), "cluster_api_control_plane_version")),
		InfrastructureProvider: s.text(at("infrastructureProvider"), "cluster_api_infrastructure_provider"),
		InfrastructureVersion:  bare(s.text(at("infrastructureVersion"), "cluster_api_infrastructure_version")),
		NodeSelector:           s.textMap(at("nodeSelector"), "cluster_api_node_selector"),
		InstanceCreateTimeout:  s.number(at("instanceCreateTimeout"), "cluster_api_capo_instance_create_timeout"),
		ProviderPath:           s.text(at("providerPath"), "cluster_api_provider_path"),
		ClusterctlConfig:       s.anyMap(at("clusterctlConfig"), "clusterctl_config"),
		GitHubToken:            s.secret(at("githubToken"), "cluster_api_github_token"),
	}
	return nil
}

func (r *reader) backups() error {
	s := r.first()
	at := func(field string) string { return "backups." + field }
	b := &r.in.Backups
	*b = Backups{
		Enabled:            s.boolean(at("enabled"), "cluster_api_backups_enabled"),
		Path:               s.text(at("path"), "cluster_api_backups_path"),
		Group:              s.text(at("group"), "cluster_api_backups_group_name"),
		GID:                s.number(at("gid"), "cluster_api_backups_group_gid"),
		OnCalendar:         s.text(at("onCalendar"), "cluster_api_backups_on_calendar"),
		RandomizedDelaySec: s.number(at("randomizedDelaySec"), "cluster_api_backups_randomized_delay_sec"),
		Recipients:         s.texts(at("recipients"), "cluster_api_backups_recipients"),
		Keep:               s.number(at("keep"), "cluster_api_backups_keep"),
		Nodes:              s.texts(at("nodes"), "cluster_api_backups_nodes"),
		InitOverrides:      s.anyMap(at("initOverrides"), "cluster_api_backups_init_overrides"),
		Copies:             s.copies(at("copies"), "cluster_api_backups_copies"),
	}
	if len(b.Nodes) == 0 {
		b.Nodes = []string{r.in.Nodes[len(r.in.Nodes)-1].Name}
		r.from(at("nodes"), Origin{Level: "default of the playbook", Why: "the last node"})
	}
	return nil
}

// sources are the places that the operator overrode: a variable that only a role's default gives is not among them.
func (r *reader) sources() error {
	s := r.first()
	out := &r.in.Sources
	*out = Sources{URLs: map[string]string{}, Images: map[string]string{}, Charts: map[string]string{}}
	for _, set := range []struct {
		to    map[string]string
		path  string
		names []string
	}{
		{out.URLs, "sources.urls", urlVariables()}, {out.Images, "sources.images", imageVariables()}, {out.Charts, "sources.charts", chartVariables()},
	} {
		r.from("sources", Origin{Level: "default", Why: "whatever is not overridden comes from its usual place"})
		for _, name := range set.names {
			if _, ok := s.written(name); ok {
				set.to[name] = s.text(set.path+"."+name, name)
			}
		}
	}
	out.HTTPProxy = s.text("sources.httpProxy", "download_artifact_http_proxy|http_proxy")
	out.HTTPSProxy = s.text("sources.httpsProxy", "download_artifact_https_proxy|https_proxy")
	out.NoProxy = s.text("sources.noProxy", "download_artifact_no_proxy|no_proxy")
	out.ValidateCerts = s.boolean("sources.validateCerts", "download_artifact_validate_certs")
	out.Username = s.text("sources.username", "download_artifact_url_username")
	out.Password = s.secret("sources.password", "download_artifact_url_password")
	out.GitHubBase = s.text("sources.githubBase", "openstack_github_base_url")
	r.in.Environment = s.textMap("environment", "deployment_environment_variables")
	return nil
}

func urlVariables() []string {
	out := []string{"containerd_runc_download_url", "kubelet_crictl_url", "kubelet_cni_plugins_url", "sonobuoy_download_url", "flux_download_url"}
	for _, name := range []string{
		"containerd", "runc", "cni_plugins", "cri_tools_crictl", "cri_tools_critest", "kubeadm", "kubectl", "kubelet", "helm", "helm_diff", "clusterctl",
	} {
		out = append(out, name+"_download_url")
	}
	slices.Sort(out)
	return out
}

func imageVariables() []string {
	return []string{
		"cert_manager_image_acmesolver", "cert_manager_image_cainjector", "cert_manager_image_cli", "cert_manager_image_controller",
		"cert_manager_image_ctl", "cert_manager_image_startupapicheck", "cert_manager_image_webhook", "cilium_node_image", "cilium_operator_image",
		"cluster_api_openstack_controller_image", "containerd_pause_image", "kubernetes_image_repository",
		"openstack_resource_controller_image", "openstack_resource_controller_image_tag",
	}
}

func chartVariables() []string {
	return []string{"cert_manager_helm_chart_ref", "cert_manager_helm_chart_repository", "cert_manager_helm_repo_url", "cilium_helm_chart_ref", "cilium_helm_repo_url"}
}
