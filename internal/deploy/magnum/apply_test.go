package magnum_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

func TestMagnumOnNewCloud(t *testing.T) {
	w := deploytest.NewTown(t)
	for _, h := range w.In.Magnum.Hosts {
		w.Absent[h.Name] = true
	}
	p, err := w.Run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(p); strings.Contains(string(text), "hunter2") {
		t.Error("the password is in the plan")
	}
	golden.Compare(t, *magnum.Update, "new.txt", strings.Join(deploytest.Only(p), "\n")+"\n\nwhat happened:\n"+strings.Join(w.Log, "\n")+"\n")
	if !w.Directory.There {
		t.Error("Keystone does not know Magnum")
	}
	w.Settled(t)
}

// One server at a time, and its clients are elsewhere meanwhile.
func TestMagnumIsRolled(t *testing.T) {
	w, now := deploytest.NewTown(t), time.Now()
	if _, err := w.Run(t, false, true); err != nil {
		t.Fatal(err)
	}
	w.In.Magnum.Service.Debug = true
	w.Log = nil
	if _, err := w.Run(t, false, true); err != nil {
		t.Fatal(err)
	}
	var got []string
	first := w.In.HAProxy.Hosts[0].Name + ": set server magnum-back/"
	for _, line := range w.Log {
		if rest, ok := strings.CutPrefix(line, first); ok {
			got = append(got, rest)
		}
	}
	var wanted []string
	for _, h := range w.In.Magnum.Hosts {
		wanted = append(wanted, h.Name+" state drain", h.Name+" health up", h.Name+" state ready")
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Error(diff)
	}
	w.Settled(t)

	w.In.Magnum.Service.Debug = false
	w.Sick[w.In.Magnum.Hosts[0].Name], w.Clock = true, func() time.Time { now = now.Add(time.Minute); return now }
	w.Log = nil
	if _, err := w.Run(t, false, true); err == nil || !strings.Contains(err.Error(), "journalctl -u jeroboam.service on "+w.In.Magnum.Hosts[0].Name) {
		t.Errorf("a server that does not come up: %v", err)
	}
	if slices.ContainsFunc(w.Log, func(s string) bool { return strings.Contains(s, w.In.Magnum.Hosts[1].Name) }) {
		t.Errorf("the next one was touched all the same: %q", w.Log)
	}
}

func TestMagnumGoesOverAndBack(t *testing.T) {
	w := deploytest.NewTown(t)
	w.Theirs()
	p, _ := w.Run(t, false, false)
	if !p.Empty() || len(p.Findings) != 1 || !strings.Contains(p.Findings[0].Text, "magnum_implementation: jeroboam") {
		t.Fatalf("nobody has asked to go over: %v, %+v", deploytest.Only(p), p.Findings)
	}
	w.In.Magnum.Service.Implementation = intent.ImplementationJeroboam
	over, err := w.Run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	w.Settled(t)
	story := "over:\n" + strings.Join(w.Log, "\n")
	w.Log, w.In.Magnum.Service.Implementation = nil, intent.ImplementationMagnum
	back, err := w.Run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	w.Settled(t)
	golden.Compare(t, *magnum.Update, "over.txt", story+"\n\nback:\n"+strings.Join(w.Log, "\n")+"\n")
	for _, c := range append(over.Changes, back.Changes...) {
		if c.Kind == "unit" && (c.Action == plan.Delete || c.Summary == "") {
			t.Errorf("the plan does not say what happens to a service: %+v", c)
		}
	}
}

// Killed after some items, however many, the next run finishes it: over, and back.
func TestMagnumInterrupted(t *testing.T) {
	for n := 0; ; n += 5 {
		w := deploytest.NewTown(t)
		w.Theirs()
		ended := true
		for _, who := range []string{intent.ImplementationJeroboam, intent.ImplementationMagnum} {
			w.In.Magnum.Service.Implementation = who
			w.Left = n
			if _, err := w.Run(t, false, true); err != nil {
				if !errors.Is(err, deploytest.ErrKilled) && !strings.Contains(err.Error(), deploytest.ErrKilled.Error()) {
					t.Fatalf("after %d items: %v", n, err)
				}
				ended = false
			}
			w.Left = -1
			if _, err := w.Run(t, false, true); err != nil {
				t.Fatalf("after %d items, again: %v", n, err)
			}
			w.Settled(t)
			for _, h := range w.In.Magnum.Hosts {
				ours, api := w.Have[h.Name]["unit jeroboam.service"] != nil, w.Have[h.Name]["unit magnum-api.service"] != nil
				if ours != (who == intent.ImplementationJeroboam) || ours == api {
					t.Fatalf("killed after %d items on the way to %s: ours %v, theirs %v", n, who, ours, api)
				}
			}
		}
		if ended {
			return
		}
		if n > 200 {
			t.Fatal("it never ends")
		}
	}
}

// A host of Magnum that hangs between two looks is named, keeps the plan from nobody, and is passed over where the
// operator says so.
func TestAMagnumHostHangs(t *testing.T) {
	for reason, asked := range map[string]int{"when it is asked who serves": 0, "when it is asked what is there": 1} {
		w := deploytest.NewTown(t)
		hangs := w.In.Magnum.Hosts[1]
		w.Hangs = map[string]int{hangs.Name: asked}
		p, _ := w.Run(t, false, false)
		blocked := p.Blocked(nil)
		named := false
		for _, f := range blocked {
			named = named || f.Where == hangs.Name
			if f.Judge != "unreachable" || f.Where != hangs.Name && f.Where != hangs.PhysicalHost || !strings.Contains(f.Text, "--skip-unreachable") {
				t.Errorf("%s: %+v", reason, f)
			}
		}
		if !named {
			t.Errorf("%s: nobody was told: %+v", reason, p.Findings)
		}
		w.Hangs[hangs.Name] = asked
		if _, err := w.Run(t, true, true); err != nil {
			t.Errorf("%s: the others are not changed: %v", reason, err)
		}
		if w.Have[hangs.Name]["unit jeroboam.service"] != nil || w.Have[w.In.Magnum.Hosts[0].Name]["unit jeroboam.service"] == nil {
			t.Errorf("%s: the one that hangs, or not the others, were changed", reason)
		}
	}
}

func TestMagnumHostsThatAreLost(t *testing.T) {
	w := deploytest.NewTown(t)
	lost := w.In.Magnum.Hosts[1]
	w.Down[lost.PhysicalHost] = true
	p, _ := w.Run(t, false, false)
	blocked := p.Blocked(nil)
	if len(blocked) == 0 || blocked[0].Judge != "unreachable" || !strings.Contains(blocked[0].Text, "--skip-unreachable") {
		t.Fatalf("nobody was told: %+v", p.Findings)
	}
	if _, err := w.Run(t, true, true); err != nil {
		t.Fatal(err)
	}
	if w.Have[lost.Name] != nil {
		t.Error("something was done on a host that is down")
	}
	for _, h := range []intent.MagnumHost{w.In.Magnum.Hosts[0], w.In.Magnum.Hosts[2]} {
		if w.Have[h.Name]["unit jeroboam.service"] == nil {
			t.Errorf("%s was left out as well", h.Name)
		}
	}
	w.Down = map[string]bool{}
	if _, err := w.Run(t, false, true); err != nil {
		t.Fatal(err)
	}
	w.Settled(t)
}
