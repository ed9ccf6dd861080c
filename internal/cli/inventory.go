package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/osa"
)

type inventoryCommand struct {
	Show inventoryShowCommand `cmd:"" default:"withargs" help:"Generate the inventory and print it."`
	Vars inventoryVarsCommand `cmd:"" help:"Print the variables of a host, as Ansible would see them."`
}

type inventoryShowCommand struct {
	Config      string `env:"OSA_CONFIG_DIR" placeholder:"DIR" help:"The operator's directory (/etc/openstack_deploy)."`
	Environment string `short:"e" placeholder:"DIR" help:"The directory with the release's env.d (/opt/openstack-ansible/inventory)."`
	Release     string `placeholder:"X.Y.Z" help:"The OpenStack-Ansible release to imitate; otherwise detected from the environment."`
	List        bool   `xor:"view" help:"Print the whole inventory as JSON; this is the default."`
	Host        string `xor:"view" placeholder:"NAME" help:"Print the variables of one host."`
	Graph       bool   `xor:"view" help:"Print the groups as a tree."`
	Check       bool   `xor:"view" help:"Check the configuration, print the findings and write nothing."`
	Write       bool   `help:"Write openstack_inventory.json if it changed; the old one goes into the backup archive."`
}

// Run makes the inventory and shows the view that was asked for.
func (c *inventoryShowCommand) Run(ctx context.Context, streams Streams) error {
	if c.Check && c.Write {
		return errors.New("--check writes nothing: leave --write out")
	}
	opts := osa.Options{Config: c.Config, Environment: c.Environment, Release: c.Release}
	if c.Write {
		dir, err := osa.ConfigDir(opts)
		if err != nil {
			return err
		}
		lock, err := osa.LockDir(ctx, dir)
		if err != nil {
			return err
		}
		defer lock.Release()
	}
	src, err := osa.Load(opts)
	if err != nil {
		return err
	}
	res, err := osa.Generate(src, osa.NewDraw())
	if c.Check {
		return showFindings(streams.Out, src, res, err)
	}
	if err != nil {
		return err
	}
	text, err := osa.WriteJSON(res.Inventory.Root())
	if err != nil {
		return err
	}
	if c.Write && res.Changed {
		if err := osa.Save(src.Dir, text, time.Now()); err != nil {
			return err
		}
	}
	if n := res.Findings.Count(osa.Warning); n > 0 {
		_, _ = fmt.Fprintf(streams.Err, "jeroboam: warnings: %d (jeroboam inventory --check shows them)\n", n) // nobody to tell when standard error is gone
	}
	return c.show(streams.Out, res.Inventory, text)
}

func (c *inventoryShowCommand) show(out io.Writer, inv *osa.Inventory, text []byte) error {
	switch {
	case c.Graph:
		return inv.WriteGraph(out)
	case c.Host != "":
		host, ok := inv.Host(c.Host)
		if !ok {
			return fmt.Errorf("the inventory has no host %s (jeroboam inventory --graph shows all)", c.Host)
		}
		vars, err := osa.WriteJSON(host.Vars)
		if err != nil {
			return err
		}
		text = vars
	}
	_, err := fmt.Fprintf(out, "%s\n", text)
	return err
}

func showFindings(out io.Writer, src *osa.Source, res *osa.Result, refused error) error {
	found := res.Findings.Sorted()
	for _, f := range found {
		if _, err := fmt.Fprintln(out, f); err != nil {
			return err
		}
	}
	if refused != nil {
		return fmt.Errorf("the configuration has %s", found.Tally())
	}
	_, err := fmt.Fprintf(out, "Configuration ok: release %s, %d hosts and containers, %s\n",
		src.Release.Name, len(res.Inventory.Hosts()), found.Tally())
	return err
}
