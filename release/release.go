package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// release is what is made, and where.
type release struct {
	root, out string
	commit    commit
	arches    []string
	programs  []string
	say       io.Writer
}

type step struct {
	name string
	run  func(context.Context) error
}

// steps is the whole procedure.
func (r *release) steps() []step {
	return []step{
		{"empty the directory", r.empty},
		{"check out the commit", r.checkOut},
		{"binaries", r.each(r.compile)},
		{"manual page and completion", r.pages},
		{"archives", r.each(r.archive)},
		{"Debian packages", r.each(r.debian)},
		{"bills of materials", r.each(r.materials)},
		{"image", r.image},
		{"checksums", r.sums},
	}
}

// each runs something for every program and architecture.
func (r *release) each(do func(ctx context.Context, program, arch string) error) func(context.Context) error {
	return func(ctx context.Context) error {
		for _, program := range r.programs {
			for _, arch := range r.arches {
				if err := do(ctx, program, arch); err != nil {
					return fmt.Errorf("%s for %s: %w", program, arch, err)
				}
			}
		}
		return nil
	}
}

// marker names a directory that a release may empty.
const marker = ".jeroboam-release"

// empty replaces what an earlier release made, and nothing else.
func (r *release) empty(context.Context) error {
	entries, err := os.ReadDir(r.out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(r.out, marker)); err != nil {
			return fmt.Errorf("%s has files that are of no release: name another --output, or remove them", r.out)
		}
		if err := os.RemoveAll(r.out); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(r.work(), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.out, marker), nil, 0o644)
}

// work is for parts that are not published as files.
func (r *release) work(names ...string) string {
	return filepath.Join(append([]string{r.out, ".work"}, names...)...)
}

func (r *release) binary(program, arch string) string { return r.work(program + "-" + arch) }

// name is what a published file is called.
func (r *release) name(program, arch, suffix string) string {
	return filepath.Join(r.out, program+"_"+r.commit.version+"_linux_"+arch+suffix)
}

// sums writes SHA256SUMS, as sha256sum -c reads it, and takes the parts away.
func (r *release) sums(context.Context) error {
	if err := os.RemoveAll(r.work()); err != nil {
		return err
	}
	entries, err := os.ReadDir(r.out)
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range entries {
		if e.Name() == marker {
			continue
		}
		sum, err := digest(filepath.Join(r.out, e.Name()))
		if err != nil {
			return err
		}
		lines = append(lines, sum+"  "+e.Name()+"\n")
	}
	slices.Sort(lines)
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(strings.Join(lines, "")), 0o644)
}

func digest(path string) (sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
