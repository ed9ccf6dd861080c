package manifests

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
	labels "github.com/jeroboam-cloud/jeroboam/internal/label"
)

// everything is a cluster that has every addon that its network driver lets it have.
func everything(driver string, more map[string]string) addon.Cluster {
	all := map[string]string{labels.KubeTag: "v1.36.4", "cilium_hubble_ui_enabled": "true", labels.AutoScalingEnabled: "true"}
	maps.Copy(all, more)
	return addon.Cluster{
		UUID: "0b5b0e4c-6d5a-4a3b-9d53-3f5a4f9f1a00", Stack: "kube-abcde", ProjectID: "p", Labels: labels.Of(all),
		NetworkDriver: driver, Kubernetes: all[labels.KubeTag], Masters: 3, APIHost: "192.0.2.1", APIPort: 6443,
		Home: addon.Home{RunsPods: true, Namespace: "magnum-system", KubeconfigSecret: "kube-abcde-kubeconfig", KubeconfigDigest: "d"},
		Cloud: addon.Cloud{
			AuthURL: "https://keystone.example.com/v3", Region: "RegionOne", ID: "id", Secret: "secret", CA: []byte("PEM"),
			LoadBalancers: true, Volumes: true, VolumeTypes: []addon.VolumeType{{Name: "ssd"}}, Shares: true, ShareTypes: []string{"default", "Gold (fast)"},
		},
	}
}

