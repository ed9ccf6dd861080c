package host

import (
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// monotonic and boottime are the kernel's clocks: systemd notes the first, /proc the second.
func monotonic() time.Duration { return clock(unix.CLOCK_MONOTONIC) }

func boottime() time.Duration { return clock(unix.CLOCK_BOOTTIME) }

func clock(id int32) time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(id, &ts) != nil {
		return 0 // no Linux is without them
	}
	return time.Duration(ts.Nano())
}
