package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The lab's mount and network namespaces are held by a sleeping process. Its id and start time stand in the directory, so
// that an id that was given to another process is not taken for it.

func (l *Lab) makeNamespaces(ctx context.Context) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "unshare", "-m", "-n", "--propagation", "private", "sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives this command
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := cmd.Process.Pid
	if err := os.WriteFile(l.path("holder"), []byte(holderText(pid)), 0o644); err != nil {
		return err
	}
	if err := cmd.Process.Release(); err != nil {
		return err
	}
	if err := waitFor(ctx, 10*time.Second, func() error { return ownNamespaces(pid) }); err != nil {
		return err
	}
	if err := os.WriteFile(l.path("hosts.txt"), []byte(hostsFile(l.Hosts)), 0o644); err != nil {
		return err
	}
	// LXC looks for bridges in /sys/class/net: a sysfs of this network namespace, with the machine's cgroups put back.
	return l.inside(ctx, "sh", "-ec", `
		mkdir -p /run/jeroboam-lab-cgroup
		mount --rbind /sys/fs/cgroup /run/jeroboam-lab-cgroup
		mount -t sysfs sysfs /sys
		mount --rbind /run/jeroboam-lab-cgroup /sys/fs/cgroup
		mount --bind `+l.path("hosts.txt")+` /etc/hosts
		ip link set lo up
		ip link add br-lab type bridge
		ip addr add `+gateway+prefix+` dev br-lab
		ip link set br-lab up`)
}

func ownNamespaces(pid int) error {
	mine, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return err
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return err
	}
	if mine == theirs || strings.TrimSpace(string(comm)) != "sleep" {
		return errors.New("the namespaces are not there yet")
	}
	return nil
}

func holderText(pid int) string { return fmt.Sprintf("%d %s\n", pid, startTime(pid)) }

// startTime is field 22 of /proc/PID/stat, in clock ticks since boot; "" if there is no such process.
func startTime(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	_, after, _ := strings.Cut(string(stat), ") ") // the program's name may have spaces
	if f := strings.Fields(after); len(f) > 19 {
		return f[19]
	}
	return ""
}

// holder is the process that holds the namespaces; 0 if it is gone.
func (l *Lab) holder() int {
	text, err := os.ReadFile(l.path("holder"))
	if err != nil {
		return 0
	}
	number, started, ok := strings.Cut(strings.TrimSpace(string(text)), " ")
	pid, err := strconv.Atoi(number)
	if !ok || err != nil || pid <= 1 || started == "" || startTime(pid) != started {
		return 0
	}
	return pid
}

// enter is a command inside the lab's namespaces.
func (l *Lab) enter(ctx context.Context, args ...string) (*exec.Cmd, error) {
	pid := l.holder()
	if pid == 0 {
		return nil, fmt.Errorf("the lab in %s is not running: lab up", l.Dir)
	}
	return exec.CommandContext(ctx, "nsenter", append([]string{"-t", strconv.Itoa(pid), "-m", "-n", "--"}, args...)...), nil
}

func (l *Lab) inside(ctx context.Context, args ...string) error {
	cmd, err := l.enter(ctx, args...)
	if err != nil {
		return err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}

func waitFor(ctx context.Context, limit time.Duration, ready func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not after %s: %w", limit, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
