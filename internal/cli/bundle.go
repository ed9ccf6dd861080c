package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"text/tabwriter"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/registry"
)

type bundleCommand struct {
	Build     bundleBuildCommand     `cmd:"" help:"Make a bundle from its lock: download it, or build it from source."`
	Catalogue bundleCatalogueCommand `cmd:"" help:"Make only the catalogue of workload clusters' addons, from module sources."`
	Lock      bundleLockCommand      `cmd:"" help:"Say what a lock lacks, or ask publishers for their digests."`
	Bump      bundleBumpCommand      `cmd:"" help:"Change the lock to another version, or let it carry one more."`
	Sign      bundleSignCommand      `cmd:"" help:"Sign a bundle, or a catalogue, that was made before."`
	Keygen    bundleKeygenCommand    `cmd:"" help:"Make a key that bundles are signed with."`
	Verify    bundleVerifyCommand    `cmd:"" help:"Read all of a bundle and compare it with what it should be."`
	Show      bundleShowCommand      `cmd:"" help:"List what a bundle has."`
	Export    bundleExportCommand    `cmd:"" help:"Write images as a tar for ctr images import."`
	Serve     bundleServeCommand     `cmd:"" help:"Serve a bundle: a read-only registry and a file server, over TLS."`
	Program   bundleProgramCommand   `cmd:"" help:"Build one program that the lock names, from source."`
}

type bundleBuildCommand struct {
	Lock       string   `default:"bundle.lock.yaml" placeholder:"FILE" help:"The lock."`
	Output     string   `default:"bundle" placeholder:"DIR" help:"The bundle."`
	Cache      string   `env:"JEROBOAM_BUNDLE_CACHE" placeholder:"DIR" help:"What was built or fetched before ($XDG_CACHE_HOME/jeroboam/bundle)."`
	FromSource bool     `help:"Build what has a source, through the Go module proxy."`
	Group      []string `placeholder:"NAME" help:"Optional artefacts to include as well."`
	Without    []string `placeholder:"NAME" help:"Default artefacts to leave out: cilium, for the light network of pods."`
	Jobs       int      `placeholder:"N" help:"Go packages compiled concurrently."`
	AnyHost    bool     `help:"Accept other versions of Debian packages than the lock names."`
	Record     bool     `help:"Write the digests of what was made into the lock, instead of comparing."`
	Values     string   `placeholder:"FILE" help:"YAML: an addon's name -> values of its chart, over those of the lock."`
	JSON       bool     `name:"json" help:"Progress as lines of JSON."`
	signFlags
}

// Run makes a bundle.
func (c *bundleBuildCommand) Run(ctx context.Context, streams Streams) error {
	cache, err := bundleCache(c.Cache)
	if err != nil {
		return err
	}
	values, err := addonValues(c.Values)
	if err != nil {
		return err
	}
	key, err := c.key() // before an hour of work
	if err != nil {
		return err
	}
	progress := func(e bundle.Event) {
		if e.Reason != "" {
			_, _ = fmt.Fprintf(streams.Out, "[%2d/%d] %-8s %s %s: %s: %s\n", e.Done, e.Total, e.Kind, e.Name, e.Version, e.How, e.Reason) // progress only
			return
		}
		_, _ = fmt.Fprintf(streams.Out, "[%2d/%d] %-8s %s %s: %s in %.1f s\n", e.Done, e.Total, e.Kind, e.Name, e.Version, e.How, e.Seconds) // progress only
	}
	if c.JSON {
		out := json.NewEncoder(streams.Out)
		progress = func(e bundle.Event) { _ = out.Encode(e) } // progress only
	}
	began := time.Now()
	index, err := bundle.Build(ctx, bundle.Options{
		LockFile: c.Lock, Dir: c.Output, Cache: cache, FromSource: c.FromSource, Groups: c.Group, Without: c.Without, Jobs: c.Jobs, AnyHost: c.AnyHost, Record: c.Record,
		HTTP: publishers(), Now: time.Now, Progress: progress, Values: values, Key: key,
		Log: slog.New(slog.NewTextHandler(streams.Err, nil)),
	})
	if err != nil || c.JSON {
		return err
	}
	_, err = fmt.Fprintf(streams.Out, "%s: %d files and %d images, in %.0f s\n", c.Output, len(index.Files), len(index.Images), time.Since(began).Seconds())
	return err
}

