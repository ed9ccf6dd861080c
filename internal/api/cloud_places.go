package api

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// placeNames are labels whose values name something in the cloud, and where to look it up. A name that the cloud does
// not have would end as a machine that never comes.
type placeNames struct {
	labels []string // that are given
	what   string   // "availability zone of Nova"
	lacks  string   // what a cloud has not that has no such list; empty: that refuses nobody
	list   func(ctx context.Context) ([]string, error)
}

// places are the questions that labels raise; none for labels that are not given, or are those of a node group's
// cluster: what that was made of may be gone by now.
func places(cloud Cloud, labels map[string]string, scope label.Scope) []placeNames {
	v := label.Of(labels)
	given := func(names ...string) []string {
		return slices.DeleteFunc(names, func(n string) bool {
			l, _ := label.Lookup(n)
			return !v.Has(n) || !l.In(scope)
		})
	}
	cinder := given(label.BootVolumeZone)
	volumes := v.Int(label.BootVolumeSize) > 0 && !v.Has(label.BootVolumeZone) || v.Int(label.EtcdVolumeSize) > 0 && scope != label.NodeGroup
	if volumes {
		cinder = append(cinder, given(label.AvailabilityZone)...)
	}
	all := []placeNames{
		{given(label.BootVolumeType, label.EtcdVolumeType, label.DockerVolumeType), "volume type", "block storage", cloud.VolumeTypes},
		{given(label.AvailabilityZone, label.ControlPlaneZones), "availability zone of Nova", "", cloud.Zones},
		{cinder, "availability zone of Cinder", "block storage", cloud.VolumeZones},
		// Cluster API's provider 0.13 takes Octavia's default where it does not find a provider or flavor, and tells nobody.
		{given(label.OctaviaProvider), "provider of Octavia", "", cloud.LoadBalancerProviders},
		{given(label.APIServerLBFlavor), "flavor of Octavia, by name", "", cloud.LoadBalancerFlavors},
		{given(label.APIServerLBZone), "availability zone of Octavia", "", cloud.LoadBalancerZones},
		{given(label.ExtraNetworks), "network with a subnet that you may use", "", cloud.NetworkIDs},
		{given(label.ExtraSecurityGroups), "security group that you may use", "", cloud.SecurityGroupIDs},
	}
	return slices.DeleteFunc(all, func(p placeNames) bool { return len(p.labels) == 0 })
}

// check looks the names up. Whoever may not list them is not refused: the cloud will say what it thinks of the name.
func (p placeNames) check(ctx context.Context, labels map[string]string) error {
	there, err := p.list(ctx)
	switch {
	case errors.Is(err, openstack.ErrForbidden), errors.Is(err, openstack.ErrNotFound) && p.lacks == "":
		return nil
	case errors.Is(err, openstack.ErrNotFound):
		return magnum.Invalid("This cloud has no %s, so label %s has nothing to name.", p.lacks, strings.Join(p.labels, " and label "))
	case err != nil:
		return fmt.Errorf("list each %s: %w", p.what, err)
	}
	var problems []string
	for _, name := range p.labels {
		l, _ := label.Lookup(name)
		values := []string{label.Of(labels).String(name)}
		if l.List {
			values = label.Of(labels).CSV(name)
		}
		for _, v := range values {
			if !slices.Contains(there, v) {
				problem := fmt.Sprintf("Label %s is %q, which is no %s.", name, magnum.Shorten(v, 100), p.what)
				if l.Type != label.UUID {
					problem += " There are: " + some(there) + "."
				}
				problems = append(problems, problem)
			}
		}
	}
	if len(problems) > 0 {
		return magnum.Invalid("%s", sentences(problems))
	}
	return nil
}

// some is a list for a sentence, as long as it is short.
func some(names []string) string {
	const most = 20
	names = slices.DeleteFunc(slices.Clone(names), looksLikeID)
	slices.Sort(names)
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
