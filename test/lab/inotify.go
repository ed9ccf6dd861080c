package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Inotify instances are counted for the whole machine, whatever a host's own value says: one too few, and some kubelet ends with
// "inotify_init: too many open files", minutes later and on any of the hosts.

const (
	watchesOfHost     = 30 // with a control plane node on it; 26 were counted
	watchesOfBalancer = 10
)

func (l *Lab) checkInotify(context.Context) error {
	text, err := os.ReadFile("/proc/sys/fs/inotify/max_user_instances")
	if err != nil {
		return nil //nolint:nilerr // a kernel that does not count them
	}
	limit, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return err
	}
	return inotifyRoom(limit, inotifyInUse("/proc"), l.Hosts)
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

func inotifyRoom(limit, used int, hosts []Host) error {
	need := 0
	for _, h := range hosts {
		if h.Balancer {
			need += watchesOfBalancer
		}
		if !h.Balancer || len(hosts) == 1 {
			need += watchesOfHost
		}
	}
	if used+need > limit {
		return fmt.Errorf("the machine allows %d inotify instances, %d are in use, and the hosts need about %d: take another lab down, or sysctl -w fs.inotify.max_user_instances=1024", limit, used, need)
	}
	return nil
}
