package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

const addonsOfTheWorkshop = `  - name: storage
    version: v2.0.0
    reference: registry.k8s.io/sig-storage/storage:v2.0.0
    group: workload
    unbuilt: no proxy has its module
    url: docker://registry.k8s.io/sig-storage/storage:v2.0.0
addons:
  - name: hello
    addon: cilium
    version: v1.0.0
    kubernetes: ">=1.33.0-0 <1.38.0-0"
    group: workload
    module: hello
    chart: charts/hello
    except: [README.md, ci]
    set: {dependencies: null, appVersion: v1.0.0}
    files: {templates/_common.tpl: "{{- define \"common\" }}{{ end }}"}
    values: {image: {tag: v1, pullPolicy: Always}, keep: null}
    images: [registry.k8s.io/sig-storage/storage:v2.0.0, registry.k8s.io/pause:v1.0.0]
  - name: plain-old
    addon: calico
    version: v0.9.0
    kubernetes: "<1.33.0-0"
    group: workload
    module: hello
    plain: config/addon.yaml
    rename: {docker.io/staging/hello: registry.k8s.io/pause:v1.0.0}
`

// addons is a workshop with a catalogue. The manifests section comes last in a workshop's lock, so it is moved.
func addons(t *testing.T) *workshop {
	t.Helper()
	s := newWorkshop(t, "")
	text := s.read(t, s.lock)
	before, manifests, _ := strings.Cut(text, "manifests:\n")
	s.write(t, before+addonsOfTheWorkshop+"manifests:\n"+manifests)
	return s
}

func (s *workshop) catalogue(t *testing.T, out string, change func(*bundle.Options)) error {
	t.Helper()
	o := bundle.Options{
		LockFile: s.lock, Dir: filepath.Join(s.dir, out), Cache: filepath.Join(s.dir, "cache"), Now: time.Now, Log: slog.New(slog.DiscardHandler),
	}
	if change != nil {
		change(&o)
	}
	_, err := bundle.Catalogue(t.Context(), o)
	return err
}

// TestCatalogue makes the catalogue alone, without compiling anything, and compares it with a file.
func TestCatalogue(t *testing.T) {
	s := addons(t)
	if err := s.catalogue(t, "a", record); err != nil {
		t.Fatal(err)
	}
	if _, err := addon.Load(os.DirFS(filepath.Join(s.dir, "a"))); err != nil {
		t.Errorf("who reads it: %v", err)
	}
	text := s.read(t, filepath.Join(s.dir, "a", "catalogue.yaml"))
	golden := filepath.Join("testdata", "catalogue.yaml")
	if *update {
		s.mustWrite(t, golden, text)
	}
	if diff := cmp.Diff(s.read(t, golden), text); diff != "" {
		t.Error(diff)
	}
	want := map[string]string{
		"cilium/Chart.yaml":            "apiVersion: v2\nappVersion: v1.0.0\nname: hello\nversion: 0.1.0\n",
		"cilium/templates/_common.tpl": `{{- define "common" }}{{ end }}`,
		"cilium/templates/a.yaml":      "kind: ConfigMap\n",
		"cilium/values.yaml":           "image: {tag: \"\"}\n",
	}
	if diff := cmp.Diff(want, untar(t, filepath.Join(s.dir, "a", "cilium-v1.0.0.tgz"))); diff != "" {
		t.Error(diff)
	}
	// Again, into a directory with an older catalogue in it: what is not named any more goes, other files stay.
	if err := os.Mkdir(filepath.Join(s.dir, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"hello-v0.1.0.tgz", "mine.txt"} {
		s.mustWrite(t, filepath.Join(s.dir, "b", name), "x")
	}
	if err := s.catalogue(t, "b", nil); err != nil {
		t.Fatal(err)
	}
	have := tree(t, filepath.Join(s.dir, "b"))
	if have["mine.txt"] == "" {
		t.Error("a file of somebody else was removed")
	}
	delete(have, "mine.txt")
	if diff := cmp.Diff(tree(t, filepath.Join(s.dir, "a")), have); diff != "" {
		t.Errorf("two catalogues of one lock differ:\n%s", diff)
	}
}

func TestCatalogueValues(t *testing.T) {
	s := addons(t)
	over := func(values map[string]map[string]any) func(*bundle.Options) {
		return func(o *bundle.Options) { o.Record, o.Values = true, values }
	}
	if err := s.catalogue(t, "a", over(map[string]map[string]any{"cilium": {"image": map[string]any{"tag": "v2"}, "more": true}})); err != nil {
		t.Fatal(err)
	}
	want := "values:\n      image:\n        pullPolicy: Always\n        tag: v2\n      keep: null\n      more: true\n"
	if text := s.read(t, filepath.Join(s.dir, "a", "catalogue.yaml")); !strings.Contains(text, want) {
		t.Errorf("want\n%s in\n%s", want, text)
	}
	err := s.catalogue(t, "b", over(map[string]map[string]any{"helo": {}}))
	if err == nil || !strings.Contains(err.Error(), `values for the addon "helo", and no such addon`) {
		t.Errorf("a name with a mistake: %v", err)
	}
}

// TestBundleHasTheCatalogue: with the group that it belongs to, and what cannot be built is left out and named.
func TestBundleHasTheCatalogue(t *testing.T) {
	s := addons(t)
	var told []string
	group := func(o *bundle.Options) {
		o.Record, o.Groups = true, []string{"workload"}
		o.Progress = func(e bundle.Event) { told = append(told, fmt.Sprint(e.Kind, " ", e.Name, " ", e.How, " ", e.Reason)) }
	}
	if _, err := s.build(t, "a", "cache", group); err != nil {
		t.Fatal(err)
	}
	if want := "image storage left out no proxy has its module"; !slices.Contains(told, want) {
		t.Errorf("want %q in %q", want, told)
	}
	b, err := bundle.Open(filepath.Join(s.dir, "a"), sign.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	lock, err := bundle.ReadLock(s.lock)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(lock); err != nil {
		t.Errorf("a bundle without what cannot be built: %v", err)
	}
	if diff := cmp.Diff([]string{"image storage"}, b.Index.LeftOut); diff != "" {
		t.Error(diff)
	}
	s.mustWrite(t, filepath.Join(s.dir, "a", "files", "addons", "calico-v0.9.0.yaml"), "kind: Evil\n")
	err = b.Verify(lock)
	for _, want := range []string{"addon plain-old is damaged", "the catalogue of addons: catalogue.yaml: calico v0.9.0: calico-v0.9.0.yaml has the digest"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in %v", want, err)
		}
	}
	// Without the group there is no catalogue, and nothing is left out.
	if _, err := s.build(t, "b", "cache", record); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "b", "files", "addons")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("there is a catalogue: %v", err)
	}
}

