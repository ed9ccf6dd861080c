package deploy

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// Decide gives the configuration with the bundle's versions: a deployment installs what the bundle has. Notes say where
// the configuration asks for something older, which is what operators have from the time of another bundle. What is
// newer than the bundle cannot be given and is refused; strict refuses every difference.
func Decide(b site.Bundle, in intent.Intent, strict bool) (intent.Intent, []string, error) {
	var errs []error
	var notes []string
	for _, v := range []struct {
		name, variable, path string
		asked                string
		give                 []*string
	}{
		{"kubernetes", "kubernetes_version", "versions.kubernetes", in.Versions.Kubernetes, []*string{&in.Versions.Kubernetes}},
		{
			"cluster-api", "cluster_api_version", "versions.clusterAPI", in.Versions.ClusterAPI,
			[]*string{&in.Versions.ClusterAPI, &in.ClusterAPI.CoreVersion, &in.ClusterAPI.BootstrapVersion, &in.ClusterAPI.ControlPlaneVersion},
		},
		{
			"cluster-api-openstack", "cluster_api_infrastructure_version", "versions.clusterAPIProviderOpenStack", in.Versions.ClusterAPIProviderOpenStack,
			[]*string{&in.Versions.ClusterAPIProviderOpenStack, &in.ClusterAPI.InfrastructureVersion},
		},
	} {
		have, pos := b.Versions[v.name], in.Origin(v.path).Pos
		switch {
		case have == v.asked:
		case have == "" || strict || version.Older(have, v.asked):
			errs = append(errs, fmt.Errorf("the configuration asks for %s %s (%s), the bundle has %s: set %s, or build a bundle with that version", v.name, v.asked, v.variable, cmp.Or(have, "none"), v.variable))
		default:
			where := ""
			if pos.File != "" {
				where = pos.String() + ": "
			}
			notes = append(notes, fmt.Sprintf("%snote: %s is %s, and the bundle's %s %s is what will be installed: set %s to it [bundle-newer]", where, v.variable, v.asked, v.name, have, v.variable))
		}
		if have != "" {
			for _, to := range v.give {
				*to = have
			}
		}
	}
	return in, notes, errors.Join(append(errs, components.Fits(in, b)...)...)
}
