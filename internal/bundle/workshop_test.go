package bundle_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
)

// proxy makes a Go module proxy in a directory, with two modules in it. The second needs one that nobody has.
func proxy(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	publish(t, dir, "hello", map[string]string{
		"go.mod":                        "module example.test/hello\n\ngo 1.26.0\n",
		"main.go":                       "package main\n\nvar version = \"unset\"\n\nfunc main() { println(\"hello \" + version) }\n",
		"charts/hello/Chart.yaml":       "apiVersion: v2\nname: hello\nversion: 0.1.0\ndependencies: [{name: common}]\n",
		"charts/hello/README.md":        "# not for the archive\n",
		"charts/hello/values.yaml":      "image: {tag: \"\"}\n",
		"charts/hello/templates/a.yaml": "kind: ConfigMap\n",
		"charts/hello/ci/values.yaml":   "a: b\n",
		"config/addon.yaml":             "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\nspec:\n  containers:\n  - name: a\n    image: \"docker.io/staging/hello:v0\"\n",
		"config/hello.yaml":             "kind: Deployment\nspec:\n  image: example.test/staging/hello:dev\n  imagePullPolicy: Always\n  args: [\"--topology=${TOPOLOGY:=false}\", \"--port=${PORT:=8080}\"]\n",
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
	publishAs(t, dir, "example.test/"+module, "v1.0.0", files)
}

// publishAs puts one version of a module into a proxy, beside those that are there.
func publishAs(t *testing.T, dir, module, version string, files map[string]string) {
	t.Helper()
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for _, n := range slices.Sorted(maps.Keys(files)) {
		f, err := w.Create(module + "@" + version + "/" + n)
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
	at := filepath.Join(dir, module, "@v")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(at, "list"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	for n, text := range map[string]string{
		"list": string(before) + version + "\n", version + ".info": `{"Version":"` + version + `","Time":"2026-01-01T00:00:00Z"}`,
		version + ".mod": files["go.mod"], version + ".zip": archive.String(),
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
    aliases: [registry.k8s.io/pause:v0.9.0]
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

func (s *workshop) mustWrite(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func second[T any](_ T, err error) error { return err }

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256:" + hex.EncodeToString(sum[:])
}
