package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/registry"
	"github.com/jeroboam-cloud/jeroboam/internal/whole"
)

// needed says whether a Debian package is used by what is being made.
func (b *builder) needed(p Package) bool {
	return b.shipped(p) || slices.ContainsFunc(b.lock.Images, func(i Image) bool {
		return b.FromSource && chosen(i.Group, b.chosen) && slices.Contains(i.Packages, p.Name)
	})
}

// shipped says whether a Debian package goes into the bundle by itself.
func (b *builder) shipped(p Package) bool { return p.Ship && chosen(p.Group, b.chosen) }

// makePackages fetches the Debian packages with apt, which checks signatures; the lock says which bytes they must be.
func (b *builder) makePackages(ctx context.Context) error {
	if err := b.downloadTogether(ctx); err != nil {
		return err
	}
	for i := range b.lock.Packages {
		p := &b.lock.Packages[i]
		if !b.needed(*p) {
			continue
		}
		began := b.Now()
		file, how, err := b.deb(ctx, p)
		if err != nil {
			return fmt.Errorf("package %s: %w", p.Name, err)
		}
		digest, size, err := fileDigest(file)
		if err != nil {
			return err
		}
		if err := b.settle("package", p.Name, p.Version, how, p.Digest, digest, began, true); err != nil {
			return err
		}
		if !b.shipped(*p) {
			continue
		}
		entry := IndexFile{Name: p.Name, Kind: "package", Version: p.Version, Path: "debs/" + p.Name + ".deb", Digest: digest, Size: size, Group: p.Group}
		if err := b.place(file, entry, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// downloadTogether fetches what the cache lacks in one call: apt takes seconds to read its lists. What one call does
// not bring, because one version is not to be had, is fetched one by one, and there is an error to tell.
func (b *builder) downloadTogether(ctx context.Context) error {
	var lacking []*Package
	var what []string
	for i := range b.lock.Packages {
		p := &b.lock.Packages[i]
		if b.needed(*p) && !exists(filepath.Join(b.debDir(p), "package.deb")) {
			lacking, what = append(lacking, p), append(what, p.Name+"="+p.Version)
		}
	}
	if len(lacking) < 2 {
		return nil
	}
	dir, err := os.MkdirTemp(filepath.Join(b.Cache, "debs"), "new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // what is good is moved out of it
	if out, err := aptDownload(ctx, dir, what...); err != nil {
		b.Log.Debug("not all packages at once", "error", err, "output", out)
	}
	for _, p := range lacking {
		found, err := filepath.Glob(filepath.Join(dir, p.Name+"_*.deb"))
		if err != nil || len(found) != 1 {
			continue
		}
		if err := os.MkdirAll(b.debDir(p), 0o755); err != nil {
			return err
		}
		if err := whole.Name(found[0], filepath.Join(b.debDir(p), "package.deb")); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) debDir(p *Package) string {
	return filepath.Join(b.Cache, "debs", p.Name+"-"+hash(p.Name, p.Version))
}

func (b *builder) deb(ctx context.Context, p *Package) (file, how string, err error) {
	dir := b.debDir(p)
	file = filepath.Join(dir, "package.deb")
	if _, err := os.Stat(file); err == nil {
		b.differs = b.differs || exists(filepath.Join(dir, "other-version"))
		return file, "cached", nil
	}
	if err := os.MkdirAll(filepath.Join(dir, "apt"), 0o755); err != nil {
		return "", "", err
	}
	out, err := aptDownload(ctx, filepath.Join(dir, "apt"), p.Name+"="+p.Version)
	if err != nil && (b.AnyHost || b.Record) {
		b.differs = true
		if out, err = aptDownload(ctx, filepath.Join(dir, "apt"), p.Name); err == nil {
			err = os.WriteFile(filepath.Join(dir, "other-version"), nil, 0o644)
		}
	}
	if err != nil {
		return "", "", fmt.Errorf("apt-get download %s=%s: %w: %s; \"apt-cache policy %s\" says what this machine's mirror has (--any-host takes that)",
			p.Name, p.Version, err, strings.TrimSpace(out), p.Name)
	}
	found, err := filepath.Glob(filepath.Join(dir, "apt", "*.deb"))
	if err != nil || len(found) == 0 {
		return "", "", errors.Join(errors.New("apt-get has downloaded nothing"), err)
	}
	return file, "downloaded", whole.Name(found[0], file)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func aptDownload(ctx context.Context, dir string, what ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"download", "-q", "-o", "APT::Sandbox::User=root"}, what...)...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// unpack gives the files of Debian packages that are below one of the paths, as files of an image. They are in the
// directory "in" meanwhile: the cache is other builds' as well.
func (b *builder) unpack(ctx context.Context, img *Image, in string) ([]registry.File, error) {
	var files []registry.File
	have := map[string]bool{}
	for _, name := range img.Packages {
		root := filepath.Join(in, name)
		if err := os.RemoveAll(root); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(in, 0o755); err != nil {
			return nil, err
		}
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", filepath.Join(b.debDir(b.lock.pkg(name)), "package.deb"), root).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("unpack package %s: %w: %s", name, err, out)
		}
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(root, path)
			if err != nil {
				return err
			}
			at := "/" + filepath.ToSlash(rel)
			if have[at] || !img.takes(at) {
				return nil
			}
			have[at] = true
			f, err := fileOf(path, at, d)
			files = append(files, f)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("unpack package %s: %w", name, err)
		}
	}
	return files, nil
}

// takes says whether a file of a package belongs into the image.
func (i *Image) takes(at string) bool {
	return slices.ContainsFunc(i.Paths, func(p string) bool { return at == p || strings.HasPrefix(at, strings.TrimSuffix(p, "/")+"/") })
}

func fileOf(path, at string, d fs.DirEntry) (registry.File, error) {
	info, err := d.Info()
	if err != nil {
		return registry.File{}, err
	}
	f := registry.File{Path: at, Source: path, Mode: info.Mode()}
	if info.Mode()&fs.ModeSymlink != 0 {
		f.Link, err = os.Readlink(path)
	}
	return f, err
}
