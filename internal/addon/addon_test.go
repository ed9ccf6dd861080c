package addon_test

import (
	"encoding/base64"
	"fmt"
	"maps"
	"strings"
	"testing"
	"testing/fstest"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

var update = golden.Flag()

// Every object that a cluster gets, with all values that charts are given.
func TestReleases(t *testing.T) {
	c, err := catalogue(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, labels := range map[string]map[string]string{
		"plain": nil,
		"labels": {
			"container_infra_prefix": "mirror.example.com:5000/magnum", "cilium_tag": "v1.0.0", "cilium_ipv4pool": "10.8.0.0/16",
			"octavia_provider": "ovn", "cinder_csi_enabled": "false", "octavia_lb_healthcheck": "false", "addons_excluded": "calico,metrics-server",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			for _, r := range c.Releases(cluster(labels)) {
				_, _ = fmt.Fprintf(&out, "# %s %s skipped=%q problem=%q\n", r.Name, r.Version, r.Skipped, r.Problem)
				_, _ = out.WriteString(text(t, r))
			}
			golden.Compare(t, *update, name+".yaml", out.String())
		})
	}
}

func TestCloudConf(t *testing.T) {
	c, err := catalogue(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	secret := release(t, c.Releases(cluster(map[string]string{"octavia_provider": "ovn"})), addon.CloudConfig).Objects[0]
	data, _, _ := unstructured.NestedStringMap(secret.Object, "data")
	text, err := base64.StdEncoding.DecodeString(data["cloud.conf"])
	if err != nil {
		t.Fatal(err)
	}
	golden.Compare(t, *update, "cloud.conf", string(text))
	if fmt.Sprintf("%v %+v %#v", cluster(nil).Cloud, cluster(nil).Cloud, cluster(nil).Cloud) == "" || strings.Contains(fmt.Sprintf("%#v", cluster(nil).Cloud), `se"cr`) {
		t.Error("a cloud shows its secret")
	}
}

func TestWhichEntry(t *testing.T) {
	c, err := catalogue(t, func(l *addon.List, _ fstest.MapFS) { l.Addons[1].Kubernetes = ">=1.37.0-0" }) // cilium v1.1.0
	if err != nil {
		t.Fatal(err)
	}
	for name, is := range map[string]struct {
		reason           string
		labels           map[string]string
		version, problem string
	}{
		"newest that serves":   {reason: "v1.1.0 is for a newer Kubernetes", version: "v1.0.0"},
		"newer cluster":        {reason: "now it serves", labels: map[string]string{label.KubeTag: "v1.37.0"}, version: "v1.1.0"},
		"asked for":            {reason: "a label decides", labels: map[string]string{label.KubeTag: "v1.37.0", "cilium_tag": "v1.0.0"}, version: "v1.0.0"},
		"asked for and absent": {reason: "nothing else is installed in its place", labels: map[string]string{"cilium_tag": "v9.9.9"}, problem: "no cilium v9.9.9 for Kubernetes v1.36.4, it has v1.0.0, v1.1.0"},
		"does not serve":       {reason: "a label does not make it fit", labels: map[string]string{"cilium_tag": "v1.1.0"}, problem: "no cilium v1.1.0 for Kubernetes v1.36.4"},
		"too old":              {reason: "nothing serves it", labels: map[string]string{label.KubeTag: "v1.20.0"}, problem: "no cilium for Kubernetes v1.20.0"},
	} {
		t.Run(name, func(t *testing.T) {
			got := release(t, c.Releases(cluster(is.labels)), addon.Cilium)
			if is.problem == "" && (got.Version != is.version || got.Problem != "") || is.problem != "" && !strings.Contains(got.Problem, is.problem) {
				t.Errorf("version %q, problem %q, want %q, %q: %s", got.Version, got.Problem, is.version, is.problem, is.reason)
			}
			labels := map[string]string{label.KubeTag: "v1.36.4"}
			maps.Copy(labels, is.labels)
			if err := c.Missing(addon.Cilium, labels, ""); (err == nil) != (is.problem == "") || err != nil && !strings.Contains(err.Error(), is.problem) {
				t.Errorf("before it is made: %v, want %q: %s", err, is.problem, is.reason)
			}
		})
	}
}

func TestCatalogueIsChecked(t *testing.T) {
	_, err := catalogue(t, func(l *addon.List, files fstest.MapFS) {
		l.Addons[0].Digest = "sha256:00"
		l.Addons[1].Name = "flannel"
		l.Addons[1].Kubernetes = "latest"
		l.Addons[2].File = "../etc/passwd"
		l.Addons[3].Version = "1.0"
		l.Addons[4].File = "absent.tgz"
		files["broken.tgz"] = &fstest.MapFile{Data: []byte("no archive")}
		l.Addons[5].File, l.Addons[5].Digest = "broken.tgz", digest([]byte("no archive"))
	})
	if err == nil {
		t.Fatal("it was taken")
	}
	for _, want := range []string{
		"and not sha256:00: take the catalogue again", "flannel v1.1.0: there is no such addon", `"latest" is no constraint`,
		`"../etc/passwd" is no file beside`, "version must be written v1.2.3", "absent.tgz", "broken.tgz",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not among the problems:\n%v", want, err)
		}
	}
}

// Nothing may come from where a cluster behind a mirror cannot reach.
func TestNoImageEscapesTheMirror(t *testing.T) {
	c, err := catalogue(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	const mirror = "mirror.example.com:5000/magnum"
	for _, r := range c.Releases(cluster(map[string]string{"container_infra_prefix": mirror})) {
		for _, image := range addon.Images(r.Objects) {
			if !strings.HasPrefix(image, mirror+"/") {
				t.Errorf("%s uses %s", r.Name, image)
			}
		}
	}
	c, err = catalogue(t, func(l *addon.List, _ fstest.MapFS) { l.Addons[1].Images = []string{"quay.io/cilium/other:v1.1.0"} })
	if err != nil {
		t.Fatal(err)
	}
	got := release(t, c.Releases(cluster(nil)), addon.Cilium)
	if !strings.Contains(got.Problem, "does not name the image quay.io/cilium/cilium:v1.1.0") || got.Objects != nil {
		t.Errorf("problem %q", got.Problem)
	}
}

func TestStorageClassesHaveLegalNames(t *testing.T) {
	c, err := catalogue(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	standard := 0
	for _, u := range release(t, c.Releases(cluster(nil)), addon.CinderCSI).Objects {
		if u.GetKind() != "StorageClass" {
			continue
		}
		names[u.GetName()] = true
		if u.GetAnnotations()["storageclass.kubernetes.io/is-default-class"] == "true" {
			standard++
		}
	}
	if len(names) != 4 || !names["block-ssd"] || standard != 1 {
		t.Errorf("names %v, %d of them default", names, standard)
	}
}

func TestAvailable(t *testing.T) {
	for name, is := range map[string]struct {
		reason, kind string
		object       map[string]any
		why          string // "" is available
	}{
		"a config map":   {reason: "it is there", kind: "ConfigMap"},
		"no node":        {reason: "a cluster without a node is not usable", kind: "DaemonSet", object: status("desiredNumberScheduled", 0), why: "no node to run on"},
		"everywhere":     {reason: "it runs on each", kind: "DaemonSet", object: status("desiredNumberScheduled", 2, "updatedNumberScheduled", 2, "numberAvailable", 2)},
		"on one of two":  {reason: "pods on the other cannot start", kind: "DaemonSet", object: status("desiredNumberScheduled", 2, "updatedNumberScheduled", 2, "numberAvailable", 1), why: "1 of 2 pods are available"},
		"the old form":   {reason: "an upgrade goes on", kind: "DaemonSet", object: status("desiredNumberScheduled", 2, "updatedNumberScheduled", 1, "numberAvailable", 2), why: "1 of 2 pods are up to date"},
		"one by default": {reason: "Kubernetes' default", kind: "Deployment", object: status("updatedReplicas", 1), why: "0 of 1 pods are available"},
		"just changed":   {reason: "the status speaks of what was before", kind: "Deployment", object: map[string]any{"metadata": map[string]any{"generation": int64(2)}}, why: "has just been changed"},
		"scaled to none": {reason: "as asked", kind: "StatefulSet", object: map[string]any{"spec": map[string]any{"replicas": int64(0)}}},
	} {
		t.Run(name, func(t *testing.T) {
			u := &unstructured.Unstructured{Object: map[string]any{}}
			if is.object != nil {
				u.Object = is.object
			}
			u.SetKind(is.kind)
			ok, why := addon.Available(u)
			if ok != (is.why == "") || !strings.Contains(why, is.why) {
				t.Errorf("%t %q, want %q: %s", ok, why, is.why, is.reason)
			}
		})
	}
}

func status(pairs ...any) map[string]any {
	out := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i].(string)] = int64(pairs[i+1].(int)) //nolint:forcetypeassert // written above
	}
	return map[string]any{"status": out}
}
