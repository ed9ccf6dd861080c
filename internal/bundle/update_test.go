package bundle_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// publishing stands for all who publish: a page that sends on to where the files are, lists of sums, and a registry.
type publishing struct {
	*httptest.Server
	mu     sync.Mutex
	files  map[string][]byte
	odd    func(w http.ResponseWriter, r *http.Request, content []byte) bool // answers a request for a file in its own way
	ranges []string                                                          // what was asked for
}

func newPublisher(t *testing.T) *publishing {
	t.Helper()
	p := &publishing{files: map[string][]byte{}}
	mux := http.NewServeMux()
	mux.Handle("/v2/", ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	mux.HandleFunc("GET /release/", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/cdn/"+strings.TrimPrefix(r.URL.Path, "/release/"), http.StatusFound)
	})
	mux.HandleFunc("GET /cdn/{name}", func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		content, ok := p.files[r.PathValue("name")]
		odd := p.odd
		if !strings.Contains(r.PathValue("name"), "sha256") {
			p.ranges = append(p.ranges, r.Header.Get("Range"))
		}
		p.mu.Unlock()
		switch {
		case !ok:
			http.NotFound(w, r)
		case odd != nil && !strings.Contains(r.PathValue("name"), "sha256") && odd(w, r, content):
		default:
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		}
	})
	p.Server = httptest.NewTLSServer(mux)
	t.Cleanup(p.Close)
	return p
}

func (p *publishing) set(odd func(http.ResponseWriter, *http.Request, []byte) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.odd, p.ranges = odd, nil
}

