package components

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

// Running is a version of a component that runs in the cluster, and the one it is to have. Neither has a v before it.
type Running struct {
	Component  string
	Have, Want string
}

const versionLabel = "app.kubernetes.io/version"

// runningOf compares a workload of a component with the one that is there: by the tags of its containers' images, which
// everybody who installs these components has left as the projects name them, and by the label that charts put there.
func runningOf(o Object, have *unstructured.Unstructured) []Running {
	is, wanted := podTemplate(have), podTemplate(o.U)
	var out []Running
	add := func(have, want string) {
		r := Running{Component: o.Component, Have: version.Trim(have), Want: version.Trim(want)}
		if Versioned(have) && Versioned(want) && !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	add(is.Labels[versionLabel], wanted.Labels[versionLabel])
	for _, c := range wanted.Spec.Containers {
		for _, other := range is.Spec.Containers {
			if other.Name == c.Name {
				add(tagOf(other.Image), tagOf(c.Image))
			}
		}
	}
	return out
}

// podTemplate is a workload's, empty for everything else.
func podTemplate(u *unstructured.Unstructured) corev1.PodTemplateSpec {
	var t corev1.PodTemplateSpec
	text, ok, err := unstructured.NestedMap(u.Object, "spec", "template")
	if !ok || err != nil {
		return t
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(text, &t); err != nil {
		return corev1.PodTemplateSpec{} // applying it says what is wrong with it
	}
	return t
}

// tagOf is an image's tag, "" if it has only a digest.
func tagOf(image string) string {
	bare, _, _ := strings.Cut(image, "@")
	_, tag, _ := strings.Cut(bare[strings.LastIndexByte(bare, '/')+1:], ":")
	return tag
}

// Versioned says whether a tag is a version.
func Versioned(tag string) bool {
	v := version.Trim(tag)
	return v != "" && v[0] >= '0' && v[0] <= '9' && strings.Contains(v, ".")
}

// minorsAtOnce is how many minor versions of a component may be gone at once. Cluster API's book ("Skip upgrades") has
// three; cert-manager's and Cilium's upgrade guides have one, and so has everything that says nothing of it.
func minorsAtOnce(component string) int {
	if component == "cluster-api" || strings.HasPrefix(component, "kubeadm-") {
		return 3
	}
	return 1
}

// Back judges versions: what a component has stored in its own newer form the older one cannot read, and conversions
// are tested between neighbouring releases.
func Back(running []Running) plan.Judge {
	return func(plan.Plan) []plan.Finding {
		var out []plan.Finding
		say := func(format string, args ...any) {
			f := plan.Finding{Judge: "downgrade", Where: site.Cluster, Blocks: true, Text: fmt.Sprintf(format, args...)}
			if !slices.Contains(out, f) {
				out = append(out, f)
			}
		}
		for _, r := range running {
			limit := minorsAtOnce(r.Component)
			switch {
			case version.Older(r.Want, r.Have):
				say("%s %s -> %s is a downgrade: use a bundle that has %s or newer", r.Component, r.Have, r.Want, r.Have)
			case version.Numbers(r.Want)[0] == version.Numbers(r.Have)[0] && version.Minor(r.Want) > version.Minor(r.Have)+limit:
				say("%s %s -> %s skips minor versions: go through %d.%d first", r.Component, r.Have, r.Want, version.Numbers(r.Have)[0], version.Minor(r.Have)+limit)
			}
		}
		return out
	}
}
