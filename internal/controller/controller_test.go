package controller_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/util/retry"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube/kubetest"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

var management *kubetest.Cluster

func TestMain(m *testing.M) {
	os.Exit(kubetest.Main(m, kubetest.Options{ClusterAPI: true}, func(c *kubetest.Cluster) { management = c }))
}

func TestTheLifeOfACluster(t *testing.T) {
	w := newWorld(t)
	c := w.create("life", 1, 1, nil)
	got := w.await(c.UUID, "creation", complete(magnum.CreateComplete))
	if !strings.HasPrefix(got.APIAddress, "https://127.0.0.1:") || got.COEVersion != "v1.34.2" {
		t.Errorf("api address %q, version %q", got.APIAddress, got.COEVersion)
	}
	w.await(c.UUID, "health", func(c *magnum.Cluster) bool { return c.Health == magnum.Healthy && len(c.HealthReason) == 3 })
	if len(w.cloud.groups) != 2 {
		t.Errorf("server groups: %v", w.cloud.groups)
	}

	t.Log("resize up, with the state visible at once")
	resize := func(n int, remove ...string) {
		_, err := w.store.UpdateNodeGroup(t.Context(), system, c.UUID, worker(t, w, c.UUID).UUID, func(g *magnum.NodeGroup) error {
			g.NodeCount, g.NodesToRemove = n, remove
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := w.store.Cluster(t.Context(), system, c.UUID); got.Status != magnum.UpdateInProgress {
			t.Errorf("right after a resize the cluster shows %s", got.Status)
		}
		w.await(c.UUID, "resize", complete(magnum.UpdateComplete))
	}
	resize(3)
	before := machines(t, c.StackID)
	if len(before) != 4 {
		t.Fatalf("machines after growing: %v", before)
	}

	t.Log("resize down, giving up a node of our choice")
	victim := ""
	for name, ng := range before {
		if ng == magnum.DefaultWorker && name > victim {
			victim = name
		}
	}
	resize(2, victim)
	after := machines(t, c.StackID)
	if _, there := after[victim]; there || len(after) != 3 {
		t.Errorf("wanted %s gone, have %v", victim, after)
	}

	t.Log("upgrade rolls every machine")
	_, err := w.store.UpdateCluster(t.Context(), system, c.UUID, func(c *magnum.Cluster) error {
		c.Upgrade = c.Upgrade.Again(1)
		c.Labels[label.KubeTag] = "v1.35.1"
		c.Template.ImageID, c.Resolved.ImageID = "ubuntu-35", "7f3c9d9e-4b1c-4a43-9d6a-333333333333"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	got = w.await(c.UUID, "upgrade", complete(magnum.UpdateComplete))
	rolled := machines(t, c.StackID)
	for name := range maps.Keys(rolled) {
		if _, old := after[name]; old {
			t.Errorf("machine %s survived the upgrade", name)
		}
	}
	if got.COEVersion != "v1.35.1" || worker(t, w, c.UUID).ImageID != "ubuntu-35" {
		t.Errorf("version %s, worker image %s", got.COEVersion, worker(t, w, c.UUID).ImageID)
	}

	t.Log("delete leaves nothing")
	w.cloud.balancers[c.UUID] = 2
	if err := w.store.DeleteCluster(t.Context(), system, c.UUID); err != nil {
		t.Fatal(err)
	}
	w.awaitGone(c.UUID)
	nothingLeft(t, c.StackID)
	if len(w.cloud.groups)+len(w.cloud.credentials)+w.cloud.balancers[c.UUID] > 0 {
		t.Errorf("left in the cloud: %v %v %v", w.cloud.groups, w.cloud.credentials, w.cloud.balancers)
	}
}

func worker(t *testing.T, w *world, uuid string) *magnum.NodeGroup {
	t.Helper()
	g, err := w.store.NodeGroup(t.Context(), system, uuid, magnum.DefaultWorker)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// machines maps the machines of a stack to their node group.
func machines(t *testing.T, stack string) map[string]string {
	t.Helper()
	list := &clusterv1.MachineList{}
	if err := management.Client.List(t.Context(), list, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: stack}); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for i := range list.Items {
		out[list.Items[i].Name] = list.Items[i].Labels[clusterv1.ClusterTopologyMachineDeploymentNameLabel]
	}
	return out
}

func TestSlowStoppedAnywhereItGoesOn(t *testing.T) {
	w := newWorld(t)
	const n = 3
	var made []*magnum.Cluster
	for i := range n {
		made = append(made, w.create(fmt.Sprintf("cut-%d", i), 1, 1, nil))
	}
	restart := func() {
		w.stop()
		w.start()
	}
	for i := range 6 { // bounded: six cuts while three clusters are being made
		time.Sleep(time.Duration(100+rand.IntN(900)) * time.Millisecond)
		t.Logf("cut %d", i)
		restart()
	}
	for _, c := range made {
		w.await(c.UUID, "creation", complete(magnum.CreateComplete))
		if m := machines(t, c.StackID); len(m) != 2 {
			t.Errorf("%s has machines %v, want one of each group", c.Name, m)
		}
		if err := w.store.DeleteCluster(t.Context(), system, c.UUID); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 4 {
		time.Sleep(time.Duration(100+rand.IntN(600)) * time.Millisecond)
		t.Logf("cut %d while deleting", i)
		restart()
	}
	for _, c := range made {
		w.awaitGone(c.UUID)
		nothingLeft(t, c.StackID)
	}
	if len(w.cloud.groups)+len(w.cloud.credentials) > 0 {
		t.Errorf("left in the cloud: %v %v", w.cloud.groups, w.cloud.credentials)
	}
	if w.cloud.made != 2*n {
		t.Errorf("%d server groups were made for %d clusters, want two each", w.cloud.made, n)
	}
}

// TestSlowAPIAddressOutlivesMachines: without a load balancer the floating IP is made before the Cluster, named in it,
// and goes last.
func TestSlowAPIAddressOutlivesMachines(t *testing.T) {
	w := newWorld(t)
	w.cloud.noAddress = errors.New("create a floating IP: quota exceeded for resources: ['floatingip']")
	bare := func(c *magnum.Cluster) { c.MasterLBEnabled = false }
	c := w.create("bare", 1, 0, bare)
	w.await(c.UUID, "the reason", func(c *magnum.Cluster) bool {
		return c.Status == magnum.CreateInProgress && strings.Contains(c.StatusReason, "uota exceeded for resources: ['floatingip']")
	})
	w.cloud.mu.Lock()
	w.cloud.noAddress = nil
	w.cloud.mu.Unlock()
	w.await(c.UUID, "creation", complete(magnum.CreateComplete))
	live := &clusterv1.Cluster{}
	named := func() string {
		t.Helper()
		if err := management.Client.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: c.StackID}, live); err != nil {
			t.Fatal(err)
		}
		return capi.APIAddress(live)
	}
	description := capi.APIAddressDescription(c.UUID)
	address := w.cloud.addresses[description]
	if address == "" || named() != address {
		t.Errorf("in the cloud %q, in the Cluster %q", address, named())
	}
	w.stop()
	w.start()
	balanced := w.create("balanced", 1, 0, nil)
	given := w.create("given", 1, 0, func(c *magnum.Cluster) { bare(c); c.Labels[label.APIServerFloatingIP] = "198.51.100.99" })
	for _, other := range []*magnum.Cluster{balanced, given} {
		w.await(other.UUID, "creation", complete(magnum.CreateComplete))
	}
	if len(w.cloud.addresses) != 1 || named() != address {
		t.Errorf("where the address is not ours none is made, and none is made twice: %v, in the Cluster %q", w.cloud.addresses, named())
	}
	for _, x := range []*magnum.Cluster{c, balanced, given} {
		if err := w.store.DeleteCluster(t.Context(), system, x.UUID); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []*magnum.Cluster{c, balanced, given} {
		w.awaitGone(x.UUID)
	}
	if len(w.cloud.addresses) != 0 {
		t.Errorf("left in the cloud: %v", w.cloud.addresses)
	}
}

func TestWhatCannotBeFailsWithItsReason(t *testing.T) {
	w := newWorld(t)
	c := w.create("bad", 1, 1, func(c *magnum.Cluster) { c.Labels["calico_ipv4pool"] = "10.254.0.0/16" }) // overlaps the services
	got := w.await(c.UUID, "failure", complete(magnum.CreateFailed))
	if !strings.Contains(got.StatusReason, "must be apart from service_cluster_ip_range") {
		t.Errorf("reason %q does not name the cause", got.StatusReason)
	}
	if err := w.store.DeleteCluster(t.Context(), system, c.UUID); err != nil {
		t.Fatal(err)
	}
	w.awaitGone(c.UUID)
}

// Whoever is making something for a cluster does not know that its owner deletes it meanwhile.
func TestDeletedWhileItIsMadeItLeavesNothing(t *testing.T) {
	w := newWorld(t)
	seed := rand.Uint64()
	t.Logf("moments of seed %d", seed)
	r := rand.New(rand.NewPCG(seed, seed))
	var all sync.WaitGroup
	var stacks []string
	for i := range 20 {
		c := w.create(fmt.Sprintf("short-%d", i), 1, 1, nil)
		stacks = append(stacks, c.StackID)
		after := time.Duration(r.IntN(1500)) * time.Millisecond
		all.Go(func() {
			time.Sleep(after)
			if err := w.store.DeleteCluster(context.Background(), system, c.UUID); err != nil {
				t.Errorf("delete after %s: %v", after, err)
			}
			w.awaitGone(c.UUID)
		})
	}
	all.Wait()
	for _, stack := range stacks {
		nothingLeft(t, stack)
	}
	w.cloud.mu.Lock()
	defer w.cloud.mu.Unlock()
	if len(w.cloud.groups)+len(w.cloud.credentials) > 0 {
		t.Errorf("left in the cloud: server groups %v, credentials %v", w.cloud.groups, w.cloud.credentials)
	}
}

// hold keeps the machines of a stack from going, as Cluster API's OpenStack provider does when it cannot log in; or
// lets them go.
func hold(t *testing.T, stack string, held bool) {
	t.Helper()
	const finalizer = "test.jeroboam.cloud/held"
	list := &clusterv1.MachineList{}
	if err := management.Client.List(t.Context(), list, client.InNamespace(v1alpha1.Namespace), client.MatchingLabels{clusterv1.ClusterNameLabel: stack}); err != nil {
		t.Fatal(err)
	}
	for i := range list.Items {
		key := client.ObjectKeyFromObject(&list.Items[i])
		err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { // Cluster API takes its own finalizer away meanwhile
			m := &clusterv1.Machine{}
			if err := management.Client.Get(t.Context(), key, m); err != nil {
				return err
			}
			changed := controllerutil.RemoveFinalizer(m, finalizer)
			if held {
				changed = controllerutil.AddFinalizer(m, finalizer)
			}
			if !changed {
				return nil
			}
			return management.Client.Update(t.Context(), m)
		})
		if client.IgnoreNotFound(err) != nil {
			t.Fatal(err)
		}
	}
}

// A credential may die while its cluster is deleted: the owner's user is gone. The owner is told, and has a way out.
func TestADeadCredentialWhileDeleting(t *testing.T) {
	w := newWorld(t)
	c := w.create("orphan", 1, 1, nil)
	w.await(c.UUID, "creation", complete(magnum.CreateComplete))
	hold(t, c.StackID, true)
	if err := w.store.DeleteCluster(t.Context(), system, c.UUID); err != nil {
		t.Fatal(err)
	}
	w.await(c.UUID, "Cluster API is at work", func(c *magnum.Cluster) bool { return strings.Contains(c.StatusReason, "machine") })

	t.Log("it dies in the middle, and no event tells of it")
	kill := func(dead bool) {
		w.cloud.mu.Lock()
		defer w.cloud.mu.Unlock()
		w.cloud.dead = dead
	}
	kill(true)
	w.await(c.UUID, "somebody looks", func(c *magnum.Cluster) bool { return strings.Contains(c.StatusReason, "credential no longer works") })
	w.later.Store(int64(magnum.DeleteFailedAfter + time.Minute))
	got := w.await(c.UUID, "it is told", complete(magnum.DeleteFailed))
	if !strings.Contains(got.StatusReason, "PATCH /v1/credentials/"+c.UUID) {
		t.Errorf("the way out is not told: %q", got.StatusReason)
	}

	t.Log("the way out: what PATCH /v1/credentials does")
	kill(false)
	hold(t, c.StackID, false)
	if err := w.store.PutCloudConfig(t.Context(), system, c.UUID, []byte("clouds: {another: {}}"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := w.store.UpdateCluster(t.Context(), system, c.UUID, func(c *magnum.Cluster) error { c.UserID = "another"; return nil }); err != nil {
		t.Fatal(err)
	}
	w.awaitGone(c.UUID)
	nothingLeft(t, c.StackID)
}
