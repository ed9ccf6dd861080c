package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// Down removes the lab and everything a killed run may have left: processes, cgroups, mounts, the directory. Nothing of
// it is an error if it is not there.
func (l *Lab) Down(ctx context.Context) error {
	if err := l.load(); err != nil && !strings.Contains(err.Error(), "there is no lab") {
		_, _ = fmt.Fprintln(l.Err, "lab:", err) // the directory is removed all the same
	}
	if err := l.marked(); err != nil {
		return err
	}
	for _, h := range l.Hosts {
		if l.holder().PID() != 0 {
			_ = l.holder().Run(ctx, "lxc-stop", "-P", l.path("hosts"), "-n", h.Container, "-k") // it may not run
		}
	}
	if err := l.leaveCloud(ctx); err != nil {
		return err
	}
	if err := l.holder().Kill(); err != nil {
		return err
	}
	if err := machine.WaitFor(ctx, 30*time.Second, func() error { return machine.RemoveCgroups(l.containerPrefix()) }); err != nil {
		return err
	}
	if err := l.sysctls().Restore(l.Err); err != nil {
		return err
	}
	_ = os.Remove(scratch) // an empty directory, where the mount was in the lab's namespace
	return os.RemoveAll(l.Dir)
}

// marked refuses to remove a directory that is no lab.
func (l *Lab) marked() error {
	entries, err := os.ReadDir(l.Dir)
	if errors.Is(err, fs.ErrNotExist) || len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	known := []string{"ssh", "hosts", "log", "hosts.json", "hosts.txt", "holder", "openstack_deploy", "openstack-ansible", "sysctls.json", "authorities", "cloud"}
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) && !strings.HasPrefix(e.Name(), "openstack_deploy") {
			return fmt.Errorf("%s has %s in it, which is none of the lab's: choose another --dir, or move it away", l.Dir, e.Name())
		}
	}
	return nil
}

// Power pulls a host's plug or puts it back.
func (l *Lab) Power(ctx context.Context, name string, on bool) error {
	if err := l.load(); err != nil {
		return err
	}
	i := slices.IndexFunc(l.Hosts, func(h Host) bool { return h.Name == name })
	if i < 0 {
		return fmt.Errorf("the lab has no host %q", name)
	}
	if on {
		return l.startHost(ctx, l.Hosts[i])
	}
	return l.holder().Run(ctx, "lxc-stop", "-P", l.path("hosts"), "-n", l.Hosts[i].Container, "-k")
}

// Exec runs a command on the deploy host: in the lab's network, with variables that say where things are.
func (l *Lab) Exec(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("exec -- which command?")
	}
	cmd, err := l.holder().Enter(ctx, args...)
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "LAB="+l.Dir, "OSA_CONFIG_DIR="+l.path("openstack_deploy"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %w", errPassOn, err)
	}
	return err
}

// Status says which hosts answer.
func (l *Lab) Status(ctx context.Context) error {
	if err := l.load(); err != nil {
		return err
	}
	for _, h := range l.Hosts {
		state := "no answer"
		if cmd, err := l.ssh(ctx, h, "systemctl is-system-running; lxc-ls -1 --running"); err == nil {
			if out, _ := cmd.Output(); len(out) > 0 { // "degraded" is an exit status as well
				state = strings.Join(strings.Fields(string(out)), " ")
			}
		}
		if _, err := fmt.Fprintf(l.Out, "%-10s %-15s %s\n", h.Name, h.Address, state); err != nil {
			return err
		}
	}
	return nil
}
