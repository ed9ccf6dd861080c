package controller_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

const (
	imageOne   = "7f3c9d9e-4b1c-4a43-9d6a-111111111111" // what create gives
	imageTwo   = "7f3c9d9e-4b1c-4a43-9d6a-222222222222"
	imageThree = "7f3c9d9e-4b1c-4a43-9d6a-333333333333"
)

// addGroup does what the API does for a node group.
func (w *world) addGroup(c *magnum.Cluster, edit func(g *magnum.NodeGroup)) *magnum.NodeGroup {
	w.t.Helper()
	g := magnum.NodeGroup{
		Name: "more", Role: magnum.RoleWorker, ClusterID: c.UUID, NodeCount: 1, FlavorID: "m1.small", ImageID: "ubuntu",
		Labels: map[string]string{}, Resolved: magnum.Resolved{ImageID: imageOne, ImageOSDistro: "ubuntu", FlavorName: "m1.small"},
	}
	edit(&g)
	made, err := w.store.CreateNodeGroup(w.t.Context(), system, g)
	if err != nil {
		w.t.Fatal(err)
	}
	return made
}

func (w *world) change(c *magnum.Cluster, group string, edit func(g *magnum.NodeGroup)) {
	w.t.Helper()
	g, err := w.store.NodeGroup(w.t.Context(), system, c.UUID, group)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = w.store.UpdateNodeGroup(w.t.Context(), system, c.UUID, g.UUID, func(g *magnum.NodeGroup) error { edit(g); return nil })
	if err != nil {
		w.t.Fatal(err)
	}
}

// group waits until a group says what is wanted of it.
func (w *world) group(c *magnum.Cluster, name, what string, ok func(g *magnum.NodeGroup) bool) *magnum.NodeGroup {
	w.t.Helper()
	var g *magnum.NodeGroup
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		var err error
		if g, err = w.store.NodeGroup(w.t.Context(), system, c.UUID, name); err == nil && ok(g) {
			return g
		}
	}
	w.t.Fatalf("%s: not within bounds; node group %+v", what, g)
	return nil
}

