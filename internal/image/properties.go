package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// Properties are what is known of an image. They are in a file beside it, named FILE.json; the first four are
// properties of the image in Glance, where Magnum and schedulers look.
type Properties struct {
	OSDistro     string `json:"os_distro"`
	OSVersion    string `json:"os_version"`
	KubeVersion  string `json:"kube_version"`
	Architecture string `json:"architecture"`

	Kind       string   `json:"kind"`
	Format     string   `json:"format"`
	Size       int64    `json:"size"`     // of the file in bytes
	DiskSize   int64    `json:"diskSize"` // of the disk that it is
	Digest     string   `json:"digest"`   // of the file
	LockDigest string   `json:"lockDigest"`
	Images     []string `json:"images"` // that nodes have without pulling
	Packages   []string `json:"packages"`
}

// Glance is the part that Glance is told. A node of a container cloud boots by no firmware and has no disk bus.
func (p Properties) Glance() map[string]string {
	out := map[string]string{"os_distro": p.OSDistro, "os_version": p.OSVersion, "kube_version": p.KubeVersion, "architecture": p.Architecture}
	if p.Kind == VM {
		out["hw_disk_bus"] = "virtio"
	}
	return out
}

func (b *builder) describe() error {
	p := &b.prop
	p.OSDistro, p.OSVersion, p.Architecture = "debian", "12", "x86_64"
	_, version, err := b.Bundle.File("kubeadm")
	if err != nil {
		return err
	}
	p.KubeVersion, p.Kind, p.Format, p.LockDigest = version, b.Kind, b.Format, b.Bundle.Digest()
	out, err := exec.Command("dpkg-query", "--admindir="+filepath.Join(b.root, "var/lib/dpkg"), "-W", "-f=${Package} ${Version}\n").Output() //nolint:noctx // a moment
	if err != nil {
		return fmt.Errorf("list packages: %w", err)
	}
	p.Packages = strings.Split(strings.TrimSpace(string(out)), "\n")
	p.Digest, p.Size, err = fileDigest(b.disk)
	if p.DiskSize = b.size; p.DiskSize == 0 {
		p.DiskSize = p.Size
	}
	return err
}

func propertiesFile(image string) string { return image + ".json" }

func (p Properties) write(image string) error {
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return whole.Write(propertiesFile(image), append(text, '\n'), 0o644)
}

// ReadProperties reads the file beside an image and checks that it is of this image.
func ReadProperties(image string) (Properties, error) {
	text, err := os.ReadFile(propertiesFile(image))
	if errors.Is(err, fs.ErrNotExist) {
		return Properties{}, fmt.Errorf("there is no %s: an image has its properties beside it; make it with jeroboam image build", propertiesFile(image))
	}
	if err != nil {
		return Properties{}, fmt.Errorf("properties of %s: %w", image, err)
	}
	var p Properties
	if err := json.Unmarshal(text, &p); err != nil {
		return Properties{}, fmt.Errorf("properties of %s: %w", image, err)
	}
	digest, _, err := fileDigest(image)
	if err != nil {
		return Properties{}, fmt.Errorf("read the image: %w", err)
	}
	if digest != p.Digest {
		return Properties{}, fmt.Errorf("%s has digest %s, and %s is of an image with %s: build it again", image, digest, propertiesFile(image), p.Digest)
	}
	return p, nil
}
