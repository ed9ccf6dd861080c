package cli

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	xterm "golang.org/x/term"

	"github.com/jeroboam-cloud/jeroboam/internal/verify"
)

type verifyCommand struct {
	Image     string `placeholder:"FILE" help:"An image of nodes to upload; FILE.json must be beside it (jeroboam image build)."`
	ImageName string `placeholder:"NAME" help:"Or an image of nodes that is in Glance."`

	Cluster         string            `placeholder:"NAME" help:"Look at a cluster that is there; it is neither resized nor deleted."`
	ClusterTemplate string            `placeholder:"NAME" help:"Make the cluster from a template that is there."`
	Flavor          string            `placeholder:"NAME" help:"Of all nodes. An administrator makes one, others use the smallest that fits, if it is not given."`
	Keypair         string            `placeholder:"NAME" help:"Of nodes; one that nobody can use is made if it is not given."`
	ExternalNetwork string            `placeholder:"NAME" help:"The only one of the cloud, if it is not given."`
	Physical        string            `name:"public-physical-network" placeholder:"NAME" help:"Where the cloud has no external network: Neutron's physical network to make one on, flat."`
	CIDR            string            `name:"public-cidr" placeholder:"CIDR" help:"Of its subnet."`
	Gateway         string            `name:"public-gateway" placeholder:"ADDRESS" help:"Of its subnet; the first address if it is not given."`
	Pool            string            `name:"public-pool" placeholder:"FIRST-LAST" help:"Its floating addresses; all if it is not given."`
	NetworkDriver   string            `placeholder:"NAME" help:"The network of pods: cilium, calico; Magnum's default if it is not given."`
	DNSNameserver   string            `name:"dns-nameserver" placeholder:"ADDRESS" help:"Of nodes."`
	MasterLB        bool              `name:"master-lb" help:"A load balancer before the control plane."`
	Label           map[string]string `placeholder:"NAME=VALUE" help:"Of the template; may be repeated."`
	Proxy           []string          `placeholder:"HOST:PORT" help:"Reach the cluster through one of these hosts of jeroboam proxy, as a private one has to be (label master_lb_floating_ip_enabled=false)."`
	Masters         int               `default:"1" help:"Control plane nodes."`
	Nodes           int               `default:"1" help:"Workers."`

	Only         []string `placeholder:"CHECK" help:"Do these checks and no others: ${checks}."`
	Without      []string `placeholder:"CHECK" help:"Do not do these checks."`
	TestImage    string   `placeholder:"IMAGE" help:"What pods of checks run; ${testimage}, or its name below container_infra_prefix, if it is not given."`
	StorageClass string   `placeholder:"NAME" help:"Of the volume that is checked; the default class if it is not given."`

	Conformance      string `enum:"none,quick,certified" default:"quick" help:"Kubernetes' conformance tests: none, quick (one test), certified (all, about two hours)."`
	ConformanceImage string `placeholder:"IMAGE" help:"What runs them; registry.k8s.io/conformance of the cluster's version, or its name below container_infra_prefix, if it is not given."`
	ConformanceSkip  string `placeholder:"REGEXP" help:"Tests that are left out, with the verdict telling so."`

	ConformanceProcesses int           `default:"1" placeholder:"N" help:"Run tests side by side, without those that are marked [Serial]. A certification wants all, one after the other."`
	ConformanceLimit     time.Duration `placeholder:"DURATION" help:"End the tests after this time; the verdict tells how many have run, and fails."`

	Keep    bool          `help:"Remove nothing at the end."`
	Cleanup bool          `help:"Remove what runs that were killed have left, and do nothing else; of all runs in the project, or of --run."`
	RunID   string        `name:"run" placeholder:"ID" help:"Of which run."`
	Timeout time.Duration `default:"30m" help:"Of each thing that Magnum is asked for."`
	Results string        `placeholder:"DIR" help:"Write verdict.json, junit.xml and what the conformance tests wrote into a directory."`
	Output  string        `enum:"text,json" default:"text" help:"text, or json: an event a line, the verdict last."`
	OSCloud string        `name:"os-cloud" env:"OS_CLOUD" placeholder:"NAME" help:"A cloud of clouds.yaml; OS_AUTH_URL and its like if it is not given."`
}

// Run judges a cloud.
func (c *verifyCommand) Run(ctx context.Context, streams Streams) error {
	provider, endpoint, err := login(ctx, c.OSCloud)
	if err != nil {
		return err
	}
	return c.judge(ctx, streams, provider, endpoint)
}

