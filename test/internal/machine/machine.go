// Package machine makes hosts out of one machine: LXC containers that run systemd, in mount and network namespaces of
// their own that a sleeping process holds, with the machine's global sysctls shielded. test/lab's physical hosts and
// test/cloud's OpenStack stand on it. What it starts can be taken away whole, also after the program that started it
// was killed: what there is to remove is found by names and by the holder's file, never by what a program remembers.
package machine

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Step is one thing on the way to a running host.
type Step struct {
	Name string
	Do   func(context.Context) error
}

// Steps takes one step after the other and tells of each.
func Steps(ctx context.Context, out io.Writer, steps []Step) error {
	began := time.Now()
	for i, s := range steps {
		if err := s.Do(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		_, _ = fmt.Fprintf(out, "[%2d/%d %5.1fs] %s\n", i+1, len(steps), time.Since(began).Seconds(), s.Name) // progress only
	}
	return nil
}

// Command runs a program and puts what it said into the error.
func Command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, Tail(out))
	}
	return nil
}

// Tail is the end of what a program said.
func Tail(out []byte) string {
	return strings.TrimSpace(string(out[max(0, len(out)-2000):]))
}

// CheckPrograms says which Debian packages are missing; programs are the keys.
func CheckPrograms(packages map[string]string) error {
	var missing []string
	for program, pkg := range packages {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		slices.Sort(missing)
		return fmt.Errorf("not installed: apt-get install --no-install-recommends %s", strings.Join(slices.Compact(missing), " "))
	}
	return nil
}

// WaitFor asks five times a second.
func WaitFor(ctx context.Context, limit time.Duration, ready func() error) error {
	deadline := time.Now().Add(limit)
	for {
		err := ready()
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not after %s: %w", limit, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
