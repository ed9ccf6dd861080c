package cloud

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/test/internal/inventory"
)

// inventory is everything that a project has in the cloud, by kind.
func (w *world) inventory(t *testing.T) map[string][]string {
	t.Helper()
	have, err := inventory.Of(func(command ...string) (string, error) { return w.exec(t, 2*time.Minute, w.tenant, command...) })
	if err != nil {
		t.Fatal(err)
	}
	return have
}

// nothingLeft compares what the project has with what it had, and looks for what a cluster has left in the management
// cluster.
func (w *world) nothingLeft(t *testing.T, before map[string][]string, c shown) {
	t.Helper()
	if diff := cmp.Diff(before, w.inventory(t)); diff != "" {
		t.Errorf("the project has something else than before (-before +after):\n%s", diff)
	}
	out, err := w.manage(t, "get", "secrets,clusters,machines,openstackclusters,openstackservers,openstackmachines,magnumclusters,magnumnodegroups", "-o", "name")
	if err != nil {
		t.Error(err)
	}
	for name := range strings.Lines(out) {
		if !w.joined || strings.Contains(name, c.Stack) || strings.Contains(name, c.UUID) { // others work with one that was there before
			t.Errorf("left in the management cluster: %s", name)
		}
	}
}
