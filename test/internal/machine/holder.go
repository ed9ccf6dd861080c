package machine

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

// Holder is a sleeping process that holds a mount and a network namespace. Its id and start time stand in File, so that
// an id that was given to another process is not taken for it.
type Holder struct {
	File string
	// Gone is said to who wants in when the process is not there.
	Gone string
}

// Start makes the namespaces. They have a sysfs of their own, because LXC looks for bridges in /sys/class/net, with the
// machine's cgroups put back; scratch is an empty directory that is made for that.
func (h Holder) Start(ctx context.Context, scratch string) error {
	cmd := exec.CommandContext(context.WithoutCancel(ctx), "unshare", "-m", "-n", "--propagation", "private", "sleep", "infinity")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives this command
	if err := cmd.Start(); err != nil {
		return err
	}
	pid := cmd.Process.Pid
	if err := os.WriteFile(h.File, []byte(holderText(pid)), 0o644); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // it ends when the namespaces do; if this process still lives then, it must not stay a zombie
	if err := WaitFor(ctx, 10*time.Second, func() error { return ownNamespaces(pid) }); err != nil {
		return err
	}
	return h.Run(ctx, "sh", "-ec", `
		mkdir -p `+scratch+`
		mount --rbind /sys/fs/cgroup `+scratch+`
		mount -t sysfs sysfs /sys
		mount --rbind `+scratch+` /sys/fs/cgroup
		ip link set lo up`)
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

func holderText(pid int) string { return fmt.Sprintf("%d %s\n", pid, StartTime(pid)) }

// StartTime is field 22 of /proc/PID/stat, in clock ticks since boot; "" if there is no such process.
func StartTime(pid int) string {
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

// PID is the process that holds the namespaces; 0 if it is gone.
func (h Holder) PID() int {
	text, err := os.ReadFile(h.File)
	if err != nil {
		return 0
	}
	number, started, ok := strings.Cut(strings.TrimSpace(string(text)), " ")
	pid, err := strconv.Atoi(number)
	if !ok || err != nil || pid <= 1 || started == "" || StartTime(pid) != started {
		return 0
	}
	return pid
}

// Kill ends the holder, and with it the namespaces once nothing else is in them.
func (h Holder) Kill() error {
	pid := h.PID()
	if pid == 0 {
		return nil
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// Enter is a command inside the namespaces.
func (h Holder) Enter(ctx context.Context, args ...string) (*exec.Cmd, error) {
	pid := h.PID()
	if pid == 0 {
		return nil, errors.New(h.Gone)
	}
	cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", strconv.Itoa(pid), "-m", "-n", "--"}, args...)...)
	cmd.WaitDelay = 5 * time.Second // what it started in a container may hold its output open after it was killed
	return cmd, nil
}

// Run runs a command inside the namespaces and puts what it said into the error.
func (h Holder) Run(ctx context.Context, args ...string) error {
	cmd, err := h.Enter(ctx, args...)
	if err != nil {
		return err
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, Tail(out))
	}
	return nil
}
