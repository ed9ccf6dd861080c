package bundle

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// maxDownload bounds one file in bytes; the largest of Kubernetes has about 150 MB.
const maxDownload = 2 << 30

// download fetches what is at an artefact's URL, compares it with the lock, and takes a member out of it if it is an archive.
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
			return "", "", err
		}
	}
	if member == "" {
		return whole, how, nil
	}
	part := filepath.Join(dir, "part-"+hash(member))
	return part, how, extract(whole, member, part)
}

func (b *builder) fetch(ctx context.Context, a Artefact, to string) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.URL, nil)
	if err != nil {
		return err
	}
	resp, err := b.HTTP.Do(req)
	if err != nil {
		return fmt.Errorf("download: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("download %s: %s", a.URL, resp.Status)
	}
	tmp, err := os.CreateTemp(filepath.Dir(to), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // renamed if all went well
	n, err := io.Copy(tmp, io.LimitReader(resp.Body, maxDownload+1))
	if n > maxDownload {
		err = fmt.Errorf("download %s: longer than %d bytes", a.URL, maxDownload)
	}
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	got, _, err := fileDigest(tmp.Name())
	if err != nil {
		return err
	}
	if got != a.URLDigest {
		return fmt.Errorf("%s %s: what is at %s is not what the lock says: it must have digest %s and has %s", a.Name, a.Version, a.URL, a.URLDigest, got)
	}
	return keep(tmp.Name(), to)
}

// keep gives a file its name when its content is on the disk: a cache believes names after a loss of power too.
func keep(file, to string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(file, to); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(to))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
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
