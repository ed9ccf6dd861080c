package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"text/tabwriter"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/balance"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/preflight"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

type deployPreflightCommand struct{ deployOptions }

// Run looks at all hosts of the cluster, of Magnum and of the proxy, and changes nothing on them but for the program
// that looks, which it brings there. The exit status is 1 when something would make a deployment fail. It needs no
// bundle, and no container in the inventory: it is run before anything else.
func (c *deployPreflightCommand) Run(ctx context.Context, streams Streams) error {
	in, err := c.configured(streams)
	l, alsoErr := c.logins()
	if err := errors.Join(err, alsoErr); err != nil {
		return err
	}
	hosts, lost := l.dial(ctx, deploy.HostsOf(in, c.Replace), bringAgent)
	defer hosts.Close()
	if !c.SkipUnreachable {
		more, alsoLost := l.beside(ctx, in, hosts, lost)
		defer more.Close()
		hosts = maps.Clone(hosts) // each is closed once
		maps.Copy(hosts, more)
		maps.Copy(lost, alsoLost)
	}
	o := site.LookOutside(ctx, hosts, lost, balance.Inside(in)...) // one that cannot be looked at keeps nobody from the others
	report := preflight.ReportOf(in, o.Facts, o.Lost)
	report.Jeroboam = version.Get().String()
	if c.Output == "json" {
		err = writeJSON(streams.Out, report)
	} else {
		err = writeReport(streams.Out, report)
	}
	if err == nil && len(report.Problems) > 0 {
		err = errors.New("a deployment would fail, see above")
	}
	return err
}

func writeReport(out io.Writer, r preflight.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	// Flush reports what went wrong.
	_, _ = fmt.Fprintf(w, "%s, OpenStack-Ansible %s, playbooks of the generation %s\n\n", r.Jeroboam, r.Release, r.Generation)
	_, _ = fmt.Fprintln(w, "HOST\tSYSTEM\tKERNEL\tCGROUPS\tAPPARMOR\tMODULES\tCPUS\tMEMORY\tFREE\tCLOCK\tCONTAINERS\tNODES")
	for _, h := range r.Hosts {
		if h.Lost != "" {
			_, _ = fmt.Fprintf(w, "%s\tnot reached\n", h.Name)
			continue
		}
		armor := "off"
		if h.AppArmor {
			armor = "on"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d GiB\t%d GiB\t%s\t%d\t%s\n", h.Name, h.System, h.Kernel, h.Cgroups, armor,
			cmp.Or(strings.Join(h.Modules, ","), "unknown"), h.CPUs, h.Memory>>30, h.Free>>30, h.Clock, h.Containers, cmp.Or(strings.Join(h.Nodes, ","), "none"))
	}
	for _, h := range r.Hosts {
		for _, s := range h.Stores {
			_, _ = fmt.Fprintf(w, "\n%s: root file system of %s\n", h.Name, s)
		}
	}
	if len(r.Problems) == 0 {
		_, _ = fmt.Fprintln(w, "\nNothing that would make a deployment fail.")
	}
	for i, p := range r.Problems {
		if i == 0 {
			_, _ = fmt.Fprintln(w)
		}
		_, _ = fmt.Fprintln(w, p)
	}
	return w.Flush()
}
