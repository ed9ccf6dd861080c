package remote_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/remote"
)

// A host that is only looked at gets no program; the first thing that an agent is needed for brings it, once.
func TestVisit(t *testing.T) {
	s := newServer(t)
	v, err := remote.Reach(t.Context(), s.target, s.auth, program(t))
	if err != nil {
		t.Fatal(err)
	}
	there := func() int {
		files, _ := filepath.Glob(filepath.Join(s.dir, "lib", "*"))
		return len(files)
	}
	if out, err := v.Script(t.Context(), "echo one; echo two"); err != nil || out != "one\ntwo\n" {
		t.Errorf("%q, %v", out, err)
	}
	if _, err := v.Script(t.Context(), "echo why >&2; exit 3"); err == nil || !strings.Contains(err.Error(), "host h: ") || !strings.Contains(err.Error(), "why") {
		t.Errorf("a script that fails: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := v.Script(ctx, "sleep 3"); err == nil || !strings.Contains(err.Error(), "no answer") {
		t.Errorf("a host that hangs: %v", err)
	}
	if n := there(); n != 0 {
		t.Errorf("looking has brought %d files", n)
	}
	for range 2 {
		var answer string
		if err := v.Call(t.Context(), "", "x", nil, &answer, nil); err != nil || answer != "yes" {
			t.Errorf("%q %v", answer, err)
		}
	}
	if n := there(); n != 1 {
		t.Errorf("there are %d programs", n)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	if _, err := v.Script(t.Context(), "true"); err == nil {
		t.Error("a closed connection answers")
	}
	s = newServer(t)
	if v, err = remote.Reach(t.Context(), s.target, s.auth, program(t)); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Errorf("closed without an agent: %v", err)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "lib")); err == nil {
		t.Error("a host that was only logged in to has something of ours")
	}
}

// A host that hangs while an agent is brought there keeps nobody: neither who asks, once he gives up, nor who ends the
// connection.
func TestAVisitThatHangs(t *testing.T) {
	s := newServer(t)
	v, err := remote.Reach(t.Context(), s.target, s.auth, program(t))
	if err != nil {
		t.Fatal(err)
	}
	s.deaf.Store(true)
	ended := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		err := v.Call(ctx, "", "x", nil, nil, nil)
		_ = v.Close() // it is closed already
		ended <- err
	}()
	select {
	case err := <-ended:
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "host h: ") {
			t.Errorf("it said %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("it hangs with the host")
	}
}
