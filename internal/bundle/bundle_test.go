package bundle_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
)

// proxy makes a Go module proxy in a directory, with two modules in it. The second needs one that nobody has.
func proxy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	publish(t, dir, "hello", map[string]string{
		"go.mod":            "module example.test/hello\n\ngo 1.26.0\n",
		"main.go":           "package main\n\nvar version = \"unset\"\n\nfunc main() { println(\"hello \" + version) }\n",
		"config/hello.yaml": "kind: Deployment\nspec:\n  image: example.test/staging/hello:dev\n  imagePullPolicy: Always\n  args: [\"--topology=${TOPOLOGY:=false}\", \"--port=${PORT:=8080}\"]\n",
	})
	publish(t, dir, "greet", map[string]string{
		"go.mod":          "module example.test/greet\n\ngo 1.26.0\n\nrequire example.test/words v0.0.0-20260101000000-0123456789ab\n",
		"main.go":         "package main\n\nimport \"example.test/words\"\n\nvar version string\n\nfunc main() { println(words.Greeting + \" \" + version) }\n",
		"bpf/lib/a.h":     "/* a */\n",
		"bpf/main.c":      "/* main */\n",
		"bpf/tests/big.c": "/* not for the image */\n",
		"start.sh":        "#!/bin/sh\n",
	})
	return dir
}

