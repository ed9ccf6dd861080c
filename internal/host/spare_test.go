package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

const blobStore = host.Directory + "/blobs/sha256"

// names are the files of a directory, those of the store by the text that they have.
func names(t *testing.T, m *host.Machine, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(m.Root, dir))
	if err != nil {
		t.Fatal(err)
	}
	out := []string{}
	for _, e := range entries {
		name := e.Name()
		if dir == blobStore {
			text, err := os.ReadFile(filepath.Join(m.Root, dir, name))
			if err != nil {
				t.Fatal(err)
			}
			name = string(text)
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func bring(t *testing.T, m *host.Machine, texts ...string) []string {
	t.Helper()
	var out []string
	for _, text := range texts {
		if err := host.Store(m, digest(text), strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
		out = append(out, digest(text))
	}
	return out
}

// planned is a change in words.
func planned(t *testing.T, m *host.Machine, i host.Item) string {
	t.Helper()
	have, err := host.Observe(t.Context(), m, []host.Item{i})
	if err != nil {
		t.Fatal(err)
	}
	c := i.Diff(have[0])
	if c == nil {
		return ""
	}
	if _, ok := c.What.(host.GivesBack); !ok {
		t.Errorf("%+v is not typed", c)
	}
	return string(c.Action) + " " + c.Summary
}

func TestTheLastTwoBundlesAreKept(t *testing.T) {
	m, _ := machine(t, nil)
	one := host.Item{Kept: &host.Kept{Digests: bring(t, m, "one", "both")}}
	settle(t, m, one)
	two := host.Item{Kept: &host.Kept{Digests: append(bring(t, m, "two", "both"), digest("not brought here"))}}
	if got, want := planned(t, m, two), "update files of this bundle and of the one before stay"; got != want {
		t.Errorf("a second bundle: %q, want %q", got, want)
	}
	settle(t, m, two)
	if diff := cmp.Diff([]string{"both", "one", "two"}, names(t, m, blobStore)); diff != "" {
		t.Errorf("with a second bundle: %s", diff)
	}
	put(t, m, blobStore+"/new-1234", "the beginning of something") // its upload was cut off
	three := host.Item{Kept: &host.Kept{Digests: bring(t, m, "three")}}
	if got, want := planned(t, m, three), "update files of this bundle and of the one before stay, 2 files (1 MiB) of older ones are removed"; got != want {
		t.Errorf("a third bundle: %q, want %q", got, want)
	}
	settle(t, m, three)
	if diff := cmp.Diff([]string{"both", "three", "two"}, names(t, m, blobStore)); diff != "" {
		t.Errorf("with a third bundle: %s", diff)
	}
	settle(t, m, two) // back again
	if diff := cmp.Diff([]string{"both", "three", "two"}, names(t, m, blobStore)); diff != "" {
		t.Errorf("back with the second: %s", diff)
	}
	if got := planned(t, m, two); got != "" {
		t.Errorf("a store as it should be: %q", got)
	}
}

// A run that is killed has written down which bundles stay, and has not removed all of the others.
func TestGivingBackIsGoneOnWith(t *testing.T) {
	m, _ := machine(t, nil)
	for _, text := range []string{"one", "two"} {
		settle(t, m, host.Item{Kept: &host.Kept{Digests: bring(t, m, text)}})
	}
	three := host.Item{Kept: &host.Kept{Digests: bring(t, m, "three")}}
	settle(t, m, three)
	put(t, m, host.BlobPath(digest("one")), "one") // the one that the kill left
	if got, want := planned(t, m, three), "update files of this bundle and of the one before stay, 1 files (1 MiB) of older ones are removed"; got != want {
		t.Errorf("after a kill: %q, want %q", got, want)
	}
	settle(t, m, three)
	if diff := cmp.Diff([]string{"three", "two"}, names(t, m, blobStore)); diff != "" {
		t.Error(diff)
	}
}

// An earlier version of this program wrote nothing down: what it brought is taken for the bundle before.
func TestAStoreWithoutARecord(t *testing.T) {
	for _, damaged := range []bool{false, true} {
		m, _ := machine(t, nil)
		bring(t, m, "old", "older")
		if damaged {
			put(t, m, host.Directory+"/bundles.json", `[{"id":`)
		}
		settle(t, m, host.Item{Kept: &host.Kept{Digests: bring(t, m, "new")}})
		if diff := cmp.Diff([]string{"new", "old", "older"}, names(t, m, blobStore)); diff != "" {
			t.Errorf("damaged %v: %s", damaged, diff)
		}
		settle(t, m, host.Item{Kept: &host.Kept{Digests: bring(t, m, "newer")}})
		if diff := cmp.Diff([]string{"new", "newer"}, names(t, m, blobStore)); diff != "" {
			t.Errorf("damaged %v, with the next: %s", damaged, diff)
		}
	}
}

func TestAnEmptyHostKeepsNothing(t *testing.T) {
	m, _ := machine(t, nil)
	kept := host.Item{Kept: &host.Kept{Digests: []string{digest("x")}}}
	if got := planned(t, m, kept); !strings.HasPrefix(got, "create ") {
		t.Errorf("a new host: %q", got)
	}
	settle(t, m, kept)
}

// TestAgentsOfOtherBuilds: what nobody runs goes, and nothing else.
func TestAgentsOfOtherBuilds(t *testing.T) {
	m, _ := machine(t, nil)
	if got := planned(t, m, host.Item{Builds: &host.Builds{}}); got != "" {
		t.Errorf("without agents: %q", got)
	}
	own, young := host.AgentName(), "agent-b.new-7"
	for _, name := range []string{own, "agent-a", "agent-runs", "agent-a.new-5", young} {
		put(t, m, host.Agents+"/"+name, name)
	}
	hours := m.Now().Add(-2 * time.Hour)
	if err := os.Chtimes(filepath.Join(m.Root, host.Agents, "agent-a.new-5"), hours, hours); err != nil {
		t.Fatal(err)
	}
	put(t, m, "/proc/17/stat", "")
	if err := os.Symlink(filepath.Join(m.Root, host.Agents, "agent-runs"), filepath.Join(m.Root, "/proc/17/exe")); err != nil {
		t.Fatal(err)
	}
	if got, want := planned(t, m, host.Item{Builds: &host.Builds{}}), "update removed, because nobody runs them: agent-a, agent-a.new-5"; got != want {
		t.Errorf("plan %q, want %q", got, want)
	}
	settle(t, m, host.Item{Builds: &host.Builds{}})
	want := []string{own, "agent-runs", young}
	slices.Sort(want)
	if diff := cmp.Diff(want, names(t, m, host.Agents)); diff != "" {
		t.Error(diff)
	}
}

// containerd answers for images as ctr does, and takes labels.
type containerd struct{ images map[string][]string }

func (c containerd) exec(_ context.Context, cmd host.Command) (host.Output, error) {
	line := strings.Join(cmd.Args, " ")
	if line == "ctr -n k8s.io images ls" {
		out := "REF TYPE DIGEST SIZE PLATFORMS LABELS\n"
		for ref, labels := range c.images {
			out += fmt.Sprintf("%s application/vnd.oci.image.manifest.v1+json %s 1.0 MiB linux/amd64 %s\n", ref, digest(ref), strings.Join(append(labels, "io.cri-containerd.image=managed"), ","))
		}
		return host.Output{Out: out}, nil
	}
	rest, ok := strings.CutPrefix(line, "ctr -n k8s.io images label ")
	if !ok {
		return host.Output{}, fmt.Errorf("the test knows no %q", line)
	}
	f := strings.Fields(rest)
	for _, l := range f[1:] {
		key, value, _ := strings.Cut(l, "=")
		c.images[f[0]] = slices.DeleteFunc(c.images[f[0]], func(have string) bool { return strings.HasPrefix(have, key+"=") })
		if value != "" {
			c.images[f[0]] = append(c.images[f[0]], l)
		}
	}
	return host.Output{}, nil
}

func TestImagesThatAreNotWantedLoseTheirPin(t *testing.T) {
	const pin, ours = "io.cri-containerd.pinned=pinned", "jeroboam/brought=yes"
	c := containerd{images: map[string][]string{
		"registry.k8s.io/etcd:3.6.16-0":   {pin, ours},
		"registry.k8s.io/etcd:3.6.15-0":   {pin, ours},
		"registry.k8s.io/etcd:3.6.14-0":   {pin}, // brought by a version of this program that marked nothing
		"quay.io/dropped/component:1":     {pin, ours},
		"harbor.example.com/operator/a:1": {pin}, // somebody else's
		"docker.io/library/busybox:1":     nil,
	}}
	m, _ := machine(t, nil)
	m.Exec = c.exec
	put(t, m, "/usr/bin/ctr", "")
	put(t, m, "/run/containerd/containerd.sock", "")
	item := host.Item{Pins: &host.Pins{Refs: []string{"registry.k8s.io/etcd:3.6.16-0"}}}
	want := "update not wanted any more, so that kubelet may take them: quay.io/dropped/component:1, registry.k8s.io/etcd:3.6.14-0, registry.k8s.io/etcd:3.6.15-0"
	if got := planned(t, m, item); got != want {
		t.Errorf("plan %q, want %q", got, want)
	}
	settle(t, m, item)
	var pinned []string
	for ref, labels := range c.images {
		if slices.Contains(labels, pin) {
			pinned = append(pinned, ref)
		}
	}
	slices.Sort(pinned)
	if diff := cmp.Diff([]string{"harbor.example.com/operator/a:1", "registry.k8s.io/etcd:3.6.16-0"}, pinned); diff != "" {
		t.Error(diff)
	}
}

// An image that an earlier version brought is marked, so that it is known again when it is not wanted any more.
func TestImagesAreMarked(t *testing.T) {
	const ref = "registry.k8s.io/pause:3.10.2"
	c := containerd{images: map[string][]string{ref: {"io.cri-containerd.pinned=pinned"}}}
	m, _ := machine(t, nil)
	m.Exec = c.exec
	put(t, m, "/usr/bin/ctr", "")
	put(t, m, "/run/containerd/containerd.sock", "")
	item := host.Item{Images: &host.Images{Images: []host.Image{{Ref: ref, Manifest: digest(ref)}}}}
	if diff := cmp.Diff([]string{"update images containerd"}, settle(t, m, item)); diff != "" {
		t.Error(diff)
	}
	if !slices.Contains(c.images[ref], "jeroboam/brought=yes") {
		t.Errorf("labels %q", c.images[ref])
	}
	have, err := host.Observe(t.Context(), m, []host.Item{item})
	if diff := cmp.Diff(plan.Facts{ref: strings.TrimPrefix(digest(ref), "sha256:")[:12]}, have[0]); err != nil || diff != "" {
		t.Error(diff, err)
	}
}
