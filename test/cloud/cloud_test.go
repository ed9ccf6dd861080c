package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

func TestDownLeavesStrangersAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	err := (&Cloud{Dir: dir, Out: &bytes.Buffer{}, Err: &bytes.Buffer{}}).Down(t.Context())
	if err == nil || !strings.Contains(err.Error(), "thesis.tex") {
		t.Errorf("down in a directory that is no cloud: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "thesis.tex")); err != nil {
		t.Error(err)
	}
}

func TestNoCloud(t *testing.T) {
	c := &Cloud{Dir: t.TempDir(), Limit: time.Second}
	for name, do := range map[string]func() error{
		"status": func() error { return c.Status(t.Context()) },
		"exec":   func() error { return c.Exec(t.Context(), []string{"true"}) },
		"inside": func() error { return c.Inside(t.Context(), []string{"true"}) },
	} {
		if err := do(); err == nil || !strings.Contains(err.Error(), "cloud up") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := c.Exec(t.Context(), nil); err == nil {
		t.Error("exec without a command")
	}
}

// TestConfigurationNamesWhatIsThere: services log in as users that exist, at addresses that are the cloud's, and nobody
// is forgotten.
func TestConfigurationNamesWhatIsThere(t *testing.T) {
	users := map[string]bool{}
	for _, u := range world().users {
		users[u.name] = true
	}
	addresses := regexp.MustCompile(`\b10\.7[0-9]\.\d+\.\d+`)
	logins := regexp.MustCompile(`(?m)^username = (.*)$`)
	err := fs.WalkDir(files, "files", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		for _, found := range addresses.FindAllString(string(text), -1) {
			if found != address && found != gateway && found != "10.78.0.1" {
				t.Errorf("%s: address %s", path, found)
			}
		}
		for _, found := range logins.FindAllStringSubmatch(string(text), -1) {
			if !users[found[1]] {
				t.Errorf("%s: no user %s", path, found[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestUWSGI(t *testing.T) {
	const debian = "[uwsgi]\nplugins = python3,apparmor\napparmor-profile = keystone\nprocesses = 8\nthreads = 32\nname = x\n"
	if diff := cmp.Diff("[uwsgi]\nplugins = python3\nprocesses = 2\nthreads = 4\nname = x\nadd-header = Connection: close\n", uwsgi("keystone", debian)); diff != "" {
		t.Error(diff)
	}
	if got := uwsgi("nova", debian); !strings.Contains(got, "threads = 1\n") {
		t.Errorf("eventlet with threads: %s", got)
	}
}

func TestClouds(t *testing.T) {
	text, err := cloudsYAML()
	if err != nil {
		t.Fatal(err)
	}
	var read struct {
		Clouds map[string]struct {
			Region string            `yaml:"region_name"`
			Auth   map[string]string `yaml:"auth"`
		} `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	for name, project := range map[string]string{"admin": "admin", "demo": "demo", "other": "other", "reader": "demo", "magnum": "service"} {
		if got := read.Clouds[name]; got.Auth["project_name"] != project || got.Auth["auth_url"] != keystoneURL || got.Region != region {
			t.Errorf("%s: %v", name, got)
		}
	}
	if _, there := read.Clouds["nova"]; there || len(read.Clouds) != 5 {
		t.Errorf("people: %d", len(read.Clouds))
	}
}

// TestLayersAreNamedByWhatTheyAreMadeOf: two clouds share the cache, whatever directory they stand in.
func TestLayersAreNamedByWhatTheyAreMadeOf(t *testing.T) {
	one, two := &Cloud{Dir: "/a", Cache: "/cache"}, &Cloud{Dir: "/b", Cache: "/cache"}
	first, err := one.configured()
	if err != nil {
		t.Fatal(err)
	}
	second, err := two.configured()
	if err != nil || first != second || one.rootfs() != two.rootfs() || !strings.HasPrefix(first, "/cache/configured-") {
		t.Errorf("%s, %s, %v", first, second, err)
	}
	if one.container() == two.container() {
		t.Error("two clouds have the same container")
	}
}

func TestReported(t *testing.T) {
	if got, err := reported([]string{"volume", "scheduler"}, nil, "scheduler", "volume"); err != nil || got != "scheduler, volume" {
		t.Error(got, err)
	}
	if _, err := reported([]string{"volume"}, nil, "scheduler", "volume"); err == nil || !strings.Contains(err.Error(), "scheduler") {
		t.Error(err)
	}
}