// bundleCache is where what was built or fetched is kept.
func bundleCache(named string) (string, error) {
	if named != "" {
		return named, nil
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("where is the cache? use --cache: %w", err)
	}
	return filepath.Join(base, "jeroboam", "bundle"), nil
}

// addonValues reads the file of --values.
func addonValues(file string) (map[string]map[string]any, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--values: %w", err)
	}
	values := map[string]map[string]any{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		return nil, fmt.Errorf("--values %s: %w", file, err)
	}
	return values, nil
}

type bundleCatalogueCommand struct {
	Lock    string   `default:"bundle.lock.yaml" placeholder:"FILE" help:"The lock."`
	Output  string   `required:"" placeholder:"DIR" help:"Where catalogue.yaml and its charts go."`
	Cache   string   `env:"JEROBOAM_BUNDLE_CACHE" placeholder:"DIR" help:"As of bundle build."`
	Without []string `placeholder:"NAME" help:"Groups to leave out."`
	Values  string   `placeholder:"FILE" help:"YAML: an addon's name -> values of its chart, over those of the lock."`
	Record  bool     `help:"Write the digests of what was made into the lock, instead of comparing."`
	signFlags
}

// Run makes the catalogue of addons.
func (c *bundleCatalogueCommand) Run(ctx context.Context, streams Streams) error {
	cache, err := bundleCache(c.Cache)
	if err != nil {
		return err
	}
	values, err := addonValues(c.Values)
	if err != nil {
		return err
	}
	key, err := c.key()
	if err != nil {
		return err
	}
	index, err := bundle.Catalogue(ctx, bundle.Options{
		LockFile: c.Lock, Key: key, Dir: c.Output, Cache: cache, Without: c.Without, Values: values, Record: c.Record, Now: time.Now,
		Log: slog.New(slog.NewTextHandler(streams.Err, nil)),
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(streams.Out, "%s: %d addons\n", c.Output, len(index.Files)-1)
	return err
}

type bundleProgramCommand struct {
	Name    string `arg:"" help:"The program, as the lock calls it."`
	Output  string `required:"" placeholder:"FILE" help:"Where to put it."`
	Lock    string `default:"bundle.lock.yaml" placeholder:"FILE" help:"The lock."`
	Cache   string `env:"JEROBOAM_BUNDLE_CACHE" placeholder:"DIR" help:"What was built or fetched before ($XDG_CACHE_HOME/jeroboam/bundle)."`
	Jobs    int    `placeholder:"N" help:"Go packages compiled concurrently."`
	AnyHost bool   `help:"Accept other versions of Debian packages than the lock names."`
}

// Run builds a program.
func (c *bundleProgramCommand) Run(ctx context.Context, streams Streams) error {
	cache, err := bundleCache(c.Cache)
	if err != nil {
		return err
	}
	began := time.Now()
	how, err := bundle.BuildProgram(ctx, bundle.Options{LockFile: c.Lock, Cache: cache, Jobs: c.Jobs, AnyHost: c.AnyHost}, c.Name, c.Output)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(streams.Out, "%s: %s in %.0f s\n", c.Output, how, time.Since(began).Seconds())
	return err
}

type bundleVerifyCommand struct {
	Bundle string `arg:"" help:"The bundle."`
	Lock   string `placeholder:"FILE" help:"Compare with this lock as well."`
	trustFlags
}

// Run checks a bundle.
func (c *bundleVerifyCommand) Run(streams Streams) error {
	b, err := c.open(c.Bundle)
	if err != nil {
		return err
	}
	var lock *bundle.Lock
	if c.Lock != "" {
		if lock, err = bundle.ReadLock(c.Lock); err != nil {
			return err
		}
	}
	if err := b.Verify(lock); err != nil {
		return err
	}
	whose := "nobody's signature was asked for"
	if trust, err := c.trust(); err == nil && trust.Asked() {
		whose = "signed by a key of " + trust.File()
	}
	_, err = fmt.Fprintf(streams.Out, "%s is as it should be: %d files, %d images; %s\n", c.Bundle, len(b.Index.Files), len(b.Index.Images), whose)
	return err
}

type bundleShowCommand struct {
	Bundle string `arg:"" help:"The bundle."`
	Images bool   `help:"Only images: the name upstream and, with --prefix, the name in a mirror for workload clusters."`
	Prefix string `placeholder:"REGISTRY" help:"What the label container_infra_prefix will be."`
	Output string `enum:"text,json" default:"text" help:"text or json."`
	trustFlags
}

// Run lists what a bundle has.
func (c *bundleShowCommand) Run(streams Streams) error {
	b, err := c.open(c.Bundle)
	if err != nil {
		return err
	}
	switch {
	case c.Images || c.Prefix != "":
		return c.showImages(streams, b)
	case c.Output == "json":
		return json.NewEncoder(streams.Out).Encode(b.Index)
	}
	w := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "KIND\tNAME\tVERSION\tMB\tWHERE\tDIGEST") // Flush reports what went wrong
	row := func(kind, name, version string, size int64, where, digest string) {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%s\t%s\n", kind, name, version, float64(size)/1e6, where, digest) // Flush reports what went wrong
	}
	for _, f := range b.Index.Files {
		row(f.Kind, f.Name, f.Version, f.Size, "files/"+f.Path, f.Digest)
	}
	for _, i := range b.Index.Images {
		row("image", i.Name, i.Version, i.Size, i.Reference, i.Digest)
	}
	return w.Flush()
}

// mirrored is an image with its name in a mirror for workload clusters; "" if a workload cluster cannot ask for it
// there.
type mirrored struct {
	Source string `json:"source"`
	Mirror string `json:"mirror,omitempty"`
	Digest string `json:"digest"`
}

func (c *bundleShowCommand) showImages(streams Streams, b *bundle.Bundle) error {
	var list []mirrored
	for _, i := range b.Index.Images {
		for _, ref := range append([]string{i.Reference}, i.Aliases...) {
			m := mirrored{Source: ref, Digest: i.Digest}
			if name, err := registry.MagnumName(ref); err == nil && c.Prefix != "" {
				m.Mirror = c.Prefix + "/" + name
			}
			if m.Mirror != "" || c.Prefix == "" {
				list = append(list, m)
			}
		}
	}
	if c.Output == "json" {
		return json.NewEncoder(streams.Out).Encode(list)
	}
	w := tabwriter.NewWriter(streams.Out, 0, 0, 2, ' ', 0)
	for _, m := range list {
		_, _ = fmt.Fprintf(w, "%s\t%s\n", m.Source, m.Mirror) // Flush reports what went wrong
	}
	return w.Flush()
}

type bundleExportCommand struct {
	Bundle string   `arg:"" help:"The bundle."`
	Images []string `arg:"" optional:"" help:"References; all, if there are none."`
	trustFlags
}

// Run writes a tar of images to standard output.
func (c *bundleExportCommand) Run(streams Streams) error {
	b, err := c.whole(c.Bundle)
	if err != nil {
		return err
	}
	return b.WriteImages(streams.Out, c.Images...)
}

type bundleServeCommand struct {
	Bundle string `arg:"" help:"The bundle."`
	Listen string `default:"127.0.0.1:5443" placeholder:"ADDRESS:PORT" help:"Where to listen: the management network's address of this host."`
	Cert   string `placeholder:"FILE" help:"Certificate chain, PEM. Without it an authority is made for this run."`
	Key    string `placeholder:"FILE" help:"Its key, PEM."`
	CAOut  string `name:"ca-out" placeholder:"FILE" help:"Where to write the certificate of the authority that is made."`
	trustFlags
}

// Run serves a bundle until it is told to stop.
func (c *bundleServeCommand) Run(ctx context.Context, streams Streams) error {
	b, err := c.whole(c.Bundle)
	if err != nil {
		return err
	}
	o := bundle.ServeOptions{Listen: c.Listen, CertFile: c.Cert, KeyFile: c.Key, Now: time.Now}
	o.Ready = func(address string, ca []byte) error {
		if c.CAOut != "" && ca != nil {
			if err := os.WriteFile(c.CAOut, ca, 0o644); err != nil {
				return err
			}
		}
		_, err := io.WriteString(streams.Out, "serving "+c.Bundle+" on https://"+address+"/ (registry under /v2/, files under /files/)\n")
		return err
	}
	return b.Serve(ctx, o)
}
