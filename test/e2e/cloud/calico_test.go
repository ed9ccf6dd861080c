package cloud

import (
	"cmp"
	"os"
	"testing"
	"time"
)

// TestCalico is a cluster with Magnum's default network driver: nodes become ready, pods on different nodes reach each
// other, and a NetworkPolicy holds.
func TestCalico(t *testing.T) {
	w := newWorld(t)
	w.network(t, "calico")
}

// TestCilium is the same with Cilium.
func TestCilium(t *testing.T) {
	w := newWorld(t)
	w.network(t, "cilium")
}

// network is the network driver of tests that need one and are not about it: NETWORK_DRIVER, or Cilium. A bundle has
// the images of either.
func network() string { return cmp.Or(os.Getenv("NETWORK_DRIVER"), "cilium") }

// withShell is an image of the network that nodes have, and that has a shell.
func withShell(driver string) string {
	if driver == "calico" {
		return "quay.io/calico/node:v3.28.5"
	}
	return "quay.io/cilium/cilium:v1.20.2"
}

// network makes a cluster with a network driver and looks at what pods can do.
func (w *world) network(t *testing.T, driver string) {
	t.Helper()
	image := withShell(driver)
	before := w.inventory(t)
	w.template(t, driver, driver, "--labels", labels)
	began := time.Now()
	w.create(t, driver, driver, 1, 1)
	s := w.reaches(t, driver, "CREATE_COMPLETE", 15*time.Minute)
	t.Logf("complete %.0f s after the request", time.Since(began).Seconds())
	w.whereTimeWent(t, s, began)
	config := w.config(t, driver)
	w.nodesAreReady(t, config, driver, 2)
	w.podsTalk(t, config, 2, image)
	w.loadBalancer(t, config)
	w.policyHolds(t, config, image)
	if t.Failed() {
		return
	}
	t.Logf("gone %.0f s after the request", w.delete(t, driver).Seconds())
	w.nothingLeft(t, before, s)
}
