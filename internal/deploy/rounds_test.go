package deploy_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/kubeadm"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// asker gives commands, and remembers what it was told.
type asker struct {
	told        []string
	no, unready error
}

func (a *asker) Show(p plan.Plan) error {
	a.told = append(a.told, "plan: "+plan.Summary(p))
	return nil
}

func (a *asker) Ready(intent.Intent) error { return a.unready }

func (a *asker) Agree(plan.Plan) error {
	a.told = append(a.told, "asked")
	return a.no
}

func (a *asker) Reached(version, next string) error {
	a.told = append(a.told, version+", next "+next)
	return nil
}

// stage is a command whose looks a test makes up: one after the other, the last one as often as it is asked for.
type stage struct {
	deploy.Rounds
	asker asker
	gone  [][]string // of each look
}

func newStage(sessions ...*deploy.Session) *stage {
	s := &stage{}
	s.Caller, s.Run = &s.asker, quiet(nil)
	s.Sees(func(gone []string) *deploy.Session {
		s.gone = append(s.gone, gone)
		return sessions[min(len(s.gone), len(sessions))-1]
	})
	return s
}

// sessionOf is a look that found a world.
func sessionOf(w deploy.Wanted, world deploy.World, hosts site.Hosts) *deploy.Session {
	return &deploy.Session{Intent: w.Intent, Wanted: w, World: world, Hosts: hosts}
}

func TestApplyRefuses(t *testing.T) {
	danger := func(t *testing.T) *deploy.Session {
		t.Helper()
		w, world := deploytest.Upgrading(t, 0)
		return sessionOf(w, world, nil)
	}
	fresh := func(t *testing.T) *deploy.Session {
		t.Helper()
		w := want(t, seed(t), facts(seed(t)))
		return sessionOf(w, empty(w), nil) // nothing can be asked: whatever is carried out fails
	}
	for _, tt := range []struct {
		reason string
		of     func(*testing.T) *deploy.Session
		change func(*testing.T, *stage)
		says   string
		told   []string // after the plan
	}{
		{reason: "what is dangerous", of: danger, says: "nothing was changed: the plan is dangerous, see above; if that is meant: --allow restart"},
		{reason: "what cannot be judged afterwards", of: fresh, change: func(_ *testing.T, s *stage) { s.asker.unready = errors.New("no image") }, says: "no image"},
		{reason: "what nobody agrees to", of: fresh, change: func(_ *testing.T, s *stage) { s.asker.no = errors.New("nothing was changed") }, says: "nothing was changed", told: []string{"asked"}},
		{
			reason: "what is not what was reviewed", of: fresh, change: func(t *testing.T, s *stage) {
				t.Helper()
				w := want(t, seed(t), facts(seed(t)))
				file := filepath.Join(t.TempDir(), "plan")
				if err := sessionOf(w, converged(w), nil).Keep(plan.Plan{}, file, "jeroboam 1", now, rand.Reader); err != nil {
					t.Fatal(err)
				}
				reviewed, err := plan.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				s.Reviewed = &reviewed
			}, says: "nothing was changed: ",
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			s := newStage(tt.of(t))
			if tt.change != nil {
				tt.change(t, s)
			}
			_, err := s.Apply(t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), tt.says) {
				t.Errorf("want %q, got %v", tt.says, err)
			}
			if len(s.gone) != 1 || !slices.Equal(s.asker.told[1:], tt.told) {
				t.Errorf("%d looks; told %q", len(s.gone), s.asker.told)
			}
		})
	}
}

// A cluster that is as it should be takes one look, and nobody is asked.
func TestApplyHasNothingToDo(t *testing.T) {
	w := want(t, seed(t), facts(seed(t)))
	s := newStage(sessionOf(w, converged(w), nil))
	in, err := s.Apply(t.Context())
	if err != nil || len(in.Nodes) != len(w.Intent.Nodes) {
		t.Fatalf("%v, of %d nodes", err, len(in.Nodes))
	}
	if diff := cmp.Diff([]string{"plan: " + plan.Summary(plan.Plan{})}, s.asker.told); diff != "" || len(s.gone) != 1 {
		t.Errorf("%d looks: %s", len(s.gone), diff)
	}
}

// An old cluster takes a round for each version, and can be stopped between two of them; what was reviewed is the
// first.
func TestApplyWalksTheChain(t *testing.T) {
	w := want(t, seed(t), facts(seed(t)))
	first := w
	first.Chain.Steps = []string{"1.35.4", "1.36.4"}
	w.Chain.Steps = []string{"1.36.4"}
	look := func() *stage {
		return newStage(sessionOf(first, converged(first), nil), sessionOf(w, converged(w), nil))
	}
	s := look()
	if _, err := s.Apply(t.Context()); err != nil || len(s.gone) != 2 || !slices.Contains(s.asker.told, "1.35.4, next 1.36.4") {
		t.Errorf("%d rounds, %v: %q", len(s.gone), err, s.asker.told)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s = look()
	if _, err := s.Apply(ctx); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "at Kubernetes 1.35.4: running again goes on with 1.36.4") || len(s.gone) != 1 {
		t.Errorf("stopped between two steps, after %d rounds: %v", len(s.gone), err)
	}
	s = look()
	file := filepath.Join(t.TempDir(), "plan")
	if err := sessionOf(first, converged(first), nil).Keep(sessionOf(first, converged(first), nil).Plan(now), file, "jeroboam 1", now, rand.Reader); err != nil {
		t.Fatal(err)
	}
	reviewed, err := plan.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s.Reviewed = &reviewed
	if _, err := s.Apply(t.Context()); err == nil || !strings.Contains(err.Error(), "plan again") || len(s.gone) != 1 {
		t.Errorf("the next step was not reviewed, after %d rounds: %v", len(s.gone), err)
	}
}

