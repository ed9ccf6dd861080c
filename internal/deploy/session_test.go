package deploy_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/host"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// scene are hosts that are looked at as a whole: what each was asked, and what one of them answers otherwise.
type scene struct {
	in     intent.Intent
	mu     sync.Mutex
	asked  []string // operations, in the order in which each was asked for first
	closed int
	facts  func(name string, f *host.Facts)
	fails  map[string]error // by operation
	node   *host.Node       // what is in nodes that are there
}

// sceneAgent is a host's agent, and counts when it is closed.
type sceneAgent struct {
	deploytest.Agent
	s *scene
}

func (a *sceneAgent) Close() error {
	a.s.mu.Lock()
	defer a.s.mu.Unlock()
	a.s.closed++
	return nil
}

func (a *sceneAgent) Call(ctx context.Context, container, op string, in, out any, event func(json.RawMessage)) error {
	a.s.mu.Lock() // agents are asked at once, and remember
	defer a.s.mu.Unlock()
	return a.Agent.Call(ctx, container, op, in, out, event)
}

func (s *scene) hosts() site.Hosts {
	out := site.Hosts{}
	for name, f := range facts(s.in) {
		out[name] = &sceneAgent{s: s, Agent: deploytest.Agent{Host: name, Answer: func(_, op string, raw json.RawMessage) (any, error) {
			if !slices.Contains(s.asked, op) {
				s.asked = append(s.asked, op)
			}
			if err := s.fails[op]; err != nil {
				return nil, err
			}
			switch op {
			case host.OpFacts:
				f.Now = time.Now()
				if s.facts != nil {
					s.facts(name, &f)
				}
				return f, nil
			case host.OpObserve:
				var items []host.Item
				err := json.Unmarshal(raw, &items)
				return make(host.Observed, len(items)), err
			case host.OpNode:
				return s.node, nil
			}
			return struct{}{}, nil
		}}}
	}
	return out
}

// options are those of a run that changes things.
func (s *scene) options(hosts site.Hosts) deploy.Options {
	b := bundle()
	b.Versions["cluster-api"], b.Versions["cluster-api-openstack"] = s.in.Versions.ClusterAPI, s.in.Versions.ClusterAPIProviderOpenStack
	return deploy.Options{
		Bundle: b, Hosts: hosts, Dial: site.Connect, Program: blob("8"), Settled: true, Hold: &host.Hold{ID: "aaaa"}, Chain: true,
		Reach: func(context.Context, intent.Intent, site.Hosts) (site.Hosts, map[string]error, error) {
			return site.Hosts{}, map[string]error{}, nil
		},
		Tell: func(string, string) {}, Note: func(string) error { return nil },
	}
}

