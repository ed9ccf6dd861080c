package bundle_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// newTown is a workshop with a small Kubernetes: three minor versions of it in the proxy, whose go.mod takes a module
// from its own source tree, as the real one does.
func newTown(t *testing.T) *workshop {
	t.Helper()
	s := newWorkshop(t, "")
	dir := strings.TrimPrefix(os.Getenv("GOPROXY"), "file://")
	t.Setenv("GONOSUMDB", "k8s.io")
	t.Setenv("GOSUMDB", "off")
	for _, v := range []string{"1.34.7", "1.35.2", "1.35.10", "1.36.1", "1.37.0"} {
		staging := "v0" + strings.TrimPrefix(v, "1")
		publishAs(t, dir, "k8s.io/api", staging, map[string]string{
			"go.mod": "module k8s.io/api\n\ngo 1.26.0\n", "api.go": "package api\n\nconst Version = \"" + staging + "\"\n",
		})
		require, replace := "require k8s.io/api v0.0.0\n", "replace k8s.io/api => ./staging/src/k8s.io/api\n"
		if v == "1.37.0" { // which has a module more
			publishAs(t, dir, "k8s.io/streaming", staging, map[string]string{"go.mod": "module k8s.io/streaming\n\ngo 1.26.0\n", "s.go": "package streaming\n"})
			replace += "replace k8s.io/streaming => ./staging/src/k8s.io/streaming\n"
		}
		publishAs(t, dir, "k8s.io/kubernetes", "v"+v, map[string]string{
			"go.mod": "module k8s.io/kubernetes\n\ngo 1.26.0\n\n" + require + "\n" + replace,
			"cmd/kubeadm/main.go": "package main\n\nimport \"k8s.io/api\"\n\nvar version, minor string\n\n" +
				"func main() { println(version + \" \" + minor + \" \" + api.Version) }\n",
		})
	}
	s.write(t, fmt.Sprintf(`version: 1
toolchain: %s
platform: linux/%s
pins:
  staging:
    k8s.io/api: v0.36.1 # of its source tree
modules:
  - name: kubernetes
    path: k8s.io/kubernetes
    version: v1.36.1
    sum: ""
    pins: [staging]
programs:
  - name: kubeadm
    module: kubernetes
    package: cmd/kubeadm
    variables:
      main.version: "v1.36.1"
      main.minor: "of v1.36.1 not of v1.36.10"
files:
  - name: kubeadm # a comment that stays
    version: v1.36.1
    path: bin/kubeadm
    program: kubeadm
    url: https://dl.example.test/v1.36.1/kubeadm
images:
  - name: kube-apiserver
    version: v1.36.1
    reference: registry.k8s.io/kube-apiserver:v1.36.1
    programs:
      /kube-apiserver: kubeadm
  - name: conformance # of a group, and of no interest to a cluster that passes through
    version: v1.36.1
    reference: registry.k8s.io/conformance:v1.36.1
    group: conformance
    programs:
      /e2e.test: kubeadm
`, runtime.Version(), runtime.GOARCH))
	return s
}

func (s *workshop) bump(t *testing.T, version string, add bool) *bundle.Bumped {
	t.Helper()
	done, err := bundle.Bump(t.Context(), bundle.BumpOptions{LockFile: s.lock, Version: version, Add: add})
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// TestAChainOfReleases: a lock is taught two older releases and a newer one, and the bundle has all of them.
func TestAChainOfReleases(t *testing.T) {
	s := newTown(t)
	if _, err := s.build(t, "a", "cache", record); err != nil { // a lock of version 1, as there have always been
		t.Fatal(err)
	}
	before := s.read(t, s.lock)
	s.bump(t, "1.35", true)
	s.bump(t, "1.34.7", true)
	if got := s.bump(t, "1.35.10", true); got.Diff != "" {
		t.Errorf("the newest of 1.35 is 1.35.10, and was added before: %s", got.Diff)
	}
	if _, err := s.build(t, "a", "cache", record); err != nil {
		t.Fatal(err)
	}
	if got := s.bump(t, "v1.37.0", true); strings.Join(got.Releases, " ") != "v1.34.7 v1.35.10 v1.36.1" || got.Own != "v1.37.0" {
		t.Errorf("%+v", got)
	}
	text := s.read(t, s.lock)
	kept := before[strings.Index(before, "digest: sha256:"):]
	if kept = kept[:strings.IndexByte(kept, '\n')]; !strings.Contains(text, "kubeadm: "+strings.TrimPrefix(kept, "digest: ")) {
		t.Errorf("what was the lock's own release has lost its digest %s:\n%s", kept, text)
	}
	shown := regexp.MustCompile(`(sha256|h1):[A-Za-z0-9+/=]+`).ReplaceAllString(text, "$1:...") // digests and the Go release are the machine's
	shown = strings.ReplaceAll(strings.ReplaceAll(shown, runtime.Version(), "go1.x"), runtime.GOARCH, "ARCH")
	golden.Compare(t, *update, "chain.lock.yaml", shown)
	if _, err := s.build(t, "a", "cache", record); err != nil {
		t.Fatal(err)
	}
	events, err := s.build(t, "b", "cache2", nil) // with nothing in common but the lock
	if err != nil {
		t.Fatal(events, err)
	}
	if diff := cmp.Diff(tree(t, filepath.Join(s.dir, "a")), tree(t, filepath.Join(s.dir, "b"))); diff != "" {
		t.Errorf("two builds of one lock differ:\n%s", diff)
	}
	s.checkChain(t)
	// A site without old clusters leaves them out.
	if _, err := s.build(t, "b", "cache2", func(o *bundle.Options) { o.Without = []string{"kubernetes-1.34", "kubernetes-1.35"} }); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(filepath.Join(s.dir, "b"), sign.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"v1.36.1", "v1.37.0"}, b.KubernetesVersions()); diff != "" {
		t.Error(diff)
	}
}

