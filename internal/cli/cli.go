// Package cli is the command tree, and the only place that joins the floors of the house: it reads flags and
// configuration, makes the parts and hands them to each other. A command here is thin: flags into an options struct,
// one call, one view.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/verify"
)

// Streams are where a command reads and writes.
type Streams struct {
	In  io.Reader
	Out io.Writer
	Err io.Writer

	curtain *curtain
}

// commands is the command tree. Flags, environment variables, defaults and help stand in the tags.
type commands struct {
	Agent      agentCommand      `cmd:"" hidden:"" help:"Serve a deployer on this machine: started by deploy, not by people."`
	Server     ServerCommand     `cmd:"" help:"Serve the Magnum API and run the controllers against a management cluster."`
	CRDs       crdsCommand       `cmd:"" name:"crds" help:"Install, or print, the custom resource definitions of Magnum's records."`
	Deploy     deployCommand     `cmd:"" help:"Deploy the management cluster and what belongs to it, from an operator's OpenStack-Ansible configuration."`
	Inventory  inventoryCommand  `cmd:"" help:"Read an operator's OpenStack-Ansible configuration and show its inventory."`
	Bundle     bundleCommand     `cmd:"" help:"Make, check and serve what a deployment needs, for hosts without a way out."`
	Image      imageCommand      `cmd:"" help:"Make images that nodes of workload clusters boot from, and bring them to Glance."`
	Proxy      proxyCommand      `cmd:"" help:"Reach private workload clusters through Neutron's network namespaces."`
	Verify     verifyCommand     `cmd:"" help:"Judge a cloud: make a cluster through its Magnum API, use it, run conformance tests, remove it."`
	Cluster    clusterCommand    `cmd:"" help:"Look at a cluster of one's own, with clouds.yaml: events, describe, wait."`
	Labels     labelsCommand     `cmd:"" help:"List the labels of clusters and node groups that have a meaning here."`
	Completion completionCommand `cmd:"" help:"Print completion for a shell: source <(jeroboam completion bash)."`
	Complete   completeCommand   `cmd:"" hidden:"" help:"List what may follow: called by a shell, not by people."`
	Version    versionCommand    `cmd:"" help:"Say which build this is."`
}

// Run runs one command line and returns the exit status: 0 it did what was asked, 1 it did not, 2 changes are pending
// (deploy plan). Usage errors are 1 as well, and say how to get help.
func Run(ctx context.Context, args []string, streams Streams) int {
	veil := &curtain{}
	out, errs := veil.before(streams.Out), veil.before(streams.Err)
	defer out.flush()
	defer errs.flush()
	streams.Out, streams.Err, streams.curtain = out, errs, veil
	exited, status := false, 0
	parser, err := newParser(
		kong.Writers(streams.Out, streams.Err),
		kong.Exit(func(code int) { exited, status = true, code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(streams),
	)
	if err != nil {
		return fail(streams, err)
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited {
		return status // --help
	}
	if err != nil {
		return fail(streams, fmt.Errorf("%w (jeroboam --help lists commands and flags)", err))
	}
	err = k.Run()
	switch {
	case errors.Is(err, errChanges):
		return changesPending
	case err != nil && !errors.Is(err, context.Canceled):
		return fail(streams, err)
	}
	return 0
}

const changesPending = 2

func newParser(more ...kong.Option) (*kong.Kong, error) {
	var tree commands
	return kong.New(&tree, append([]kong.Option{
		kong.Name("jeroboam"),
		kong.Description("Kubernetes clusters as a service on OpenStack."),
		kong.Bind(&tree),
		kong.Vars{
			"checks": strings.Join(verify.CheckNames(), ", "), "testimage": verify.TestImage, "outputs": "text,json",
			"apply_judges": strings.Join(deploy.Dangers(), ", "), "restore_judges": strings.Join(deploy.RestoreDangers(), ", "),
			"destroy_judges": strings.Join(deploy.DestroyDangers(), ", "),
		},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	}, more...)...)
}

// Model is the command tree as the manual page shows it.
func Model() (*kong.Application, error) {
	parser, err := newParser()
	if err != nil {
		return nil, err
	}
	return parser.Model, nil
}

func fail(streams Streams, err error) int {
	_, _ = fmt.Fprintf(streams.Err, "jeroboam: %v\n", err) // nobody to tell when standard error is gone
	return 1
}
