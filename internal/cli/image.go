package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	gopenstack "github.com/gophercloud/gophercloud/v2/openstack"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/image"
	"github.com/jeroboam-cloud/jeroboam/internal/registry"
)

type imageCommand struct {
	Build  imageBuildCommand  `cmd:"" help:"Make an image of a bundle and Debian's packages (root)."`
	Upload imageUploadCommand `cmd:"" help:"Bring an image to Glance, with its properties."`
}

type imageBuildCommand struct {
	Bundle  string   `required:"" placeholder:"DIR" help:"The bundle, made with --group workload."`
	Output  string   `required:"" placeholder:"FILE" help:"The image; its properties go to FILE.json."`
	Kind    string   `enum:"vm,container" default:"vm" help:"What boots from it: vm, or container (Nova with virt_type=lxc)."`
	Format  string   `enum:",raw,qcow2,rootfs" default:"" help:"raw, qcow2, or rootfs (a tar). Not given: qcow2 for virtual machines, raw for containers."`
	Size    int64    `placeholder:"MB" help:"Of a virtual machine's disk; as small as it can be if it is not given. It grows at boot."`
	Overlay string   `placeholder:"DIR" help:"Files that are copied into the root file system last."`
	Include []string `placeholder:"PACKAGE" help:"Further Debian packages."`
	Without []string `placeholder:"NAME" help:"Images of the bundle that nodes are to pull."`
	Sources string   `placeholder:"FILE" help:"A sources.list for Debian's packages (this machine's)."`
	Cache   string   `env:"JEROBOAM_IMAGE_CACHE" placeholder:"DIR" help:"Where Debian's part is kept for a day ($XDG_CACHE_HOME/jeroboam/image); none keeps nothing."`
	trustFlags
}

// Run makes an image.
func (c *imageBuildCommand) Run(ctx context.Context, streams Streams) error {
	b, err := c.whole(c.Bundle)
	if err != nil {
		return err
	}
	cache := c.Cache
	switch cache {
	case "none":
		cache = ""
	case "":
		base, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("where is the cache? use --cache: %w", err)
		}
		cache = filepath.Join(base, "jeroboam", "image")
	}
	output, err := filepath.Abs(c.Output)
	if err != nil {
		return err
	}
	began := time.Now()
	p, err := image.Build(ctx, image.Options{
		Bundle: nodeBundle{b}, Output: output, Kind: c.Kind, Format: c.Format, Size: c.Size << 20, Overlay: c.Overlay, Include: c.Include,
		Without: c.Without, Sources: c.Sources, Cache: cache, Now: time.Now, Log: slog.New(slog.NewTextHandler(streams.Err, nil)),
		Progress: func(step string) {
			_, _ = fmt.Fprintf(streams.Out, "[%4.0f s] %s\n", time.Since(began).Seconds(), step) // progress only
		},
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(streams.Out, "%s: Kubernetes %s, %d container images, %d MB, in %.0f s\n",
		c.Output, p.KubeVersion, len(p.Images), p.Size>>20, time.Since(began).Seconds())
	return err
}

// nodeBundle is a bundle as nodes see it: of its images those that a workload cluster can ask for.
type nodeBundle struct{ *bundle.Bundle }

func (b nodeBundle) File(name string) (path, version string, err error) {
	path, entry, err := b.Bundle.File(name)
	return path, entry.Version, err
}

func (b nodeBundle) Images() []image.ContainerImage {
	var out []image.ContainerImage
	for _, i := range b.Index.Images {
		if i.Release != "" {
			continue // of a Kubernetes that only management clusters go through
		}
		if _, err := registry.MagnumName(i.Reference); err == nil {
			out = append(out, image.ContainerImage{Name: i.Name, Reference: i.Reference, Aliases: i.Aliases})
		}
	}
	return out
}

func (b nodeBundle) Digest() string { return b.Index.LockDigest }

type imageUploadCommand struct {
	File    string `arg:"" help:"The image; FILE.json must be beside it."`
	Name    string `placeholder:"NAME" help:"In Glance; the file's name without its ending, if it is not given."`
	Public  bool   `help:"For all projects. Glance lets administrators do this."`
	OSCloud string `name:"os-cloud" env:"OS_CLOUD" placeholder:"NAME" help:"A cloud of clouds.yaml; OS_AUTH_URL and its like if it is not given."`
}

// Run uploads an image.
func (c *imageUploadCommand) Run(ctx context.Context, streams Streams) error {
	provider, endpoint, err := login(ctx, c.OSCloud)
	if err != nil {
		return err
	}
	glance, err := gopenstack.NewImageV2(provider, endpoint)
	if err != nil {
		return fmt.Errorf("the cloud has no Glance: %w", err)
	}
	name := c.Name
	if name == "" {
		name = strings.TrimSuffix(filepath.Base(c.File), filepath.Ext(c.File))
	}
	id, there, err := image.Upload(ctx, image.UploadOptions{Glance: glance, File: c.File, Name: name, Public: c.Public, Progress: tenths(streams.Err)})
	if err != nil {
		return err
	}
	how := "uploaded"
	if there {
		how = "is there already"
	}
	_, err = fmt.Fprintf(streams.Out, "%s %s: %s\n", name, id, how)
	return err
}

// tenths tells each tenth of an upload.
func tenths(w io.Writer) func(sent, total int64) {
	told := int64(0)
	return func(sent, total int64) {
		if now := sent * 10 / max(total, 1); now > told {
			told = now
			_, _ = fmt.Fprintf(w, "%d%% of %d MB\n", now*10, total>>20) // progress only
		}
	}
}
