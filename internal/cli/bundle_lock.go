package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
)

type bundleBumpCommand struct {
	Component string `arg:"" enum:"kubernetes" help:"What gets another version: kubernetes."`
	Version   string `arg:"" help:"A release (1.36.4), or a minor version (1.36) for the newest release that the module proxy lists."`
	Add       bool   `help:"Carry it beside what is there: an older one for clusters to go through, or a newer one, which becomes the lock's own."`
	Lock      string `default:"bundle.lock.yaml" placeholder:"FILE" help:"The lock."`
}

// Run edits a lock, and shows what became of it.
func (c *bundleBumpCommand) Run(ctx context.Context, streams Streams) error {
	done, err := bundle.Bump(ctx, bundle.BumpOptions{LockFile: c.Lock, Version: c.Version, Add: c.Add})
	if err != nil {
		return err
	}
	chain := strings.Join(append(done.Releases, done.Own), " -> ")
	if done.Diff == "" {
		_, err = fmt.Fprintf(streams.Out, "%s has Kubernetes %s already; it carries %s\n", c.Lock, done.Version, chain)
		return err
	}
	_, err = fmt.Fprintf(streams.Out, "%s\n%s carries Kubernetes %s. Digests of what is new are missing: \"bundle lock --update\" asks its publishers, "+
		"\"bundle build --from-source --record\" builds it.\n", done.Diff, c.Lock, chain)
	return err
}
