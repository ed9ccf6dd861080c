package cli

import (
	"context"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// agentCommand is what a deployer starts on hosts and in containers. It is hidden: nobody types it.
type agentCommand struct {
	Store bool `help:"Take files from standard input into the host's store."`
}

// Run serves a deployer, or takes files.
func (c *agentCommand) Run(ctx context.Context, streams Streams) error {
	m := host.This()
	if c.Store {
		return host.Receive(m, streams.In, streams.Out)
	}
	return host.Serve(context.WithoutCancel(ctx), m, streams.In, streams.Out)
}
