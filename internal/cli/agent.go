package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/backup"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// agentCommand is what a deployer starts on hosts and in containers, and the backups' timer. It is hidden: nobody types
// it.
type agentCommand struct {
	Store   bool   `help:"Take files from standard input into the host's store."`
	Backup  string `placeholder:"FILE" help:"Make a backup as these settings say; - is standard input."`
	Restore string `placeholder:"FILE" help:"Unpack a backup as this order says; - is standard input."`
}

// Run serves a deployer, or does one thing.
func (c *agentCommand) Run(ctx context.Context, streams Streams) error {
	m := host.This()
	switch {
	case c.Store:
		return host.Receive(m, streams.In, streams.Out)
	case c.Backup != "":
		return c.backup(ctx, m, streams)
	case c.Restore != "":
		var o backup.Order
		if err := readOrder(c.Restore, streams.In, &o); err != nil {
			return err
		}
		man, err := backup.Unpack(context.WithoutCancel(ctx), m, o)
		if err != nil {
			return err
		}
		man.Members = nil // nobody needs the list, and it may be long
		return json.NewEncoder(streams.Out).Encode(man)
	}
	return host.Serve(context.WithoutCancel(ctx), m, streams.In, streams.Out)
}

// backup makes a backup. From the timer, one without the objects is an error, so that somebody hears of it; it is there
// all the same.
func (c *agentCommand) backup(ctx context.Context, m *host.Machine, streams Streams) error {
	var s backup.Settings
	if err := readOrder(c.Backup, streams.In, &s); err != nil {
		return err
	}
	taken, err := backup.Take(ctx, m, s)
	if err != nil && taken.Path == "" {
		return err
	}
	taken.Manifest.Members = nil // nobody needs the list, and it may be long
	if c.Backup == "-" {
		return errors.Join(err, json.NewEncoder(streams.Out).Encode(taken))
	}
	if _, err := fmt.Fprintf(streams.Out, "%s: %s\n", taken.Path, taken.Manifest); err != nil {
		return err
	}
	for _, copied := range taken.Copied {
		for _, name := range copied.Stored {
			if _, err := fmt.Fprintf(streams.Out, "%s: copied %s\n", copied.Target, name); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return err
	}
	if len(taken.Manifest.Missing) > 0 {
		return errors.New("the backup can be restored, but some objects are not in it as YAML: " + strings.Join(taken.Manifest.Missing, "; "))
	}
	return nil
}

func readOrder(file string, in io.Reader, to any) error {
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // only read
		in = f
	}
	if err := json.NewDecoder(in).Decode(to); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}
