package capi

import (
	"cmp"
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
	// Version is that of the Cluster that exists, for a record whose kube_tag cannot be read.
	Version string
	// ServerGroups are Nova server groups by DeploymentName; a node group without one is placed freely.
	ServerGroups map[string]string
	// APIAddress is the floating IP of the API, where that is made by us (see MakesAPIAddress); "" otherwise.
	APIAddress string
	// ManagementCIDRs are where the management cluster comes from; a list of who may reach an API server always has them.
	ManagementCIDRs []string
	// Defaults of magnum.conf's [cinder] section.
	BootVolumeSize int
	BootVolumeType string
}

var (
	stackID   = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	uuid      = regexp.MustCompile(patternUUID)
	plain     = regexp.MustCompile(patternPlain)
	proxyText = regexp.MustCompile(patternProxy)
)

// problems collects all that keeps a Cluster from being written.
type problems []error

func (p *problems) add(format string, args ...any) { *p = append(*p, fmt.Errorf(format, args...)) }

// Wanted is what a Magnum cluster and its node groups ask of Cluster API.
type Wanted struct {
	Cluster *clusterv1.Cluster
	// Faults say, by name, which worker groups cannot be written, and why. They are not in Cluster; the others are.
	Faults map[string]error
	// Warnings are labels that a cluster of today could not be made with. They have no effect.
	Warnings []error
}

// Cluster writes the Cluster API Cluster of a Magnum cluster and its node groups, those being deleted left out. Equal
// input gives equal output. The error holds everything that is wrong with the cluster itself; what is wrong with one
// group of workers is in Wanted and keeps nobody else.
func Cluster(c *magnum.Cluster, groups []*magnum.NodeGroup, opts Options) (Wanted, error) {
	var p problems
	labels := label.Of(c.Labels)
	checkIdentity(c, labels, opts, &p)
	w := Wanted{Faults: map[string]error{}, Warnings: label.Validate(label.Cluster, c.Labels)}
	if _, known := allowedCIDRs(labels, opts); !known {
		w.Warnings = append(w.Warnings, fmt.Errorf("label %s would lock the management cluster out: the operator has not said where it comes from "+
			"([kubernetes] management_cidrs in magnum.conf)", label.APIServerAllowedCIDRs))
	}

	cluster := &clusterv1.Cluster{
		TypeMeta: metav1.TypeMeta{APIVersion: clusterAPI(), Kind: clusterv1.ClusterKind},
		ObjectMeta: metav1.ObjectMeta{
			Name: c.StackID, Namespace: Namespace, Labels: map[string]string{UUIDLabel: c.UUID},
		},
	}
	w.Warnings = append(w.Warnings, label.CheckNetworks(label.Cluster, setting(c, opts), c.Labels)...)
	cluster.Spec.ClusterNetwork = clusterNetwork(c, labels, cluster.Labels, &p)
	t := &cluster.Spec.Topology
	t.ClassRef.Name = opts.Class
	t.Version = cmp.Or(labels.KubeTag(), opts.Version)

	masters, workers := split(c, groups, w.Faults, &p)
	healing := labels.Bool(label.AutoHealingEnabled)
	t.ControlPlane = clusterv1.ControlPlaneTopology{
		Metadata: clusterv1.ObjectMeta{Labels: map[string]string{RoleLabelPrefix + magnum.RoleMaster: ""}},
		Replicas: new(int32(masters.NodeCount)), //nolint:gosec // G115: split has bounded it.
	}
	t.ControlPlane.HealthCheck.Enabled = &healing
	t.Variables = clusterVariables(c, masters, labels, opts, &p)
	for _, g := range workers {
		md, warnings, faults := machineDeployment(c, g, opts)
		w.Warnings = append(w.Warnings, warnings...)
		if len(faults) > 0 {
			w.Faults[g.Name] = errors.Join(append([]error{w.Faults[g.Name]}, faults...)...)
			continue
		}
		t.Workers.MachineDeployments = append(t.Workers.MachineDeployments, md)
	}
	if len(p) > 0 {
		return w, errors.Join(p...)
	}
	w.Cluster = cluster
	return w, nil
}

// CheckGroup says what keeps one worker group from being written, as Cluster does, without writing the others.
func CheckGroup(c *magnum.Cluster, g *magnum.NodeGroup, all []*magnum.NodeGroup, opts Options) error {
	if g.Role == magnum.RoleMaster {
		return nil // what is wrong with the control plane is wrong with the cluster
	}
	faults := map[string]error{}
	split(c, all, faults, &problems{})
	_, _, own := machineDeployment(c, g, opts)
	return errors.Join(append([]error{faults[g.Name]}, own...)...)
}

func checkIdentity(c *magnum.Cluster, labels label.Values, opts Options, p *problems) {
	if labels.KubeTag() == "" && opts.Version == "" {
		p.add("label %s %q is not a version vX.Y.Z, for example v1.34.1", label.KubeTag, c.Labels[label.KubeTag])
	}
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
	switch c.Template.NetworkDriver {
	case "calico", "":
		if labels.Has(label.CalicoTag) {
			meta["cni"] = "calico-" + labels.String(label.CalicoTag)
		}
	case "cilium":
	default:
		p.add("network driver %q is not supported, it must be calico or cilium", c.Template.NetworkDriver)
	}
	return clusterv1.ClusterNetwork{
		Pods:          clusterv1.NetworkRanges{CIDRBlocks: []string{labels.String(label.Pool(c.Template.NetworkDriver))}},
		Services:      clusterv1.NetworkRanges{CIDRBlocks: []string{labels.String(label.ServiceRange)}},
		ServiceDomain: labels.String(label.ClusterDomain),
	}
}

// split finds the control plane's group and the workers', in the order they were made. Of two groups that Kubernetes
// cannot tell apart the older one is written.
func split(c *magnum.Cluster, groups []*magnum.NodeGroup, faults map[string]error, p *problems) (masters *magnum.NodeGroup, workers []*magnum.NodeGroup) {
	for _, g := range groups {
		switch {
		case g.Role == magnum.RoleMaster && masters == nil:
			masters = g
		case g.Role == magnum.RoleMaster:
			faults[g.Name] = fmt.Errorf("%s has the role master already", masters.Name)
		case g.Status.Deleting():
		default:
			workers = append(workers, g)
		}
	}
	if masters == nil {
		masters = &magnum.NodeGroup{Name: magnum.DefaultMaster, Role: magnum.RoleMaster, NodeCount: c.MasterCount}
	}
	if masters.NodeCount < 1 || masters.NodeCount%2 == 0 || masters.NodeCount > magnum.MaxNodes {
		p.add("master count %d must be odd, because etcd needs a majority", masters.NodeCount)
	}
	slices.SortStableFunc(workers, func(a, b *magnum.NodeGroup) int {
		if a.ID != b.ID {
			return int(min(max(a.ID-b.ID, -1), 1))
		}
		return strings.Compare(a.Name, b.Name)
	})
	seen := map[string]string{}
	workers = slices.DeleteFunc(workers, func(g *magnum.NodeGroup) bool {
		other, taken := seen[g.DeploymentName()]
		if taken {
			faults[g.Name] = fmt.Errorf("node group %s has the same name in Kubernetes, %s", other, g.DeploymentName())
		}
		seen[g.DeploymentName()] = g.Name
		return taken
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
