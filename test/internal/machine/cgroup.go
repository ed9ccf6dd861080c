package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// RemoveCgroups removes the empty cgroups of the LXC containers whose name has this prefix, and kills what is left in
// the others. Processes take a moment to go: ask again while there is an error.
func RemoveCgroups(prefix string) error {
	var left []string
	for _, pattern := range []string{"/sys/fs/cgroup/*/lxc.*." + prefix + "*", "/sys/fs/cgroup/lxc.*." + prefix + "*"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, dir := range found {
			if err := removeCgroup(dir); err != nil {
				left = append(left, err.Error())
			}
		}
	}
	pivots, err := filepath.Glob("/sys/fs/cgroup/*/lxc.pivot")
	if err != nil {
		return err
	}
	for _, dir := range pivots {
		_ = os.Remove(dir) // LXC's own; it goes when it is empty
	}
	if len(left) > 0 {
		return errors.New(strings.Join(left, "; "))
	}
	return nil
}

func removeCgroup(top string) error {
	var dirs []string
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Reverse(dirs) // children first
	for _, dir := range dirs {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			killAll(dir)
			return err
		}
	}
	return nil
}

// killAll kills the processes of one cgroup: they belong to a container of ours.
func killAll(dir string) {
	procs, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
	if err != nil {
		return
	}
	for line := range strings.Lines(string(procs)) {
		var pid int
		if _, err := fmt.Sscan(line, &pid); err == nil && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL) // gone is as good
		}
	}
}
