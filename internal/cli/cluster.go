package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/tenant"
)

// clusterCommand is for owners of clusters: it needs a clouds.yaml and nothing else.
type clusterCommand struct {
	OSCloud string `name:"os-cloud" env:"OS_CLOUD" placeholder:"NAME" help:"A cloud of clouds.yaml; OS_AUTH_URL and its like if it is not given."`

	Events   clusterEventsCommand   `cmd:"" help:"What happened to a cluster and its node groups, oldest first."`
	Describe clusterDescribeCommand `cmd:"" help:"A cluster with its node groups and its newest events."`
	Wait     clusterWaitCommand     `cmd:"" help:"Wait until what a cluster is doing is done: status 0 if it ended well, 1 if not."`
}

// client logs in.
func (c *clusterCommand) client(ctx context.Context) (*tenant.Client, error) {
	provider, endpoint, err := login(ctx, c.OSCloud)
	if err != nil {
		return nil, err
	}
	return tenant.New(provider, endpoint)
}

type clusterEventsCommand struct {
	Name   string `arg:"" help:"Name or UUID of the cluster."`
	Limit  int    `default:"100" help:"The newest of them."`
	Output string `enum:"text,json" default:"text" help:"text or json."`
}

// Run prints a cluster's events.
func (c *clusterEventsCommand) Run(ctx context.Context, parent *commands, streams Streams) error {
	client, err := parent.Cluster.client(ctx)
	if err != nil {
		return err
	}
	k, err := client.Cluster(ctx, c.Name)
	if err != nil {
		return err
	}
	list, err := client.Events(ctx, k.UUID, c.Limit)
	if err != nil {
		return err
	}
	if c.Output == "json" {
		return writeJSON(streams.Out, orNone(list))
	}
	return printEvents(streams.Out, list)
}

type clusterDescribeCommand struct {
	Name   string `arg:"" help:"Name or UUID of the cluster."`
	Output string `enum:"text,json" default:"text" help:"text or json."`
}

// described is all that describe shows.
type described struct {
	Cluster    *tenant.Cluster    `json:"cluster"`
	NodeGroups []tenant.NodeGroup `json:"nodegroups"`
	Events     []tenant.Event     `json:"events"`
}

// Run prints what is known of a cluster.
func (c *clusterDescribeCommand) Run(ctx context.Context, parent *commands, streams Streams) error {
	client, err := parent.Cluster.client(ctx)
	if err != nil {
		return err
	}
	var d described
	if d.Cluster, err = client.Cluster(ctx, c.Name); err != nil {
		return err
	}
	if d.NodeGroups, err = client.NodeGroups(ctx, d.Cluster.UUID); err != nil {
		return err
	}
	if d.Events, err = client.Events(ctx, d.Cluster.UUID, 10); err != nil {
		return err
	}
	if c.Output == "json" {
		d.NodeGroups, d.Events = orNone(d.NodeGroups), orNone(d.Events)
		return writeJSON(streams.Out, d)
	}
	return d.print(streams.Out)
}

type clusterWaitCommand struct {
	Name    string        `arg:"" help:"Name or UUID of the cluster."`
	Gone    bool          `help:"Wait until the cluster is deleted."`
	Timeout time.Duration `default:"1h" help:"How long at most."`
	Output  string        `enum:"text,json" default:"text" help:"How the cluster is printed at the end: text or json."`
}

// Run waits, and tells on standard error what it sees.
func (c *clusterWaitCommand) Run(ctx context.Context, parent *commands, streams Streams) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	client, err := parent.Cluster.client(ctx)
	if err != nil {
		return err
	}
	var last tenant.Cluster
	err = client.Wait(ctx, c.Name, c.Gone, func(k tenant.Cluster) {
		last = k
		_, _ = fmt.Fprintln(streams.Err, oneLine(k.Status+"  "+k.StatusReason)) // nobody to tell when standard error is gone
	})
	switch {
	case err != nil:
		return err
	case c.Gone:
		_, err = fmt.Fprintf(streams.Out, "cluster %s is gone\n", c.Name)
		return err
	case c.Output == "json":
		return writeJSON(streams.Out, last)
	}
	_, err = fmt.Fprintf(streams.Out, "cluster %s is %s\n", last.Name, last.Status)
	return err
}

// orNone makes an empty list of none: programs expect one.
func orNone[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func printEvents(out io.Writer, list []tenant.Event) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "No events: they are kept for an hour.")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "LAST SEEN\tTIMES\tTYPE\tREASON\tNODE GROUP\tMESSAGE") // Flush reports what went wrong
	for _, e := range list {
		_, _ = fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", e.LastSeen, max(e.Count, 1), e.Type, e.Reason, dash(e.NodeGroup), oneLine(e.Message))
	}
	return w.Flush()
}

func (d described) print(out io.Writer) error {
	k := d.Cluster
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range [][2]string{
		{"Name", k.Name},
		{"UUID", k.UUID},
		{"Status", k.Status},
		{"Reason", k.StatusReason},
		{"Health", k.Health},
		{"Kubernetes", k.Version},
		{"API", k.APIAddress},
		{"Nodes", fmt.Sprintf("%d and %d masters", k.Nodes, k.Masters)},
		{"Template", k.Template},
		{"Key pair", k.Keypair},
		{"Created", k.CreatedAt},
		{"Updated", k.UpdatedAt},
	} {
		_, _ = fmt.Fprintf(w, "%s:\t%s\n", f[0], dash(oneLine(f[1]))) // Flush reports what went wrong
	}
	for _, key := range slices.Sorted(maps.Keys(k.HealthReason)) {
		if v := k.HealthReason[key]; v != "True" && v != "ok" {
			_, _ = fmt.Fprintf(w, "Unhealthy:\t%s is %s\n", key, v)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(k.Labels)) {
		_, _ = fmt.Fprintf(w, "Label:\t%s=%s\n", key, oneLine(k.Labels[key]))
	}
	_, _ = fmt.Fprintln(w, "\nNODE GROUP\tROLE\tNODES\tBOUNDS\tFLAVOR\tKUBERNETES\tSTATUS\tREASON")
	for _, g := range d.NodeGroups {
		most := "no bound"
		if g.Most != nil {
			most = strconv.Itoa(*g.Most)
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%d\t%d to %s\t%s\t%s\t%s\t%s\n",
			g.Name, g.Role, g.Nodes, g.Least, most, g.Flavor, dash(g.Version), g.Status, dash(oneLine(g.StatusReason)))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	return printEvents(out, d.Events)
}
