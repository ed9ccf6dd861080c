package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Lend makes blobs of this machine's store appear in the store of a container that runs. The way there is its first
// process's root: only that shows what a container on a volume, an overlay or a data set has, whose rootfs on the host
// is an empty directory. Whoever is root in a container may put links anywhere in it, so every name is looked up within
// it (os.Root).
func Lend(ctx context.Context, m *Machine, container string, digests []string) error {
	pid, err := containerPID(ctx, m, container)
	if err != nil {
		return err
	}
	if pid == 0 {
		return fmt.Errorf("container %s does not run, so nothing can be put into it: start it (lxc-start -n %s) and run again", container, container)
	}
	to, err := openStore(m.path(fmt.Sprintf("/proc/%d/root", pid)), true)
	if err != nil {
		return fmt.Errorf("open the store of container %s: %w", container, err)
	}
	defer to.close()
	// A name of another mount cannot be linked to. Where the container's root is a directory of the host, the same is
	// reached by one.
	near, err := openStore(m.path((&Container{Name: container}).dir()+"/rootfs"), false)
	if err == nil {
		defer near.close()
	}
	for _, d := range digests {
		if !isDigest.MatchString(d) {
			return fmt.Errorf("%q is no digest", d)
		}
		name := filepath.Base(BlobPath(d))
		if _, err := to.root.Lstat(name); err == nil {
			continue
		}
		if near.same(to) && near.link(m.path(BlobPath(d)), name) == nil {
			continue
		}
		if err := to.copy(m, d, name); err != nil {
			return fmt.Errorf("lend %s: %w", d, err)
		}
	}
	return nil
}

// lent is the store of a container, made if there is none.
type lent struct {
	root *os.Root
	dir  *os.File // the same directory, for linkat(2)
}

// openStore opens the store within a root file system that is there; made says that it is made if it is not.
func openStore(rootfs string, made bool) (*lent, error) {
	all, err := os.OpenRoot(rootfs)
	if err != nil {
		return nil, err
	}
	defer func() { _ = all.Close() }() // a directory handle
	if _, err := all.Stat("etc"); err != nil {
		return nil, fmt.Errorf("%s holds no system: %w", rootfs, err)
	}
	rel := strings.TrimPrefix(store, "/")
	if made {
		if err := all.MkdirAll(rel, 0o755); err != nil {
			return nil, err
		}
	}
	root, err := all.OpenRoot(rel)
	if err != nil {
		return nil, err
	}
	dir, err := root.Open(".")
	if err != nil {
		return nil, errors.Join(err, root.Close())
	}
	return &lent{root: root, dir: dir}, nil
}

func (l *lent) close() { _, _ = l.dir.Close(), l.root.Close() } // directory handles

// same says whether two are one directory.
func (l *lent) same(other *lent) bool {
	if l == nil {
		return false
	}
	a, err1 := l.dir.Stat()
	b, err2 := other.dir.Stat()
	return err1 == nil && err2 == nil && os.SameFile(a, b)
}

// link gives a file one more name, in the directory that is open, whatever its path leads to by now.
func (l *lent) link(from, name string) error {
	return unix.Linkat(unix.AT_FDCWD, from, int(l.dir.Fd()), name, 0)
}

func (l *lent) copy(m *Machine, digest, name string) error {
	blob, err := openBlob(m, digest)
	if err != nil {
		return err
	}
	defer func() { _ = blob.Close() }() // only read
	_ = l.root.Remove(name + ".new")    // of a run that was killed
	out, err := l.root.OpenFile(name+".new", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, blob)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return errors.Join(err, l.root.Remove(name+".new")) // a full container does not stay full
	}
	return l.root.Rename(name+".new", name)
}
