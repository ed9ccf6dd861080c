package store_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
	"github.com/jeroboam-cloud/jeroboam/internal/store"
)

// replica is a store that draws the same names as every other replica of one seed, and has not heard of their clusters.
func replica(t *testing.T, seed uint64, now func() time.Time) *store.Store {
	t.Helper()
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	c, err := cache.New(management.Config, cache.Options{Scheme: scheme, DefaultNamespaces: map[string]cache.Config{"elsewhere": {}}})
	if err != nil {
		t.Fatal(err)
	}
	view, err := store.NewView(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return store.New(management.Client, view, now, rand.New(rand.NewPCG(seed, seed))) //nolint:gosec // equal names are the point
}

func TestTwoReplicasNeverDrawOneName(t *testing.T) {
	const replicas = 4
	g := member(t, "names")
	var names []string
	var all sync.WaitGroup
	for range replicas {
		s := replica(t, 7, time.Now)
		all.Go(func() {
			if _, err := s.CreateCluster(context.Background(), g, example("names", "n"), 100); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list := &v1alpha1.MagnumClusterList{}
	if err := management.Client.List(t.Context(), list, client.InNamespace(v1alpha1.Namespace)); err != nil {
		t.Fatal(err)
	}
	for _, c := range list.Items {
		if c.Spec.ProjectID == "names" {
			names = append(names, c.Spec.StackID)
		}
	}
	slices.Sort(names)
	if len(names) != replicas || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Errorf("replicas with the same luck made %v", names)
	}
}

func TestWhatGoneProcessesLeaveIsTakenAway(t *testing.T) {
	ctx, now := t.Context(), time.Now()
	s := replica(t, 8, func() time.Time { return now })
	if err := s.Heartbeat(ctx, "gone-host", "magnum-conductor"); err != nil {
		t.Fatal(err)
	}
	orphan := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{
		Name: store.StackReservation("kube-orpha"), Namespace: v1alpha1.Namespace,
		Labels: map[string]string{"magnum.jeroboam.cloud/name": "kube-orpha", v1alpha1.LabelClusterUUID: "3f2b6c1e-0000-4000-8000-000000000000"},
	}}
	if err := management.Client.Create(ctx, orphan); err != nil {
		t.Fatal(err)
	}
	shown := func() (services, names int) {
		list := &coordinationv1.LeaseList{}
		if err := management.Client.List(ctx, list, client.InNamespace(v1alpha1.Namespace)); err != nil {
			t.Fatal(err)
		}
		for _, l := range list.Items {
			if l.Spec.HolderIdentity != nil && *l.Spec.HolderIdentity == "gone-host" {
				services++
			}
			if l.Name == orphan.Name {
				names++
			}
		}
		return services, names
	}
	for _, is := range []struct {
		reason          string
		later           time.Duration
		services, names int
	}{
		{"it is down, and its operator wants to see that", 5 * time.Minute, 1, 1},
		{"no record came for the name", 20 * time.Minute, 1, 0},
		{"nobody waits for that host any more", 61 * time.Minute, 0, 0},
	} {
		now = time.Now().Add(is.later)
		if err := s.Tidy(ctx); err != nil {
			t.Fatal(err)
		}
		if services, names := shown(); services != is.services || names != is.names {
			t.Errorf("after %s: %d services, %d names, want %d and %d: %s", is.later, services, names, is.services, is.names, is.reason)
		}
	}
}

func TestACredentialIsStoredForItsClusterOnly(t *testing.T) {
	s := newStore(t)
	ctx, g := t.Context(), member(t, "secrets")
	c, err := s.CreateCluster(ctx, g, example("secrets", "s"), 10)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.PutCloudConfig(ctx, g, c.UUID, []byte("clouds: {}"), nil); err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: v1alpha1.Namespace, Name: c.StackID + "-cloud-config"}
	if err := management.Client.Get(ctx, key, secret); err != nil {
		t.Fatal(err)
	}
	if _, there := secret.Data["cacert"]; there {
		t.Error("an empty cacert hides the authorities that CAPO trusts by itself")
	}
	secret.Labels[v1alpha1.LabelClusterUUID] = "another"
	if err := management.Client.Update(ctx, secret); err != nil {
		t.Fatal(err)
	}
	if err := s.PutCloudConfig(ctx, g, c.UUID, []byte("clouds: {a: b}"), nil); err == nil || !strings.Contains(err.Error(), "belongs to another cluster") {
		t.Errorf("another cluster's credential is written over: %v", err)
	}
	if err := management.Client.Get(ctx, key, secret); err != nil || string(secret.Data["clouds.yaml"]) != "clouds: {}" {
		t.Errorf("%q, %v", secret.Data["clouds.yaml"], err)
	}
}

// Whoever asks for something hears of other people's requests only when they contradict theirs.
func TestManyChangesAtOnceAreSettledHere(t *testing.T) {
	s := newStore(t)
	ctx, g := t.Context(), policy.System("test")
	c, err := s.CreateCluster(ctx, g, example("parallel", "p"), 10)
	if err != nil {
		t.Fatal(err)
	}
	record := &v1alpha1.MagnumCluster{}
	if err := management.Client.Get(ctx, client.ObjectKey{Namespace: v1alpha1.Namespace, Name: c.UUID}, record); err != nil {
		t.Fatal(err)
	}
	for _, o := range store.DefaultNodeGroups(record) {
		o.CreationTimestamp = metav1.Time{}
		if err := management.Client.Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	groups, err := s.NodeGroups(ctx, g, c.UUID)
	if err != nil {
		t.Fatal(err)
	}
	const writers = 12
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			_, err := s.UpdateNodeGroup(context.Background(), g, c.UUID, groups[1].UUID, func(g *magnum.NodeGroup) error { g.AskSize(i, nil); return nil })
			if err != nil {
				t.Errorf("resize to %d: %v", i, err)
			}
		})
	}
	all.Wait()
	got, err := s.NodeGroup(ctx, g, c.UUID, groups[1].UUID)
	if err != nil || got.Resize != writers {
		t.Errorf("%d of %d requests are kept, %v", got.Resize, writers, err)
	}
}
