package addon_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"go.yaml.in/yaml/v3"
	k8syaml "sigs.k8s.io/yaml"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

// chart packs a Helm chart.
func chart(t *testing.T, name string, files map[string]string) []byte {
	t.Helper()
	all := maps.Clone(files)
	all["Chart.yaml"] = "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\nappVersion: v1.0.0\n"
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for _, file := range slices.Sorted(maps.Keys(all)) {
		text := all[file]
		if err := archive.WriteHeader(&tar.Header{Name: name + "/" + file, Mode: 0o644, Size: int64(len(text))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := zip.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

const workloadTemplate = `apiVersion: apps/v1
kind: DaemonSet
metadata:
  name: {{ .Chart.Name }}
  annotations:
spec:
  selector: {matchLabels: {app: {{ .Chart.Name }}}}
  template:
    metadata: {labels: {app: {{ .Chart.Name }}}}
    spec:
      initContainers: [{name: first, image: "{{ .Values.image }}:{{ .Values.tag }}"}]
      containers:
      - name: main
        image: "{{ .Values.image }}:{{ .Values.tag }}"
        args: [{{ toJson .Values }}, {{ .Capabilities.KubeVersion.Version }}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: hook, annotations: {"helm.sh/hook": pre-install}}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Release.Name }}}
`

// catalogue makes a catalogue with a chart for each addon that clusters get.
func catalogue(t *testing.T, change func(*addon.List, fstest.MapFS)) (*addon.Catalogue, error) {
	t.Helper()
	files := fstest.MapFS{}
	list := addon.List{Version: 1}
	for name, image := range map[string]string{
		addon.Cilium: "quay.io/cilium/cilium", addon.CloudManager: "registry.k8s.io/provider-os/openstack-cloud-controller-manager",
		addon.CinderCSI: "registry.k8s.io/provider-os/cinder-csi-plugin", addon.Metrics: "registry.k8s.io/metrics-server/metrics-server",
	} {
		if name == addon.Metrics {
			continue
		}
		for _, version := range []string{"v1.0.0", "v1.1.0"} {
			file := name + "-" + version + ".tgz"
			text := chart(t, name, map[string]string{
				"templates/all.yaml": workloadTemplate, "values.yaml": "image: " + image + "\ntag: " + version + "\nchartOnly: true\n",
			})
			files[file] = &fstest.MapFile{Data: text}
			list.Addons = append(list.Addons, addon.Entry{
				Name: name, Version: version, Kubernetes: ">=1.34.0-0 <1.38.0-0", File: file, Digest: digest(text),
				Values: map[string]any{"fromCatalogue": true}, Images: []string{image + ":" + version},
			})
		}
	}
	slices.SortFunc(list.Addons, func(a, b addon.Entry) int { return bytes.Compare([]byte(a.File), []byte(b.File)) })
	if change != nil {
		change(&list, files)
	}
	text, err := yaml.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	files[addon.CatalogueFile] = &fstest.MapFile{Data: text}
	return addon.Load(files)
}

func digest(text []byte) string {
	sum := sha256.Sum256(text)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// cluster is one with everything; labels are further ones.
func cluster(labels map[string]string) addon.Cluster {
	all := map[string]string{label.KubeTag: "v1.36.4"}
	maps.Copy(all, labels)
	return addon.Cluster{
		UUID: "0b5b0e4c-6d5a-4a3b-9d53-3f5a4f9f1a00", Stack: "kube-abcde", ProjectID: "p", Labels: label.Of(all),
		NetworkDriver: addon.Cilium, Kubernetes: all[label.KubeTag], Masters: 1, APIHost: "192.0.2.1", APIPort: 6443,
		Cloud: addon.Cloud{
			AuthURL: "https://keystone.example.com/v3", Region: "RegionOne", ID: "id", Secret: `se"cr\et`, CA: []byte("PEM"),
			ExternalNetworkID: "7f3c9d9e-4b1c-4a43-9d6a-333333333333", LoadBalancers: true, Volumes: true,
			VolumeTypes: []addon.VolumeType{{Name: "__DEFAULT__", Default: true}, {Name: "SSD (gold)"}, {Name: "ssd"}, {Name: "SSD/gold"}},
		},
	}
}

func release(t *testing.T, releases []addon.Release, name string) addon.Release {
	t.Helper()
	for _, r := range releases {
		if r.Name == name {
			return r
		}
	}
	t.Fatalf("there is no release %s", name)
	return addon.Release{}
}

// text is a release's objects as YAML.
func text(t *testing.T, r addon.Release) string {
	t.Helper()
	var out strings.Builder
	for _, u := range r.Objects {
		y, err := k8syaml.Marshal(u.Object)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(&out, "---\n%s", y)
	}
	return out.String()
}
