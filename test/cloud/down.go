package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// Down removes the cloud and everything a killed run may have left: processes, cgroups, loop devices, mounts, the
// directory. Nothing of it is an error if it is not there.
func (c *Cloud) Down(ctx context.Context) error {
	if err := c.marked(); err != nil {
		return err
	}
	if c.holder().PID() != 0 {
		_ = c.holder().Run(ctx, "lxc-stop", "-P", c.path("lxc"), "-n", c.container(), "-k") // it may not run
	}
	if err := c.holder().Kill(); err != nil {
		return err
	}
	if err := machine.WaitFor(ctx, time.Minute, func() error { return machine.RemoveCgroups(c.container()) }); err != nil {
		return err
	}
	if err := machine.WaitFor(ctx, 30*time.Second, func() error { return machine.DetachLoops(c.path("disks")) }); err != nil {
		return err
	}
	if err := c.sysctls().Restore(c.Err); err != nil {
		return err
	}
	_ = os.Remove(scratch) // an empty directory, where the mount was in the cloud's namespace
	return os.RemoveAll(c.Dir)
}

// marked refuses to remove a directory that is no cloud.
func (c *Cloud) marked() error {
	entries, err := os.ReadDir(c.Dir)
	if errors.Is(err, fs.ErrNotExist) || len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	known := []string{"ssh", "log", "lxc", "upper", "work", "root", "disks", "bin", "holder", "sysctls.json", "clouds.yaml"}
	for _, e := range entries {
		if !slices.Contains(known, e.Name()) {
			return fmt.Errorf("%s has %s in it, which is none of the cloud's: choose another --dir, or move it away", c.Dir, e.Name())
		}
	}
	return nil
}
