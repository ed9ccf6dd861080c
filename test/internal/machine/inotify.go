package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Inotify instances are counted for the whole machine, whatever a host's own value says: one too few, and some program
// ends with "inotify_init: too many open files", minutes later and on any of the hosts.

// CheckInotify is an error when hosts that need so many instances would not find them.
func CheckInotify(need int) error {
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_user_instances")
	if err != nil {
		return nil //nolint:nilerr // a kernel that does not count them
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return InotifyRoom(limit, inotifyInUse("/proc"), need)
}

// inotifyInUse counts the instances of all processes. Those that end meanwhile do not count.
func inotifyInUse(proc string) int {
	fds, _ := filepath.Glob(filepath.Join(proc, "[0-9]*/fd/*")) // a fixed pattern
	count := 0
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && target == "anon_inode:inotify" {
			count++
		}
	}
	return count
}

// InotifyRoom compares what hosts need with what is left.
func InotifyRoom(limit, used, need int) error {
	if used+need > limit {
		return fmt.Errorf("the machine allows %d inotify instances, %d are in use, and about %d are needed: take another lab or cloud down, or sysctl -w fs.inotify.max_user_instances=1024", limit, used, need)
	}
	return nil
}
