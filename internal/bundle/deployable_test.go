package bundle_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// What a deployment is given of a bundle: programs by where they go on a node, images with all blobs they need, older
// releases apart from the bundle's own, and nothing that is for somebody else.
func TestDeployable(t *testing.T) {
	dir := t.TempDir()
	put := func(path, text string) string {
		t.Helper()
		file := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return digestOf(text)
	}
	blob := func(text string) string {
		digest := digestOf(text)
		return put("oci/blobs/sha256/"+strings.TrimPrefix(digest, "sha256:"), text)
	}
	layer, config := blob("layer"), blob("config")
	manifest := blob(`{"mediaType": "m", "config": {"digest": "` + config + `"}, "layers": [{"digest": "` + layer + `"}, {"digest": "` + layer + `"}]}`)
	b := &bundle.Bundle{Dir: dir}
	b.Index.LockDigest = put("bundle.lock.yaml", "version: 1\ntoolchain: go1.26.0\nplatform: linux/amd64\n")
	b.Index.Files = []bundle.IndexFile{
		{Name: "kubeadm", Kind: "file", Version: "v1.36.4", Path: "bin/kubeadm", Digest: put("files/bin/kubeadm", "kubeadm")},
		{Name: "bridge", Kind: "file", Path: "cni/bridge", Digest: put("files/cni/bridge", "bridge")},
		{Name: "kubeadm-v1.35.4", Kind: "file", Version: "v1.35.4", Release: "v1.35.4", Path: "releases/v1.35.4/bin/kubeadm", Digest: put("files/releases/v1.35.4/bin/kubeadm", "older")},
		{Name: "iptables", Kind: "package", Path: "debs/iptables.deb", Digest: put("files/debs/iptables.deb", "deb")},
		{Name: "cluster-api", Kind: "manifest", Version: "v1.14.2", Path: "manifests/cluster-api.yaml", Digest: put("files/manifests/cluster-api.yaml", "kind: Namespace\n")},
		{Name: "catalogue", Kind: "catalogue", Path: "addons/catalogue.yaml", Digest: put("files/addons/catalogue.yaml", "version: 1\n")},
		{Name: "node-image", Kind: "file", Path: "images/node.raw", Digest: put("files/images/node.raw", "disk")},
	}
	b.Index.Images = []bundle.IndexImage{
		{Name: "pause", Reference: "registry.k8s.io/pause:3.10.2", Digest: manifest},
		{Name: "etcd", Reference: "registry.k8s.io/etcd:3.6.16-0", Digest: manifest},
		{Name: "kube-apiserver", Reference: "registry.k8s.io/kube-apiserver:v1.35.4", Release: "v1.35.4", Digest: manifest},
	}
	got, err := b.Deployable()
	if err != nil {
		t.Fatal(err)
	}
	var programs []string
	for _, p := range got.Programs {
		programs = append(programs, p.Name+" "+p.Path)
	}
	if diff := cmp.Diff([]string{"kubeadm /usr/bin/kubeadm", "bridge /opt/cni/bin/bridge"}, programs); diff != "" {
		t.Error(diff)
	}
	versions := map[string]string{"kubernetes": "1.36.4", "cluster-api": "1.14.2", "etcd-tag": "3.6.16-0", "pause-image": "registry.k8s.io/pause:3.10.2"}
	if diff := cmp.Diff(versions, got.Versions); diff != "" {
		t.Error(diff)
	}
	if len(got.Components) != 1 || got.Components[0].Name != "cluster-api" || got.Catalogue["catalogue.yaml"] == "" {
		t.Errorf("components %v, catalogue %v", got.Components, got.Catalogue)
	}
	want := host.Image{Ref: "registry.k8s.io/pause:3.10.2", Manifest: manifest, Size: got.Images[0].Size, MediaType: "m", Blobs: []string{manifest, config, layer}}
	if diff := cmp.Diff(want, got.Images[0]); diff != "" || len(got.Images) != 2 {
		t.Errorf("%d images; %s", len(got.Images), diff)
	}
	older := got.Releases[0]
	if len(got.Releases) != 1 || older.Version != "1.35.4" || older.Programs[0].Name != "kubeadm" || older.Programs[0].Path != "/usr/bin/kubeadm" || len(older.Images) != 1 {
		t.Errorf("older releases: %+v", got.Releases)
	}
	if !slices.Contains(got.Digests, layer) || !slices.Contains(got.Digests, older.Programs[0].Digest) || !slices.IsSorted(got.Digests) {
		t.Errorf("all that it has: %v", got.Digests)
	}
	f, err := got.Open(layer)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err = errors.Join(err, f.Close()); err != nil || string(text) != "layer" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := got.Open("sha256:0"); err == nil || !strings.Contains(err.Error(), "nothing with digest sha256:0") {
		t.Errorf("got %v", err)
	}
	put("files/manifests/cluster-api.yaml", "kind: Secret\n")
	if _, err := b.Deployable(); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a manifest that is not what the list says: %v", err)
	}
}