// judge judges the cloud that somebody has logged in to.
func (c *verifyCommand) judge(ctx context.Context, streams Streams, provider *gophercloud.ProviderClient, endpoint gophercloud.EndpointOpts) error {
	clients, err := verify.Connect(provider, endpoint)
	if err != nil {
		return err
	}
	o := c.options()
	view := &verifyView{out: streams.Out, json: c.Output == "json", terminal: isTerminal(streams.Out), began: time.Now()}
	o.Tell = view.tell
	if c.Cleanup {
		return cleanUp(ctx, o, clients, streams.Out)
	}
	if o.RunID == "" {
		var id [4]byte
		if _, err := rand.Read(id[:]); err != nil {
			return err
		}
		o.RunID = hex.EncodeToString(id[:])
	}
	verdict, err := verify.Run(ctx, o, clients)
	switch {
	case len(verdict.Results) == 0 && ctx.Err() != nil:
		return errors.New("interrupted before anything was made") // which must not look like a cloud that passed
	case len(verdict.Results) == 0:
		return err
	}
	if c.Output != "json" {
		err = errors.Join(err, verdict.Table(streams.Out))
	}
	if !verdict.Passed {
		// Not the context's error: an interrupted run is no success.
		err = errors.Join(err, fmt.Errorf("the cloud did not pass: %s", verdict.Summary))
	}
	return err
}

func (c *verifyCommand) options() verify.Options {
	return verify.Options{
		RunID: c.RunID, Cluster: c.Cluster, ClusterTemplate: c.ClusterTemplate, Image: c.Image, ImageName: c.ImageName, Flavor: c.Flavor,
		ExternalNetwork: c.ExternalNetwork, Public: verify.PublicNetwork{Physical: c.Physical, CIDR: c.CIDR, Gateway: c.Gateway, Pool: c.Pool},
		Keypair: c.Keypair, NetworkDriver: c.NetworkDriver, DNS: c.DNSNameserver, MasterLB: c.MasterLB, Labels: c.Label, Masters: c.Masters, Nodes: c.Nodes,
		Proxies:   c.Proxy,
		TestImage: c.TestImage, StorageClass: c.StorageClass, Only: c.Only, Without: c.Without,
		Conformance: c.Conformance, ConformanceImage: c.ConformanceImage, ConformanceSkip: c.ConformanceSkip,
		ConformanceProcesses: c.ConformanceProcesses, ConformanceLimit: c.ConformanceLimit,
		Keep: c.Keep, Results: c.Results, Timeout: c.Timeout, Poll: 3 * time.Second, Now: time.Now,
	}
}

func cleanUp(ctx context.Context, o verify.Options, clients verify.Clients, out io.Writer) error {
	removed, err := verify.Remove(ctx, o, clients)
	for _, name := range removed {
		_, _ = fmt.Fprintln(out, "removed", name) // what was removed stays removed, read or not
	}
	if len(removed) == 0 && err == nil {
		_, err = fmt.Fprintln(out, "no run has left anything in this project")
	}
	return err
}

// verifyView shows events as they come: lines, or on a terminal one line that changes while a step goes on.
type verifyView struct {
	out            io.Writer
	json, terminal bool
	began          time.Time
}

// tell writes one event. Nobody is to be told when standard output is gone, and what was made has to be removed all the
// same.
func (v *verifyView) tell(e verify.Event) {
	if v.json {
		_ = json.NewEncoder(v.out).Encode(e)
		return
	}
	var line string
	switch e.Event {
	case "began":
		line = e.Step
	case "progress":
		line = e.Step + ": " + e.Text
	case "result":
		line = fmt.Sprintf("%s: %s", e.Step, e.Result.State)
		if e.Result.Detail != "" {
			line += ": " + e.Result.Detail
		}
	default:
		return
	}
	stamp := fmt.Sprintf("[%4.0f s] ", e.Time.Sub(v.began).Seconds())
	if !v.terminal {
		_, _ = fmt.Fprintln(v.out, stamp+line)
		return
	}
	line = strings.ReplaceAll(line, "\n", " ")
	if width := v.width() - len(stamp) - 1; e.Event != "result" && len(line) > width {
		line = strings.ToValidUTF8(line[:width], "")
	}
	end := ""
	if e.Event == "result" {
		end = "\n"
	}
	_, _ = fmt.Fprint(v.out, "\r\x1b[K"+stamp+line+end)
}

func (v *verifyView) width() int {
	if f, ok := v.out.(*os.File); ok {
		if width, _, err := xterm.GetSize(int(f.Fd())); err == nil && width > 40 {
			return width
		}
	}
	return 80
}

// isTerminal says of a stream that a person is there.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && xterm.IsTerminal(int(f.Fd()))
}
