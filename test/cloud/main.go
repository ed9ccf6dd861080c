// Command cloud makes a real OpenStack on one Debian 12 machine: Debian's own Keystone, Glance, Placement, Nova,
// Neutron, Cinder and Octavia, in one LXC container in mount and network namespaces of their own. Servers are
// containers that Nova's libvirt driver makes (virt_type = lxc), with systemd and cloud-init; networks, routers,
// floating addresses and security groups are Neutron's; load balancers are haproxy in a namespace. Nothing of it is
// ours but configuration (files/) and the glue that a machine without virtual machines needs (balancer, emulator).
// docs/cloud.md is the guide.
//
//	go run ./test/cloud up
//	go run ./test/cloud exec -- openstack server list   # in the cloud's network, with its clouds.yaml
//	go run ./test/cloud inside -- journalctl -u nova-compute
//	go run ./test/cloud down
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jeroboam-cloud/jeroboam/test/cloud/emulator"
)

const usage = `usage: cloud COMMAND [--dir DIR] ...
  up [--cache DIR]     make the cloud; what a killed run left is removed first
  down                 remove the cloud and all traces of it
  status               which service answers
  exec -- COMMAND...   run a command in the cloud's network, with $OS_CLIENT_CONFIG_FILE set to its clouds.yaml
  inside -- COMMAND... run a command in the cloud's own container
  image                make a small image with cloud-init, if there is none, and say where it is
  packages             fill the cache with the root file system, make nothing
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := as(ctx, filepath.Base(os.Args[0]), os.Args[1:])
	stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && errors.Is(err, errPassOn) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "cloud:", err) // nobody to tell when standard error is gone
		os.Exit(1)
	}
}

// as looks at the name it was called by: in the container libvirt knows this program by two names of its own.
func as(ctx context.Context, name string, args []string) error {
	switch name {
	case "libvirt_lxc":
		return emulator.Exec(args)
	case "lxc":
		return emulator.Hook(args)
	}
	if len(args) > 0 && args[0] == "agent" {
		return agent(ctx)
	}
	return run(ctx, args, os.Stdout, os.Stderr)
}

// errPassOn marks the exit status of a command of the user's that is ours as well.
var errPassOn = errors.New("the command failed")

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	flags := flag.NewFlagSet("cloud", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() { _, _ = io.WriteString(errOut, usage) } // nobody to tell when standard error is gone
	dir := flags.String("dir", "/var/tmp/jeroboam-cloud", "where the cloud lives")
	cache := flags.String("cache", cacheDir(), "root file system and databases")
	limit := flags.Duration("limit", 10*time.Minute, "how long services may take to answer")
	if len(args) == 0 {
		flags.Usage()
		return errors.New("which command?")
	}
	command, rest := args[0], args[1:]
	if err := flags.Parse(rest); err != nil {
		return err
	}
	if os.Geteuid() != 0 {
		return errors.New("making a cloud needs root")
	}
	abs, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	cloud := &Cloud{Dir: abs, Cache: *cache, Limit: *limit, Out: out, Err: errOut}
	switch command {
	case "up":
		return cloud.Up(ctx)
	case "down":
		return cloud.Down(ctx)
	case "packages":
		return cloud.withCache(ctx, cloud.makeRootfs)
	case "image":
		return cloud.withCache(ctx, cloud.Image)
	case "exec":
		return cloud.Exec(ctx, flags.Args())
	case "inside":
		return cloud.Inside(ctx, flags.Args())
	case "status":
		return cloud.Status(ctx)
	}
	return runInNetwork(ctx, command, *limit, flags.Args(), out)
}

func cacheDir() string {
	base, err := os.UserCacheDir()
	if err != nil {
		base = "/var/cache"
	}
	return filepath.Join(base, "jeroboam", "cloud")
}
