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
		Bundle: b, Dial: site.Connect, Program: blob("8"), Settled: true, Hold: &host.Hold{ID: "aaaa"}, Chain: true,
		Connect: func(context.Context, intent.Intent, []string) (site.Hosts, error) { return hosts, nil },
		Reach:   func(context.Context, intent.Intent, site.Hosts) (site.Hosts, map[string]error) { return nil, nil },
		Tell:    func(string, string) {}, Unreached: func(error) {}, Note: func(string) error { return nil },
	}
}

// without is a way to log in to hosts of which one does not answer.
func without(
	connect func(context.Context, intent.Intent, []string) (site.Hosts, error), name string,
) func(context.Context, intent.Intent, []string) (site.Hosts, error) {
	return func(ctx context.Context, in intent.Intent, gone []string) (site.Hosts, error) {
		hosts, err := connect(ctx, in, gone)
		_ = hosts[name].Close() // it is counted
		delete(hosts, name)
		return hosts, errors.Join(err, errors.New("host "+name+": no route"))
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
		misses string // a host
		alone  bool   // no host is logged in to
	}{
		{reason: "a run that changes things", asked: []string{host.OpHold, host.OpSettle, host.OpFacts, host.OpObserve}},
		{reason: "a plan", change: func(_ *scene, o *deploy.Options) { o.Hold = nil }, asked: []string{host.OpSettle, host.OpFacts, host.OpObserve}},
		{reason: "status waits for nobody", change: func(_ *scene, o *deploy.Options) { o.Hold, o.Settled, o.Chain = nil, false, false }, asked: []string{host.OpFacts, host.OpObserve}},
		{
			reason: "a host that does not answer", change: func(_ *scene, o *deploy.Options) { o.Connect = without(o.Connect, "infra2") },
			fails: "infra2: no route",
		},
		{
			reason: "status goes on without it", change: func(_ *scene, o *deploy.Options) {
				o.Connect, o.Hold, o.Settled, o.Chain = without(o.Connect, "infra2"), nil, false, false
			},
			asked: []string{host.OpFacts, host.OpObserve}, misses: "infra2",
		},
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
			alone: true, fails: "the bundle has 1.36.4",
		},
		{
			reason: "a version to stop at that the bundle does not carry", change: func(_ *scene, o *deploy.Options) { o.Until = "1.35" },
			alone: true, fails: "--until 1.35: the bundle carries no such Kubernetes to stop at; it carries 1.36.4",
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
			all := len(hosts)
			o := s.options(hosts)
			missed := ""
			o.Unreached = func(err error) { missed = err.Error() }
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
				if tt.alone {
					all = 0
				}
				if s.closed != all {
					t.Errorf("%d of %d connections were closed", s.closed, all)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if tt.misses != "" && !strings.Contains(missed, tt.misses) || tt.misses == "" && missed != "" {
				t.Errorf("told of hosts that are missing: %q", missed)
			}
			p := session.Plan(time.Now())
			for _, n := range s.in.Nodes {
				if n.PhysicalHost != tt.misses && !p.Touches(n.Name, "", "") {
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
