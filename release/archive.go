package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
)

// archive packs a binary with its license, for systems without Debian's packages.
func (r *release) archive(_ context.Context, program, arch string) (err error) {
	f, err := os.Create(r.name(program, arch, ".tar.gz"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	zipped, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(zipped)
	for _, part := range []struct {
		name, source string
		mode         int64
	}{
		{"LICENSE", filepath.Join(r.root, "LICENSE"), 0o644},
		{program, r.binary(program, arch), 0o755},
	} {
		if err := r.add(w, part.name, part.source, part.mode); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), zipped.Close())
}

func (r *release) add(w *tar.Writer, name, source string, mode int64) (err error) {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	about, err := in.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Size: about.Size(), Mode: mode, ModTime: r.commit.time, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
	if err := w.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(w, in)
	return err
}

// pack makes a tar of a directory, in the order of names.
func (r *release) pack(dir, path string) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	err = filepath.WalkDir(dir, func(at string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		return r.add(w, filepath.ToSlash(name), at, 0o644)
	})
	return errors.Join(err, w.Close())
}
