package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// chosen are the images that go into the store.
func (b *builder) chosen() []ContainerImage {
	return slices.DeleteFunc(slices.Clone(b.Bundle.Images()), func(i ContainerImage) bool { return slices.Contains(b.Without, i.Name) })
}

// preload lets the bundle's own containerd import images in the root file system, with no network and in name spaces
// that end with it: whatever kills this run leaves no mount and no process.
func (b *builder) preload(ctx context.Context) error {
	script, err := files.ReadFile("files/preload.sh")
	if err != nil {
		return err
	}
	var references []string
	var aliases strings.Builder
	for _, i := range b.chosen() {
		references = append(references, i.Reference)
		for _, alias := range i.Aliases {
			fmt.Fprintf(&aliases, "%s %s\n", i.Reference, alias)
		}
	}
	for name, text := range map[string]string{"preload.sh": string(script), "preload.aliases": aliases.String()} {
		if err := os.WriteFile(filepath.Join(b.root, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	_, version, err := b.Bundle.File("kubeadm")
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	wrote := make(chan error, 1)
	go func() {
		err := b.Bundle.WriteImages(w, references...)
		_ = w.CloseWithError(err) // of a pipe: never fails
		wrote <- err
	}()
	err = run(ctx, r, "unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child", "--propagation", "private",
		"chroot", b.root, "/bin/sh", "/preload.sh", version)
	_ = r.Close() // so that the writer ends
	if werr := <-wrote; werr != nil && !errors.Is(werr, io.ErrClosedPipe) {
		err = errors.Join(werr, err)
	}
	if err != nil {
		return err
	}
	have, err := os.ReadFile(filepath.Join(b.root, "preload.have"))
	if err != nil {
		return err
	}
	b.prop.Images = strings.Fields(string(have))
	for _, ref := range references {
		if !slices.Contains(b.prop.Images, ref) {
			return fmt.Errorf("containerd did not take the image %s", ref)
		}
	}
	return nil
}
