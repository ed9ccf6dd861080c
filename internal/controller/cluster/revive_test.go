package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// compute is a cloud of which only Nova is asked.
type compute struct {
	Cloud

	project string
	gone    bool
	err     error
	servers []string
	abroad  bool // another region's
}

func (c *compute) FindServerGroup(_ context.Context, name string) (string, error) {
	if c.abroad || name != "kube-abcde" {
		return "", errors.New("not found")
	}
	return "5e12", nil
}

func (c *compute) ProjectID() string { return c.project }

func (c *compute) ServerGone(_ context.Context, id string) (bool, error) {
	if id != "5e1f" {
		return true, nil // whatever else is asked for is not there
	}
	return c.gone, c.err
}

func (c *compute) ServersNamed(_ context.Context, prefix string) ([]string, error) {
	return slices.DeleteFunc(slices.Clone(c.servers), func(name string) bool { return !strings.HasPrefix(name, prefix) }), c.err
}

// bereaved is a cluster with one master, which does not answer.
type bereaved struct {
	t      *testing.T
	cloud  compute
	client client.Client
	r      *Reconciler
	events *events.FakeRecorder
	now    time.Time
	// What writes to statuses and deletions fail with.
	failWith   func(o client.Object) error
	failDelete error
}

func bereave(t *testing.T) *bereaved {
	t.Helper()
	b := &bereaved{t: t, cloud: compute{project: "p1"}, events: events.NewFakeRecorder(20), now: time.Date(2026, 1, 2, 3, 14, 0, 0, time.UTC)}
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{
			Namespace: v1alpha1.Namespace, Name: name, UID: "u-1", CreationTimestamp: metav1.NewTime(b.now.Add(-time.Hour)),
			Labels: map[string]string{v1alpha1.LabelClusterUUID: "7a8f", clusterv1.ClusterNameLabel: "kube-abcde"},
		}
	}
	c := &clusterv1.Cluster{ObjectMeta: meta("kube-abcde")}
	c.Spec.Topology.ControlPlane.HealthCheck.Enabled = new(true)
	c.Status.Initialization.ControlPlaneInitialized = new(true)
	c.Status.Conditions = []metav1.Condition{
		{Type: clusterv1.ClusterRemoteConnectionProbeCondition, Status: metav1.ConditionFalse}, {Type: clusterv1.ClusterControlPlaneInitializedCondition, Status: metav1.ConditionTrue},
	}
	k := &controlplanev1.KubeadmControlPlane{ObjectMeta: meta("kube-abcde-x1y2z")}
	k.Spec.Replicas, k.Status.Initialization.ControlPlaneInitialized = new(int32(1)), new(true)
	m := &clusterv1.Machine{ObjectMeta: meta("kube-abcde-x1y2z-aaaaa")}
	m.Labels[clusterv1.MachineControlPlaneLabel] = ""
	m.Spec.ProviderID, m.Status.NodeRef.Name, m.Spec.Bootstrap.DataSecretName = "openstack:///5e1f", m.Name, new("data")
	w := &clusterv1.Machine{ObjectMeta: meta("kube-abcde-default-worker-qqqqq-bbbbb")}
	w.Labels[clusterv1.ClusterTopologyMachineDeploymentNameLabel] = "default-worker"
	w.Status.NodeRef.Name = w.Name
	secret := &corev1.Secret{ObjectMeta: meta(capi.CloudConfigSecretName("kube-abcde"))}
	b.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(c, k, m, w, secret).WithStatusSubresource(c, k, m, w).
		WithInterceptorFuncs(interceptor.Funcs{SubResourcePatch: func(ctx context.Context, cl client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			if b.failWith != nil {
				if err := b.failWith(o); err != nil {
					return err
				}
			}
			return cl.SubResource(sub).Patch(ctx, o, p, opts...)
		}, Delete: func(ctx context.Context, cl client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			if b.failDelete != nil {
				return b.failDelete
			}
			return cl.Delete(ctx, o, opts...)
		}}).Build()
	b.r = &Reconciler{
		Client: b.client, Reader: b.client, Recorder: b.events, Now: func() time.Time { return b.now }, Log: slog.New(slog.DiscardHandler),
		CloudFor: func(context.Context, []byte) (Cloud, error) { return &b.cloud, nil },
	}
	return b
}

