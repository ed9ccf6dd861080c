package e2e

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// verification is a running "jeroboam verify --output json".
type verification struct {
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	errors bytes.Buffer
}

// verify starts the program as the user demo, with what the simulated cloud has: it runs no programs, so that of the
// checks those of nodes and of Magnum are left.
func (a *allinone) verify(t *testing.T, args ...string) *verification {
	t.Helper()
	path, err := filepath.Abs(light)
	if err != nil {
		t.Fatal(err)
	}
	v := &verification{cmd: exec.Command(path, append([]string{"verify", "--output", "json"}, args...)...)}
	v.cmd.Env = []string{"OS_CLOUD=demo", "OS_CLIENT_CONFIG_FILE=" + filepath.Join(a.stateDir, "clouds.yaml"), "HOME=" + t.TempDir()}
	v.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	v.cmd.Stderr = &v.errors
	out, err := v.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	v.lines = bufio.NewScanner(out)
	v.lines.Buffer(nil, 1<<20)
	if err := v.cmd.Start(); err != nil {
		t.Fatalf("%v: run \"make build\", or \"make e2e\" which does", err)
	}
	return v
}

type verifyEvent struct {
	Event, Step, Text string
	Verdict           *struct {
		Run, Summary, Kubernetes string
		Passed                   bool
		Results                  []struct{ Step, State, Detail string }
	}
}

// until reads events until one is as wanted; false: they ended before.
func (v *verification) until(t *testing.T, wanted func(verifyEvent) bool) (verifyEvent, bool) {
	t.Helper()
	for v.lines.Scan() {
		var e verifyEvent
		if err := json.Unmarshal(v.lines.Bytes(), &e); err != nil {
			t.Fatalf("not JSON: %q", v.lines.Text())
		}
		if wanted(e) {
			return e, true
		}
	}
	return verifyEvent{}, false
}

func isVerdict(e verifyEvent) bool { return e.Event == "verdict" }

func beingMade(e verifyEvent) bool {
	return e.Step == "cluster" && strings.HasPrefix(e.Text, "CREATE_IN_PROGRESS")
}

// wantNothingOf fails when a run has left something; of its own names there is one.
func wantNothingOf(t *testing.T, demo client, run string) {
	t.Helper()
	for _, list := range [][]string{{"coe", "cluster", "list"}, {"coe", "cluster", "template", "list"}, {"keypair", "list"}} {
		if out := demo.says(t, list...); strings.Contains(out, run) {
			t.Errorf("run %s has left something:\n%s", run, out)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	all := shared(t)
	demo := all.client("demo")
	as := []string{"--image-name", "ubuntu-2204-kube-v1.34.2", "--flavor", "m1.small", "--external-network", "public", "--only", "nodes,resize,health", "--conformance", "none"}

	t.Log("a whole run")
	results := t.TempDir()
	v := all.verify(t, append(as, "--results", results)...)
	e, ok := v.until(t, isVerdict)
	if err := v.cmd.Wait(); err != nil || !ok || !e.Verdict.Passed || e.Verdict.Kubernetes != "v1.34.2" {
		t.Fatalf("%v %+v %s", err, e.Verdict, v.errors.String())
	}
	passed := map[string]bool{}
	for _, r := range e.Verdict.Results {
		passed[r.Step] = r.State == "passed"
	}
	for _, step := range []string{"keypair", "template", "cluster", "connect", "nodes", "resize", "health", "remove"} {
		if !passed[step] {
			t.Errorf("%s did not pass: %+v", step, e.Verdict.Results)
		}
	}
	if junit, err := os.ReadFile(filepath.Join(results, "junit.xml")); err != nil || !bytes.Contains(junit, []byte(`failures="0" errors="0"`)) {
		t.Errorf("%v %s", err, junit)
	}
	wantNothingOf(t, demo, e.Verdict.Run)

	t.Log("an interrupt while the cluster is being made")
	v = all.verify(t, append(as, "--run", "0badcafe")...)
	if _, ok := v.until(t, beingMade); !ok {
		t.Fatal(v.errors.String())
	}
	if err := v.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	e, ok = v.until(t, isVerdict)
	if err := v.cmd.Wait(); err == nil || !ok || e.Verdict.Passed || v.cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("an interrupted run ends with %v, %+v", err, e.Verdict)
	}
	wantNothingOf(t, demo, "0badcafe")

	t.Log("a kill, and what takes away what it left")
	v = all.verify(t, append(as, "--run", "deadbeef")...)
	if _, ok := v.until(t, beingMade); !ok {
		t.Fatal(v.errors.String())
	}
	_ = v.cmd.Process.Kill()
	_ = v.cmd.Wait() // by the signal
	if out := demo.says(t, "coe", "cluster", "list"); !strings.Contains(out, "jeroboam-verify-deadbeef") {
		t.Errorf("a killed run removes nothing; there is\n%s", out)
	}
	for _, want := range []string{"removed cluster jeroboam-verify-deadbeef\n", "no run has left anything"} {
		v = all.verify(t, "--cleanup", "--run", "deadbeef")
		var out strings.Builder
		for v.lines.Scan() {
			out.WriteString(v.lines.Text() + "\n")
		}
		if err := v.cmd.Wait(); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%v: %q, want %q\n%s", err, out.String(), want, v.errors.String())
		}
	}
	wantNothingOf(t, demo, "deadbeef")
}
