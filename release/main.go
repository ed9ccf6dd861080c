// Command release makes what people install: static binaries, Debian packages, an image, and what says what is in them.
// It is a module of its own, so that what packs Jeroboam is not linked into it.
//
// A release is a function of a commit: times are the commit's, nothing is taken from the machine but the Go tool, and
// the same commit gives the same SHA256SUMS (Go version for Go version).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	root := flags.String("source", "..", "the checkout")
	out := flags.String("output", "../dist", "directory to make; what is in it is replaced")
	arches := flags.String("arch", "amd64,arm64", "architectures, with commas between")
	programs := flags.String("programs", "jeroboam,jeroboam-allinone", "which of them")
	allowDirty := flags.Bool("allow-modified", false, "go on when the checkout has changes that are not committed; they are not in the binaries")
	if err := flags.Parse(args); err != nil {
		return err
	}
	commit, err := readCommit(ctx, *root)
	if err != nil {
		return err
	}
	if commit.modified && !*allowDirty {
		return errors.New("the checkout has changes that are not committed: a release is a commit (--allow-modified makes one to try)")
	}
	if *root, err = filepath.Abs(*root); err != nil {
		return err
	}
	r := &release{root: *root, out: *out, commit: commit, arches: strings.Split(*arches, ","), programs: strings.Split(*programs, ","), say: os.Stderr}
	began := time.Now()
	for i, s := range r.steps() {
		_, _ = fmt.Fprintf(r.say, "[%d/%d] %s (%.0f s)\n", i+1, len(r.steps()), s.name, time.Since(began).Seconds())
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	_, _ = fmt.Fprintf(r.say, "%s: %s, in %.0f s\n", r.out, commit.version, time.Since(began).Seconds())
	return nil
}