func (b *bereaved) stack() *kube.Stack {
	b.t.Helper()
	stack, err := kube.ReadStackLive(b.t.Context(), b.client, "kube-abcde", "7a8f")
	if err != nil {
		b.t.Fatal(err)
	}
	return stack
}

// round runs the phase as a round a while later does, and tells what was said and whether there will be another.
func (b *bereaved) round() (said []string, again time.Duration) {
	b.t.Helper()
	b.now = b.now.Add(time.Minute)
	record := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: "7a8f"}}
	record.Spec.StackID, record.Spec.ProjectID = "kube-abcde", "p1"
	stack := b.stack()
	s := &scope{record: record, stack: stack, log: b.r.Log, observed: capi.Observed{Cluster: stack.Cluster, ControlPlane: stack.ControlPlane, Machines: stack.Machines}}
	if out, err := b.r.revive(b.t.Context(), s); err != nil || !out.Done() {
		b.t.Fatalf("nothing else may wait for it: %v %v", out, err)
	}
	for {
		select {
		case e := <-b.events.Events:
			said = append(said, e)
		default:
			return said, s.again
		}
	}
}

// newcomer puts the machine that Cluster API makes in the place of the lost one.
func (b *bereaved) newcomer() {
	b.t.Helper()
	m := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{
		Namespace: v1alpha1.Namespace, Name: "kube-abcde-x1y2z-ccccc", CreationTimestamp: metav1.NewTime(b.now),
		Labels: map[string]string{clusterv1.ClusterNameLabel: "kube-abcde", clusterv1.MachineControlPlaneLabel: ""},
	}}
	if err := b.client.Create(b.t.Context(), m); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bereaved) machines() (names []string) {
	for _, m := range b.stack().Machines {
		names = append(names, m.Name)
	}
	return names
}

func (b *bereaved) initialized() (ofPlane, ofCluster bool) {
	stack := b.stack()
	return *stack.ControlPlane.Status.Initialization.ControlPlaneInitialized, *stack.Cluster.Status.Initialization.ControlPlaneInitialized
}

// TestALostMasterIsGivenUp only on Nova's word.
func TestALostMasterIsGivenUp(t *testing.T) {
	for name, is := range map[string]struct {
		reason string
		cloud  compute
		gone   bool
	}{
		"its server is gone":      {"Nova says 404", compute{project: "p1", gone: true}, true},
		"its server is there":     {"it may come back, or only the network is down", compute{project: "p1"}, false},
		"Nova does not answer":    {"nothing is known", compute{project: "p1", gone: true, err: errors.New("HTTP 503")}, false},
		"the credential is other": {"it sees servers of another project only", compute{project: "p2", gone: true}, false},
		"Nova is another one":     {"no region has another one's servers", compute{project: "p1", gone: true, abroad: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := bereave(t)
			b.cloud = is.cloud
			said, again := b.round()
			if left := b.machines(); slices.Contains(left, "kube-abcde-x1y2z-aaaaa") == is.gone || len(left) != 2 && !is.gone {
				t.Errorf("%s: %v", is.reason, left)
			}
			if plane, cluster := b.initialized(); plane == is.gone || cluster == is.gone {
				t.Errorf("initialized: %t %t", plane, cluster)
			}
			if told := len(said) == 2 && strings.Contains(said[1], "ControlPlaneAnew") && strings.Contains(said[0], "ControlPlaneLost") && strings.Contains(said[0], "5e1f"); told != is.gone || again == 0 {
				t.Errorf("it is told %q, and looked at again in %s", said, again)
			}
		})
	}
}

