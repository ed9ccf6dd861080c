package api

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// What is accepted will act. The rules are those of package magnum for attributes and of package label for labels; here
// it is decided who is held to them. A request is held to what it brings: what a stored template or a cluster has
// already keeps nobody from making a cluster, a node group or another change of it.

// checkEffect refuses a template, new (was is nil) or patched, that asks for what no cluster made of it can have.
func (s *server) checkEffect(was, t *magnum.ClusterTemplate) error {
	var before []string
	if was != nil {
		before = s.withoutEffect(was)
	}
	return newProblems(before, s.withoutEffect(t))
}

func (s *server) withoutEffect(t *magnum.ClusterTemplate) []string {
	in := label.Setting{NetworkDriver: t.NetworkDriver, ExistingNetwork: t.FixedNetwork+t.FixedSubnet != ""}
	return slices.Concat(t.WithoutEffect(label.Of(t.Labels).Bool(label.CinderCSIEnabled)), told(label.Idle(label.Template, in, t.Labels, nil)),
		told(label.CheckNetworks(label.Template, in, t.Labels)), s.excludedInVain(t.Labels, nil))
}

// checkEffect refuses what a cluster asks for besides its template and cannot have.
func (k *creation) checkEffect() error {
	var problems []string
	c := &k.cluster
	if c.DiscoveryURL != "" {
		problems = append(problems, "A discovery_url is not supported, because nodes find each other through the API server. Leave it out.")
	}
	in := k.setting(c)
	return newProblems(nil, slices.Concat(problems, told(label.Idle(label.Cluster, in, c.Labels, k.template.Labels)),
		told(label.CheckNetworks(label.Cluster, in, c.Labels)), k.excludedInVain(c.Labels, k.template.Labels)))
}

// checkGroupEffect refuses labels of a new node group that have no effect there, but copies of its cluster's.
func (s *server) checkGroupEffect(k *magnum.Cluster, ng *magnum.NodeGroup) error {
	in := s.setting(k)
	in.BootVolume, in.ContainerVolume = s.bootsFromVolume(ng.Labels), ng.DockerVolumeSize > 0
	return newProblems(nil, told(label.Idle(label.NodeGroup, in, ng.Labels, k.Labels)))
}

// setting is what a cluster's labels meet.
func (s *server) setting(k *magnum.Cluster) label.Setting {
	return label.Setting{
		NetworkDriver: k.Template.NetworkDriver, Balanced: k.MasterLBEnabled, ExistingNetwork: k.ExistingNetwork(),
		BootVolume: s.bootsFromVolume(k.Labels), ContainerVolume: k.DockerVolumeSize > 0,
	}
}

// excludedInVain reports names that are those of no addon, but the ones among had.
func (s *server) excludedInVain(labels, had map[string]string) []string {
	if s.AddonNames == nil {
		return nil
	}
	var out []string
	before := label.Of(had).CSV(label.AddonsExcluded)
	for _, name := range label.Of(labels).CSV(label.AddonsExcluded) {
		if !slices.Contains(s.AddonNames, name) && !slices.Contains(before, name) {
			out = append(out, "Label "+label.AddonsExcluded+" names "+name+", which is no addon. There are: "+strings.Join(s.AddonNames, ", ")+".")
		}
	}
	return out
}

// allAtOnce tells everything that is wrong with a request in one refusal, each problem once. The first one decides the
// status: it is what Magnum would have met first, and told alone (A7). What is no refusal, a cloud that does not answer
// for example, is told alone where it comes first, and does not hide a refusal that came before it.
func allAtOnce(problems ...error) error {
	var texts []string
	status := 0
	for _, err := range problems {
		var refusal *magnum.Error
		is := errors.As(err, &refusal) && refusal.Status < http.StatusInternalServerError
		switch {
		case err == nil:
		case !is && status == 0:
			return err
		case is && !slices.Contains(texts, refusal.Detail):
			texts, status = append(texts, refusal.Detail), cmp.Or(status, refusal.Status)
		}
	}
	switch len(texts) {
	case 0:
		return nil
	case 1:
		return magnum.Refuse(status, "%s", texts[0])
	}
	return magnum.Refuse(status, "%s", magnum.Shorten(sentences(texts), mostDetail))
}

// mostDetail is how long a refusal may be.
const mostDetail = 4000

// newProblems refuses what was not there before.
func newProblems(before, problems []string) error {
	problems = slices.DeleteFunc(problems, func(p string) bool { return slices.Contains(before, p) })
	if len(problems) == 0 {
		return nil
	}
	return magnum.Invalid("%s", magnum.Shorten(strings.Join(problems, " "), mostDetail))
}
