package nodegroup

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// shelf answers as controller-runtime's cache does, through the indexes of package kube and without copies, and counts
// the machines that it hands out.
type shelf struct {
	client.Client // nil: nobody writes

	keys     map[reflect.Type]map[string]client.IndexerFunc
	indexed  map[string][]runtime.Object // type, field and value
	named    map[string]client.Object    // type and name
	machines int
}

func newShelf(tb testing.TB) *shelf {
	tb.Helper()
	s := &shelf{keys: map[reflect.Type]map[string]client.IndexerFunc{}, indexed: map[string][]runtime.Object{}, named: map[string]client.Object{}}
	if err := kube.AddIndexes(tb.Context(), s); err != nil {
		tb.Fatal(err)
	}
	return s
}

// IndexField implements client.FieldIndexer.
func (s *shelf) IndexField(_ context.Context, o client.Object, field string, key client.IndexerFunc) error {
	kind := reflect.TypeOf(o).Elem()
	if s.keys[kind] == nil {
		s.keys[kind] = map[string]client.IndexerFunc{}
	}
	s.keys[kind][field] = key
	return nil
}

func (s *shelf) add(o client.Object) {
	kind := reflect.TypeOf(o).Elem()
	s.named[kind.Name()+"/"+o.GetName()] = o
	for field, key := range s.keys[kind] {
		for _, value := range key(o) {
			at := kind.Name() + "/" + field + "/" + value
			s.indexed[at] = append(s.indexed[at], o)
		}
	}
}

// Get implements client.Reader.
func (s *shelf) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	kind := reflect.TypeOf(into).Elem()
	o, there := s.named[kind.Name()+"/"+key.Name]
	if !there {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(o).Elem())
	return nil
}

// List implements client.Reader.
func (s *shelf) List(_ context.Context, list client.ObjectList, opts ...client.ListOption) error {
	o := client.ListOptions{}
	o.ApplyOptions(opts)
	kind := reflect.TypeOf(list).Elem().Name()
	by := o.FieldSelector.Requirements()
	if len(by) != 1 {
		return fmt.Errorf("%s are looked for by %s, which no index answers", kind, o.FieldSelector)
	}
	items := s.indexed[kind[:len(kind)-len("List")]+"/"+by[0].Field+"/"+by[0].Value]
	if kind == "MachineList" {
		s.machines += len(items)
	}
	return meta.SetList(list, items)
}

const ofAGroup = 10 // machines of the group that something happens to

// crowd is a cluster of six groups: one of ten machines, where something happens to one, and five that share the rest.
func crowd(tb testing.TB, machines int) (r *Reconciler, moved *clusterv1.Machine) {
	tb.Helper()
	s := newShelf(tb)
	const stack, uuid = "kube-abc12", "7a8f1d0c-52b7-4c1e-9a55-3f3e1a2b4c5d"
	record := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: uuid, Namespace: v1alpha1.Namespace}}
	record.Spec.StackID = stack
	s.add(record)
	c := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{
		Name: stack, Namespace: v1alpha1.Namespace, Labels: map[string]string{v1alpha1.LabelClusterUUID: uuid},
	}}
	s.add(c)
	sizes := slices.Concat([]int{ofAGroup}, slices.Repeat([]int{(machines - ofAGroup) / 5}, 5))
	for i, size := range sizes {
		g := &v1alpha1.MagnumNodeGroup{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("group-%d", i), Namespace: v1alpha1.Namespace}}
		g.Spec.ClusterID, g.Spec.StackID, g.Spec.Name, g.Spec.Role, g.Spec.NodeCount = uuid, stack, g.Name, magnum.RoleWorker, size
		s.add(g)
		for j := range size {
			m := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
				Name: fmt.Sprintf("%s-%s-%d", stack, g.Name, j), Namespace: v1alpha1.Namespace,
				Labels: map[string]string{clusterv1.ClusterNameLabel: stack, clusterv1.ClusterTopologyMachineDeploymentNameLabel: g.Name},
			}}
			m.Status.Addresses = clusterv1.MachineAddresses{{Type: clusterv1.MachineInternalIP, Address: "10.0.0.1"}}
			s.add(m)
			if i == 0 {
				moved = m
			}
		}
	}
	return &Reconciler{Client: s, Log: slog.New(slog.DiscardHandler)}, moved
}

// happen is what one event of a machine costs: who is woken by it, and what they read.
func happen(tb testing.TB, r *Reconciler, m *clusterv1.Machine) (woken int) {
	tb.Helper()
	for _, req := range r.requestsByStack(tb.Context(), m) {
		woken++
		scope, err := r.read(tb.Context(), req)
		if err != nil || len(scope.observed.GroupMachines(scope.group)) != ofAGroup {
			tb.Fatalf("%+v, %v", scope, err)
		}
	}
	return woken
}

// A machine of a large cluster costs what one of a small cluster costs.
func TestAnEventOfAMachineReadsItsGroup(t *testing.T) {
	for _, machines := range []int{60, 510} {
		r, m := crowd(t, machines)
		shelf, ok := r.Client.(*shelf)
		if !ok {
			t.Fatal("no shelf")
		}
		if woken := happen(t, r, m); woken != 1 || shelf.machines != ofAGroup {
			t.Errorf("of %d machines, an event of one wakes %d groups and reads %d machines", machines, woken, shelf.machines)
		}
		master := m.DeepCopy()
		delete(master.Labels, clusterv1.ClusterTopologyMachineDeploymentNameLabel)
		master.Labels[clusterv1.MachineControlPlaneLabel] = ""
		if woken := r.requestsByStack(t.Context(), master); len(woken) > 0 {
			t.Errorf("a master's machine wakes groups of workers: %v", woken)
		}
	}
}

func BenchmarkAnEventOfAMachine(b *testing.B) {
	for _, machines := range []int{60, 510, 5010} {
		b.Run(fmt.Sprintf("machines=%d", machines), func(b *testing.B) {
			r, m := crowd(b, machines)
			for b.Loop() {
				happen(b, r, m)
			}
		})
	}
}