// TestBegunAnew goes from the lost machine to another control plane, and is killed between any two writes.
func TestBegunAnew(t *testing.T) {
	b := bereave(t)
	b.cloud.gone = true
	killed := errors.New("killed")
	b.failWith = func(client.Object) error { return killed }
	b.round()
	b.failWith = func(o client.Object) error {
		if _, is := o.(*clusterv1.Cluster); is {
			return killed
		}
		return nil
	}
	b.round()
	if plane, cluster := b.initialized(); plane || !cluster {
		t.Fatalf("the control plane is forgotten first: %t %t", plane, cluster)
	}
	b.failWith, b.failDelete = nil, killed
	b.round()
	if plane, cluster := b.initialized(); plane || cluster || len(b.machines()) != 2 {
		t.Fatalf("initialized: %t %t, with %v: it is forgotten before the machine goes, or the next one is to join", plane, cluster, b.machines())
	}
	b.failDelete = nil
	if said, _ := b.round(); len(b.machines()) != 1 || len(said) != 2 {
		t.Fatalf("%v are left; told: %q", b.machines(), said)
	}
	b.newcomer()
	if said, again := b.round(); len(said) > 0 || again != 0 {
		t.Errorf("it is done, and %q, again in %s", said, again)
	}
	b.initialize()
	said, _ := b.round()
	if left := b.machines(); !slices.Equal(left, []string{"kube-abcde-x1y2z-ccccc"}) || len(said) != 1 || !strings.Contains(said[0], "WorkerReplaced") {
		t.Errorf("the worker is unknown, and %v are left; told: %q", left, said)
	}
	if said, again := b.round(); len(said) > 0 || again != 0 {
		t.Errorf("nothing is left to do, and %q, again in %s", said, again)
	}
}

// TestSomebodyDeletedTheMachine and Cluster API has made another one, which it lets wait.
func TestSomebodyDeletedTheMachine(t *testing.T) {
	b := bereave(t)
	b.cloud.servers = []string{"kube-abcde-x1y2z-aaaaa", "kube-abcde-default-worker-qqqqq-bbbbb", "kube-abcde-x1y2z-of-a-group"}
	for _, m := range b.stack().Machines {
		if _, master := m.Labels[clusterv1.MachineControlPlaneLabel]; master {
			if err := b.client.Delete(t.Context(), m); err != nil {
				t.Fatal(err)
			}
		}
	}
	b.newcomer()
	if said, again := b.round(); len(said) > 0 || again == 0 {
		t.Errorf("Nova has a server of the control plane, and %q", said)
	}
	if plane, cluster := b.initialized(); !plane || !cluster {
		t.Fatal("given up while a server of the control plane runs")
	}
	b.cloud.servers = b.cloud.servers[1:]
	said, _ := b.round()
	if plane, cluster := b.initialized(); plane || cluster || len(said) != 1 || !strings.Contains(said[0], "ControlPlaneAnew") {
		t.Fatalf("initialized: %t %t; told: %q", plane, cluster, said)
	}
	if said, again := b.round(); len(said) > 0 || again != 0 {
		t.Errorf("it is done, and %q, again in %s", said, again)
	}
}

// TestALostWorkerIsMadeAnew on Nova's word, also when it is the only one of its group, which Cluster API leaves as it
// is.
func TestALostWorkerIsMadeAnew(t *testing.T) {
	for name, is := range map[string]struct {
		reason string
		cloud  compute
		change func(*bereaved, *clusterv1.Machine)
		gone   bool
		again  time.Duration
	}{
		"its server is gone":     {"Nova says 404", compute{project: "p1", gone: true}, nil, true, lookSeldom},
		"its server is there":    {"it may come back", compute{project: "p1"}, nil, false, lookSeldom},
		"Nova does not answer":   {"nothing is known", compute{project: "p1", gone: true, err: errors.New("HTTP 503")}, nil, false, lookSeldom},
		"Nova is another one":    {"no region has another one's servers", compute{project: "p1", gone: true, abroad: true}, nil, false, lookSeldom},
		"its node is healthy":    {"then nobody is asked", compute{project: "p1", gone: true}, func(_ *bereaved, m *clusterv1.Machine) { m.Status.Conditions[0].Status = metav1.ConditionTrue }, false, 0},
		"it was never a node":    {"its server is only being made", compute{project: "p1", gone: true}, func(_ *bereaved, m *clusterv1.Machine) { m.Status.NodeRef.Name = "" }, false, 0},
		"it is no server at all": {"the simulation's machines are none of Nova's", compute{project: "p1", gone: true}, func(_ *bereaved, m *clusterv1.Machine) { m.Spec.ProviderID = "in-memory:///x" }, false, lookSeldom},
		"healing is off":         {"the owner decides himself", compute{project: "p1", gone: true}, func(b *bereaved, _ *clusterv1.Machine) { b.heals(false) }, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := bereave(t)
			b.initialize() // the API server answers
			b.cloud = is.cloud
			var worker *clusterv1.Machine
			for _, m := range b.stack().Machines {
				if m.Name == "kube-abcde-default-worker-qqqqq-bbbbb" {
					worker = m.DeepCopy()
				}
			}
			worker.Spec.ProviderID = "openstack:///5e1f"
			worker.Status.Conditions[0].Reason = clusterv1.MachineNodeNotHealthyReason
			if is.change != nil {
				is.change(b, worker)
			}
			b.write(worker)
			said, again := b.round()
			if left := b.machines(); slices.Contains(left, worker.Name) == is.gone || again != is.again {
				t.Errorf("%v are left, and looked at again in %s: %s", left, again, is.reason)
			}
			if told := len(said) == 1 && strings.Contains(said[0], "WorkerReplaced") && strings.Contains(said[0], "5e1f"); told != is.gone {
				t.Errorf("it is told %q", said)
			}
		})
	}
}

