package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// commit is what a release is made of.
type commit struct {
	version  string // without "v"
	hash     string
	time     time.Time
	modified bool
}

func readCommit(ctx context.Context, root string) (commit, error) {
	git := func(args ...string) (string, error) {
		out, err := exec.CommandContext(ctx, "git", append([]string{"-C", root}, args...)...).Output()
		if err != nil {
			return "", fmt.Errorf("git %s: %w", args[0], withOutput(err))
		}
		return strings.TrimSpace(string(out)), nil
	}
	seconds, err := git("show", "--no-patch", "--format=%ct", "HEAD")
	if err != nil {
		return commit{}, err
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return commit{}, fmt.Errorf("time of the commit: %w", err)
	}
	hash, err := git("rev-parse", "HEAD")
	if err != nil {
		return commit{}, err
	}
	c := commit{hash: hash, time: time.Unix(unix, 0).UTC()}
	changes, err := git("status", "--porcelain")
	if err != nil {
		return commit{}, err
	}
	c.modified = changes != ""
	// Not "git describe": a number of commits would depend on how much of the history this checkout has.
	tag, err := git("tag", "--points-at", "HEAD", "--list", "v*")
	if err != nil {
		return commit{}, err
	}
	tags := strings.Fields(tag)
	switch {
	case len(tags) > 1:
		return commit{}, fmt.Errorf("the commit has several tags of a version: %s", strings.Join(tags, ", "))
	case len(tags) == 1 && !c.modified:
		c.version = strings.TrimPrefix(tags[0], "v")
	default:
		c.version = "0.0.0-" + c.time.Format("20060102150405") + "-" + hash[:12]
	}
	return c, nil
}

// withOutput adds what a command said.
func withOutput(err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(exit.Stderr))
	}
	return err
}

// module is where a program's main package is, below the checkout.
func module(program string) (string, error) {
	switch program {
	case "jeroboam":
		return ".", nil
	case "jeroboam-allinone":
		return "allinone", nil
	}
	return "", errors.New("there is no such program: jeroboam, jeroboam-allinone")
}

// checkOut takes the commit, and nothing else that lies in the checkout, to where it is compiled.
func (r *release) checkOut(ctx context.Context) error {
	for _, args := range [][]string{
		{"clone", "--quiet", "--shared", "--no-checkout", r.root, r.work("source")},
		{"-C", r.work("source"), "checkout", "--quiet", "--detach", r.commit.hash},
	} {
		if said, err := exec.CommandContext(ctx, "git", args...).CombinedOutput(); err != nil {
			return fmt.Errorf("git: %w: %s", err, bytes.TrimSpace(said))
		}
	}
	return nil
}

// compile makes a static binary. The Go tool puts the commit into it.
func (r *release) compile(ctx context.Context, program, arch string) error {
	dir, err := module(program)
	if err != nil {
		return err
	}
	out, err := filepath.Abs(r.binary(program, arch))
	if err != nil {
		return err
	}
	dir = r.work("source", dir)
	for _, args := range [][]string{
		{"generate", "./..."}, // the all-in-one's manifests come out of the module cache
		{"build", "-ldflags", "-s -w", "-o", out, "."},
	} {
		if args[0] == "generate" && program != "jeroboam-allinone" {
			continue
		}
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=true", "GOOS=linux", "GOWORK=off")
		if args[0] == "build" {
			cmd.Env = append(cmd.Env, "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0")
		}
		if said, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s: %w: %s", args[0], err, bytes.TrimSpace(said))
		}
	}
	return nil
}
