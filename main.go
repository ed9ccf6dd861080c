// Command jeroboam gives an OpenStack cloud Kubernetes clusters as a service. See README.md; "jeroboam --help" lists
// what it does.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/jeroboam-cloud/jeroboam/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends what does not listen to the first
	code := cli.Run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
