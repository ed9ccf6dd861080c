package bundle_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

// TestAnImageOfPackagesAlone has no program of ours, and is made all the same: what a package has and the lock takes,
// and links to it.
func TestAnImageOfPackagesAlone(t *testing.T) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not here: it unpacks Debian's packages")
	}
	root, tools := t.TempDir(), t.TempDir()
	for name, text := range map[string]string{
		"DEBIAN/control": "Package: box\nVersion: 1.0-1\nArchitecture: all\nMaintainer: nobody <nobody@example.test>\nDescription: a box\n",
		"bin/box":        "#!/bin/true\n", "usr/share/doc/box/copyright": "free\n",
	} {
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "dpkg-deb", "--root-owner-group", "-b", root, filepath.Join(tools, "box.deb")).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	apt := "#!/bin/sh\n[ \"$1 $6\" = 'download box=1.0-1' ] || [ \"$1 $5\" = 'download box=1.0-1' ] || exit 100\ncp " + tools + "/box.deb box_1.0-1_all.deb\n"
	if err := os.WriteFile(filepath.Join(tools, "apt-get"), []byte(apt), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", tools+":"+os.Getenv("PATH"))

	s := newWorkshop(t, "")
	text := s.read(t, s.lock)
	text = strings.Replace(text, "images:\n", `packages:
  - name: box
    version: "1.0-1"
images:
  - name: box
    version: v1.0.0
    reference: registry.k8s.io/box:v1.0.0
    packages: [box]
    paths: [/bin]
    links: {/bin/sh: box}
    command: [sh]
`, 1)
	s.write(t, text)
	events, err := s.build(t, "a", "cache", record)
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(events, "\n"); !strings.Contains(all, "package box downloaded") || !strings.Contains(all, "image box cached") {
		t.Errorf("what was done:\n%s", all)
	}
	made, err := bundle.Open(filepath.Join(s.dir, "a"), sign.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	if blobs := tree(t, filepath.Join(s.dir, "a", "oci", "blobs")); !slices.ContainsFunc(slices.Collect(maps.Keys(blobs)), func(blob string) bool {
		return strings.Contains(s.read(t, filepath.Join(s.dir, "a", "oci", "blobs", blob)), `"Cmd":["sh"]`)
	}) {
		t.Errorf("no image is told what to do when a pod says nothing: %v", blobs)
	}
	want := []string{"0755 /bin/box #!/bin/true", "0777 /bin/sh "}
	if diff := cmp.Diff(want, layer(t, made, "box")); diff != "" {
		t.Errorf("in the image (-want +got):\n%s", diff)
	}
}