func publish(t *testing.T, dir, module string, files map[string]string) {
	t.Helper()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for _, n := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create("example.test/" + module + "@v1.0.0/" + n)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, files[n]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, "example.test", module, "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for n, text := range map[string]string{
		"list": "v1.0.0\n", "v1.0.0.info": `{"Version":"v1.0.0","Time":"2026-01-01T00:00:00Z"}`, "v1.0.0.mod": files["go.mod"], "v1.0.0.zip": archive.String(),
	} {
		if err := os.WriteFile(filepath.Join(at, n), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// workshop is a lock and everything a build needs, away from the user's caches.
type workshop struct {
	lock string
	dir  string
}

const helloSum = "h1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

func newWorkshop(t *testing.T, extra string) *workshop {
	t.Helper()
	t.Setenv("GOPROXY", "file://"+proxy(t))
	mods := t.TempDir()
	t.Setenv("GOMODCACHE", mods)
	t.Cleanup(func() {
		_ = filepath.WalkDir(mods, func(p string, d fs.DirEntry, err error) error { return errors.Join(err, os.Chmod(p, 0o755)) })
	})
	s := &workshop{dir: t.TempDir()}
	s.lock = filepath.Join(s.dir, "bundle.lock.yaml")
	text := fmt.Sprintf(`# a small lock
version: 1
toolchain: %s
platform: linux/%s
modules:
  - name: hello
    path: example.test/hello
    version: v1.0.0
    sum: %s
    private: true
programs:
  - name: hello
    module: hello
    variables:
      main.version: "1.0"
files:
  - name: hello # a comment that stays
    version: v1.0.0
    path: bin/hello
    program: hello
images:
  - name: hello
    version: v1.0.0
    reference: registry.k8s.io/pause:v1.0.0
    programs:
      /hello: hello
    entrypoint: [/hello]
manifests:
  - name: hello
    version: v1.0.0
    path: manifests/hello.yaml
    module: hello
    plain: config/hello.yaml
    images:
      example.test/staging/hello: registry.k8s.io/pause:v1.0.0
    variables:
      TOPOLOGY: "true"
`, runtime.Version(), runtime.GOARCH, helloSum) + extra
	s.write(t, text)
	return s
}

func (s *workshop) write(t *testing.T, text string) {
	t.Helper()
	if err := os.WriteFile(s.lock, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *workshop) read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (s *workshop) build(t *testing.T, out, cache string, change func(*bundle.Options)) (events []string, err error) {
	t.Helper()
	o := bundle.Options{
		LockFile: s.lock, Dir: filepath.Join(s.dir, out), Cache: filepath.Join(s.dir, cache), FromSource: true, Now: time.Now,
		HTTP: http.DefaultClient, Log: slog.New(slog.DiscardHandler),
		Progress: func(e bundle.Event) { events = append(events, e.Kind+" "+e.Name+" "+e.How) },
	}
	if change != nil {
		change(&o)
	}
	_, err = bundle.Build(t.Context(), o)
	return events, err
}

func record(o *bundle.Options) { o.Record = true }

// tree is every file below a directory with its digest.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(p)
		sum := sha256.Sum256(text)
		rel, _ := filepath.Rel(dir, p)
		out[rel] = hex.EncodeToString(sum[:])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestBuildFromSource(t *testing.T) {
	s := newWorkshop(t, "")
	// Without digests nothing is built: a lock that does not say what must come out is no lock.
	_, err := s.build(t, "a", "cache1", nil)
	for _, want := range []string{"file hello has no digest", "image hello has no digest", "manifest hello has no digest"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Fatalf("want %q, have %v", want, err)
		}
	}
	if _, err := s.build(t, "a", "cache1", record); err != nil {
		t.Fatal(err)
	}
	text := s.read(t, s.lock)
	if strings.Count(text, "digest: sha256:") != 3 || !strings.Contains(text, "- name: hello # a comment that stays\n") || strings.Contains(text, helloSum) {
		t.Fatalf("what was recorded:\n%s", text)
	}
	// The same lock gives the same bytes, with nothing in common but the lock.
	events, err := s.build(t, "b", "cache2", nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"file hello built", "image hello cached", "manifest hello rendered"}, events); diff != "" {
		t.Error(diff)
	}
	a, b := tree(t, filepath.Join(s.dir, "a")), tree(t, filepath.Join(s.dir, "b"))
	if diff := cmp.Diff(a, b); diff != "" {
		t.Errorf("two builds of one lock differ:\n%s", diff)
	}
	if events, err = s.build(t, "b", "cache2", nil); err != nil || events[0] != "file hello cached" {
		t.Errorf("the third build: %v %v", events, err)
	}
	// It is the program that was asked for.
	out, err := exec.CommandContext(t.Context(), filepath.Join(s.dir, "b", "files", "bin", "hello")).CombinedOutput()
	if err != nil || string(out) != "hello 1.0\n" {
		t.Errorf("the program says %q, %v", out, err)
	}
	manifest := s.read(t, filepath.Join(s.dir, "b", "files", "manifests", "hello.yaml"))
	for _, want := range []string{"  image: registry.k8s.io/pause:v1.0.0\n", "imagePullPolicy: IfNotPresent", "--topology=true", "--port=8080"} {
		if !strings.Contains(manifest, want) {
			t.Errorf("the manifest lacks %q:\n%s", want, manifest)
		}
	}
}

func TestMismatchStops(t *testing.T) {
	s := newWorkshop(t, "")
	if _, err := s.build(t, "a", "cache", record); err != nil {
		t.Fatal(err)
	}
	good := s.read(t, s.lock)
	zero := "sha256:" + strings.Repeat("0", 64)
	for _, c := range []struct{ reason, section, key, want string }{
		{"a file that comes out different", "files:", "digest: ", "file hello v1.0.0 is not what the lock says: it must have digest " + zero},
		{"an image that comes out different", "images:", "digest: ", "image hello v1.0.0 is not what the lock says: it must have digest " + zero},
		{"objects that come out different", "manifests:", "digest: ", "manifest hello v1.0.0 is not what the lock says: it must have digest " + zero},
		{"a module that the proxy changed", "modules:", "sum: ", "module example.test/hello@v1.0.0 is not what the lock says"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			at := strings.Index(good, c.section)
			at += strings.Index(good[at:], c.key) + len(c.key)
			end := at + strings.IndexByte(good[at:], '\n')
			value := zero
			if c.key == "sum: " {
				value = helloSum
			}
			s.write(t, good[:at]+value+good[end:])
			_, err := s.build(t, "bad", "cache-"+strings.TrimSuffix(c.section, ":"), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("want %q, have %v", c.want, err)
			}
			if _, err := bundle.Open(filepath.Join(s.dir, "bad")); err == nil || !strings.Contains(err.Error(), "no complete bundle") {
				t.Errorf("a build that stopped left a bundle: %v", err)
			}
		})
	}
}

