package faults

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
)

// What "make allinone build" builds.
const (
	allinoneBinary = "../../../bin/jeroboam-allinone"
	lightBinary    = "../../../bin/jeroboam"
)

var (
	seed     = flag.Uint64("seed", 0, "repeats a run's random moments; 0 chooses")
	clusters = flag.Int("clusters", 12, "how many clusters TestManyAtOnce makes; 50 is the promise, 12 is what CI has time for")
)

// TestMain fails, and never skips, when something is missing: a suite that passes without having run proves nothing.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := requirements(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Tests wait most of the time, and each has processes of its own: not too many at once, whatever the machine.
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		if err := flag.Set("test.parallel", "4"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

func requirements() error {
	var problems []error
	for binary, target := range map[string]string{allinoneBinary: "make allinone", lightBinary: "make build"} {
		if _, err := exec.LookPath(binary); err != nil {
			problems = append(problems, fmt.Errorf("%w: run %q, or \"make e2e\" which does", err, target))
		}
	}
	return errors.Join(problems...)
}

// random is a test's own source of moments. The seed is printed so that a failure can be had again.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Logf("moments are those of -seed=%d", s)
	return rand.New(rand.NewPCG(s, s))
}
