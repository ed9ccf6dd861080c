package host_test

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/host"
)

// deployer speaks to an agent of its own on a machine that others work on as well.
type deployer struct {
	in    io.WriteCloser
	out   *bufio.Scanner
	ended chan error
	next  int64
}

func newDeployer(t *testing.T, m *host.Machine) *deployer {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	d := &deployer{in: inW, out: bufio.NewScanner(outR), ended: make(chan error, 1)}
	go func() { d.ended <- host.Serve(t.Context(), m, inR, outW) }()
	return d
}

// ask gives the error of a request, "" if it had none, and the answer.
func (d *deployer) ask(t *testing.T, op string, in any) (string, json.RawMessage) {
	t.Helper()
	d.next++
	text, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	line, err := json.Marshal(host.Request{ID: d.next, Op: op, In: text})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.in.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	for d.out.Scan() {
		var r host.Reply
		if err := json.Unmarshal(d.out.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Event == nil {
			return r.Error, r.Out
		}
	}
	t.Fatal("the agent has ended")
	return "", nil
}

// go away as a process that is killed: its end of the connection closes.
func (d *deployer) dies(t *testing.T) {
	t.Helper()
	if err := d.in.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-d.ended; err != nil {
		t.Fatal(err)
	}
}

// Two runs at once can each take a member of etcd away. One has the machine, for as long as its deployer is there.
func TestOneRunHoldsTheMachine(t *testing.T) {
	m, _ := machine(t, nil)
	file := []host.Item{{File: &host.File{Path: "/f", Content: "x", Owner: owner(t)}}}
	first, second := newDeployer(t, m), newDeployer(t, m)
	run := func(id, breaks string) host.Hold {
		return host.Hold{ID: id, What: "apply", Who: "alice@deploy", Break: breaks}
	}
	if err, _ := first.ask(t, host.OpHold, run("aaaa", "")); err != "" {
		t.Fatal(err)
	}
	err, _ := second.ask(t, host.OpHold, run("bbbb", ""))
	for _, part := range []string{"apply of alice@deploy", "run aaaa", "--break aaaa"} {
		if !strings.Contains(err, part) {
			t.Errorf("a second run is told %q, without %q", err, part)
		}
	}
	if err, _ := second.ask(t, host.OpHold, run("bbbb", "cccc")); !strings.Contains(err, "run aaaa") {
		t.Errorf("another run than the one that is there was broken: %q", err)
	}
	again := newDeployer(t, m)
	if err, _ := again.ask(t, host.OpHold, run("aaaa", "")); err != "" {
		t.Errorf("a run cannot go on over a new connection: %s", err)
	}
	first.dies(t)
	first = again
	if err, _ := first.ask(t, host.OpEnsure, file); err != "" {
		t.Errorf("the run that has it changes nothing: %s", err)
	}
	_, out := second.ask(t, host.OpFacts, nil)
	var f host.Facts
	if err := json.Unmarshal(out, &f); err != nil || f.Run == nil || f.Run.ID != "aaaa" {
		t.Errorf("facts do not tell of the run: %v, %v", f.Run, err)
	}

	// Broken by name: the second has it, and the first, which hangs somewhere, changes nothing more.
	if err, _ := second.ask(t, host.OpHold, run("bbbb", "aaaa")); err != "" {
		t.Fatal(err)
	}
	for _, op := range []string{host.OpEnsure, host.OpRun, host.OpLend, host.OpRemove, host.OpLeave, host.OpEtcd} {
		if err, _ := first.ask(t, op, file); !strings.Contains(err, "nothing more is changed here: apply of alice@deploy") || !strings.Contains(err, "run bbbb") {
			t.Errorf("%s of a run that was broken: %q", op, err)
		}
	}
	if err, _ := first.ask(t, host.OpObserve, file); err != "" {
		t.Errorf("it may still look: %q", err)
	}
	if err, _ := second.ask(t, host.OpEnsure, file); err != "" {
		t.Error(err)
	}

	// A deployer that was killed holds nothing.
	second.dies(t)
	third := newDeployer(t, m)
	if err, _ := third.ask(t, host.OpHold, run("dddd", "")); err != "" {
		t.Error(err)
	}
	first.dies(t)
	third.dies(t)
	last := newDeployer(t, m)
	_, out = last.ask(t, host.OpFacts, nil)
	f = host.Facts{}
	if err := json.Unmarshal(out, &f); err != nil || f.Run != nil {
		t.Errorf("facts tell of a run that has ended: %v, %v", f.Run, err)
	}
	last.dies(t)
}