func (w *world) upgrade(c *magnum.Cluster, tag, imageID string) {
	w.t.Helper()
	_, err := w.store.UpdateCluster(w.t.Context(), system, c.UUID, func(c *magnum.Cluster) error {
		asked := c.Upgrade.Again(2)
		asked.FromImage, asked.FromImageID = c.Template.ImageID, c.Resolved.ImageID
		c.Upgrade, c.Labels[label.KubeTag], c.Resolved.ImageID = asked, tag, imageID
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// images maps the node groups of a stack to the image and version that are asked for.
func images(t *testing.T, stack string) map[string]string {
	t.Helper()
	c := liveCluster(t, stack)
	out := map[string]string{}
	for _, md := range c.Spec.Topology.Workers.MachineDeployments {
		for _, v := range md.Variables.Overrides {
			if v.Name == "imageUUID" {
				out[md.Name] = strings.Trim(string(v.Value.Raw), `"`)
			}
		}
	}
	return out
}

func liveCluster(t *testing.T, stack string) *clusterv1.Cluster {
	t.Helper()
	c := &clusterv1.Cluster{}
	if err := management.Client.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: stack}, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// A group with an image of its own, through the life of its cluster; and one that cannot be, beside it.
func TestOnlyWhatWasAskedForHappens(t *testing.T) {
	w := newWorld(t)
	c := w.create("asked", 1, 1, nil)
	w.await(c.UUID, "creation", complete(magnum.CreateComplete))

	t.Log("a group with a name and a role of Magnum's, and an image of its own")
	g := w.addGroup(c, func(g *magnum.NodeGroup) {
		g.Name, g.Role, g.ImageID, g.Resolved.ImageID = "gpu_Pool", "GPU", "gpu-image", imageThree
	})
	w.await(c.UUID, "a group is added", complete(magnum.UpdateComplete))
	gpu := g.DeploymentName()
	if got := images(t, c.StackID)[gpu]; got != imageThree {
		t.Errorf("the group boots %s, want its own image", got)
	}

	t.Log("a group that cannot be fails by itself, and the others go on")
	w.addGroup(c, func(g *magnum.NodeGroup) { g.Name, g.FlavorID, g.Resolved.FlavorName = "broken", "gone", "" })
	w.group(c, "broken", "a flavor that is gone", func(g *magnum.NodeGroup) bool {
		return g.Status == magnum.CreateFailed && strings.Contains(g.StatusReason, `flavor "gone" is not known`)
	})
	w.change(c, magnum.DefaultWorker, func(g *magnum.NodeGroup) { g.AskSize(2, nil) })
	w.group(c, magnum.DefaultWorker, "a resize beside it", func(g *magnum.NodeGroup) bool { return g.Status == magnum.UpdateComplete })
	if got := w.await(c.UUID, "the reason is told", complete(magnum.UpdateFailed)); !strings.Contains(got.StatusReason, "Node group broken: flavor") {
		t.Errorf("the cluster says %q", got.StatusReason)
	}
	broken, err := w.store.NodeGroup(t.Context(), system, c.UUID, "broken")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.store.DeleteNodeGroup(t.Context(), system, c.UUID, broken.UUID); err != nil {
		t.Fatal(err)
	}
	w.await(c.UUID, "it is gone", complete(magnum.UpdateComplete))

	t.Log("a resize to the size it has")
	before, err := w.store.Cluster(t.Context(), system, c.UUID)
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second) // dates have seconds
	w.change(c, magnum.DefaultWorker, func(g *magnum.NodeGroup) { g.AskSize(2, nil) })
	after := w.await(c.UUID, "nothing to do", func(c *magnum.Cluster) bool {
		return c.Status == magnum.UpdateComplete && c.UpdatedAt.After(before.UpdatedAt)
	})
	if got, _ := w.store.Cluster(t.Context(), system, c.UUID); got.Status != magnum.UpdateComplete {
		t.Errorf("at rest it is %s (%v)", got.Status, after.UpdatedAt)
	}

	t.Log("an image rebuilt under the same name: the same template again")
	old := machines(t, c.StackID)
	w.upgrade(c, "v1.34.2", imageTwo)
	w.await(c.UUID, "the roll", complete(magnum.UpdateComplete))
	now := machines(t, c.StackID)
	for name, group := range now {
		if _, same := old[name]; same != (group == gpu) {
			t.Errorf("machine %s of %q: survived is %v", name, group, same)
		}
	}
	if got := images(t, c.StackID); got[gpu] != imageThree || got[magnum.DefaultWorker] != imageTwo {
		t.Errorf("images are %v", got)
	}

	t.Log("another version: the group with an image of its own stays behind")
	w.upgrade(c, "v1.35.1", imageOne)
	got := w.await(c.UUID, "the upgrade", complete(magnum.UpdateComplete))
	g = w.group(c, "gpu_Pool", "it stays behind", func(*magnum.NodeGroup) bool { return true })
	if got.COEVersion != "v1.35.1" || g.Version != "v1.34.2" || !g.Status.Complete() {
		t.Errorf("cluster %s, group %s %s", got.COEVersion, g.Version, g.Status)
	}

	t.Log("it is asked for by name, after a release with another class")
	class := liveCluster(t, c.StackID).Spec.Topology.ClassRef.Name
	w.stop()
	w.class = capi.ClusterClass(capi.InMemory(time.Millisecond))
	w.start()
	old = machines(t, c.StackID)
	w.change(c, "gpu_Pool", func(g *magnum.NodeGroup) { g.Upgrade, g.Resolved.ImageID = g.Upgrade.Again(1), imageTwo })
	w.group(c, "gpu_Pool", "its upgrade", func(g *magnum.NodeGroup) bool { return g.Status == magnum.UpdateComplete && g.Version == "v1.35.1" })
	live := liveCluster(t, c.StackID)
	if live.Spec.Topology.ClassRef.Name != class {
		t.Errorf("the upgrade of one group moved the whole cluster from class %s to %s", class, live.Spec.Topology.ClassRef.Name)
	}
	for name, group := range maps.All(machines(t, c.StackID)) {
		if _, same := old[name]; same == (group == gpu) {
			t.Errorf("machine %s of %q: survived is %v", name, group, same)
		}
	}
	w.await(c.UUID, "rest", complete(magnum.UpdateComplete))

	t.Log("an upgrade to the same template takes the cluster to the newer class")
	w.upgrade(c, "v1.35.1", imageOne)
	w.await(c.UUID, "the move", complete(magnum.UpdateComplete))
	if name := liveCluster(t, c.StackID).Spec.Topology.ClassRef.Name; name != w.class.Name {
		t.Errorf("the cluster is of class %s, want %s", name, w.class.Name)
	}
}
