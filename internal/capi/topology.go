package capi

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// values builds a list of variables in the order they are set.
type values []clusterv1.ClusterVariable

func (v *values) set(name string, value any) {
	*v = append(*v, clusterv1.ClusterVariable{Name: name, Value: raw(value)})
}

// clusterVariables are the topology's variables: those of the whole cluster, and those of machines as the control plane
// has them; node groups override the latter.
func clusterVariables(c *magnum.Cluster, masters *magnum.NodeGroup, labels label.Values, opts Options, p *problems) []clusterv1.ClusterVariable {
	var v values
	networkVariables(&v, c, labels, opts, p)
	var own problems
	m := machine(c, masters, opts, &own)
	*p = append(*p, groupErrors(masters, own)...)
	v.set(varControlPlaneFlavor, m.flavor)
	v.set(varFlavor, cmp.Or(c.Resolved.FlavorName, m.flavor))
	v.set(varImage, m.image)
	v.set(varHardwareDiskBus, m.diskBus)
	v.set(varImageRepository, labels.String(label.ContainerInfraPrefix))
	v.set(varServerGroup, m.serverGroup)
	v.set(varDifferentFailureDomain, labels.Bool(label.DifferentFailureDomain))
	v.set(varBootVolume, m.bootVolume)
	v.set(varBootVolumeZone, cmp.Or(labels.String(label.BootVolumeZone), labels.String(label.AvailabilityZone)))
	v.set(varEtcdVolume, volumeOf(labels.Int(label.EtcdVolumeSize), labels.String(label.EtcdVolumeType)))
	v.set(varDockerVolume, m.dockerVolume)
	v.set(varExtraNetworks, orEmpty(labels.CSV(label.ExtraNetworks)))
	v.set(varExtraSecurityGroups, orEmpty(labels.CSV(label.ExtraSecurityGroups)))
	v.set(varZone, labels.String(label.AvailabilityZone))
	if !plain.MatchString(c.Keypair) || int64(len(c.Keypair)) > maxName {
		p.add("keypair %.64q is not the name of a key pair", c.Keypair)
	}
	v.set(varSSHKey, c.Keypair)
	v.set(varOperatingSystem, operatingSystem(c, p))
	v.set(varProxy, proxy(c, p))
	apiServerVariables(&v, labels)
	v.set(varControlPlaneRotation, map[string]any{"step": "", "signer": ""}) // what a Cluster has of it stays: see Plan
	v.set(varWorkerRotation, "")
	return v
}

func networkVariables(v *values, c *magnum.Cluster, labels label.Values, opts Options, p *problems) {
	lb := map[string]any{"enabled": c.MasterLBEnabled}
	for field, name := range map[string]string{"provider": label.OctaviaProvider, "flavor": label.APIServerLBFlavor, "availabilityZone": label.APIServerLBZone} {
		if s := labels.String(name); s != "" {
			lb[field] = s
		}
	}
	v.set(varAPIServerLoadBalancer, lb)
	if allowed, known := allowedCIDRs(labels, opts); known {
		v.set(varAPIServerAllowedCIDRs, allowed)
	}
	v.set(varNodePorts, nodePortsOf(c, labels))
	v.set(varAPIServerFloatingIP, cmp.Or(labels.String(label.APIServerFloatingIP), opts.APIAddress))
	floating := labels.Bool(label.FloatingIPEnabled)
	if !floating && !c.MasterLBEnabled {
		p.add("label %s is false and master_lb_enabled too: nothing would hold the API server's address", label.FloatingIPEnabled)
	}
	if !floating && labels.Has(label.APIServerFloatingIP) {
		p.add("label %s is given, but %s is false", label.APIServerFloatingIP, label.FloatingIPEnabled)
	}
	v.set(varDisableFloatingIP, !floating)
	for _, n := range []struct{ variable, id string }{
		{varExternalNetwork, c.Resolved.ExternalNetworkID}, {varFixedNetwork, c.Resolved.FixedNetworkID}, {varFixedSubnet, c.Resolved.FixedSubnetID},
	} {
		if n.id != "" && !uuid.MatchString(n.id) {
			p.add("%s %.64q is not a UUID", n.variable, n.id)
		}
		v.set(n.variable, n.id)
	}
	v.set(varNodeCIDR, labels.String(label.FixedSubnetCIDR))
	v.set(varDNSNameservers, nameservers(c, p))
	v.set(varControlPlaneZones, orEmpty(labels.CSV(label.ControlPlaneZones)))
}