// theCatalogue is the one of bundle.lock.yaml, with the charts as their modules have them.
func theCatalogue(t *testing.T) *addon.Catalogue {
	t.Helper()
	files, err := Addons()
	if err != nil {
		t.Fatal(err)
	}
	c, err := addon.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// variants are labels that decide which images there are, one set after the other: each Kubernetes that the catalogue
// serves, each entry that a label names, with and without each part that a label switches.
func variants(c *addon.Catalogue) []map[string]string {
	byTag := map[string]string{addon.Cilium: "cilium_tag", addon.Calico: labels.CalicoTag, addon.CloudManager: "cloud_provider_tag"}
	var out []map[string]string
	for _, kubernetes := range []string{"v1.33.0", "v1.34.2", "v1.35.4", "v1.36.4", "v1.37.0"} {
		out = append(out, map[string]string{labels.KubeTag: kubernetes})
		for _, e := range c.Entries() {
			serves, err := semver.NewConstraint(e.Kubernetes)
			if tag := byTag[e.Name]; tag != "" && err == nil && serves.Check(semver.MustParse(kubernetes)) {
				out = append(out, map[string]string{labels.KubeTag: kubernetes, tag: e.Version})
			}
		}
	}
	return append(out, []map[string]string{
		{"cilium_hubble_ui_enabled": "false"},
		{"manila_csi_share_network_id": "7f3c9d9e-4b1c-4a43-9d6a-222222222222"},
		{"cinder_csi_plugin_tag": "v9.9.9", "manila_csi_plugin_tag": "v9.9.9", "csi_attacher_tag": "v9.9.9", "csi_liveness_probe_tag": "v9.9.9"},
		{"octavia_provider": "ovn", "octavia_lb_healthcheck": "false"},
		{"cinder_csi_enabled": "false"},
		{"manila_csi_enabled": "false"},
		{labels.KeystoneAuthEnabled: "false"},
	}...)
}

// Nothing that a real chart makes names an image where a cluster behind a mirror cannot reach: not in containers,
// arguments, environments, ConfigMaps, annotations or custom resources; whatever labels ask for, with every entry of
// the catalogue.
func TestNoImageOfAnyChartEscapesTheMirror(t *testing.T) {
	c := theCatalogue(t)
	reached := map[string]bool{}
	for _, mirror := range []string{"mirror.example.com", "mirror.example.com:5000/magnum", "10.0.0.1:5443/a/long/path"} {
		for _, driver := range []string{addon.Calico, addon.Cilium} {
			seen := map[string]bool{}
			for _, asked := range variants(c) {
				asked[labels.ContainerInfraPrefix] = mirror
				for _, r := range c.Releases(everything(driver, asked)) {
					if r.Problem != "" {
						if !strings.Contains(r.Problem, "the addon catalogue has no") {
							t.Errorf("%s with %s and %v: %s", r.Name, driver, asked, r.Problem)
						}
						continue
					}
					reached[r.Name+" "+r.Version] = true
					if !r.Home { // the operator's pods, in the operator's cluster
						behind(t, mirror, r, seen)
					}
				}
			}
			if len(seen) < 10 {
				t.Errorf("with %s there are the images %q: the test shows nothing", driver, slices.Sorted(maps.Keys(seen)))
			}
		}
	}
	for _, e := range c.Entries() {
		if !reached[e.Name+" "+e.Version] {
			t.Errorf("no cluster gets %s %s (%s): either this test misses it, or nobody needs it in the catalogue", e.Name, e.Version, e.Kubernetes)
		}
	}
}

// anyImage is less exact than what the product looks for on purpose: any host with a dot, a path and a tag or digest,
// and the public registries.
var anyImage = regexp.MustCompile( //nolint:gochecknoglobals // compiled once
	`(?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?/[\w./-]+(?::v?\d[\w.-]*|@sha256:[0-9a-f]+)|` +
		`(?:registry\.k8s\.io|quay\.io|docker\.io|gcr\.io|ghcr\.io)/[\w./-]+`)

func behind(t *testing.T, mirror string, r addon.Release, seen map[string]bool) {
	t.Helper()
	for _, u := range r.Objects {
		walk(u, func(text string) {
			for _, image := range anyImage.FindAllString(text, -1) {
				if !strings.HasPrefix(image, mirror+"/") && !strings.Contains(image, "k8s.io/docs") {
					t.Errorf("%s %s: %s %s names %s, behind %s", r.Name, r.Version, u.GetKind(), u.GetName(), image, mirror)
				}
			}
		})
	}
	for _, image := range addon.Images(r.Objects) {
		seen[image] = true
		if !strings.HasPrefix(image, mirror+"/") {
			t.Errorf("%s %s uses %s, behind %s", r.Name, r.Version, image, mirror)
		}
	}
}

// walk calls f with every string of an object. Definitions of kinds are left out: they have descriptions.
func walk(u *unstructured.Unstructured, f func(string)) {
	if u.GetKind() == "CustomResourceDefinition" {
		return
	}
	var each func(v any)
	each = func(v any) {
		switch v := v.(type) {
		case string:
			f(v)
		case map[string]any:
			for _, value := range v {
				each(value)
			}
		case []any:
			for _, value := range v {
				each(value)
			}
		}
	}
	each(u.Object)
}

// TestTheAutoscalersOfTheCatalogue: each minor of Kubernetes has the autoscaler of that minor, which scales that
// cluster alone and is another pod when its kubeconfig is another one.
func TestTheAutoscalersOfTheCatalogue(t *testing.T) {
	c := theCatalogue(t)
	for kubernetes, want := range map[string]string{"v1.33.4": "v1.33.5", "v1.34.2": "v1.34.4", "v1.35.1": "v1.35.1", "v1.36.4": "v1.36.0", "v1.37.0": "v1.36.0"} {
		in := everything(addon.Cilium, map[string]string{labels.KubeTag: kubernetes})
		in.Kubernetes = kubernetes
		i := slices.IndexFunc(c.Releases(in), func(r addon.Release) bool { return r.Name == addon.Autoscaler })
		r := c.Releases(in)[i]
		if images := addon.Images(r.Objects); r.Version != want || len(images) != 1 || !strings.HasSuffix(images[0], ":"+want) {
			t.Errorf("Kubernetes %s has the autoscaler %s, %v, want %s (%s%s)", kubernetes, r.Version, images, want, r.Skipped, r.Problem)
			continue
		}
		d := r.Objects[slices.IndexFunc(r.Objects, func(u *unstructured.Unstructured) bool { return u.GetKind() == "Deployment" })]
		var said []string
		walk(d, func(text string) { said = append(said, text) })
		for _, text := range []string{
			"--node-group-auto-discovery=clusterapi:namespace=magnum-system,clusterName=kube-abcde", "--namespace=kube-system", "kube-abcde-autoscaler",
			"kube-abcde-kubeconfig",
		} {
			if !slices.Contains(said, text) {
				t.Errorf("the Deployment says nowhere %q", text)
			}
		}
		digest, _, _ := unstructured.NestedString(d.Object, "spec", "template", "metadata", "annotations", "magnum.jeroboam.cloud/kubeconfig")
		if digest != "d" {
			t.Errorf("its pods do not change with the kubeconfig: %q", digest)
		}
	}
}