// push puts an index over two platforms into the registry, and says its digest and that of the image for linux/amd64.
func (p *publishing) push(t *testing.T, reference string) (index, image string) {
	t.Helper()
	var adds []mutate.IndexAddendum
	for _, arch := range []string{"arm64", "amd64"} {
		img, err := random.Image(1024, 2)
		if err != nil {
			t.Fatal(err)
		}
		digest, err := img.Digest()
		if err != nil {
			t.Fatal(err)
		}
		image = digest.String()
		adds = append(adds, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	idx := mutate.AppendManifests(mutate.IndexMediaType(randomEmpty(t), "application/vnd.oci.image.index.v1+json"), adds...)
	tag, err := name.NewTag(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, idx, remote.WithTransport(p.Client().Transport), remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	digest, err := idx.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest.String(), image
}

func randomEmpty(t *testing.T) v1.ImageIndex {
	t.Helper()
	idx, err := random.Index(1, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	return idx
}

// onlineWorkshop is a lock whose artefacts are with a publisher.
func onlineWorkshop(t *testing.T, p *publishing) *workshop {
	t.Helper()
	s := &workshop{dir: t.TempDir()}
	s.lock = filepath.Join(s.dir, "bundle.lock.yaml")
	host := strings.TrimPrefix(p.URL, "https://")
	s.write(t, fmt.Sprintf(`version: 2
toolchain: go1.26.8
platform: linux/amd64
files:
  - name: tool # a comment that stays
    version: v1
    path: bin/tool
    url: %[1]s/release/tool
  - name: one
    version: v1
    path: bin/one
    url: %[1]s/release/one
    checksums: %[1]s/release/sha256sums
images:
  - name: app
    version: v1
    reference: %[2]s/app:v1
    url: docker://%[2]s/app:v1
`, p.URL, host))
	return s
}

func (s *workshop) update(t *testing.T, p *publishing, changed bool) (*bundle.Updated, error) {
	t.Helper()
	return bundle.Update(t.Context(), bundle.UpdateOptions{LockFile: s.lock, Cache: filepath.Join(s.dir, "cache"), HTTP: p.Client(), Now: time.Now, Changed: changed})
}

// TestOnline is an operator with internet: digests from publishers, a bundle downloaded, and neither asked for anything
// again.
func TestOnline(t *testing.T) {
	p := newPublisher(t)
	index, image := p.push(t, strings.TrimPrefix(p.URL, "https://")+"/app:v1")
	p.files["tool"], p.files["one"] = bytes.Repeat([]byte("tool "), 100_000), []byte("one")
	p.files["tool.sha256"] = []byte(strings.TrimPrefix(digestOf(string(p.files["tool"])), "sha256:"))
	s := onlineWorkshop(t, p)
	online := func(o *bundle.Options) { o.FromSource, o.HTTP = false, p.Client() }
	if _, err := s.build(t, "a", "cache", online); err == nil || !strings.Contains(err.Error(), "bundle lock --update") {
		t.Errorf("without digests: %v", err)
	}
	done, err := s.update(t, p, false)
	if err == nil || !strings.Contains(err.Error(), "the sum of "+p.URL+"/release/one: "+p.URL+"/release/sha256sums: 404") {
		t.Errorf("one list of sums is not there: %v", err)
	}
	if diff := cmp.Diff(&bundle.Updated{New: 2, Places: 3}, done); diff != "" {
		t.Errorf("what was found is written all the same:\n%s", diff)
	}
	p.files["sha256sums"] = fmt.Appendf(nil, "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n%s  ./other\n%s *one\n-----BEGIN PGP SIGNATURE-----\n",
		strings.Repeat("0", 64), strings.TrimPrefix(digestOf("one"), "sha256:"))
	if done, err = s.update(t, p, false); err != nil || done.New != 1 || done.Same != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	if text := s.read(t, s.lock); !strings.Contains(text, "urlDigest: "+index) || !strings.Contains(text, "- name: tool # a comment that stays\n") {
		t.Errorf("the lock:\n%s", text)
	}
	events, err := s.build(t, "a", "cache", online)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"file tool downloaded", "file one downloaded", "image app downloaded"}, events); diff != "" {
		t.Error(diff)
	}
	b, err := bundle.Open(filepath.Join(s.dir, "a"), sign.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(nil); err != nil {
		t.Error(err)
	}
	if got, err := b.Image("app"); err != nil || got.Digest != image {
		t.Errorf("of the index over platforms it took %s, %v, and not %s", got.Digest, err, image)
	}
	// A publisher that has something else under the same version is not simply believed.
	before := s.read(t, s.lock)
	p.files["tool.sha256"] = []byte(strings.Repeat("1", 64))
	if _, err = s.update(t, p, false); err == nil || !strings.Contains(err.Error(), "its publisher says sha256:1111") || s.read(t, s.lock) != before {
		t.Errorf("a digest that changed: %v", err)
	}
	if done, err = s.update(t, p, true); err != nil || done.Changed != 1 {
		t.Errorf("asked to take it: %+v, %v", done, err)
	}
}

func cut(content []byte, at int) func(http.ResponseWriter, *http.Request, []byte) bool {
	first := true
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		if !first {
			return false
		}
		first = false
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content[:at])
		if f, ok := w.(http.Flusher); ok {
			f.Flush()
		}
		panic(http.ErrAbortHandler)
	}
}

// TestPublishersWithFaults: what is wrong with a connection is tried again, what is wrong with a file is not.
func TestPublishersWithFaults(t *testing.T) {
	good := bytes.Repeat([]byte("0123456789"), 50_000)
	other := bytes.Repeat([]byte("9876543210"), 50_000)
	short := func(w http.ResponseWriter, r *http.Request, content []byte) bool {
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content[:1000])) // truncated where it lies, with a fitting length
		return true
	}
	lying := func(w http.ResponseWriter, _ *http.Request, content []byte) bool {
		conn, _, err := http.NewResponseController(w).Hijack() // Go's own server does not lie
		if err == nil {
			_, _ = conn.Write(append([]byte("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"), content...)) // the client sees a thousand bytes
			_ = conn.Close()
		}
		return true
	}
	noRanges := func(odd func(http.ResponseWriter, *http.Request, []byte) bool) func(http.ResponseWriter, *http.Request, []byte) bool {
		return func(w http.ResponseWriter, r *http.Request, content []byte) bool {
			if !odd(w, r, content) {
				_, _ = w.Write(content)
			}
			return true
		}
	}
	mixed := cut(other, 20_000) // the first part is of another file, as on two servers that are not in step
	busy := 0
	for _, c := range []struct {
		reason string
		odd    func(http.ResponseWriter, *http.Request, []byte) bool
		want   string // "" is success
		ranges []string
	}{
		{"all is well", nil, "", []string{""}},
		{"the connection breaks: the rest is asked for", cut(good, 30_000), "", []string{"", "bytes=30000-"}},
		{"it breaks, and the server knows no ranges", noRanges(cut(good, 30_000)), "", []string{"", "bytes=30000-"}},
		{"parts of two files: once more from the beginning", mixed, "", []string{"", "bytes=20000-", ""}},
		{"another file", func(w http.ResponseWriter, _ *http.Request, _ []byte) bool { _, _ = w.Write(other); return true }, "is not what the lock says: it must have digest", []string{""}},
		{"a truncated file", short, "(1000 bytes)", []string{""}},
		{"a length that lies", lying, "(1000 bytes)", []string{""}},
		{"too busy twice", func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			busy++
			if busy <= 2 {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
			return busy <= 2
		}, "", []string{"", "", ""}},
		{"gone", func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
			w.WriteHeader(http.StatusGone)
			return true
		}, "410 Gone", []string{""}},
		{"never whole", func(w http.ResponseWriter, r *http.Request, _ []byte) bool { return cut(good, 10)(w, r, nil) }, "unexpected EOF", nil},
	} {
		t.Run(c.reason, func(t *testing.T) {
			p := newPublisher(t)
			p.files["tool"] = good
			s := &workshop{dir: t.TempDir()}
			s.lock = filepath.Join(s.dir, "lock")
			s.write(t, fmt.Sprintf("version: 2\ntoolchain: go1.26.8\nplatform: linux/amd64\nfiles:\n  - name: tool\n    version: v1\n    path: bin/tool\n    url: %s/release/tool\n    urlDigest: %s\n",
				p.URL, digestOf(string(good))))
			p.set(c.odd)
			_, err := s.build(t, "a", "cache", func(o *bundle.Options) {
				o.FromSource, o.HTTP = false, p.Client()
				o.Pause = func(int) <-chan time.Time { return time.After(0) }
			})
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Fatalf("want %q, have %v", c.want, err)
			}
			if err != nil {
				if _, err := bundle.Open(filepath.Join(s.dir, "a"), sign.Trust{}); err == nil {
					t.Error("there is a bundle all the same")
				}
			} else if got := s.read(t, filepath.Join(s.dir, "a", "files", "bin", "tool")); got != string(good) {
				t.Errorf("the file has %d bytes", len(got))
			}
			if c.ranges != nil {
				if diff := cmp.Diff(c.ranges, p.ranges); diff != "" {
					t.Errorf("what was asked for:\n%s", diff)
				}
			}
			left, err := filepath.Glob(filepath.Join(s.dir, "cache", "downloads", "*", "*.parted"))
			if err != nil || (c.want == "" && len(left) > 0) {
				t.Errorf("left over: %q, %v", left, err)
			}
		})
	}
}

// TestInterruptedDownload: the next run goes on with what the one before has brought.
func TestInterruptedDownload(t *testing.T) {
	p := newPublisher(t)
	good := bytes.Repeat([]byte("0123456789"), 1000)
	p.files["tool"] = good
	s := &workshop{dir: t.TempDir()}
	s.lock = filepath.Join(s.dir, "lock")
	digest := digestOf(string(good))
	s.write(t, fmt.Sprintf("version: 1\ntoolchain: go1.26.8\nplatform: linux/amd64\nfiles: [{name: tool, version: v1, path: bin/tool, url: %q, urlDigest: %q}]\n", p.URL+"/release/tool", digest))
	dir := filepath.Join(s.dir, "cache", "downloads", strings.TrimPrefix(digest, "sha256:"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{string(good[:4000]), string(good)} { // killed in the middle, and before the last step
		s.mustWrite(t, filepath.Join(dir, "whole.part"), part)
		if _, err := s.build(t, "a", "cache", func(o *bundle.Options) { o.FromSource, o.HTTP = false, p.Client() }); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "whole")); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(p.ranges, []string{"bytes=4000-", "bytes=10000-"}) {
		t.Errorf("asked for %q", p.ranges)
	}
}
