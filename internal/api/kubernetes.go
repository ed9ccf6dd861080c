package api

import (
	"cmp"
	"context"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// oldestMinor is the oldest Kubernetes 1.N that can be made (Cluster API 1.14: the bootstrap provider for kubeadm
// refuses what is older than v1.22.0).
const oldestMinor = 22

var kubeTag = regexp.MustCompile(`^v(\d{1,5})\.(\d{1,5})\.(\d{1,5})(-[0-9A-Za-z.-]+)?$`)

func parseTag(tag string) (v [3]int, ok bool) {
	m := kubeTag.FindStringSubmatch(tag)
	if m == nil {
		return v, false
	}
	for i := range v {
		v[i], _ = strconv.Atoi(m[i+1]) // five digits at most
	}
	return v, true
}

// checkAge refuses a version that nobody can make any more. It is asked of new clusters and templates; a cluster that
// was adopted keeps what it has.
func checkAge(labels map[string]string) error {
	tag := labels[label.KubeTag]
	if v, ok := parseTag(tag); ok && (v[0] < 1 || v[0] == 1 && v[1] < oldestMinor) {
		return magnum.Invalid("Label kube_tag is %s. Cluster API makes clusters of Kubernetes v1.%d.0 and later.", tag, oldestMinor)
	}
	return nil
}

// imageTag is the version of Kubernetes that an image says it holds, as a kube_tag; "" when it says none that can be
// read. Image builders write the property kube_version with and without the v.
func imageTag(image openstack.Image) string {
	tag := "v" + strings.TrimPrefix(strings.TrimSpace(image.Properties["kube_version"]), "v")
	if _, ok := parseTag(tag); !ok {
		return ""
	}
	return tag
}

// checkImageTag refuses an image that holds another version than the one asked for: its nodes would never join.
func checkImageTag(image openstack.Image, name, tag string) error {
	if holds := imageTag(image); tag != "" && holds != "" && holds != tag {
		return magnum.Invalid("Image %s holds Kubernetes %s (its property kube_version), but label kube_tag is %s. "+
			"Choose an image of %s, or leave kube_tag out to take the image's.", name, holds, tag, tag)
	}
	return nil
}

// tagFromImage gives labels the image's version of Kubernetes when they name none. labels are changed.
func (s *server) tagFromImage(ctx context.Context, c *call, labels map[string]string, imageID string) error {
	if labels[label.KubeTag] != "" {
		return nil
	}
	image, err := s.CloudFor(c.token, c.identity).Image(ctx, imageID)
	if err != nil {
		return missing(err, "image", imageID, http.StatusBadRequest)
	}
	if tag := imageTag(image); tag != "" {
		labels[label.KubeTag] = tag
	}
	return nil
}

// kubernetesOf is the version that a cluster was asked to have; of one that was adopted without the label, the version
// that it runs.
func kubernetesOf(k *magnum.Cluster) string { return cmp.Or(k.Labels[label.KubeTag], k.COEVersion) }

// checkSkew refuses what Kubernetes cannot do: going back, and leaving a minor version out (kubeadm's version skew
// policy). Magnum does not check; Cluster API would refuse some of it later, where no client sees it.
func checkSkew(from, to string) error {
	if to == "" {
		return magnum.Invalid("The cluster template for the upgrade has no label %s. Give it one, for example v1.34.1.", label.KubeTag)
	}
	now, okNow := parseTag(from)
	then, ok := parseTag(to)
	switch {
	case !ok:
		return magnum.Invalid("The label %s of the cluster template is %q, which is not of the form vX.Y.Z.", label.KubeTag, magnum.Shorten(to, 64))
	case !okNow: // nothing is known of it yet
		return nil
	case then[0] < now[0], then[0] == now[0] && (then[1] < now[1] || then[1] == now[1] && then[2] < now[2]):
		return magnum.Invalid("Kubernetes cannot be downgraded from %s to %s.", from, to)
	case then[0] > now[0], then[1] > now[1]+1:
		return magnum.Invalid("Kubernetes cannot skip minor versions. From %s the next is v%d.%d.", from, now[0], now[1]+1)
	}
	return nil
}

func looksLikeID(s string) bool {
	_, err := uuid.Parse(s)
	return err == nil
}
