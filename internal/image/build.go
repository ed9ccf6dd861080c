package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Kinds of images, and the formats they are written in.
const (
	VM        = "vm"        // a virtual machine
	Container = "container" // a server that is a container

	Raw    = "raw"    // a disk of a virtual machine; of a container, an ext4 file system
	QCOW2  = "qcow2"  // the same disk, compressed
	RootFS = "rootfs" // a tar of the root file system
)

// Bundle is what an image is made of.
type Bundle interface {
	// File is where a file of the bundle is, and its version.
	File(name string) (path, version string, err error)
	// CNI are the paths of the CNI plugins.
	CNI() []string
	// Images are those that nodes of workload clusters use.
	Images() []ContainerImage
	// WriteImages writes images as the tar that "ctr images import" reads.
	WriteImages(w io.Writer, references ...string) error
	// Digest is of the lock it was made from.
	Digest() string
}

// ContainerImage is an image of the bundle.
type ContainerImage struct {
	Name      string // "pause"
	Reference string
	Aliases   []string // further names it is asked for by
}

// Options are what an image is to be.
type Options struct {
	Bundle  Bundle
	Output  string
	Kind    string
	Format  string
	Overlay string   // a directory whose files are copied into the image last
	Include []string // further Debian packages
	Without []string // names of the bundle's images that are not preloaded
	Sources string   // of Debian's packages: a sources.list; "" is this machine's
	Size    int64    // of a virtual machine's disk in bytes; 0 is what is needed and a little more
	Cache   string   // where Debian's part is kept for a day; "" keeps nothing
	Now     func() time.Time
	Log     *slog.Logger
	// Progress is told which step begins.
	Progress func(step string)
}

type builder struct {
	Options

	work string // a directory beside the output
	root string // the root file system in it
	disk string // what the disk steps have made
	size int64  // of a virtual machine's disk
	held *os.File
	prop Properties
}

// Build makes an image and the file with its properties beside it. It may be killed at any point: what is whole is
// renamed into its place at the end, and the next run clears away what was left.
func Build(ctx context.Context, o Options) (Properties, error) {
	b := &builder{Options: o.completed()}
	defer func() { b.clear() }()
	for _, s := range []struct {
		name string
		do   func(context.Context) error
	}{
		{"check", b.check},
		{"working directory", b.begin},
		{"Debian", b.debian},
		{"programs of the bundle", b.programs},
		{"configuration", b.configure},
		{"container images", b.preload},
		{"overlay", b.overlay},
		{"clean up", b.clean},
		{"disk", b.makeDisk},
		{"properties", b.finish},
	} {
		if err := ctx.Err(); err != nil {
			return Properties{}, err
		}
		if b.Progress != nil {
			b.Progress(s.name)
		}
		if err := s.do(ctx); err != nil {
			return Properties{}, fmt.Errorf("image: %s: %w", s.name, err)
		}
	}
	return b.prop, nil
}

// completed has what follows from the rest: what a kind boots from.
func (o Options) completed() Options {
	if o.Format == "" {
		o.Format = map[string]string{VM: QCOW2, Container: Raw}[o.Kind]
	}
	return o
}

// check finds everything that is missing before anything is done.
func (b *builder) check(context.Context) error {
	var problems []error
	if os.Geteuid() != 0 {
		problems = append(problems, errors.New("an image has files of root: run as root"))
	}
	if b.Kind != VM && b.Kind != Container {
		problems = append(problems, fmt.Errorf("there is no kind %q: %s or %s", b.Kind, VM, Container))
	}
	if !slices.Contains([]string{Raw, QCOW2, RootFS}, b.Format) {
		problems = append(problems, fmt.Errorf("there is no format %q: %s, %s or %s", b.Format, Raw, QCOW2, RootFS))
	}
	if b.Kind == Container && b.Format == QCOW2 {
		problems = append(problems, errors.New("a container's image is a file system that is mounted: use raw, not qcow2"))
	}
	if b.Kind == Container && b.Size != 0 {
		problems = append(problems, errors.New("a container's image has no size: the cloud makes it as large as the flavor's disk"))
	}
	for program, pkg := range b.tools() {
		if _, err := exec.LookPath(program); err != nil {
			problems = append(problems, fmt.Errorf("the program %s is missing: apt-get install %s", program, pkg))
		}
	}
	for _, name := range programs() {
		if _, _, err := b.Bundle.File(name); err != nil {
			problems = append(problems, err)
		}
	}
	if len(b.Bundle.CNI()) == 0 {
		problems = append(problems, errors.New("the bundle has no CNI plugins"))
	}
	problems = append(problems, b.checkImages()...)
	if b.Overlay != "" {
		if info, err := os.Stat(b.Overlay); err != nil || !info.IsDir() {
			problems = append(problems, fmt.Errorf("the overlay %s is no directory", b.Overlay))
		}
	}
	slices.SortFunc(problems, func(x, y error) int { return strings.Compare(x.Error(), y.Error()) }) // tools come from a map
	return errors.Join(problems...)
}

func (b *builder) checkImages() []error {
	var problems []error
	var names []string
	for _, i := range b.Bundle.Images() {
		names = append(names, i.Name)
	}
	for _, name := range b.Without {
		if !slices.Contains(names, name) {
			problems = append(problems, fmt.Errorf("there is no image %q to leave out: workload clusters use %s", name, strings.Join(names, ", ")))
		}
	}
	if !slices.Contains(names, "pause") {
		problems = append(problems, errors.New("the bundle has no image pause: no pod can run"))
	}
	return problems
}

// tools are the programs that are started, and Debian's packages of them.
func (b *builder) tools() map[string]string {
	out := map[string]string{"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "chroot": "coreutils", "cp": "coreutils", "tar": "tar"}
	if b.Format != RootFS {
		out["mke2fs"], out["resize2fs"] = "e2fsprogs", "e2fsprogs"
	}
	if b.Kind == VM && b.Format != RootFS {
		out["sfdisk"], out["mkfs.vfat"], out["mcopy"] = "fdisk", "dosfstools", "mtools"
	}
	if b.Format == QCOW2 {
		out["qemu-img"] = "qemu-utils"
	}
	return out
}

// begin makes the working directory beside the output: the two are on one file system, and what a killed run left is
// found.
func (b *builder) begin(context.Context) error {
	b.work = b.Output + ".building"
	if err := os.MkdirAll(filepath.Dir(b.Output), 0o755); err != nil {
		return err
	}
	held, err := os.OpenFile(b.Output+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(held.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = held.Close() // only opened to be locked
		b.work = ""      // it is the other run's
		return fmt.Errorf("another run is making %s: wait for it, or choose another --output", b.Output)
	}
	b.held = held
	if err := os.RemoveAll(b.work); err != nil {
		return err
	}
	b.root = filepath.Join(b.work, "root")
	return os.MkdirAll(b.root, 0o755)
}

func (b *builder) clear() {
	if b.held == nil {
		return
	}
	if err := os.RemoveAll(b.work); err != nil {
		b.Log.Warn("the working directory is left", "directory", b.work, "error", err)
	}
	_ = os.Remove(b.Output + ".lock") // a leftover does no harm
	_ = b.held.Close()                // nothing was written
}

// run starts a program and puts the end of what it says into the error.
func run(ctx context.Context, in io.Reader, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = in
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "SOURCE_DATE_EPOCH="+epoch, "E2FSPROGS_FAKE_TIME="+epoch)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out[max(0, len(out)-3000):])))
	}
	return nil
}

// epoch is the time that files get which are made here: 2026-01-01. An earlier one makes TLS clients think that the
// clock is wrong.
const epoch = "1767225600"
