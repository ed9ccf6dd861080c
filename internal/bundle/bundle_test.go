package bundle_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

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

func TestBuildProgram(t *testing.T) {
	s := newWorkshop(t, "")
	if _, err := s.build(t, "a", "cache", record); err != nil {
		t.Fatal(err)
	}
	o := bundle.Options{LockFile: s.lock, Cache: filepath.Join(s.dir, "cache")}
	for _, c := range []struct{ reason, cache, how string }{
		{"what a bundle was built from is not built again", "cache", "cached"},
		{"without a bundle it is built", "empty", "built"},
	} {
		o.Cache = filepath.Join(s.dir, c.cache)
		out := filepath.Join(s.dir, "bin", c.cache, "hello")
		how, err := bundle.BuildProgram(t.Context(), o, "hello", out)
		if err != nil || how != c.how {
			t.Errorf("%s: %q, %v", c.reason, how, err)
		}
		if said, err := exec.CommandContext(t.Context(), out).CombinedOutput(); err != nil || string(said) != "hello 1.0\n" {
			t.Errorf("%s: the program says %q, %v", c.reason, said, err)
		}
	}
	s.write(t, regexp.MustCompile(`sum: h1:.*`).ReplaceAllString(s.read(t, s.lock), "sum: "+helloSum))
	o.Cache = filepath.Join(s.dir, "third")
	if _, err := bundle.BuildProgram(t.Context(), o, "hello", filepath.Join(s.dir, "other")); err == nil || !strings.Contains(err.Error(), "is not what the lock says") {
		t.Errorf("a module with another sum than the lock's: %v", err)
	}
	if _, err := bundle.BuildProgram(t.Context(), o, "goodbye", filepath.Join(s.dir, "other")); err == nil || !strings.Contains(err.Error(), "has no program \"goodbye\"; it has hello") {
		t.Errorf("a program that the lock does not have: %v", err)
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
			if _, err := bundle.Open(filepath.Join(s.dir, "bad"), sign.Trust{}); err == nil || !strings.Contains(err.Error(), "no complete bundle") {
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

func TestVerify(t *testing.T) {
	s := newWorkshop(t, "")
	if _, err := s.build(t, "a", "cache", record); err != nil {
		t.Fatal(err)
	}
	lock, err := bundle.ReadLock(s.lock)
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Open(filepath.Join(s.dir, "a"), sign.Trust{})
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
	b, err := bundle.Open(filepath.Join(s.dir, "a"), sign.Trust{})
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
		"magnum/pause:v0.9.0",                   // by a name that only its nodes' configuration has
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
	// A cache that lost power has a name with half a file under it.
	served = served[:len(served)-1]
	torn := filepath.Join(s.dir, "cache1", "downloads", fmt.Sprintf("%x", sum), "whole")
	if err := os.Truncate(torn, 10); err != nil {
		t.Fatal(err)
	}
	if events, err = s.build(t, "d", "cache1", online); err != nil || events[0] != "file tool downloaded" {
		t.Error(events, err)
	}
}
