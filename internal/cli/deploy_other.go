package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
)

type deployStatusCommand struct {
	deployOptions `set:"outputs=text,json,prometheus"`
	Textfile      string `placeholder:"FILE" help:"With --output prometheus: write into this file, for node_exporter's textfile collector."`
}

// Run prints how the management cluster is. The exit status is 0 when everything serves and nothing has drifted, 2 when
// something has drifted, 1 when something does not serve. Metrics say that themselves: with them it is 0 when it could
// look.
func (c *deployStatusCommand) Run(ctx context.Context, streams Streams) error {
	if c.Textfile != "" && c.Output != "prometheus" {
		return errors.New("--textfile is for metrics: add --output prometheus")
	}
	s, err := c.session(ctx, streams, false)
	if err != nil {
		return err
	}
	defer s.Close()
	now := time.Now()
	status := s.Status(ctx, now)
	switch c.Output {
	case "prometheus":
		return writeMetrics(streams.Out, c.Textfile, status, now)
	case "json":
		err = writeJSON(streams.Out, status)
	default:
		err = writeStatus(streams.Out, status, now)
	}
	switch {
	case err != nil:
		return err
	case !status.Healthy:
		return errors.New("something does not serve, see above")
	case len(status.Changes) > 0:
		return errChanges
	}
	return nil
}

// backupOf says how old a node's newest backup is.
func backupOf(n deploy.NodeStatus, now time.Time) string {
	switch {
	case !n.Backups:
		return "-"
	case n.Backup.IsZero():
		return "none yet"
	}
	return duration.HumanDuration(now.Sub(n.Backup)) + " ago"
}

func writeStatus(out io.Writer, s deploy.Status, now time.Time) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	// Flush reports what went wrong.
	_, _ = fmt.Fprintf(w, "management cluster %s, Kubernetes %s\n\nNODE\tHOST\tADDRESS\tREADY\tKUBELET\tAPI SERVER\tAPI\tETCD\tMEMBER\tCERTIFICATES UNTIL\tBACKUP\n", s.Endpoint, s.Kubernetes)
	for _, n := range s.Nodes {
		expires := "-"
		if !n.Expires.IsZero() {
			expires = n.Expires.Format(time.DateOnly) + " (" + n.Certificate + ")"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%v\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", n.Name, n.Host, n.Address, n.Ready, n.Kubelet, n.APIServer, n.API, n.Etcd, n.Member, expires, backupOf(n, now))
	}
	_, _ = fmt.Fprintf(w, "\nBALANCER\tSERVICE\tSERVER\tSTATUS\tCHECK\n")
	for _, b := range s.Backends {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", b.Balancer, b.Service, b.Server, b.Status, b.Check)
	}
	if len(s.Services) > 0 {
		_, _ = fmt.Fprintf(w, "\nSERVICE\tPLACE\tSTATE\tCREDENTIAL\n")
	}
	for _, v := range s.Services {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.Service, v.Place, v.State, dash(v.Credential))
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	for _, r := range s.Runs {
		if _, err := fmt.Fprintf(out, "\nunder way: %s, on %s\n", r.Hold, strings.Join(r.Hosts, ", ")); err != nil {
			return fmt.Errorf("write status: %w", err)
		}
	}
	_, err := fmt.Fprintf(out, "\ndrift: %s\n", s.Drift)
	return err
}

type deployDestroyCommand struct {
	deployOptions
	Allow []string `enum:"${destroy_judges}" placeholder:"JUDGE" help:"Allow what this judge finds dangerous, one of ${destroy_judges}; without \"delete\" the plan is only shown."`
	Break string   `placeholder:"RUN" help:"Take over from this run, which status names: it changes nothing more."`
}

// Run removes what jeroboam made, and only that.
func (c *deployDestroyCommand) Run(ctx context.Context, streams Streams) error {
	if err := c.changes("destroy", c.Break); err != nil {
		return fmt.Errorf("nothing was changed: %w", err)
	}
	r, err := c.rounds(streams, caller{}, c.Allow, false)
	if err != nil {
		return err
	}
	return r.Destroy(ctx)
}
