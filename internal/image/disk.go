package image

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// rootUUID names the root file system, to the boot loader as well. It is the same in each image: two of them are never
// in one machine, and a random one would make each build another.
const rootUUID = "6a65726f-626f-616d-8000-6e6f6465726f"

const mib = 1 << 20

func (b *builder) makeDisk(ctx context.Context) error {
	if err := b.clampTimes(); err != nil {
		return err
	}
	b.disk = filepath.Join(b.work, "disk")
	if b.Format == RootFS {
		return run(ctx, nil, "tar", "--numeric-owner", "--xattrs", "--sort=name", "--format=posix",
			"--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", "-cf", b.disk, "-C", b.root, ".")
	}
	if b.Kind == Container {
		return b.ext4(ctx, b.disk, 0)
	}
	return b.virtualDisk(ctx)
}

// clampTimes gives files that were made by this build one time: they would be different in each.
func (b *builder) clampTimes() error {
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return err
	}
	limit := time.Unix(seconds, 0)
	return filepath.WalkDir(b.root, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil || !info.ModTime().After(limit) {
			return err
		}
		spec := unix.NsecToTimespec(limit.UnixNano())
		return unix.UtimesNanoAt(unix.AT_FDCWD, at, []unix.Timespec{spec, spec}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

// ext4 makes a file system of the root. With size 0 it is as small as it can be: a cloud of containers enlarges it to
// the flavor's disk.
func (b *builder) ext4(ctx context.Context, file string, size int64) error {
	used, err := b.used()
	if err != nil {
		return err
	}
	room := size
	if room == 0 {
		room = used + used/20 + 96*mib // of which what is too much is taken away below
	}
	if room < used+used/20 {
		return fmt.Errorf("a disk of %d MB is too small: the files have %d MB", room/mib, used/mib)
	}
	if err := makeSparse(file, room); err != nil {
		return err
	}
	// The bytes of the journal are worth it on a virtual machine, which can lose power by itself.
	features := "metadata_csum_seed"
	if b.Kind == Container {
		features += ",^has_journal"
	}
	err = run(ctx, nil, "mke2fs", "-q", "-F", "-t", "ext4", "-O", features, "-m", "0", "-L", "root", "-U", rootUUID,
		"-E", "hash_seed="+rootUUID+",lazy_itable_init=0,root_owner=0:0", "-d", b.root, file)
	if err != nil || size != 0 {
		return err
	}
	return run(ctx, nil, "resize2fs", "-f", "-M", file) // e2fsck, which it wants first, would leave the hour of the day in it
}

// used is how many bytes the files of the root have on disk, with their last blocks and inodes.
func (b *builder) used() (int64, error) {
	var sum int64
	err := filepath.WalkDir(b.root, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		sum += 4096 + 256
		return err
	})
	return sum, err
}

func makeSparse(file string, size int64) error {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// finish writes the properties and puts both files in their place, the image last.
func (b *builder) finish(ctx context.Context) error {
	if b.Format == QCOW2 {
		compressed := b.disk + ".qcow2"
		if err := run(ctx, nil, "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", b.disk, compressed); err != nil {
			return err
		}
		b.disk = compressed
	}
	if err := b.describe(); err != nil {
		return err
	}
	if err := b.prop.write(b.Output); err != nil {
		return err
	}
	return os.Rename(b.disk, b.Output)
}

func fileDigest(file string) (digest string, size int64, err error) {
	in, err := os.Open(file)
	if err != nil {
		return "", 0, err
	}
	defer func() { _ = in.Close() }() // only read
	h := sha256.New()
	size, err = io.Copy(h, in)
	return "sha256:" + hex.EncodeToString(h.Sum(nil)), size, err
}