// TestAConflictIsTriedAgainSoon: Cluster API writes to a machine in the moment in which it is deleted, which says
// nothing about its server.
func TestAConflictIsTriedAgainSoon(t *testing.T) {
	b := bereave(t)
	b.initialize()
	b.cloud = compute{project: "p1", gone: true}
	for _, m := range b.stack().Machines {
		if m.Name == "kube-abcde-default-worker-qqqqq-bbbbb" {
			m.Spec.ProviderID, m.Status.Conditions[0].Reason = "openstack:///5e1f", clusterv1.MachineNodeNotHealthyReason
			b.write(m)
		}
	}
	changed := apierrors.NewConflict(schema.GroupResource{Resource: "machines"}, "kube-abcde-default-worker-qqqqq-bbbbb", errors.New("the object has been modified"))
	b.failDelete = changed
	if said, again := b.round(); len(said) > 0 || again != conflictAgain || len(b.machines()) != 2 {
		t.Errorf("told %q, and again in %s", said, again)
	}
	b.failDelete, b.now = nil, b.now.Add(conflictAgain-time.Minute) // a round is a minute
	if said, _ := b.round(); len(said) != 1 || len(b.machines()) != 1 {
		t.Errorf("%s later it is told %q, and %v are left", conflictAgain, said, b.machines())
	}
	for _, err := range []error{nil, errors.New("no"), errors.Join(errors.New("no"), apierrors.NewNotFound(schema.GroupResource{}, "m"))} {
		if conflicted(err) {
			t.Errorf("%v is no conflict", err)
		}
	}
	if !conflicted(errors.Join(apierrors.NewForbidden(schema.GroupResource{}, "m", nil), fmt.Errorf("delete machine: %w", changed))) {
		t.Error("one of two is a conflict")
	}
}

// write brings a machine's spec and status to the API server.
func (b *bereaved) write(m *clusterv1.Machine) {
	b.t.Helper()
	status := m.Status
	if err := b.client.Update(b.t.Context(), m); err != nil {
		b.t.Fatal(err)
	}
	m.Status = status
	if err := b.client.Status().Update(b.t.Context(), m); err != nil {
		b.t.Fatal(err)
	}
}

// heals turns healing on or off.
func (b *bereaved) heals(on bool) {
	b.t.Helper()
	c := b.stack().Cluster.DeepCopy()
	c.Spec.Topology.ControlPlane.HealthCheck.Enabled = new(on)
	if err := b.client.Update(b.t.Context(), c); err != nil {
		b.t.Fatal(err)
	}
}

// initialize does what Cluster API does then: the control plane is there, and does not know the worker.
func (b *bereaved) initialize() {
	b.t.Helper()
	stack := b.stack()
	c := stack.Cluster.DeepCopy()
	c.Status.Initialization.ControlPlaneInitialized = new(true)
	for i := range c.Status.Conditions {
		c.Status.Conditions[i].Status = metav1.ConditionTrue
	}
	if err := b.client.Status().Update(b.t.Context(), c); err != nil {
		b.t.Fatal(err)
	}
	for _, m := range stack.Machines {
		if _, master := m.Labels[clusterv1.MachineControlPlaneLabel]; master {
			continue
		}
		m.Status.Conditions = []metav1.Condition{{Type: clusterv1.MachineNodeHealthyCondition, Status: metav1.ConditionFalse, Reason: clusterv1.MachineNodeDeletedReason}}
		if err := b.client.Status().Update(b.t.Context(), m); err != nil {
			b.t.Fatal(err)
		}
	}
}