func TestInterruptedBuildIsFinished(t *testing.T) {
	s := newWorkshop(t, "")
	if _, err := s.build(t, "a", "cache", record); err != nil {
		t.Fatal(err)
	}
	// Killed after the file was made: what is left over is finished, and strangers are cleared away.
	ctx, cancel := context.WithCancel(t.Context())
	_, err := bundle.Build(ctx, bundle.Options{
		LockFile: s.lock, Dir: filepath.Join(s.dir, "b"), Cache: filepath.Join(s.dir, "cache"), FromSource: true, Now: time.Now, HTTP: http.DefaultClient,
		Log: slog.New(slog.DiscardHandler), Progress: func(bundle.Event) { cancel() },
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	s.mustWrite(t, filepath.Join(s.dir, "b", "files", "bin", "stranger"), "x")
	if _, err := s.build(t, "b", "cache", nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree(t, filepath.Join(s.dir, "a")), tree(t, filepath.Join(s.dir, "b"))); diff != "" {
		t.Error(diff)
	}
}

func (s *workshop) mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestVerify(t *testing.T) {
	s := newWorkshop(t, "")
	if _, err := s.build(t, "a", "cache", record); err != nil {
		t.Fatal(err)
	}
	lock, err := bundle.ReadLock(s.lock)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(filepath.Join(s.dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(lock); err != nil {
		t.Fatal(err)
	}
	image, err := b.Image("hello")
	if err != nil {
		t.Fatal(err)
	}
	// All damage is told at once.
	s.mustWrite(t, filepath.Join(s.dir, "a", "files", "manifests", "hello.yaml"), "kind: Evil\n")
	s.mustWrite(t, filepath.Join(s.dir, "a", "oci", "blobs", "sha256", strings.TrimPrefix(image.Digest, "sha256:")), "{}")
	lock.Files[0].Version = "v2.0.0"
	err = b.Verify(lock)
	for _, want := range []string{"manifest hello is damaged: files/manifests/hello.yaml", "blob " + image.Digest, "file hello is v2.0.0 in the lock and v1.0.0 in the bundle"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in:\n%v", want, err)
		}
	}
}

// TestServe pulls with a registry client that is not ours.
func TestServe(t *testing.T) {
	s := newWorkshop(t, "")
	if _, err := s.build(t, "a", "cache", record); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(filepath.Join(s.dir, "a"))
	if err != nil {
		t.Fatal(err)
	}
	handler, err := b.Handler()
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "https://")
	image, err := b.Image("hello")
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{
		"registry.k8s.io/pause:v1.0.0",          // under its full name
		"magnum/pause:v1.0.0",                   // as a workload cluster asks
		"registry.k8s.io/pause@" + image.Digest, // by digest
	} {
		parsed, err := name.ParseReference(host + "/" + ref)
		if err != nil {
			t.Fatal(err)
		}
		img, err := remote.Image(parsed, remote.WithTransport(server.Client().Transport), remote.WithContext(t.Context()))
		if err != nil {
			t.Fatalf("%s: %v", ref, err)
		}
		layers, err := img.Layers()
		if err != nil || len(layers) != 1 {
			t.Fatalf("%s: %v", ref, err)
		}
		r, err := layers[0].Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		h, err := tar.NewReader(r).Next()
		if err != nil || h.Name != "hello" || h.Mode != 0o755 || !h.ModTime.Equal(time.Unix(0, 0)) {
			t.Errorf("%s: layer has %+v, %v", ref, h, err)
		}
	}
	get := func(method, path string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(text)
	}
	for _, c := range []struct {
		reason, method, path string
		status               int
		text                 string
	}{
		{"the base", "GET", "/v2/", 200, "{}"},
		{"containerd's mirrors", "GET", "/v2/pause/manifests/v1.0.0?ns=registry.k8s.io", 200, "schemaVersion"},
		{"not another registry's", "GET", "/v2/pause/manifests/v1.0.0?ns=docker.io", 404, "NAME_UNKNOWN"},
		{"tags", "GET", "/v2/registry.k8s.io/pause/tags/list", 200, `"v1.0.0"`},
		{"no such tag", "GET", "/v2/registry.k8s.io/pause/manifests/v9", 404, "MANIFEST_UNKNOWN"},
		{"no such blob", "GET", "/v2/registry.k8s.io/pause/blobs/sha256:" + strings.Repeat("0", 64), 404, "BLOB_UNKNOWN"},
		{"a broken digest", "GET", "/v2/registry.k8s.io/pause/blobs/sha256:x", 400, "DIGEST_INVALID"},
		{"read-only", "POST", "/v2/registry.k8s.io/pause/blobs/uploads/", 405, "UNSUPPORTED"},
		{"a file", "GET", "/files/manifests/hello.yaml", 200, "kind: Deployment"},
		{"the list", "GET", "/bundle.json", 200, `"lockDigest"`},
		{"nothing outside", "GET", "/files/..%2fbundle.json", 404, ""},
		{"no writing of files", "PUT", "/files/x", 405, ""},
	} {
		if status, text := get(c.method, c.path); status != c.status || !strings.Contains(text, c.text) {
			t.Errorf("%s: %s %s is %d %q", c.reason, c.method, c.path, status, text)
		}
	}
}

// TestDownload fetches from a publisher that tells the truth, and from one that does not.
func TestDownload(t *testing.T) {
	var archive bytes.Buffer
	z := gzip.NewWriter(&archive)
	w := tar.NewWriter(z)
	const program = "#!/bin/sh\necho published\n"
	if err := errors.Join(w.WriteHeader(&tar.Header{Name: "./bin/tool", Mode: 0o755, Size: int64(len(program))}), second(io.WriteString(w, program)), w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	served := archive.Bytes()
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { _, _ = rw.Write(served) }))
	t.Cleanup(server.Close)
	sum := sha256.Sum256(served)
	s := &workshop{dir: t.TempDir()}
	s.lock = filepath.Join(s.dir, "lock")
	s.write(t, fmt.Sprintf(`version: 1
toolchain: go1.26.8
platform: linux/amd64
files:
  - name: tool
    version: v1
    path: bin/tool
    url: %s/tool.tar.gz
    urlDigest: sha256:%x
    member: bin/tool
`, server.URL, sum))
	online := func(o *bundle.Options) { o.FromSource, o.HTTP = false, server.Client() }
	events, err := s.build(t, "a", "cache1", online)
	if err != nil || events[0] != "file tool downloaded" {
		t.Fatal(events, err)
	}
	if got := s.read(t, filepath.Join(s.dir, "a", "files", "bin", "tool")); got != program {
		t.Errorf("the member is %q", got)
	}
	served = append(served, 'x')
	_, err = s.build(t, "b", "cache2", online)
	if err == nil || !strings.Contains(err.Error(), "tool v1: what is at "+server.URL+"/tool.tar.gz is not what the lock says") {
		t.Errorf("a changed download: %v", err)
	}
	// From the cache nothing is asked of anybody.
	if events, err = s.build(t, "c", "cache1", online); err != nil || events[0] != "file tool cached" {
		t.Error(events, err)
	}
}

func second[T any](_ T, err error) error { return err }
