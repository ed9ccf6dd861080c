package cloud

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDeleteDamaged deletes a cluster with a service of type LoadBalancer, after somebody has deleted by hand a
// worker's server, then the master's, and the router.
func TestDeleteDamaged(t *testing.T) {
	w := newWorld(t)
	before := w.inventory(t)
	w.template(t, "damaged", network(), "--labels", labels)
	w.create(t, "damaged", "damaged", 1, 1)
	s := w.reaches(t, "damaged", "CREATE_COMPLETE", 15*time.Minute)
	config := w.config(t, "damaged")
	w.apply(t, config, server)
	w.loadBalancer(t, config)

	for name, id := range w.servers(t, "damaged") {
		w.say(t, w.tenant, "server", "delete", "--wait", id)
		t.Logf("%s is deleted in Nova", name)
	}
	w.dropRouter(t, s)
	t.Logf("gone %.0f s after the request", w.delete(t, "damaged").Seconds())
	w.nothingLeft(t, before, s)
}

// dropRouter takes away the router that Cluster API made, and what Neutron wants to be gone before it.
func (w *world) dropRouter(t *testing.T, c shown) {
	t.Helper()
	w.mustExec(t, time.Minute, w.tenant, "/usr/bin/python3", "-c", `
import openstack, sys
n = openstack.connect().network
r = [x for x in n.routers() if sys.argv[1] in x.name][0]
subnets = set()
for p in n.ports(device_id=r.id):
    for a in p.fixed_ips: subnets.add(a['subnet_id'])
for f in n.ips():
    if f.router_id == r.id: n.update_ip(f, port_id=None)
for s in subnets:
    try: n.remove_interface_from_router(r, subnet_id=s)
    except openstack.exceptions.ResourceNotFound: pass
n.update_router(r, external_gateway_info={})
n.delete_router(r, ignore_missing=False)
`, c.Stack)
	t.Log("its router is deleted in Neutron")
}

// TestDeleteHalfMade deletes clusters at different moments of their making: before anything is in the cloud, while the
// network is made, while servers are, and before the API server is initialized.
func TestDeleteHalfMade(t *testing.T) {
	w := newWorld(t)
	before := w.inventory(t)
	w.template(t, "half", network(), "--labels", labels)
	for _, moment := range []struct {
		name string
		when func(shown) error
	}{
		{"at once", func(shown) error { return nil }},
		{"while the network is made", func(c shown) error { return w.isThere(t, "network", c) }},
		{"while servers are made", func(c shown) error { return w.isThere(t, "server", c) }},
		{"while kubeadm works", func(c shown) error {
			if len(w.times(t, c, "openstackservers", "Ready")) == 0 {
				return errNotYet
			}
			return nil
		}},
	} {
		t.Run(moment.name, func(t *testing.T) {
			w.create(t, "half", "half", 1, 1)
			s := w.mustCluster(t, "half")
			w.await(t, 5*time.Minute, moment.name, func() error { return moment.when(s) })
			t.Logf("gone %.0f s after the request", w.delete(t, "half").Seconds())
			w.nothingLeft(t, before, s)
		})
	}
}

// isThere asks for something of a cluster's in the cloud.
func (w *world) isThere(t *testing.T, kind string, c shown) error {
	t.Helper()
	out := w.say(t, w.tenant, kind, "list", "-f", "value", "-c", "Name")
	if !strings.Contains(out, c.Stack) {
		return fmt.Errorf("%w: no %s of %s", errNotYet, kind, c.Stack)
	}
	return nil
}

// TestKilled kills the all-in-one (etcd, API server, Cluster API, Jeroboam) ten times at random moments while a cluster
// is made and deleted, and starts it again each time.
func TestKilled(t *testing.T) {
	if os.Getenv("ALLINONE_STATE") != "" {
		t.Skip("ALLINONE_STATE is set: an all-in-one that others use is not killed")
	}
	w := newWorld(t)
	before := w.inventory(t)
	w.template(t, "killed", network(), "--labels", labels)
	w.create(t, "killed", "killed", 1, 1)
	s := w.mustCluster(t, "killed")
	for range 5 {
		w.kill(t, time.Duration(5+rand.IntN(25))*time.Second)
	}
	w.reaches(t, "killed", "CREATE_COMPLETE", 20*time.Minute)
	w.nodesAreReady(t, w.config(t, "killed"), "killed", 2)
	w.say(t, w.tenant, "coe", "cluster", "delete", "killed")
	for range 5 {
		w.kill(t, time.Duration(2+rand.IntN(10))*time.Second)
	}
	w.gone(t, s.UUID)
	w.nothingLeft(t, before, s)
}

// kill waits, ends the all-in-one with SIGKILL, and starts it again.
func (w *world) kill(t *testing.T, after time.Duration) {
	t.Helper()
	time.Sleep(after)
	parent := w.process.cmd.Process.Pid // "cloud exec": the all-in-one is its child
	children := w.children(t, parent)
	if len(children) == 0 {
		t.Fatalf("process %d has no children: nothing was killed", parent)
	}
	for _, child := range children {
		pid, err := strconv.Atoi(child)
		if err != nil {
			t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	if err := <-w.process.ended; err == nil {
		t.Error("the all-in-one ended by itself, without an error, before it was killed")
	}
	t.Logf("killed after %s", after)
	w.start(t)
	w.served(t)
}

// children are the processes that any thread of a process has started: in Go it is seldom the first one.
func (w *world) children(t *testing.T, parent int) []string {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		found = append(found, strings.Fields(string(text))...)
	}
	return found
}
