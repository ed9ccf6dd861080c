package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// A small image to try the cloud with: Debian with systemd, cloud-init and sshd, as a raw ext4 file system
// ("disk_format raw"). It is no Kubernetes node, and nothing in it is peculiar to containers but that the network is
// systemd-networkd's.

//go:embed imagefiles
var imageFiles embed.FS

func imagePackages() []string {
	return strings.Fields(`systemd systemd-sysv dbus iproute2 iputils-ping ca-certificates openssh-server cloud-init
		python3 python3-cffi-backend sudo curl procps isc-dhcp-client`)
}

const imageRecipe = "1"

// makeImage makes the image, if it is not in the cache, and returns where it is.
func (c *Cloud) makeImage(ctx context.Context) (string, error) {
	tree, err := fs.Sub(imageFiles, "imagefiles")
	if err != nil {
		return "", err
	}
	parts := append([]string{imageRecipe}, imagePackages()...)
	contents := map[string]string{"etc/resolv.conf": "nameserver 127.0.0.1\n", "etc/machine-id": ""}
	err = fs.WalkDir(tree, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(tree, path)
		parts, contents[path] = append(parts, path, string(text)), string(text)
		return err
	})
	final := filepath.Join(c.Cache, "image-"+digest(parts...)+".raw")
	if err != nil || exists(final) {
		return final, err
	}
	dir, err := c.fresh("image")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is left is removed next time
	root, disk := filepath.Join(dir, "root"), filepath.Join(dir, "raw")
	err = machine.Command(ctx, "mmdebstrap", "--quiet", "--variant=minbase", "--components=main", "--dpkgopt=force-unsafe-io",
		"--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*", "--dpkgopt=path-exclude=/usr/share/doc/*",
		"--include="+strings.Join(imagePackages(), ","), "bookworm", root)
	if err != nil {
		return "", err
	}
	for name, text := range contents {
		path := filepath.Join(root, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.RemoveAll(path), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			return "", err
		}
	}
	keys, err := filepath.Glob(filepath.Join(root, "etc/ssh/ssh_host_*"))
	if err != nil {
		return "", err
	}
	for _, key := range keys {
		if err := os.Remove(key); err != nil {
			return "", err
		}
	}
	if err := machine.Command(ctx, "systemctl", "--root", root, "--quiet", "enable", "systemd-networkd", "systemd-networkd-wait-online"); err != nil {
		return "", err
	}
	if err := machine.Command(ctx, "mke2fs", "-q", "-t", "ext4", "-L", "root", "-d", root, disk, "1500M"); err != nil {
		return "", err
	}
	if err := machine.Command(ctx, "resize2fs", "-M", disk); err != nil {
		return "", err
	}
	return final, os.Rename(disk, final)
}

// Image says where the small image is.
func (c *Cloud) Image(ctx context.Context) error {
	path, err := c.makeImage(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.Out, path)
	return err
}