// allowedCIDRs are who may reach the API server: the label's, and the management cluster, because nobody would keep a
// cluster that locks it out. Where it comes from may not be known any more; then nothing new is known, and Plan leaves
// a Cluster the list that it has.
func allowedCIDRs(labels label.Values, opts Options) (allowed []string, known bool) {
	allowed = orEmpty(labels.CSV(label.APIServerAllowedCIDRs))
	if len(allowed) == 0 {
		return allowed, true
	}
	for _, cidr := range opts.ManagementCIDRs {
		if !slices.Contains(allowed, cidr) {
			allowed = append(allowed, cidr)
		}
	}
	return allowed, len(opts.ManagementCIDRs) > 0
}

// nodePortsOf is who may reach the ports of Services. Octavia's load balancers send from the nodes' network, but for
// ovn's, which keep clients' own addresses.
func nodePortsOf(c *magnum.Cluster, labels label.Values) map[string]any {
	cidrs, asked := labels.CSV(label.NodePortAllowedCIDRs), labels.Has(label.NodePortAllowedCIDRs)
	switch {
	case asked:
	case c.Resolved.FixedNetworkID != "" || labels.String(label.OctaviaProvider) == "ovn":
		cidrs = []string{world}
	default:
		cidrs = []string{labels.String(label.FixedSubnetCIDR)}
	}
	return map[string]any{"cidrs": cidrs, "asked": asked}
}

func apiServerVariables(v *values, labels label.Values) {
	v.set(varAPIServerSANs, orEmpty(labels.CSV(label.APIServerCertSANs)))
	v.set(varAPIServerCipherSuites, labels.String(label.APIServerTLSCipherSuites))
	v.set(varKubeletCipherSuites, labels.String(label.KubeletTLSCipherSuites))
	plugins := []string{admissionAlways}
	for _, plugin := range labels.CSV(label.AdmissionControlList) {
		if !slices.Contains(plugins, plugin) {
			plugins = append(plugins, plugin)
		}
	}
	v.set(varAdmissionControlList, strings.Join(plugins, ","))
	v.set(varAuditLog, map[string]any{
		"enabled": labels.Bool(label.AuditLogEnabled), "maxAge": labels.Int(label.AuditLogMaxAge),
		"maxBackup": labels.Int(label.AuditLogMaxBackup), "maxSize": labels.Int(label.AuditLogMaxSize),
	})
	v.set(varOpenIDConnect, map[string]any{
		"issuerUrl": labels.String(label.OIDCIssuerURL), "clientId": labels.String(label.OIDCClientID),
		"usernameClaim": labels.String(label.OIDCUsernameClaim), "usernamePrefix": labels.String(label.OIDCUsernamePrefix),
		"groupsClaim": labels.String(label.OIDCGroupsClaim), "groupsPrefix": labels.String(label.OIDCGroupsPrefix),
	})
	v.set(varKeystoneAuth, labels.Bool(label.KeystoneAuthEnabled))
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

func proxy(c *magnum.Cluster, p *problems) map[string]any {
	http, https, except := c.Template.Proxies()
	for _, f := range []struct{ field, text string }{{"http_proxy", http}, {"https_proxy", https}, {"no_proxy", except}} {
		if !proxyText.MatchString(f.text) || int64(len(f.text)) > maxText {
			p.add("%s %.64q contains characters that are not allowed", f.field, f.text)
		}
	}
	return map[string]any{"http": http, "https": https, "noProxy": except}
}

// machineValues are what the machines of one group are made of.
type machineValues struct {
	flavor, image, diskBus, serverGroup string
	memory, cpus, disk                  int // of the flavor: MiB, GiB; 0 is not known
	bootVolume, dockerVolume            map[string]any
}

// groupLabels are a node group's labels, then the cluster's: a node group that was made without a copy of the cluster's
// labels still pulls from the cluster's mirror.
func groupLabels(c *magnum.Cluster, g *magnum.NodeGroup) label.Values {
	all := maps.Clone(c.Labels)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, g.Labels)
	return label.Of(all)
}

