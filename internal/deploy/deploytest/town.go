package deploytest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/keystone"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// Town is all hosts with everything on them, as agents see it: what was ensured is there, what is gone is not. The
// cluster is made already; Magnum and the proxies are what a test is about.
type Town struct {
	In        intent.Intent
	CA        pki.Authority // the cluster's
	Directory *Directory

	Have   map[string]map[string]plan.Facts // by place and key of item
	Absent map[string]bool                  // containers that are not there
	Down   map[string]bool                  // hosts that do not answer
	Nodes  bool                             // the nodes' containers are seen
	Sick   map[string]bool                  // places whose server never answers
	Hangs  map[string]int                   // containers that do not answer any more after so many questions
	Broken string                           // a place where nothing can be changed
	Left   int                              // items until the deployer is killed; negative: never
	Log    []string                         // what happened, in order
	Clock  func() time.Time
	API    client.Client // the management cluster's, once it was asked

	Slow  time.Duration // what a change takes
	Most  int           // hosts that were changed at the same time, at most
	Meet  int           // so many proxies' hosts are waited for before the first is changed,
	Until time.Time     // but no longer than this

	mu   sync.Mutex
	busy int
}

// Directory is Keystone: an account that is there or not.
type Directory struct {
	There bool
	Fail  error
}

// Look says what is there, which is nothing.
func (d *Directory) Look(context.Context) (keystone.State, error) { return keystone.State{}, d.Fail }

// Register makes the account, once.
func (d *Directory) Register(_ context.Context, say func(plan.Change)) error {
	if d.Fail != nil {
		return d.Fail
	}
	if !d.There {
		say(plan.Change{Action: plan.Create, Kind: "user", Name: "magnum"})
	}
	d.There = true
	return nil
}

// NewTown is a cloud in which nobody serves Magnum yet.
func NewTown(t *testing.T) *Town {
	t.Helper()
	ca, err := pki.NewCA(rand.Reader, Now(), "kubernetes")
	if err != nil {
		t.Fatal(err)
	}
	in := Seed(t)
	in.Magnum.Service.Password = intent.NewSecret("hunter2-of-magnum")
	return &Town{
		In: in, CA: ca, Directory: &Directory{}, Have: map[string]map[string]plan.Facts{}, Absent: map[string]bool{}, Down: map[string]bool{},
		Left: -1, Sick: map[string]bool{}, Clock: time.Now,
	}
}

// ErrKilled is what the deployer dies of, ErrBroken what is wrong at a place where nothing can be changed.
var (
	ErrKilled = errors.New("killed")
	ErrBroken = errors.New("its disk is full")
)

// Sight is what a look at everything gives.
type Sight struct {
	Hosts    site.Hosts
	Outside  site.Outside
	Wanted   deploy.Wanted
	World    deploy.World
	Services deploy.Services
}

// Look looks at everything; skip leaves out what is not reached.
func (w *Town) Look(t *testing.T, skip bool) Sight {
	t.Helper()
	hosts, lost := w.Hosts()
	o := site.LookOutside(t.Context(), hosts, lost)
	found, err := magnum.Inspect(t.Context(), o, w.In)
	if err != nil {
		t.Fatal(err)
	}
	proxies := proxy.Inspect(t.Context(), o, w.In, found.Serves)
	wanted := Want(t, w.In, Facts(w.In))
	wanted.Bundle.Catalogue = map[string]string{"catalogue.yaml": Blob("9")}
	world := Converged(wanted)
	for name, n := range world.Nodes {
		n.CA = pki.PublicKeyHash(w.CA.CertPEM)
		world.Nodes[name] = n
	}
	s, err := deploy.LookAtServices(t.Context(), o, wanted, world, found, deploy.ServiceOptions{
		Program: Blob("8"), Skip: skip, Proxies: proxies, Dial: w.Dial,
		Login: func(context.Context, intent.MagnumService, http.RoundTripper) (keystone.Directory, error) {
			return w.Directory, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return Sight{hosts, o, wanted, world, s}
}

// Run is a plan and, if apply is set, its apply.
func (w *Town) Run(t *testing.T, skip, apply bool) (plan.Plan, error) {
	t.Helper()
	seen := w.Look(t, skip)
	if w.Directory.There {
		seen.Services.Keystone = nil // what its own test shows
	}
	p := seen.Services.Plan(deploy.Diff(seen.Wanted, seen.World, Now()))
	if !apply {
		return p, nil
	}
	d := &deploy.Deployment{
		Wanted: seen.Wanted, World: seen.World, Plan: p, Outside: seen.Outside.Hosts, Services: seen.Services, Dial: w.Dial,
		Run: site.Run{Hosts: seen.Hosts, Report: func(site.Progress) {}, Random: rand.Reader, Now: w.Clock, Poll: time.Millisecond},
	}
	return p, d.Apply(t.Context())
}

// Theirs puts OpenStack's own Magnum everywhere.
func (w *Town) Theirs() {
	for _, h := range w.In.Magnum.Hosts {
		w.Have[h.Name] = map[string]plan.Facts{}
		for _, unit := range []string{"magnum-api.service", "magnum-conductor.service"} {
			w.Have[h.Name]["file /etc/systemd/system/"+unit] = plan.Facts{"mode": "0644"}
			w.Have[h.Name]["unit "+unit] = plan.Facts{"enabled": "yes", "active": "yes"}
		}
		w.Have[h.Name]["original /etc/magnum/magnum.conf"] = plan.Facts{"kept": "no", "of": "others"}
	}
}

// Settled is a plan without changes.
func (w *Town) Settled(t *testing.T) {
	t.Helper()
	if p, _ := w.Run(t, false, false); !p.Empty() {
		t.Errorf("a second run would change:\n%s", strings.Join(Only(p), "\n"))
	}
}

// Network is a town whose Magnum is done, and which has hosts with Neutron's namespaces.
func Network(t *testing.T, hosts int) *Town {
	t.Helper()
	w := NewTown(t)
	w.In.Magnum.Hosts, w.In.HAProxy.Hosts = nil, nil // other tests look at these
	w.In.Proxy.Pattern, w.Nodes = "network_hosts", true
	for n := range hosts {
		name := fmt.Sprintf("net%d", n+1)
		w.In.Hosts = append(w.In.Hosts, intent.Host{Name: name, ManagementAddress: fmt.Sprintf("172.29.236.%d", 100+n)})
		w.In.Proxy.Hosts = append(w.In.Proxy.Hosts, intent.ProxyHost{
			Container:   intent.Container{Name: name, PhysicalHost: name, IsMetal: true},
			Environment: map[string]string{"PROXY_BIND": fmt.Sprintf("172.29.236.%d", 100+n), "PROXY_PORT": "44355"},
		})
	}
	return w
}

// Old puts the collection's proxy on all hosts.
func (w *Town) Old() {
	for _, h := range w.In.Proxy.Hosts {
		w.Have[h.Name] = map[string]plan.Facts{"unit magnum-cluster-api-proxy.service": {"enabled": "yes", "active": "yes"}}
	}
}
