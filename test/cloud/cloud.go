package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jeroboam-cloud/jeroboam/test/internal/machine"
)

// Addresses of the cloud. Any will do, because no packet leaves the cloud's network namespace; the files in files/ have
// them too.
const (
	gateway = "10.77.0.1" // the cloud's network namespace, where tests and management clusters run
	address = "10.77.0.10"
	public  = "10.78.0.0/24" // floating addresses; br-ex in the container
	region  = "RegionOne"
)

// Cloud is a directory in which everything stands that a cloud is made of.
type Cloud struct {
	Dir, Cache string
	Limit      time.Duration // for services to answer
	Out, Err   io.Writer
}

func (c *Cloud) path(parts ...string) string {
	return filepath.Join(append([]string{c.Dir}, parts...)...)
}

// container is the name of the LXC container, which names its cgroups as well.
func (c *Cloud) container() string {
	return fmt.Sprintf("jeroboam-cloud-%08x", crc32.ChecksumIEEE([]byte(c.Dir)))
}

func (c *Cloud) holder() machine.Holder {
	return machine.Holder{File: c.path("holder"), Gone: "the cloud in " + c.Dir + " is not running: cloud up"}
}

func (c *Cloud) sysctls() machine.Sysctls { return machine.Sysctls{File: c.path("sysctls.json")} }

// Up makes the cloud.
func (c *Cloud) Up(ctx context.Context) error {
	return c.withCache(ctx, func(ctx context.Context) error { return machine.Steps(ctx, c.Out, c.upSteps()) })
}

func (c *Cloud) upSteps() []machine.Step {
	return []machine.Step{
		{Name: "needed programs", Do: c.checkPrograms},
		{Name: "root file system in the cache", Do: c.makeRootfs},
		{Name: "remove what an earlier run left", Do: c.Down},
		{Name: "directory, namespaces and the bridge", Do: c.makeNamespaces},
		{Name: "configuration and databases in the cache", Do: c.makeConfigured},
		{Name: "the cloud's own files", Do: c.makeFiles},
		{Name: "container started", Do: func(ctx context.Context) error { return c.start(ctx, "") }},
		{Name: "services answer", Do: c.waitReady},
		{Name: "clouds.yaml and key pairs", Do: c.makeCredentials},
		{Name: "sysctls of the machine are untouched", Do: func(context.Context) error { return c.sysctls().Check() }},
	}
}

// watches is how many inotify instances the machine has to allow. They are counted for the whole machine, a Kubernetes
// node takes thirty, and one too few ends some kubelet. The machine's own number is put back by Down.
const watches = 1024

// withCache does what fills or reads the cache.
func (c *Cloud) withCache(ctx context.Context, do func(context.Context) error) error {
	unlock, err := c.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return do(ctx)
}

// lock lets one run after the other fill the cache.
func (c *Cloud) lock(ctx context.Context) (func(), error) {
	if err := os.MkdirAll(c.Cache, 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(c.Cache, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	told := false
	err = machine.WaitFor(ctx, time.Hour, func() error {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil && !told {
			told = true
			_, _ = fmt.Fprintf(c.Out, "  another cloud is being made with the cache %s: waiting for it\n", c.Cache) // progress only
		}
		return err
	})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing unlocks
}

func (c *Cloud) checkPrograms(context.Context) error {
	return machine.CheckPrograms(map[string]string{
		"lxc-start": "lxc", "mmdebstrap": "mmdebstrap", "ssh-keygen": "openssh-client", "nsenter": "util-linux", "ip": "iproute2",
	})
}

// makeNamespaces makes the place where the cloud runs. From inside, floating addresses can be reached through the
// container, which routes between the two networks.
func (c *Cloud) makeNamespaces(ctx context.Context) error {
	for _, d := range []string{"ssh", "log", "lxc", "upper", "work", "root", "disks/instances", "disks/volumes", "bin"} {
		if err := os.MkdirAll(c.path(d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(c.Dir, 0o700); err != nil {
		return err
	}
	if err := c.copySelf(); err != nil {
		return err
	}
	if err := c.sysctls().Remember(); err != nil {
		return err
	}
	if err := c.sysctls().Raise("fs/inotify/max_user_instances", watches); err != nil {
		return err
	}
	if err := c.holder().Start(ctx, scratch); err != nil {
		return err
	}
	return c.holder().Run(ctx, "sh", "-ec", `
		ip link add br-cloud type bridge
		ip addr add `+gateway+`/24 dev br-cloud
		ip link set br-cloud up
		ip route add `+public+` via `+address+` dev br-cloud`)
}

// scratch is where the machine's cgroups are kept while the namespaces get a sysfs of their own.
const scratch = "/run/jeroboam-cloud-cgroup"

// copySelf keeps this very program, which "go run" would take away: parts of it run in the container.
func (c *Cloud) copySelf() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return copyFile(self, c.program(), 0o755)
}

func (c *Cloud) program() string { return c.path("bin", "cloud") }

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if closed := out.Close(); err == nil {
		err = closed
	}
	return err
}

// Exec runs a command in the cloud's network.
func (c *Cloud) Exec(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("exec -- which command?")
	}
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	cmd, err := c.holder().Enter(ctx, append([]string{"env", "-C", here}, args...)...) // nsenter begins in the root
	if err != nil {
		return err
	}
	cmd.Env = append(os.Environ(), "CLOUD="+c.Dir, "OS_CLIENT_CONFIG_FILE="+c.path("clouds.yaml"))
	if os.Getenv("OS_CLOUD") == "" {
		cmd.Env = append(cmd.Env, "OS_CLOUD=demo")
	}
	return passOn(cmd)
}

// Inside runs a command in the container.
func (c *Cloud) Inside(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("inside -- which command?")
	}
	cmd, err := c.attach(ctx, args...)
	if err != nil {
		return err
	}
	return passOn(cmd)
}

// passOn connects a command to our streams and makes its exit status ours.
func passOn(cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("%w: %w", errPassOn, err)
	}
	return err
}
