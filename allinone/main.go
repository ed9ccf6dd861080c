// Command jeroboam-allinone is a whole Kubernetes service in one process: etcd, a real API server, Cluster API with an
// in-memory infrastructure, a simulated OpenStack, and Jeroboam. "make up" runs it; tests run its management cluster
// alone.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"github.com/jeroboam-cloud/jeroboam/allinone/management"
	"github.com/jeroboam-cloud/jeroboam/allinone/up"
)

type commands struct {
	Up         up.Command         `cmd:"" help:"A whole cloud service on this machine, with a first cluster in it."`
	Management management.Command `cmd:"" help:"Run a management cluster alone, for tests."`
}

func main() {
	var c commands
	k := kong.Parse(&c, kong.Name("jeroboam-allinone"), kong.UsageOnError())
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var err error
	switch k.Command() {
	case "up":
		err = c.Up.Run(ctx, os.Stdout, os.Stderr)
	case "management":
		err = c.Management.Run(ctx, os.Stdin, os.Stdout, os.Stderr)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "jeroboam-allinone:", err)
		os.Exit(1)
	}
}