// What is in containers that were stopped is seen when they have been started: that takes another look.
func TestApplyLooksIntoStartedContainers(t *testing.T) {
	in := seed(t)
	f := facts(in)
	for _, n := range in.Nodes {
		f[n.PhysicalHost].Containers[n.Name] = false
	}
	w := want(t, in, f)
	asleep := converged(w)
	asleep.Nodes, asleep.Cluster = map[string]host.Node{}, kubeadm.Cluster{} // nobody could be asked
	var started sync.Map
	hosts := site.Hosts{}
	for i, item := range w.Items {
		if item.Container != nil {
			asleep.Items[i]["state"], asleep.Sleeping[item.Container.Name] = "stopped", true
		}
	}
	for _, h := range in.Hosts {
		hosts[h.Name] = &deploytest.Agent{Host: h.Name, Answer: func(_, op string, _ json.RawMessage) (any, error) {
			if op == host.OpEnsure {
				started.Store(h.Name, true)
			}
			return []string{}, nil
		}}
	}
	s := newStage(sessionOf(w, asleep, hosts), sessionOf(w, converged(w), nil))
	if _, err := s.Apply(t.Context()); err != nil || len(s.gone) != 2 {
		t.Errorf("%d looks, %v", len(s.gone), err)
	}
	for _, n := range in.Nodes {
		if _, ok := started.Load(n.PhysicalHost); !ok {
			t.Errorf("%s was not started", n.Name)
		}
	}
}

// A node that was declared gone comes back when its host answers; one whose host does not stays gone.
func TestNodesComeBack(t *testing.T) {
	in := seed(t)
	back, dead := in.Nodes[0], in.Nodes[2]
	w := want(t, in, facts(in), back.Name, dead.Name)
	out := converged(w)
	remove(&out, back.NodeName)
	remove(&out, dead.NodeName)
	s := newStage(sessionOf(w, out, nil))
	s.Options.Replace = []string{back.Name, dead.Name}
	s.Allow = []string{"quorum", "alive", "lost", "delete"}
	s.Options.Connect = func(_ context.Context, _ intent.Intent, gone []string) (site.Hosts, error) {
		if len(gone) > 0 {
			t.Errorf("hosts of %v are not tried", gone)
		}
		return site.Hosts{back.PhysicalHost: &deploytest.Agent{}}, errors.New("host infra3: no route")
	}
	if _, err := s.Apply(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{back.Name, dead.Name}, {dead.Name}}, s.gone); diff != "" {
		t.Errorf("who is gone in each look: %s\n%q", diff, s.asker.told)
	}
}

// A cluster that is there is not replaced by a backup unless that is meant; a plan alone changes nothing.
func TestRestoreRefuses(t *testing.T) {
	w := want(t, seed(t), facts(seed(t)))
	s := newStage(sessionOf(w, converged(w), nil))
	if err := s.Restore(t.Context(), theBackup()); err == nil || !strings.Contains(err.Error(), "--allow delete --allow overwrite") && !strings.Contains(err.Error(), "--allow overwrite") {
		t.Errorf("got %v", err)
	}
	if err := s.PlanRestore(t.Context(), theBackup()); err != nil || len(s.asker.told) != 2 || s.asker.told[0] != s.asker.told[1] {
		t.Errorf("%v: told %q", err, s.asker.told)
	}
}

// A removal is shown, and done when it is meant: what leads to a container goes before it, and the agents at last.
func TestDestroy(t *testing.T) {
	for _, allow := range [][]string{nil, {"delete"}} {
		s := &scene{in: seed(t), fails: map[string]error{}}
		made := s.in.Nodes[0]
		s.facts = func(name string, f *host.Facts) {
			if name == made.PhysicalHost {
				f.Containers, f.Made = map[string]bool{made.Name: true}, map[string]bool{made.Name: true}
			}
		}
		hosts := s.hosts()
		o := s.options(hosts)
		o.Own, o.Settled = "/root/jeroboam", false // that nothing is under way there, a command sees to by itself
		a := &asker{}
		r := &deploy.Rounds{Caller: a, Run: quiet(nil), Allow: allow, Intent: s.in, Options: o}
		err := r.Destroy(t.Context())
		if len(a.told) != 1 || s.closed != len(hosts) {
			t.Errorf("told %q, %d of %d connections were closed", a.told, s.closed, len(hosts))
		}
		if want := []string{host.OpHold, host.OpSettle, host.OpFacts}; !slices.Equal(want, s.asked[:3]) {
			t.Errorf("asked in the order %q", s.asked)
		}
		if allow == nil {
			if err == nil || err.Error() != "nothing was changed: the plan is dangerous, see above; if that is meant: --allow delete" || slices.Contains(s.asked, host.OpRemove) {
				t.Errorf("got %v, and asked %q", err, s.asked)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		remove, leave := slices.Index(s.asked, host.OpRemove), slices.Index(s.asked, host.OpLeave)
		if remove < 0 || leave < remove {
			t.Errorf("asked in the order %q", s.asked)
		}
	}
}
