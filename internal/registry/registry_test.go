package registry

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// put makes a layout with one image for each reference; the image's file has the reference as its content.
func put(t *testing.T, dir string, references ...string) *Layout {
	t.Helper()
	l, err := Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range references {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, []byte(r), 0o644); err != nil {
			t.Fatal(err)
		}
		img, err := Build(Spec{Files: []File{{Path: "/a/b", Source: file, Mode: 0o755}, {Path: "/a/c", Link: "b"}}, Platform: "linux/amd64"}, filepath.Join(t.TempDir(), "layer"))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Put(r, img); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestLayoutKeepsWhatItIsTold(t *testing.T) {
	l := put(t, t.TempDir(), "registry.k8s.io/aa:1", "registry.k8s.io/bb:1", "registry.k8s.io/aa:1")
	images, err := l.Images()
	if err != nil || len(images) != 2 {
		t.Fatal(images, err)
	}
	if err := l.Keep([]string{"registry.k8s.io/bb:1"}); err != nil {
		t.Fatal(err)
	}
	left, err := l.Verify()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(images[1:], left); diff != "" {
		t.Error(diff)
	}
	blobs, err := filepath.Glob(filepath.Join(l.dir, "blobs", "sha256", "*"))
	if err != nil || len(blobs) != 3 { // manifest, configuration, layer
		t.Error(blobs, err)
	}
}

func TestArchiveIsRepeatable(t *testing.T) {
	var a, b bytes.Buffer
	if err := put(t, t.TempDir(), "registry.k8s.io/aa:1", "registry.k8s.io/bb:1").Archive(&a, "registry.k8s.io/bb:1"); err != nil {
		t.Fatal(err)
	}
	if err := put(t, t.TempDir(), "registry.k8s.io/bb:1").Archive(&b); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.Bytes(), b.Bytes()) {
		t.Error("the same image in two layouts gives two archives")
	}
	if err := put(t, t.TempDir()).Archive(&a, "registry.k8s.io/cc:1"); err == nil || !strings.Contains(err.Error(), "no image registry.k8s.io/cc:1") {
		t.Error(err)
	}
}

func TestCheckReference(t *testing.T) {
	for reference, good := range map[string]bool{
		"registry.k8s.io/pause:3.10.2": true, "quay.io/a/b:v1": true, "pause:1": false, "registry.k8s.io/pause": false,
		"registry.k8s.io/pause@sha256:00": false, "docker.io/busybox:1": false, "": false, "registry.k8s.io/PAUSE:1": false,
	} {
		if err := CheckReference(reference); (err == nil) != good {
			t.Errorf("%q: %v", reference, err)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, p := range []string{"/v2/a/b/manifests/latest", "/v2/blobs/blobs/sha256:00", "/v2//manifests/x", "/v2/a/tags/list", "/v2/../../etc/manifests/x", "/v2/", ""} {
		f.Add(p)
	}
	f.Fuzz(func(t *testing.T, path string) {
		r, ok := parsePath(path)
		if !ok {
			return
		}
		if got := "/v2/" + r.repository + "/" + r.kind + "/" + r.reference; got != path {
			t.Errorf("%q was cut into %+v", path, r)
		}
		if strings.Contains(r.reference, "/") || strings.Contains("/"+r.repository+"/", "/../") || r.repository == "" {
			t.Errorf("%q gave %+v", path, r)
		}
	})
}

// TestNamesOfFiles: a certificate of Debian's is called so, and a layer without such names must stay the bytes that it
// was.
func TestNamesOfFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]tar.Format{"/certs/Főtanúsítvány.crt": tar.FormatPAX, "/certs/plain.crt": tar.FormatUSTAR} {
		layer := filepath.Join(t.TempDir(), "layer")
		if _, err := Build(Spec{Files: []File{{Path: name, Source: file, Mode: 0o644}}, Platform: "linux/amd64"}, layer); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text, err := os.ReadFile(layer)
		if err != nil {
			t.Fatal(err)
		}
		r := tar.NewReader(bytes.NewReader(text))
		var h *tar.Header
		for h == nil || h.Typeflag == tar.TypeDir {
			if h, err = r.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if "/"+h.Name != name || h.Format != want {
			t.Errorf("%s is in the layer as %s, %s", name, h.Name, h.Format)
		}
	}
}

// TestWritableDirectories: a program that runs as a user of its own has a place for its state, and parents stay root's.
func TestWritableDirectories(t *testing.T) {
	layer := filepath.Join(t.TempDir(), "layer")
	if _, err := Build(Spec{Files: []File{{Path: "/var/status", Directory: true}}, User: "999", Platform: "linux/amd64"}, layer); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(layer)
	if err != nil {
		t.Fatal(err)
	}
	modes := map[string]int64{}
	for r := tar.NewReader(bytes.NewReader(text)); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		modes[h.Name] = h.Mode
	}
	if diff := cmp.Diff(map[string]int64{"var/": 0o755, "var/status/": 0o1777}, modes); diff != "" {
		t.Errorf("modes (-want +got):\n%s", diff)
	}
}
