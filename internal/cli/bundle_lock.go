package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

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

type bundleLockCommand struct {
	Lock    string `default:"bundle.lock.yaml" placeholder:"FILE" help:"The lock."`
	Update  bool   `help:"Ask publishers what they have published, and write their digests (urlDigest) into the lock."`
	Cache   string `env:"JEROBOAM_BUNDLE_CACHE" placeholder:"DIR" help:"As of bundle build: modules that publishers are known by."`
	Changed bool   `help:"With --update: take digests that are others than the lock's, too."`
}

// Run looks at a lock.
func (c *bundleLockCommand) Run(ctx context.Context, streams Streams) error {
	if !c.Update {
		if c.Changed {
			return errors.New("--changed is of no use without --update")
		}
		lock, err := bundle.ReadLock(c.Lock)
		if err != nil {
			return err
		}
		built, downloaded := lock.Lacking()
		for _, of := range []struct {
			what  string
			names []string
		}{{"cannot be built (no digest)", built}, {"cannot be downloaded (no urlDigest)", downloaded}} {
			for _, name := range of.names {
				_, _ = fmt.Fprintf(streams.Out, "%s: %s\n", name, of.what) // the last line reports what went wrong
			}
		}
		_, err = fmt.Fprintf(streams.Out, "%s: %d artefacts lack what building needs, %d what downloading needs\n", c.Lock, len(built), len(downloaded))
		return err
	}
	cache, err := bundleCache(c.Cache)
	if err != nil {
		return err
	}
	done, err := bundle.Update(ctx, bundle.UpdateOptions{LockFile: c.Lock, Cache: cache, HTTP: publishers(), Now: time.Now, Changed: c.Changed})
	if done != nil {
		_, _ = fmt.Fprintf(streams.Out, "%s: %d digests are new, %d changed, %d as they were; of %d places %d are signed by their publishers; published nowhere: %s\n",
			c.Lock, done.New, done.Changed, done.Same, done.Places, done.Signed, cmp.Or(strings.Join(done.Nowhere, ", "), "none")) // the error is told next
	}
	return err
}

// publishers is the client for what others publish.
func publishers() *http.Client {
	return &http.Client{Transport: http.DefaultTransport, Timeout: time.Hour}
}
