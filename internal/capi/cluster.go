package capi

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// Options is what a Cluster needs besides Magnum's records.
type Options struct {
	Class string // name of the ClusterClass
	// ServerGroups are Nova server groups by node group name; a node group without one is placed freely.
	ServerGroups map[string]string
	// Flavors by name, for the autoscaler to know what a node of an empty group would be. May be incomplete.
	Flavors map[string]Flavor
	// Defaults of magnum.conf's [cinder] section, and Cinder's default volume type.
	BootVolumeSize int
	BootVolumeType string
	VolumeType     string
}

// Flavor is what a machine of a flavor has.
type Flavor struct{ MemoryMiB, VCPUs, DiskGiB int }

var (
	stackID   = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	uuid      = regexp.MustCompile(patternUUID)
	plain     = regexp.MustCompile(patternPlain)
	proxyText = regexp.MustCompile(patternProxy)
	role      = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)
)

// problems collects all that keeps a Cluster from being written.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

// Cluster writes the Cluster API Cluster of a Magnum cluster and its node groups, those being deleted left out.
// Equal input gives equal output. The error holds everything that is wrong.
func Cluster(c *magnum.Cluster, groups []*magnum.NodeGroup, opts Options) (*clusterv1.Cluster, error) {
	var p problems
	p = append(p, label.Validate(label.Cluster, c.Labels)...)
	labels := label.Of(c.Labels)
	checkIdentity(c, opts, &p)

	cluster := &clusterv1.Cluster{
		TypeMeta: metav1.TypeMeta{APIVersion: clusterAPI(), Kind: clusterv1.ClusterKind},
		ObjectMeta: metav1.ObjectMeta{
			Name: c.StackID, Namespace: Namespace, Labels: map[string]string{UUIDLabel: c.UUID},
		},
	}
	cluster.Spec.ClusterNetwork = clusterNetwork(c, labels, cluster.Labels, &p)
	t := &cluster.Spec.Topology
	t.ClassRef.Name = opts.Class
	t.Version = labels.KubeTag()

	masters, workers := split(c, groups, &p)
	healing := labels.Bool(label.AutoHealingEnabled)
	t.ControlPlane = clusterv1.ControlPlaneTopology{
		Metadata: clusterv1.ObjectMeta{Labels: map[string]string{RoleLabelPrefix + magnum.RoleMaster: ""}},
		Replicas: new(int32(masters.NodeCount)), //nolint:gosec // G115: split has bounded it.
	}
	t.ControlPlane.HealthCheck.Enabled = &healing
	t.Variables = clusterVariables(c, masters, labels, opts, &p)
	for _, g := range workers {
		t.Workers.MachineDeployments = append(t.Workers.MachineDeployments, machineDeployment(c, g, opts, &p))
	}
	if len(p) > 0 {
		return nil, errors.Join(p...)
	}
	return cluster, nil
}

func checkIdentity(c *magnum.Cluster, opts Options, p *problems) {
	if !stackID.MatchString(c.StackID) {
		p.add("stack_id %q is not the name of a Cluster API Cluster", c.StackID)
	}
	if !uuid.MatchString(c.UUID) {
		p.add("uuid %q is not a UUID", c.UUID)
	}
	if opts.Class == "" {
		p.add("no ClusterClass is named")
	}
}

// clusterNetwork says where pods and services live, and notes in meta which Calico was asked for (magnum-cluster-api).
func clusterNetwork(c *magnum.Cluster, labels label.Values, meta map[string]string, p *problems) clusterv1.ClusterNetwork {
	pool := label.CalicoPool
	switch c.Template.NetworkDriver {
	case "calico", "":
		if labels.Has(label.CalicoTag) {
			meta["cni"] = "calico-" + labels.String(label.CalicoTag)
		}
	case "cilium":
		pool = label.CiliumPool
	default:
		p.add("network driver %q is not supported, it must be calico or cilium", c.Template.NetworkDriver)
	}
	pods, services, nodes := labels.String(pool), labels.String(label.ServiceRange), ""
	if c.Resolved.FixedNetworkID == "" && !labels.Has(label.FixedSubnetCIDR) {
		nodes = labels.String(label.FixedSubnetCIDR) // given ones have been checked with the labels
	}
	for _, err := range label.CheckNetworks(pool, pods, services, nodes) {
		if !slices.ContainsFunc(*p, func(have error) bool { return have.Error() == err.Error() }) {
			*p = append(*p, err)
		}
	}
	return clusterv1.ClusterNetwork{
		Pods:          clusterv1.NetworkRanges{CIDRBlocks: []string{pods}},
		Services:      clusterv1.NetworkRanges{CIDRBlocks: []string{services}},
		ServiceDomain: labels.String(label.ClusterDomain),
	}
}

const maxNodes = 10000 // of one group; far above what a cluster can hold, far below what a counter can

// split finds the control plane's group and the workers', in the order they were made.
func split(c *magnum.Cluster, groups []*magnum.NodeGroup, p *problems) (masters *magnum.NodeGroup, workers []*magnum.NodeGroup) {
	seen := map[string]bool{}
	for _, g := range groups {
		switch {
		case g.Role == magnum.RoleMaster && masters == nil:
			masters = g
		case g.Role == magnum.RoleMaster:
			p.add("node groups %s and %s both have the role master", masters.Name, g.Name)
		case g.Status.Deleting():
		default:
			workers = append(workers, g)
		}
		if seen[g.Name] {
			p.add("two node groups are called %s", g.Name)
		}
		seen[g.Name] = true
		if g.NodeCount < 0 || g.NodeCount > maxNodes {
			p.add("node group %s: node count %d is not between 0 and %d", g.Name, g.NodeCount, maxNodes)
		}
	}
	if masters == nil {
		masters = &magnum.NodeGroup{Name: magnum.DefaultMaster, Role: magnum.RoleMaster, NodeCount: c.MasterCount}
	}
	if masters.NodeCount < 1 || masters.NodeCount%2 == 0 {
		p.add("master count %d must be odd, because etcd needs a majority", masters.NodeCount)
	}
	slices.SortStableFunc(workers, func(a, b *magnum.NodeGroup) int {
		if a.ID != b.ID {
			return int(min(max(a.ID-b.ID, -1), 1))
		}
		return strings.Compare(a.Name, b.Name)
	})
	return masters, workers
}

// operatingSystem is the family of an image's os_distro.
func operatingSystem(c *magnum.Cluster, p *problems) string {
	distro := c.Resolved.ImageOSDistro
	if distro == "" {
		distro = c.Template.ClusterDistro
	}
	for _, os := range []string{"ubuntu", "debian", "flatcar", "rockylinux"} {
		if strings.HasPrefix(distro, os) {
			return os
		}
	}
	p.add("image's os_distro %q is not supported, it must be ubuntu, debian, flatcar or rockylinux", distro)
	return ""
}

// nameservers reads the template's dns_nameserver.
func nameservers(c *magnum.Cluster, p *problems) []string {
	servers := []string{}
	for s := range strings.SplitSeq(c.Template.DNSNameserver, ",") {
		s = strings.TrimSpace(s)
		if s == "" {
			continue
		}
		if a, err := netip.ParseAddr(s); err != nil || a.Zone() != "" {
			p.add("dns_nameserver %q is not an IP address", s)
			continue
		}
		servers = append(servers, s)
	}
	return servers
}
