package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"text/tabwriter"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/manifests"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/version"
)

type versionCommand struct {
	Output string `enum:"text,json" default:"text" help:"text or json."`
}

// Run prints which build this is.
func (c *versionCommand) Run(streams Streams) error {
	if c.Output == "json" {
		return json.NewEncoder(streams.Out).Encode(version.Get())
	}
	_, err := fmt.Fprintln(streams.Out, version.Get())
	return err
}

type labelsCommand struct{}

// Run prints the registry of labels.
func (c *labelsCommand) Run(streams Streams) error {
	w := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "LABEL\tTYPE\tDEFAULT\tMEANING") // Flush reports what went wrong
	for _, l := range label.Registry() {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", l.Name, l.Type, l.Default, l.Doc)
	}
	return w.Flush()
}

type crdsCommand struct {
	Kubeconfig string        `env:"KUBECONFIG" help:"Management cluster to install into."`
	Print      bool          `help:"Print the definitions instead of installing them."`
	Timeout    time.Duration `default:"2m" help:"How long to wait until they are served."`
}

// Run installs or prints the definitions.
func (c *crdsCommand) Run(ctx context.Context, streams Streams) error {
	if c.Print {
		return printAll(streams, manifests.FS)
	}
	cfg, err := kube.Connect(c.Kubeconfig)
	if err != nil {
		return err
	}
	scheme, err := kube.NewScheme()
	if err != nil {
		return err
	}
	cl, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return fmt.Errorf("connect to the management cluster: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := InstallRecords(ctx, cl); err != nil {
		return err
	}
	_, err = fmt.Fprintln(streams.Out, "custom resource definitions of Magnum's records are served")
	return err
}

// InstallRecords makes the management cluster ready for Magnum's records: their definitions, their namespace, and the
// role of Jeroboam's own server. It takes an administrator.
func InstallRecords(ctx context.Context, c client.Client) error {
	if err := kube.InstallCRDs(ctx, c, manifests.FS); err != nil {
		return err
	}
	if err := kube.EnsureNamespace(ctx, c, v1alpha1.Namespace); err != nil {
		return err
	}
	return kube.Apply(ctx, c, manifests.FS, manifests.Access)
}

func printAll(streams Streams, files fs.FS) error {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if _, err := streams.Out.Write(text); err != nil {
			return err
		}
	}
	return nil
}
