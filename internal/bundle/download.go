package bundle

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// download fetches what is at an artefact's URL, compares it with the lock, and takes a member out of it if it is an
// archive.
func (b *builder) download(ctx context.Context, a Artefact, member string) (file, how string, err error) {
	if a.URLDigest == "" {
		return "", "", fmt.Errorf("the lock does not say what digest %s must have: add urlDigest", a.URL)
	}
	dir := filepath.Join(b.Cache, "downloads", strings.TrimPrefix(a.URLDigest, "sha256:"))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", "", err
	}
	whole := filepath.Join(dir, "whole")
	how = "cached"
	if got, _, err := fileDigest(whole); err != nil || got != a.URLDigest { // the name of a file is no proof of what is in it
		how = "downloaded"
		if err := b.fetch(ctx, a, whole); err != nil {
			return "", "", fmt.Errorf("%s %s: %w", a.Name, a.Version, err)
		}
	}
	if member == "" {
		return whole, how, nil
	}
	part := filepath.Join(dir, "part-"+hash(member))
	return part, how, extract(whole, member, part)
}

// extract writes one member of a tar, compressed with gzip or not, to a file.
func extract(archive, member, to string) (err error) {
	in, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	var r io.Reader = in
	if z, err := gzip.NewReader(in); err == nil {
		r = z
	} else if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("the archive has no file %s", member)
		}
		if err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		if path.Clean(h.Name) != member || h.Typeflag != tar.TypeReg {
			continue
		}
		out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, io.LimitReader(t, maxDownload))
		return errors.Join(err, out.Close())
	}
}
