package capi

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// Idle is what a cluster was made with and has no effect there, for its owner to read. Requests that ask for such
// things are refused; what comes from a template that is older than the refusal, or switches off what the template's
// labels belong to, is not. Labels that nobody knows are taken, as in Magnum.
func Idle(c *magnum.Cluster, opts Options) []error {
	labels := label.Of(c.Labels)
	var out []error
	for _, text := range c.Template.WithoutEffect(labels.Bool(label.CinderCSIEnabled)) {
		out = append(out, errors.New(strings.TrimSuffix(text, ".")))
	}
	out = append(out, label.Idle(label.Cluster, setting(c, opts), c.Labels, nil)...)
	if unknown := label.Unknown(c.Labels); len(unknown) > 0 {
		out = append(out, fmt.Errorf("these labels are not known: %s", magnum.Shorten(strings.Join(unknown, ", "), 500)))
	}
	return out
}

// setting is what a cluster's labels meet.
func setting(c *magnum.Cluster, opts Options) label.Setting {
	return label.Setting{
		NetworkDriver: c.Template.NetworkDriver, Balanced: c.MasterLBEnabled, ExistingNetwork: c.ExistingNetwork(),
		BootVolume: label.Of(c.Labels).BootVolume(opts.BootVolumeSize) > 0, ContainerVolume: c.DockerVolumeSize > 0,
	}
}
