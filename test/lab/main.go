// Command lab makes "physical hosts" on one Debian 12 machine: LXC containers that run systemd and sshd, have a bridge
// br-mgmt, and can hold LXC containers of their own. It is where "jeroboam deploy" is proven. Everything stands in
// mount and network namespaces of its own, so nothing of it has a way out, and "down" leaves nothing behind.
// docs/lab.md is the guide.
//
//	go run ./test/lab up --hosts 3     # three hosts and a load balancer with the virtual addresses
//	go run ./test/lab exec -- ssh ...  # run something on the deploy host, that is, inside the lab's network
//	go run ./test/lab down
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
)

const usage = `usage: lab COMMAND [--dir DIR] ...
  up [--hosts 1|3] [--hosts-of SYSTEM] [--containers SYSTEM] [--keystone | --cloud DIR] [--cache DIR]
                                  make the hosts; what a killed run left is removed first; they are of debian-12
                                  or debian-13, containers of these, or foreign, or as their hosts
  down                            remove the hosts and all traces of them
  exec -- COMMAND...              run a command on the deploy host: inside the lab's network, with its environment
  off HOST | on HOST              pull a host's plug; put it back
  status                          the hosts, and whether they answer
  packages                        fill the cache of root file systems, make nothing
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	var exit *exec.ExitError
	if errors.As(err, &exit) && errors.Is(err, errPassOn) {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "lab:", err) // nobody to tell when standard error is gone
		os.Exit(1)
	}
}

// errPassOn marks the exit status of a command of the user's that is ours as well.
var errPassOn = errors.New("the command failed")

func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	flags := flag.NewFlagSet("lab", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() { _, _ = io.WriteString(errOut, usage) } // nobody to tell when standard error is gone
	dir := flags.String("dir", "/var/tmp/jeroboam-lab", "where the lab lives")
	hosts := flags.Int("hosts", 3, "physical hosts: 1 or 3")
	var hostsOf, containers System
	flags.Var(&hostsOf, "hosts-of", "what hosts are of: debian-12 or debian-13")
	flags.Var(&containers, "containers", "what containers are of: debian-12, debian-13 or foreign; as their hosts if it is not said")
	keystone := flags.Bool("keystone", false, "one more host with Debian's Keystone, behind the load balancer, for Magnum and proxies")
	cloud := flags.String("cloud", "", "a cloud of test/cloud that runs: the hosts reach it, and its container is a host of the network")
	cache := flags.String("cache", cacheDir(), "root file systems")
	source := flags.String("source", ".", "Jeroboam's source tree, for the configuration")
	if len(args) == 0 {
		flags.Usage()
		return errors.New("which command?")
	}
	command, rest := args[0], args[1:]
	if err := flags.Parse(rest); err != nil {
		return err
	}
	said := false
	flags.Visit(func(f *flag.Flag) { said = said || f.Name == "containers" })
	if !said {
		containers = hostsOf
	}
	if os.Geteuid() != 0 {
		return errors.New("making hosts needs root")
	}
	abs, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	if *cloud != "" { // "lab down" reads it, from wherever it is run
		if *cloud, err = filepath.Abs(*cloud); err != nil {
			return err
		}
	}
	lab := &Lab{Dir: abs, Cache: *cache, Source: *source, HostsOf: hostsOf, Containers: containers, Cloud: *cloud, Out: out, Err: errOut}
	switch command {
	case "up":
		return lab.Up(ctx, *hosts, *keystone)
	case "down":
		return lab.Down(ctx)
	case "packages":
		return lab.fillCache(ctx)
	case "exec":
		return lab.Exec(ctx, flags.Args())
	case "off", "on":
		return lab.Power(ctx, flags.Arg(0), command == "on")
	case "status":
		return lab.Status(ctx)
	}
	flags.Usage()
	return fmt.Errorf("no command %q", command)
}

func cacheDir() string {
	base, err := os.UserCacheDir()
	if err != nil {
		base = "/var/cache"
	}
	return filepath.Join(base, "jeroboam", "lab")
}
