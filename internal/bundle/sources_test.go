package bundle_test

import (
	"archive/tar"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// greeting is a lock with a module that cannot be built as it is published, in a group of its own.
func greeting(t *testing.T) *workshop {
	t.Helper()
	s := newWorkshop(t, "")
	text := s.read(t, s.lock)
	for _, c := range [][2]string{
		{"modules:\n", `default: [greet]
modules:
  - name: greet
    path: example.test/greet
    version: v1.0.0
    sum: ` + helloSum + `
    private: true
    replace:
      - module: example.test/words
        reason: nobody has it
        files:
          words.go: |
            package words

            const Greeting = "good morning"
`},
		{"programs:\n", `programs:
  - name: greet
    module: greet
    variables:
      main.version: "1.0 of today"
`},
		{"images:\n", `images:
  - name: greet
    version: v1.0.0
    reference: quay.io/greet/greet:v1.0.0
    group: greet
    programs:
      /usr/bin/greet: greet
    sources:
      - {module: greet, from: bpf, to: /var/lib/bpf, except: [tests]}
      - {module: greet, from: start.sh, to: /start.sh, script: true}
`},
	} {
		text = strings.Replace(text, c[0], c[1], 1)
	}
	s.write(t, text)
	return s
}

// layer lists an image's files as "mode path content", a program without its content.
func layer(t *testing.T, b *bundle.Bundle, name string) []string {
	t.Helper()
	img, err := b.Image(name)
	if err != nil {
		t.Fatal(err)
	}
	blob := func(digest string) string {
		return filepath.Join(b.Dir, "oci", "blobs", "sha256", strings.TrimPrefix(digest, "sha256:"))
	}
	text, err := os.ReadFile(blob(img.Digest))
	if err != nil {
		t.Fatal(err)
	}
	var manifest struct{ Layers []struct{ Digest string } }
	if err := json.Unmarshal(text, &manifest); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(blob(manifest.Layers[0].Digest))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var out []string
	for r := tar.NewReader(file); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(content) > 1000 {
			content = []byte("...")
		}
		out = append(out, fmt.Sprintf("%#o /%s %s", h.Mode, h.Name, strings.TrimSpace(string(content))))
	}
}

// TestReplacedModule: what a project released cannot be built; what the lock puts in place of the missing part can,
// repeatably.
func TestReplacedModule(t *testing.T) {
	s := greeting(t)
	if _, err := s.build(t, "a", "cache1", record); err != nil {
		t.Fatal(err)
	}
	if _, err := s.build(t, "b", "cache2", nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tree(t, filepath.Join(s.dir, "a")), tree(t, filepath.Join(s.dir, "b"))); diff != "" {
		t.Errorf("two builds of one lock differ:\n%s", diff)
	}
	b, err := bundle.Open(filepath.Join(s.dir, "b"), sign.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"0755 /start.sh #!/bin/sh", "0755 /usr/bin/greet ...", "0644 /var/lib/bpf/lib/a.h /* a */", "0644 /var/lib/bpf/main.c /* main */"}
	if diff := cmp.Diff(want, layer(t, b, "greet")); diff != "" {
		t.Error(diff)
	}
	programs, err := filepath.Glob(filepath.Join(s.dir, "cache1", "programs", "greet-*", "greet"))
	if err != nil || len(programs) != 1 {
		t.Fatal(programs, err)
	}
	if out, err := exec.CommandContext(t.Context(), programs[0]).CombinedOutput(); err != nil || string(out) != "good morning 1.0 of today\n" {
		t.Errorf("the program says %q, %v", out, err)
	}
	// Another text in the lock is another program, and the old digest no longer fits.
	s.write(t, strings.Replace(s.read(t, s.lock), "good morning", "good evening", 1))
	if _, err := s.build(t, "a", "cache1", nil); err == nil || !strings.Contains(err.Error(), "image greet v1.0.0 is not what the lock says") {
		t.Errorf("a changed replacement goes unnoticed: %v", err)
	}
}

func TestSourcesThatAreNotThere(t *testing.T) {
	for _, c := range []struct{ reason, old, other, want string }{
		{"what is to be left out", "except: [tests]", "except: [testing]", "testing is to be left out of bpf, and is not there"},
		{"a directory", "from: bpf,", "from: ebpf,", "ebpf: no such file"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			s := greeting(t)
			s.write(t, strings.Replace(s.read(t, s.lock), c.old, c.other, 1))
			if _, err := s.build(t, "a", "cache", record); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, have %v", c.want, err)
			}
		})
	}
}

// TestDefaultGroup: a default group is made unless it is declined; either bundle is whole.
func TestDefaultGroup(t *testing.T) {
	s := greeting(t)
	if _, err := s.build(t, "a", "cache", record); err != nil {
		t.Fatal(err)
	}
	without := func(o *bundle.Options) { o.Without = []string{"greet"} }
	events, err := s.build(t, "a", "cache", without)
	if err != nil || strings.Contains(strings.Join(events, " "), "greet") {
		t.Fatalf("the group was declined and is made: %v %v", events, err)
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
		t.Errorf("a bundle without a group is not as it should be: %v", err)
	}
	if _, err := b.Image("greet"); err == nil {
		t.Error("the image of the declined group is still in the bundle")
	}
	_, err = s.build(t, "a", "cache", func(o *bundle.Options) { o.Without = []string{"great"} })
	if err == nil || !strings.Contains(err.Error(), `the lock has no group "great"; it has ["greet"]`) {
		t.Errorf("a group that does not exist: %v", err)
	}
}

// TestTwoBuildsOfOneDirectory: the second one goes away at once, and the first one is not disturbed.
func TestTwoBuildsOfOneDirectory(t *testing.T) {
	s := newWorkshop(t, "")
	var second error
	_, err := s.build(t, "a", "cache", func(o *bundle.Options) {
		o.Record = true
		o.Progress = func(bundle.Event) {
			if second == nil {
				_, second = s.build(t, "a", "cache", record)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if second == nil || !strings.Contains(second.Error(), "another bundle build is writing "+filepath.Join(s.dir, "a")) {
		t.Errorf("the second build: %v", second)
	}
	if _, err := s.build(t, "a", "cache", nil); err != nil {
		t.Errorf("nobody builds any more: %v", err)
	}
}
