package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
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

// litter leaves something spare at some places.
func litter(w deploy.Wanted, world *deploy.World, places ...string) {
	for i, item := range w.Items {
		if !slices.Contains(places, item.Place) {
			continue
		}
		switch {
		case item.Kept != nil:
			world.Items[i]["spare"] = "3 files (120 MiB)"
		case item.Builds != nil:
			world.Items[i] = plan.Facts{"spare": "agent-of-yesterday"}
		case item.Pins != nil:
			world.Items[i] = plan.Facts{"spare": "registry.k8s.io/etcd:3.6.15-0"}
		}
	}
}

// Disk is given back in the plan's last changes, and nothing about them is dangerous: not beside a member that does not
// serve either.
func TestDiskIsGivenBack(t *testing.T) {
	in := seed(t)
	w := want(t, in, facts(in))
	world := converged(w)
	a, b := in.Nodes[0], in.Nodes[1]
	litter(w, &world, a.PhysicalHost, a.Name)
	down := world.Nodes[b.Name]
	down.Etcd = "connection refused"
	world.Nodes[b.Name] = down
	p := plan.Judged(deploy.Diff(w, world, now), deploy.Judges(w, world)...)
	want := []string{
		a.PhysicalHost + ": update store /var/lib/jeroboam/blobs", a.PhysicalHost + ": update agents /usr/local/lib/jeroboam",
		a.Name + ": update agents /usr/local/lib/jeroboam", a.Name + ": update pins containerd",
	}
	if diff := cmp.Diff(want, only(p)); diff != "" {
		t.Error(diff)
	}
	if found := p.Blocked(nil); len(found) > 0 {
		t.Errorf("it is dangerous: %v", found)
	}
	if got := len(plan.Of[host.GivesBack](p)); got != len(want) {
		t.Errorf("%d of %d changes are typed", got, len(want))
	}
	names := deploy.Steps()
	if last := names[len(names)-1]; last != "give disk back" {
		t.Errorf("the last step is %q: what is given back too early is missed by a run that stops", last)
	}
}

// The images of a cluster that goes through several minor versions lose their pin when they are not wanted by the step
// that is done.
func TestImagesOfAStepAreWanted(t *testing.T) {
	in, b := seed(t), bundle()
	b.Releases = []site.Release{{Version: "1.35.4", Images: []host.Image{{Ref: "registry.k8s.io/pause:3.10.1", Manifest: blob("7"), Blobs: []string{blob("7")}}}}}
	in, b, err := kubeadm.Step(in, b, "1.35.4")
	if err != nil {
		t.Fatal(err)
	}
	w, err := deploy.Want(in, b, facts(in), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, item := range w.Items {
		if item.Pins != nil {
			if diff := cmp.Diff([]string{"registry.k8s.io/pause:3.10.1"}, item.Pins.Refs); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// keeper is an agent that notes what it is to bring about.
type keeper struct {
	deploytest.Agent
	mu   *sync.Mutex
	told *[]string
}

func (k *keeper) Call(_ context.Context, container, op string, in, _ any, _ func(json.RawMessage)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	line := k.Host + "/" + container + " " + op
	if items, ok := in.([]host.Item); ok {
		for _, i := range items {
			line += fmt.Sprintf(" %s;", i.Key())
		}
	}
	*k.told = append(*k.told, line)
	return nil
}

// Only where the plan has it, and nothing is lent for it: that would be one more thing to give back.
func TestWhereDiskIsGivenBack(t *testing.T) {
	in := seed(t)
	w := want(t, in, facts(in))
	world := converged(w)
	a, b := in.Nodes[0], in.Nodes[1]
	litter(w, &world, a.Name, b.PhysicalHost)
	for i, item := range w.Items { // a change that files are brought for
		if item.Place == a.Name && item.File != nil && item.File.Blob != "" {
			world.Items[i] = nil
		}
	}
	var mu sync.Mutex
	var told []string
	hosts := site.Hosts{}
	for _, h := range in.HostsWith(intent.RoleNode) {
		hosts[h.Name] = &keeper{Agent: deploytest.Agent{Host: h.Name}, mu: &mu, told: &told}
	}
	d := &deploy.Deployment{Run: quiet(hosts), Wanted: w, World: world, Plan: deploy.Diff(w, world, now), Outside: hosts}
	if err := deploy.GiveBack(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	slices.Sort(told)
	want := []string{
		a.PhysicalHost + "/" + a.Name + " ensure agents /usr/local/lib/jeroboam; pins containerd;",
		b.PhysicalHost + "/ ensure store /var/lib/jeroboam/blobs; agents /usr/local/lib/jeroboam;",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}
