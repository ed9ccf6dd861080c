package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// DetachLoops frees the loop devices whose files are below dir. They are the whole machine's, and one that is mounted
// in a namespace that is going away is free only a moment later: ask again while there is an error.
func DetachLoops(dir string) error {
	mine := map[[2]uint64]bool{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		var st syscall.Stat_t
		if err := syscall.Stat(path, &st); err != nil {
			return err
		}
		mine[[2]uint64{st.Dev, st.Ino}] = true
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(mine) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	attached, err := filepath.Glob("/sys/block/loop*/loop")
	if err != nil {
		return err
	}
	var left []error
	for _, loop := range attached {
		name := filepath.Base(filepath.Dir(loop))
		if err := detachLoop(name, mine); err != nil {
			left = append(left, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(left...)
}

// detachLoop frees one, named as in /sys/block, if its file is among mine.
func detachLoop(name string, mine map[[2]uint64]bool) error {
	f, err := openLoop(name)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := unix.IoctlLoopGetStatus64(int(f.Fd()))
	if errors.Is(err, unix.ENXIO) || err == nil && !mine[[2]uint64{info.Device, info.Inode}] {
		return nil
	}
	if err != nil {
		return err
	}
	if err := unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0); err != nil && !errors.Is(err, unix.ENXIO) {
		return err
	}
	return nil
}

// openLoop opens a loop device by a node of its own: one that was made in a container has none in /dev.
func openLoop(name string) (*os.File, error) {
	text, err := os.ReadFile(filepath.Join("/sys/block", name, "dev"))
	if err != nil {
		return nil, err
	}
	var major, minor uint32
	if _, err := fmt.Sscanf(string(text), "%d:%d", &major, &minor); err != nil {
		return nil, fmt.Errorf("%q: %w", text, err)
	}
	dir, err := os.MkdirTemp("", "loop")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // an empty directory at worst
	node := filepath.Join(dir, name)
	if err := unix.Mknod(node, unix.S_IFBLK|0o600, int(unix.Mkdev(major, minor))); err != nil {
		return nil, err
	}
	return os.Open(node)
}