// checkChain looks at the bundle "b": every release has its own programs and images, and each is what it says it is.
func (s *workshop) checkChain(t *testing.T) {
	t.Helper()
	b, err := bundle.Open(filepath.Join(s.dir, "b"), sign.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	lock, err := bundle.ReadLock(s.lock)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(lock); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"v1.34.7", "v1.35.10", "v1.36.1", "v1.37.0"}, b.KubernetesVersions()); diff != "" {
		t.Error(diff)
	}
	for at, want := range map[string]string{
		"bin/kubeadm":                   "v1.37.0 of v1.37.0 not of v1.36.10 v0.37.0\n",
		"releases/v1.36.1/bin/kubeadm":  "v1.36.1 of v1.36.1 not of v1.36.10 v0.36.1\n",
		"releases/v1.35.10/bin/kubeadm": "v1.35.10 of v1.35.10 not of v1.36.10 v0.35.10\n",
		"releases/v1.34.7/bin/kubeadm":  "v1.34.7 of v1.34.7 not of v1.36.10 v0.34.7\n",
	} {
		out, err := exec.CommandContext(t.Context(), filepath.Join(s.dir, "b", "files", at)).CombinedOutput()
		if err != nil || string(out) != want {
			t.Errorf("%s says %q, %v", at, out, err)
		}
	}
	var images []string
	for _, i := range b.Index.Images {
		images = append(images, i.Reference+" "+i.Release)
	}
	if diff := cmp.Diff([]string{
		"registry.k8s.io/kube-apiserver:v1.37.0 ", "registry.k8s.io/kube-apiserver:v1.34.7 v1.34.7",
		"registry.k8s.io/kube-apiserver:v1.35.10 v1.35.10", "registry.k8s.io/kube-apiserver:v1.36.1 v1.36.1",
	}, images); diff != "" {
		t.Error(diff)
	}
	if _, f, err := b.File("kubeadm"); err != nil || f.Version != "v1.37.0" {
		t.Errorf("the bundle's own kubeadm is %s, %v", f.Version, err)
	}
}

func TestWhatIsNoBump(t *testing.T) {
	s := newTown(t)
	s.bump(t, "1.35", true)
	before := s.read(t, s.lock)
	for _, c := range []struct {
		reason, version string
		add             bool
		want            string
	}{
		{"no version", "latest", false, `"latest" is no version of Kubernetes`},
		{"an option in disguise", "-v", false, "is no version of Kubernetes"},
		{"one that nobody has", "1.33", false, "the module proxy lists no release of Kubernetes 1.33"},
		{"a release that nobody has", "1.35.77", true, "release v1.35.77 of Kubernetes"},
		{"a second one of a minor version", "1.35.2", true, "it carries v1.35.10: take that out of releases first"},
		{"beside its own one of the same minor version", "1.36.1", true, ""},
		{"back, while it carries older ones", "1.34", false, "v1.34.7 --add carries that as well"},
		{"a gap", "1.37", false, "the lock would be wrong, and stays as it is"},
	} {
		_, err := bundle.Bump(t.Context(), bundle.BumpOptions{LockFile: s.lock, Version: c.version, Add: c.add})
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: want %q, have %v", c.reason, c.want, err)
		}
		if s.read(t, s.lock) != before {
			t.Fatalf("%s: it changed the lock", c.reason)
		}
	}
}

func TestReleasesOfALock(t *testing.T) {
	s := newTown(t)
	base := s.read(t, s.lock)
	for _, c := range []struct{ reason, version, releases, want string }{
		{"in a lock of the old form", "1", "[{version: v1.35.2}]", "releases need version: 2"},
		{"a gap", "2", "[{version: v1.34.7}]", "after v1.34.7 comes v1.36.1"},
		{"the wrong order", "2", "[{version: v1.35.2}, {version: v1.34.7}]", "after v1.35.2 comes v1.34.7"},
		{"twice the same", "2", "[{version: v1.35.2}, {version: v1.35.10}]", "after v1.35.2 comes v1.35.10"},
		{"no version", "2", "[{version: '../x'}]", "not a version of Kubernetes"},
		{"what Kubernetes does not have", "2", "[{version: v1.35.2, digests: {etcd: ''}}]", `etcd is nothing of Kubernetes; that is ["kubeadm" "kube-apiserver"]`},
		{"no digest", "2", "[{version: v1.35.2, urlDigests: {kubeadm: abc}}]", "not a digest"},
	} {
		text := strings.Replace(base, "version: 1\n", "version: "+c.version+"\n", 1) + "releases: " + c.releases + "\n"
		if _, err := bundle.ParseLock("lock", []byte(text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: want %q, have %v", c.reason, c.want, err)
		}
	}
}