func machine(c *magnum.Cluster, g *magnum.NodeGroup, opts Options, p *problems) machineValues {
	labels := groupLabels(c, g)
	m := machineValues{
		flavor: g.Resolved.FlavorName, memory: g.Resolved.FlavorMemoryMiB, cpus: g.Resolved.FlavorVCPUs, disk: g.Resolved.FlavorDiskGiB,
		image: g.Resolved.ImageID, diskBus: g.Resolved.HardwareDiskBus, serverGroup: opts.ServerGroups[g.DeploymentName()],
	}
	clusterFlavor, clusterFlavorID := c.Resolved.FlavorName, c.FlavorID
	if g.Role == magnum.RoleMaster {
		clusterFlavor, clusterFlavorID = c.Resolved.MasterFlavorName, c.MasterFlavorID
		m.flavor = cmp.Or(g.Resolved.MasterFlavorName, m.flavor)
	}
	if m.flavor == "" && (g.FlavorID == "" || g.FlavorID == clusterFlavorID) {
		m.flavor = clusterFlavor
		m.memory, m.cpus, m.disk = c.Resolved.FlavorMemoryMiB, c.Resolved.FlavorVCPUs, c.Resolved.FlavorDiskGiB
	}
	if m.image == "" && (g.ImageID == "" || g.ImageID == c.Template.ImageID) {
		m.image, m.diskBus = c.Resolved.ImageID, c.Resolved.HardwareDiskBus
	}
	if m.flavor == "" || !plain.MatchString(m.flavor) || int64(len(m.flavor)) > maxName {
		p.add("flavor %.64q is not known", cmp.Or(m.flavor, g.FlavorID))
	}
	if !uuid.MatchString(m.image) {
		p.add("image %.64q is not known", cmp.Or(m.image, g.ImageID))
	}
	if m.serverGroup != "" && !uuid.MatchString(m.serverGroup) {
		p.add("server group %.64q is not a UUID", m.serverGroup)
	}
	m.bootVolume = volumeOf(labels.BootVolume(opts.BootVolumeSize), cmp.Or(labels.String(label.BootVolumeType), opts.BootVolumeType))
	m.dockerVolume = volumeOf(cmp.Or(g.DockerVolumeSize, c.DockerVolumeSize), labels.String(label.DockerVolumeType))
	return m
}

func volumeOf(size int, kind string) map[string]any {
	return map[string]any{"size": size, "type": kind}
}

// machineDeployment is a worker node group's entry in the topology, or what keeps it from being written.
func machineDeployment(c *magnum.Cluster, g *magnum.NodeGroup, opts Options) (md clusterv1.MachineDeploymentTopology, warnings, faults []error) {
	var p problems
	warnings = groupErrors(g, label.Validate(label.NodeGroup, g.Labels))
	for _, f := range magnum.CheckNodeGroup(g) {
		p.add("%s is invalid (%s)", f.Attribute, f.Why)
	}
	labels := groupLabels(c, g)
	m := machine(c, g, opts, &p)
	if len(p) > 0 {
		return md, warnings, p
	}
	own, kubelet := nodeLabels(g)
	md = clusterv1.MachineDeploymentTopology{
		Class: WorkerClass, Name: g.DeploymentName(), Replicas: new(int32(g.NodeCount)), //nolint:gosec // G115: CheckNodeGroup has bounded it.
		FailureDomain: label.Of(g.Labels).String(label.AvailabilityZone),
		Metadata:      clusterv1.ObjectMeta{Labels: own},
	}
	md.HealthCheck.Enabled = new(label.Of(c.Labels).Bool(label.AutoHealingEnabled))
	md.Deletion.NodeVolumeDetachTimeoutSeconds = new(int32(detachSeconds))
	if label.Of(c.Labels).Bool(label.AutoScalingEnabled) {
		md.Replicas = nil
		md.Metadata.Annotations = autoscaling(g, m, own, kubelet)
	}
	var v values
	v.set(varBootVolume, m.bootVolume)
	v.set(varDockerVolume, m.dockerVolume)
	v.set(varExtraNetworks, orEmpty(labels.CSV(label.ExtraNetworks)))
	v.set(varExtraSecurityGroups, orEmpty(labels.CSV(label.ExtraSecurityGroups)))
	v.set(varFlavor, m.flavor)
	v.set(varImageRepository, labels.String(label.ContainerInfraPrefix))
	v.set(varImage, m.image)
	v.set(varHardwareDiskBus, m.diskBus)
	v.set(varServerGroup, m.serverGroup)
	v.set(varDifferentFailureDomain, labels.Bool(label.DifferentFailureDomain))
	if kubelet != "" {
		v.set(varNodeLabels, kubelet)
	}
	if len(g.NodeTaints) > 0 {
		v.set(varNodeTaints, g.NodeTaints)
	}
	md.Variables.Overrides = v
	return md, warnings, nil
}

