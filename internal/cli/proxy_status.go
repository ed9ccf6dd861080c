package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/manifests"
)

type proxyStatusCommand struct {
	Admin  string `default:"127.0.0.1:9513" help:"host:port that the proxy's --admin-listen says."`
	Output string `enum:"text,json" default:"text" help:"text or json."`
}

// Run asks the proxy of this host.
func (c *proxyStatusCommand) Run(ctx context.Context, streams Streams) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.Admin+"/status", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the proxy: %w (does it run on this host? --admin is its --admin-listen)", err)
	}
	defer func() { _ = resp.Body.Close() }() // it is read to the end
	var s proxy.Status
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<20)).Decode(&s); err != nil {
		return fmt.Errorf("read the proxy's answer: %w", err)
	}
	if c.Output == "json" {
		return json.NewEncoder(streams.Out).Encode(s)
	}
	return printStatus(streams.Out, s)
}

func printStatus(out io.Writer, s proxy.Status) error {
	state := "ready"
	if !s.Ready {
		state = "not ready: " + s.Why
	}
	if s.Owner {
		state += ", owner of the fleet"
	}
	if s.Superseded {
		state += ", taken over by a newer process"
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	// Flush reports what went wrong.
	_, _ = fmt.Fprintf(w, "host %s, process %d, %s plane, clients reach it at %s, %d namespaces of Neutron's: %s\n", s.Host, s.PID, s.Plane, s.Advertised, s.Namespaces, state)
	if len(s.Clusters) > 0 {
		_, _ = fmt.Fprintln(w, "CLUSTER\tADDRESS\tNAMESPACE\tPUBLISHED\tCONNECTIONS\tWHY")
	}
	for _, c := range s.Clusters {
		published := "no"
		if c.Published {
			published = "yes"
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", c.Cluster, dash(c.Address), dash(c.Namespace), published, c.Connections, oneLine(c.Why))
	}
	return w.Flush()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// oneLine keeps a table a table.
func oneLine(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c == '\n' || c == '\t' {
			b[i] = ' '
		}
	}
	return string(b)
}

type proxyManifestsCommand struct {
	Systemd    bool `xor:"what" help:"Print the systemd unit of a host, jeroboam-proxy@.service."`
	AccessUnit bool `xor:"what" help:"Print the systemd unit of \"jeroboam proxy access\"."`
}

// Run prints one of the manifests.
func (c *proxyManifestsCommand) Run(streams Streams) error {
	text := manifests.Access
	switch {
	case c.Systemd:
		text = manifests.Unit
	case c.AccessUnit:
		text = manifests.AccessUnit
	}
	_, err := io.WriteString(streams.Out, text)
	return err
}
