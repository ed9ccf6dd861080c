package e2e

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// binary is what "make allinone" builds.
const binary = "../../bin/jeroboam-allinone"

// light is what "make build" builds.
const light = "../../bin/jeroboam"

// TestMain fails, and never skips, when something is missing: a suite that passes without having run proves nothing.
func TestMain(m *testing.M) {
	flag.Parse()
	// Tests wait for clusters most of the time; two at once would take too long, and all at
	// once would make each wait for all others. A number that was asked for is kept.
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
	}
	if err := requirements(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	if err := stopShared(); err != nil {
		fmt.Fprintln(os.Stderr, "the shared all-in-one did not end well:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

func requirements() error {
	var problems []error
	if _, err := os.Stat(binary); err != nil {
		problems = append(problems, fmt.Errorf("%w: run \"make allinone\", or \"make e2e\" which does", err))
	}
	if _, err := os.Stat(light); err != nil {
		problems = append(problems, fmt.Errorf("%w: run \"make build\", or \"make e2e\" which does", err))
	}
	for program, packages := range map[string]string{
		"openstack": "python3-openstackclient python3-magnumclient", "kubectl": "kubernetes-client",
	} {
		if _, err := exec.LookPath(program); err != nil {
			problems = append(problems, fmt.Errorf("%w: run \"apt-get install %s\"", err, packages))
		}
	}
	if len(problems) == 0 {
		if out, err := exec.Command("openstack", "coe", "cluster", "list", "--help").CombinedOutput(); err != nil {
			problems = append(problems, fmt.Errorf("openstack has no \"coe\" commands: run \"apt-get install python3-magnumclient\" (%s)",
				strings.TrimSpace(string(out))))
		}
	}
	return errors.Join(problems...)
}

// theShared is the all-in-one of most tests. It is started by the first test that asks.
var theShared struct {
	sync.Once
	all *allinone
	dir string
	err error
}

// shared gives the all-in-one that most tests use. Its cloud is that of testdata/simcloud.yaml.
func shared(t *testing.T) *allinone {
	t.Helper()
	s := &theShared
	s.Do(func() {
		s.dir, s.err = os.MkdirTemp("", "jeroboam-e2e-") //nolint:usetesting // It outlives the test that asks first.
		if s.err != nil {
			return
		}
		simcloud, _ := filepath.Abs("testdata/simcloud.yaml")
		if s.all, s.err = launch(s.dir, "--first-cluster=false", "--simcloud", simcloud); s.err == nil {
			s.err = s.all.serving()
		}
	})
	if s.err != nil {
		t.Fatalf("the shared all-in-one does not serve: %v", s.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the shared all-in-one's log:\n%s", s.all.tail())
		}
	})
	return s.all
}

func stopShared() error {
	s := &theShared
	if s.all == nil {
		return s.err
	}
	if err := s.all.stop(); err != nil {
		return fmt.Errorf("%w\n%s", err, s.all.tail())
	}
	return os.RemoveAll(s.dir)
}