func groupErrors(g *magnum.NodeGroup, errs []error) []error {
	for i := range errs {
		errs[i] = fmt.Errorf("node group %s: %w", g.Name, errs[i])
	}
	return errs
}

const capacity = "capacity.cluster-autoscaler.kubernetes.io/"

// autoscalerAnnotations are the ones that say what the autoscaler is told.
func autoscalerAnnotations() []string {
	return []string{
		clusterv1.AutoscalerMinSizeAnnotation, clusterv1.AutoscalerMaxSizeAnnotation, capacity + "memory", capacity + "cpu",
		capacity + "ephemeral-disk", capacity + "labels", capacity + "taints",
	}
}

// autoscaling tells the cluster autoscaler the group's bounds, and what a node would be when there is none yet.
func autoscaling(g *magnum.NodeGroup, m machineValues, own map[string]string, kubelet string) map[string]string {
	hi := magnum.AutoscaledMost(g.MinNodeCount, g.Asked)
	if g.MaxNodeCount != nil {
		hi = *g.MaxNodeCount
	}
	a := map[string]string{
		clusterv1.AutoscalerMinSizeAnnotation: strconv.Itoa(g.MinNodeCount),
		clusterv1.AutoscalerMaxSizeAnnotation: strconv.Itoa(hi),
	}
	if m.cpus == 0 {
		return a // a group from before flavors were measured: it is not scaled from zero
	}
	disk := m.disk
	if size, ok := m.bootVolume["size"].(int); ok && size > 0 {
		disk = size
	}
	a[capacity+"memory"] = strconv.Itoa((m.memory+1023)/1024) + "G"
	a[capacity+"cpu"] = strconv.Itoa(m.cpus)
	a[capacity+"ephemeral-disk"] = strconv.Itoa(disk) + "Gi"
	a[capacity+"labels"] = strings.Trim(join(own)+","+kubelet, ",")
	if len(g.NodeTaints) > 0 {
		var ts []string
		for _, t := range g.NodeTaints {
			ts = append(ts, t.Key+"="+t.Value+":"+t.Effect)
		}
		a[capacity+"taints"] = strings.Join(ts, ",")
	}
	return a
}

func join(labels map[string]string) string {
	var kv []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		kv = append(kv, k+"="+labels[k])
	}
	return strings.Join(kv, ",")
}

// nodeLabels divides a group's labels into those Cluster API carries from Machines to nodes, which may change while the
// nodes run, and those kubelets register with.
func nodeLabels(g *magnum.NodeGroup) (own map[string]string, kubelet string) {
	own = map[string]string{g.RoleLabel(): "", NodeGroupLabel: g.DeploymentName()}
	rest := map[string]string{}
	for k, v := range g.NodeLabels {
		if magnum.CarriedByClusterAPI(k) {
			own[k] = v
		} else {
			rest[k] = v
		}
	}
	return own, join(rest)
}

func varsByName(vs []clusterv1.ClusterVariable) map[string]apiextensionsv1.JSON {
	m := make(map[string]apiextensionsv1.JSON, len(vs))
	for _, v := range vs {
		m[v.Name] = v.Value
	}
	return m
}