// Who changes things takes the hosts before anything else is asked there; who only looks does not. What is wrong with
// hosts is told before anything but facts was asked, and no connection stays open.
func TestLook(t *testing.T) {
	for _, tt := range []struct {
		reason string
		change func(s *scene, o *deploy.Options)
		asked  []string // first of all
		fails  string
	}{
		{reason: "a run that changes things", asked: []string{host.OpHold, host.OpSettle, host.OpFacts, host.OpObserve}},
		{reason: "a plan", change: func(_ *scene, o *deploy.Options) { o.Hold = nil }, asked: []string{host.OpSettle, host.OpFacts, host.OpObserve}},
		{reason: "status waits for nobody", change: func(_ *scene, o *deploy.Options) { o.Hold, o.Settled, o.Chain = nil, false, false }, asked: []string{host.OpFacts, host.OpObserve}},
		{
			reason: "another run has the hosts", change: func(s *scene, _ *deploy.Options) {
				s.fails[host.OpHold] = errors.New("infra1: aaab changes things here")
			},
			asked: []string{host.OpHold}, fails: "infra1: aaab changes things here",
		},
		{
			reason: "hosts that are not as they have to be", change: func(s *scene, _ *deploy.Options) { s.facts = func(_ string, f *host.Facts) { f.Root = false } },
			asked: []string{host.OpHold, host.OpSettle, host.OpFacts}, fails: "the agent is not root",
		},
		{
			reason: "newer than the bundle", change: func(s *scene, _ *deploy.Options) { s.in.Versions.Kubernetes = "1.37.0" },
			asked: []string{host.OpHold, host.OpSettle, host.OpFacts}, fails: "the bundle has 1.36.4",
		},
		{
			reason: "nobody can log in to others", change: func(_ *scene, o *deploy.Options) {
				o.Reach = func(context.Context, intent.Intent, site.Hosts) (site.Hosts, map[string]error, error) {
					return nil, nil, errors.New("there is no home")
				}
			},
			asked: []string{host.OpHold, host.OpSettle, host.OpFacts}, fails: "there is no home",
		},
		{
			reason: "a cluster at another address", change: func(s *scene, _ *deploy.Options) {
				s.facts = func(name string, f *host.Facts) {
					for _, n := range s.in.Nodes {
						if n.PhysicalHost == name {
							f.Containers = map[string]bool{n.Name: true}
						}
					}
				}
				s.node = &host.Node{KubeletConf: true, Server: "https://192.0.2.1:6443"}
			},
			asked: []string{host.OpHold, host.OpSettle, host.OpFacts}, fails: "it belongs to a cluster at https://192.0.2.1:6443",
		},
	} {
		t.Run(tt.reason, func(t *testing.T) {
			s := &scene{in: seed(t), fails: map[string]error{}}
			hosts := s.hosts()
			o := s.options(hosts)
			if tt.change != nil {
				tt.change(s, &o)
			}
			session, err := deploy.Look(t.Context(), s.in, o)
			if got := s.asked[:min(len(tt.asked), len(s.asked))]; !slices.Equal(got, tt.asked) {
				t.Errorf("asked first: %v", s.asked)
			}
			if tt.fails != "" {
				if err == nil || !strings.HasPrefix(err.Error(), "nothing was changed: ") || !strings.Contains(err.Error(), tt.fails) {
					t.Errorf("want %q, got %v", tt.fails, err)
				}
				if s.closed != len(hosts) {
					t.Errorf("%d of %d connections were closed", s.closed, len(hosts))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			p := session.Plan(time.Now())
			for _, n := range s.in.Nodes {
				if !p.Touches(n.Name, "", "") {
					t.Errorf("nothing is planned for %s", n.Name)
				}
			}
		})
	}
}

// What differs between configuration and bundle is noted, and the bundle's version is what is planned.
func TestLookNotesVersions(t *testing.T) {
	s := &scene{in: seed(t)}
	s.in.Versions.Kubernetes = "1.28.13"
	o := s.options(s.hosts())
	var notes []string
	o.Note = func(text string) error { notes = append(notes, text); return nil }
	session, err := deploy.Look(t.Context(), s.in, o)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if len(notes) != 1 || !strings.Contains(notes[0], "kubernetes_version is 1.28.13") || session.Wanted.Intent.Versions.Kubernetes != "1.36.4" {
		t.Errorf("%q, and Kubernetes %s is wanted", notes, session.Wanted.Intent.Versions.Kubernetes)
	}
}

// A host that answers gets its node anew; the others stay declared gone.
func TestNodesComeBack(t *testing.T) {
	in := seed(t)
	still := deploy.ComesBack(in, []string{in.Nodes[0].Name, in.Nodes[2].Name}, func(name string) bool { return name == in.Nodes[0].PhysicalHost })
	if diff := cmp.Diff([]string{in.Nodes[2].Name}, still); diff != "" {
		t.Error(diff)
	}
}

// A plan that is kept shows as little as one that is printed, and holds all the same.
func TestAPlanInAFileIsMasked(t *testing.T) {
	in := seed(t)
	in.Magnum.Service.Password = intent.NewSecret("hunter2-of-magnum")
	const url = "http://proxy:hunter2-of-nobody@10.0.0.1:3128"
	with := func(password string) (*deploy.Session, plan.Plan) {
		s := &deploy.Session{Intent: in}
		s.Wanted.Items = []host.Item{{Place: "infra1", File: &host.File{Path: "/etc/default/x", Content: password}}}
		s.World.Items = []plan.Facts{nil}
		return s, plan.Plan{
			Changes:  []plan.Change{{Place: "infra1", Kind: "file", Name: "/etc/default/x", Summary: "was " + password, Diff: "-HTTPS_PROXY=" + url + "\n+PASSWORD=" + password + "\n"}},
			Findings: []plan.Finding{{Judge: "others", Where: "infra1", Text: "it says " + url}},
		}
	}
	file := filepath.Join(t.TempDir(), "reviewed")
	s, p := with("hunter2-of-magnum")
	if err := os.WriteFile(file, []byte("an older plan"), 0o644); err != nil { //nolint:gosec // what somebody has left there
		t.Fatal(err)
	}
	if err := s.Keep(p, file, "jeroboam 1", now, rand.Reader); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v (%v)", info.Mode(), err)
	}
	text, err := os.ReadFile(file)
	if err != nil || bytes.Contains(text, []byte("hunter2")) || !bytes.Contains(text, []byte("PASSWORD=")) {
		t.Errorf("%v: the file has\n%s", err, text)
	}
	reviewed, err := plan.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Holds(p, &reviewed); err != nil {
		t.Errorf("nothing has changed, and: %v", err)
	}
	if !strings.Contains(p.Changes[0].Diff, "hunter2-of-magnum") {
		t.Error("the plan that is carried out was masked as well")
	}
	in.Magnum.Service.Password = intent.NewSecret("hunter3-of-magnum")
	if s, p = with("hunter3-of-magnum"); s.Holds(p, &reviewed) == nil {
		t.Error("another password, which looks the same when it is masked, is carried out unseen")
	}
}
