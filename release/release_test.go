package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// make runs the command for this machine's architecture.
func makeRelease(t *testing.T, out string) map[string]string {
	t.Helper()
	err := run(t.Context(), []string{"--output", out, "--arch", runtime.GOARCH, "--programs", "jeroboam", "--allow-modified"})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(out, "SHA256SUMS"))
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for line := range strings.Lines(string(text)) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		sums[name] = sum
	}
	return sums
}

// only is the one file of a release with a suffix.
func only(t *testing.T, dir, suffix string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, "jeroboam_*"+suffix))
	if err != nil || len(found) != 1 {
		t.Fatalf("one file with %s wanted: %v, %v", suffix, found, err)
	}
	return found[0]
}

// TestRelease makes a release twice, and looks at what people would install.
func TestRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("builds jeroboam twice")
	}
	one, two := filepath.Join(t.TempDir(), "dist"), filepath.Join(t.TempDir(), "dist")
	first := makeRelease(t, one)
	if diff := cmp.Diff(first, makeRelease(t, two)); diff != "" {
		t.Errorf("the same commit gave something else (-first +second):\n%s", diff)
	}
	if len(first) != 4 {
		t.Errorf("an archive, a package, a bill of materials and an image wanted: %v", first)
	}
	t.Run("archive", func(t *testing.T) { archiveRuns(t, only(t, one, ".tar.gz")) })
	t.Run("package", func(t *testing.T) { packageHolds(t, only(t, one, ".deb")) })
	t.Run("installed", func(t *testing.T) { packageInstalls(t, only(t, one, ".deb")) })
	t.Run("bill of materials", func(t *testing.T) { materialsName(t, only(t, one, ".cdx.json")) })
	t.Run("image", func(t *testing.T) { imageIsALayout(t, only(t, one, ".oci.tar")) })
	t.Run("its directory is used again", func(t *testing.T) {
		if err := (&release{out: one}).empty(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// TestForeignDirectory keeps what is not ours.
func TestForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := (&release{out: dir}).empty(t.Context())
	if err == nil || !strings.Contains(err.Error(), "files that are of no release") {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "thesis.tex")); err != nil {
		t.Error(err)
	}
}

// TestDebianVersion sorts as Debian sorts.
func TestDebianVersion(t *testing.T) {
	for _, tc := range []struct{ version, want, reason string }{
		{"1.2.3", "1.2.3", "a release"},
		{"1.2.3-rc.1", "1.2.3~rc.1", "before the release"},
		{"0.0.0-20261128010203-0123456789ab", "0.0.0~20261128010203~0123456789ab", "before everything"},
	} {
		if got := (&release{commit: commit{version: tc.version}}).debianVersion(); got != tc.want {
			t.Errorf("%s: %s, want %s: %s", tc.version, got, tc.want, tc.reason)
		}
	}
}

func archiveRuns(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	zipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	unpack(t, zipped, dir)
	out, err := exec.CommandContext(t.Context(), filepath.Join(dir, "jeroboam"), "version", "--output", "json").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"revision":"`) || strings.Contains(string(out), `"revision":""`) {
		t.Errorf("a version with its commit wanted: %s, %v", out, err)
	}
}

func unpack(t *testing.T, from io.Reader, dir string) {
	t.Helper()
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, os.FileMode(h.Mode)&0o777) //nolint:gosec // a mode has twelve bits
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(f, r); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func packageHolds(t *testing.T, path string) {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("no dpkg-deb on this machine")
	}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--raw-extract", path, dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, want := range map[string]string{
		"usr/lib/systemd/system/jeroboam-proxy@.service":        "ExecStart=/usr/bin/jeroboam proxy",
		"usr/lib/systemd/system/jeroboam-proxy-access.service":  "ExecStart=/usr/bin/jeroboam proxy access",
		"usr/lib/systemd/system/jeroboam-deploy-status.service": "--output prometheus",
		"usr/lib/systemd/system/jeroboam-deploy-status.timer":   "OnUnitInactiveSec",
		"usr/share/doc/jeroboam/alerts/deploy.rules.yaml":       "JeroboamEtcdQuorumAtRisk",
		"usr/share/doc/jeroboam/dashboards/jeroboam.json":       "jeroboam_deploy_healthy",
		"usr/lib/sysusers.d/jeroboam.conf":                      "u jeroboam-proxy",
		"usr/share/bash-completion/completions/jeroboam":        "complete -o default -F _jeroboam jeroboam",
		"usr/share/zsh/vendor-completions/_jeroboam":            "#compdef jeroboam",
		"usr/share/fish/vendor_completions.d/jeroboam.fish":     "complete -c jeroboam",
		"usr/share/doc/jeroboam/copyright":                      "Apache License",
		"DEBIAN/control":                                        "Package: jeroboam",
	} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %q is not in it: %v", name, want, err)
		}
	}
	man, err := os.Open(filepath.Join(dir, "usr/share/man/man1/jeroboam.1.gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = man.Close() }()
	zipped, err := gzip.NewReader(man)
	if err != nil {
		t.Fatal(err)
	}
	page, err := io.ReadAll(zipped)
	if err != nil || !strings.HasPrefix(string(page), ".TH") || !strings.Contains(string(page), "deploy") {
		t.Errorf("no manual page: %v: %.200s", err, page)
	}
}

func packageInstalls(t *testing.T, path string) {
	t.Helper()
	if _, err := exec.LookPath("systemd-sysusers"); err != nil || os.Geteuid() != 0 {
		t.Skip("installing a package takes root on a Debian with systemd")
	}
	out, err := exec.CommandContext(t.Context(), "unshare", "--mount", "sh", "testdata/install.sh", path, t.TempDir()).CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	t.Logf("%s", out)
}

func materialsName(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		BOMFormat  string
		Components []struct{ Purl string }
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	if document.BOMFormat != "CycloneDX" || !strings.Contains(string(text), "pkg:golang/k8s.io/client-go@v") || len(document.Components) < 50 {
		t.Errorf("%s, %d components", document.BOMFormat, len(document.Components))
	}
}

func imageIsALayout(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	dir := t.TempDir()
	unpack(t, f, dir)
	outer, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := outer.IndexManifest()
	if err != nil || len(whole.Manifests) != 1 {
		t.Fatalf("one index wanted: %+v, %v", whole, err)
	}
	index, err := outer.ImageIndex(whole.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	images, err := index.IndexManifest()
	if err != nil || len(images.Manifests) != 1 || images.Manifests[0].Platform.Architecture != runtime.GOARCH {
		t.Fatalf("one image wanted: %+v, %v", images, err)
	}
	img, err := index.Image(images.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil || config.Config.User != "65532:65532" || len(config.Config.Entrypoint) != 1 {
		t.Errorf("%+v, %v", config, err)
	}
}
