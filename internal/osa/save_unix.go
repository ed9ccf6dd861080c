//go:build unix

package osa

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

var errLocked = syscall.EWOULDBLOCK

func tryLock(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// likeOld gives a new file the mode of the old one, and its owner where that is allowed. A first one is readable by
// all, as the original's is under the usual umask.
func likeOld(f *os.File, old fs.FileInfo) error {
	mode := fs.FileMode(0o644)
	if old != nil {
		mode = old.Mode().Perm()
		if st, ok := old.Sys().(*syscall.Stat_t); ok {
			_ = f.Chown(int(st.Uid), int(st.Gid)) // only root may give files away; the mode is what matters
		}
	}
	return f.Chmod(mode)
}