func TestCatalogueRefuses(t *testing.T) {
	for _, c := range []struct{ reason, from, to, want string }{
		{"an image that is not in the lock", "plain: config/addon.yaml", "plain: config/hello.yaml", "the objects use the image example.test/staging/hello:dev"},
		{"a name that nothing has", "rename: {docker.io/staging/hello:", "rename: {docker.io/staging/helo:", "the objects use no image docker.io/staging/helo"},
		{"a file that is to be left out and is not there", "except: [README.md, ci]", "except: [README.md, c1]", "c1 is to be left out of the chart, and is not there"},
		{"a directory that is no chart", "chart: charts/hello", "chart: charts", "the chart has no Chart.yaml"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s := addons(t)
			s.write(t, strings.Replace(s.read(t, s.lock), c.from, c.to, 1))
			if err := s.catalogue(t, "a", record); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, have %v", c.want, err)
			}
		})
	}
}

// TestCatalogueIsRendered: what a server could not render, or has images that no mirror was told of, is found when it
// is made.
func TestCatalogueIsRendered(t *testing.T) {
	for _, c := range []struct{ reason, template, want string }{
		{"a template that the chart lacks", `kind: {{ include \"of.a.library\" . }}`, "of.a.library"},
		{
			"an image that the lock does not name", `{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: \"quay.io/other/image:v1\"}]}}`,
			"does not name the image quay.io/other/image:v1",
		},
		{"all is well", `{apiVersion: v1, kind: Pod, metadata: {name: a}, spec: {containers: [{name: a, image: \"registry.k8s.io/pause:v1.0.0\"}]}}`, ""},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s := addons(t)
			text := strings.Replace(s.read(t, s.lock), "files: {templates/_common.tpl:", `files: {templates/a.yaml: "`+c.template+`", templates/_common.tpl:`, 1)
			text = strings.Replace(text, `"<1.33.0-0"`, `"<1.38.0-0"`, 1)
			s.write(t, strings.Replace(text, "images:\n", "  - {name: kubelet, version: v1.36.4, path: bin/kubelet, program: hello}\nimages:\n", 1))
			err := s.catalogue(t, "a", record)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("want %q, have %v", c.want, err)
			}
		})
	}
}

// TestCatalogueChanged: a chart that comes out different stops everything, and no catalogue is left behind.
func TestCatalogueChanged(t *testing.T) {
	s := addons(t)
	if err := s.catalogue(t, "a", record); err != nil {
		t.Fatal(err)
	}
	s.write(t, strings.Replace(s.read(t, s.lock), `\"common\"`, `\"other\"`, 1))
	err := s.catalogue(t, "b", nil)
	if err == nil || !strings.Contains(err.Error(), "addon hello v1.0.0 is not what the lock says: it must have digest sha256:") {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "b")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was left: %v", err)
	}
}

func untar(t *testing.T, file string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Mode != 0o644 || !h.ModTime.Equal(time.Unix(0, 0)) || h.Uid != 0 {
			t.Errorf("%s has mode %o, time %s, owner %d", h.Name, h.Mode, h.ModTime, h.Uid)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[h.Name] = string(content)
	}
}
