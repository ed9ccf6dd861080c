package site_test

import (
	"testing"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
)

// The host of a node that is gone may be gone with it: there is no connection to bring anything.
func TestNothingIsBroughtToNodesThatAreGone(t *testing.T) {
	in := deploytest.Seed(t)
	dead := in.Nodes[2]
	w := deploytest.Want(t, in, deploytest.Facts(in), dead.Name)
	world := deploytest.Empty(w)
	world.Unseen = map[string]bool{dead.PhysicalHost: true}
	needs := site.Work{List: w.List, Seen: world.Seen}.Needs()
	if got := needs[dead.PhysicalHost]; got != nil {
		t.Errorf("%s is to get %q", dead.PhysicalHost, got)
	}
	for _, n := range in.Nodes[:2] {
		if len(needs[n.PhysicalHost]) == 0 {
			t.Errorf("%s is to get nothing", n.PhysicalHost)
		}
	}
}
