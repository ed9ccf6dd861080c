package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/events"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/openstack"
)

// ailing is a cloud that does not make what it was asked for.
type ailing struct {
	Cloud // what is not asked here

	credential, octavia error
	status              string
	since               time.Time
	fault, console      string
	asked               []string
}

func (a *ailing) Works(context.Context) error {
	a.asked = append(a.asked, "keystone")
	return a.credential
}

func (a *ailing) ServerFault(_ context.Context, id string) (string, error) {
	a.asked = append(a.asked, "nova "+id)
	return a.fault, nil
}

func (a *ailing) ServerConsole(_ context.Context, id string) (string, error) {
	a.asked = append(a.asked, "console "+id)
	if a.console == "" {
		return "", openstack.ErrForbidden
	}
	return a.console, nil
}

func (a *ailing) LoadBalancerState(_ context.Context, name string) (string, time.Time, error) {
	a.asked = append(a.asked, "octavia "+name)
	return a.status, a.since, a.octavia
}

// sick is a round of a cluster whose network and load balancer are not there, five minutes after it was made.
func sick(t *testing.T, cloud *ailing, objects ...client.Object) (*Reconciler, *scope) {
	t.Helper()
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	const group = "infrastructure.cluster.x-k8s.io"
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{{Group: group, Version: "v1beta1"}, {Group: group, Version: "v1alpha1"}})
	for kind, version := range map[string]string{"OpenStackCluster": "v1beta1", "OpenStackServer": "v1alpha1"} {
		mapper.Add(schema.GroupVersionKind{Group: group, Version: version, Kind: kind}, meta.RESTScopeNamespace)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: v1alpha1.Namespace, Name: capi.CloudConfigSecretName("kube-abcde"), Labels: map[string]string{v1alpha1.LabelClusterUUID: "7a8f"},
	}}
	c := fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(mapper).WithObjects(append(objects, secret)...).
		WithIndex(&corev1.Event{}, "involvedObject.kind", func(o client.Object) []string { return []string{o.(*corev1.Event).InvolvedObject.Kind} }).
		WithIndex(&corev1.Event{}, "involvedObject.name", func(o client.Object) []string { return []string{o.(*corev1.Event).InvolvedObject.Name} }).Build()
	now := time.Date(2026, 1, 2, 3, 14, 0, 0, time.UTC)
	r := &Reconciler{
		Client: c, Reader: c, Recorder: events.NewFakeRecorder(10), Now: func() time.Time { return now }, Log: slog.New(slog.DiscardHandler),
		CloudFor: func(context.Context, []byte) (Cloud, error) {
			if errors.Is(cloud.credential, openstack.ErrUnauthorized) {
				return nil, cloud.credential
			}
			return cloud, nil
		},
	}
	record := &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: "7a8f", Generation: 1}}
	record.Spec.StackID, record.Spec.MasterLBEnabled, record.Status.Status = "kube-abcde", true, "CREATE_IN_PROGRESS"
	made := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Name: "kube-abcde", CreationTimestamp: metav1.NewTime(now.Add(-5 * time.Minute))}}
	made.Spec.InfrastructureRef = clusterv1.ContractVersionedObjectReference{Kind: "OpenStackCluster", Name: "kube-abcde-x"}
	s := &scope{record: record, before: record.DeepCopy(), stack: &kube.Stack{Cluster: made}, log: r.Log, observed: capi.Observed{Cluster: made}}
	return r, s
}

func serverInError(id string) client.Object {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "infrastructure.cluster.x-k8s.io/v1alpha1", "kind": "OpenStackServer",
		"metadata": map[string]any{"name": "kube-abcde-cp-1", "namespace": "magnum-system", "labels": map[string]any{clusterv1.ClusterNameLabel: "kube-abcde"}},
		"status": map[string]any{
			"instanceID": id, "instanceState": "ERROR",
			"conditions": []any{map[string]any{"type": "InstanceReady", "status": "False", "reason": "InstanceStateError"}},
		},
	}}
	return u
}

func serverRuns(id string) client.Object {
	u := serverInError(id).(*unstructured.Unstructured) //nolint:forcetypeassert // made above
	u.Object["status"] = map[string]any{
		"instanceID": id, "instanceState": "ACTIVE", "ready": true,
		"conditions": []any{map[string]any{"type": "InstanceReady", "status": "True"}},
	}
	return u
}

// nodeless is the machine of that server, which has not become a node.
func nodeless(since time.Time) *clusterv1.Machine {
	m := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Name: "cp-1"}}
	m.Spec.InfrastructureRef.Name = "kube-abcde-cp-1"
	m.Status.Conditions = []metav1.Condition{{Type: clusterv1.MachineInfrastructureReadyCondition, Status: metav1.ConditionTrue, LastTransitionTime: metav1.NewTime(since)}}
	return m
}

func TestTheCloudIsAsked(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 14, 0, 0, time.UTC)
	const lb = "k8s-clusterapi-cluster-magnum-system-kube-abcde-kubeapi"
	for name, is := range map[string]struct {
		reason  string
		cloud   ailing
		objects []client.Object
		change  func(*scope)
		says    string // "" is nothing
	}{
		"an expired credential": {
			reason: "CAPO writes it to its log only", cloud: ailing{credential: fmt.Errorf("log in: %w", openstack.ErrUnauthorized)},
			change: func(s *scope) { s.record.Status.Status = "UPDATE_IN_PROGRESS" },
			says:   "application credential no longer works: it has expired, was deleted, or its user was. Give the cluster a new one with PATCH /v1/credentials/7a8f",
		},
		"one that expired too early": {
			reason: "the API gives no other to a cluster that never came up", cloud: ailing{credential: fmt.Errorf("log in: %w", openstack.ErrUnauthorized)},
			change: func(s *scope) { s.record.Status.Status = "CREATE_IN_PROGRESS" }, says: "or its user was. Delete the cluster and make it again",
		},
		"no Keystone": {
			reason: "nothing can be said of the rest", cloud: ailing{credential: fmt.Errorf("ask Keystone: %w (HTTP 503)", openstack.ErrUnavailable)}, says: "the cloud cannot be asked: ask Keystone: unavailable (HTTP 503)",
		},
		"Octavia is down": {
			reason: "CAPO waits without a word", cloud: ailing{octavia: fmt.Errorf("ask Octavia for a load balancer: %w (HTTP 503)", openstack.ErrUnavailable)},
			says: "the load balancer of the API: ask Octavia for a load balancer: unavailable (HTTP 503)",
		},
		"Octavia gave up":  {reason: "", cloud: ailing{status: "ERROR"}, says: "Octavia could not make the load balancer of the API, " + lb},
		"Octavia's worker": {reason: "its API answers, and nobody does the work", cloud: ailing{status: "PENDING_CREATE", since: start.Add(-2 * time.Minute)}, says: "since 03:12 UTC: its provisioning status is PENDING_CREATE"},
		"Octavia works":    {reason: "half a minute is nothing", cloud: ailing{status: "PENDING_CREATE", since: start.Add(-30 * time.Second)}},
		"a young cluster": {
			reason: "most of what is missing is only being made", cloud: ailing{status: "ERROR"},
			change: func(s *scope) {
				s.stack.Cluster.CreationTimestamp = metav1.NewTime(start.Add(-10 * time.Second))
			},
		},
		"no load balancer wanted": {reason: "then there is none to ask for", cloud: ailing{octavia: openstack.ErrUnavailable}, change: func(s *scope) { s.record.Spec.MasterLBEnabled = false }},
		"no valid host":           {reason: "Nova is asked by the server's ID", cloud: ailing{fault: "No valid host was found."}, objects: []client.Object{serverInError("i-1")}, says: "Nova could not start its server i-1: No valid host was found."},
		"an image without kubeadm": {
			reason: "Nova shows the console to those who may see the server", cloud: ailing{console: "runcmd: 2: kubeadm: not found\n"}, objects: []client.Object{serverRuns("i-1")},
			change: func(s *scope) { s.observed.Machines = []*clusterv1.Machine{nodeless(start.Add(-2 * time.Minute))} }, says: "its server i-1 has run since 03:12 UTC without becoming a node: its image has no kubeadm",
		},
		"a console that is nobody's business": {
			reason: "Nova's policy may keep it from its owner, which is no trouble of the cluster's", objects: []client.Object{serverRuns("i-1")},
			change: func(s *scope) { s.observed.Machines = []*clusterv1.Machine{nodeless(start.Add(-2 * time.Minute))} },
		},
		"at rest":   {reason: "nobody waits for anything", cloud: ailing{octavia: openstack.ErrUnavailable}, change: func(s *scope) { s.record.Status.Status, s.record.Status.ObservedGeneration = "CREATE_COMPLETE", 1 }},
		"in memory": {reason: "there is no cloud", cloud: ailing{octavia: openstack.ErrUnavailable}, change: func(s *scope) { s.stack.Cluster.Spec.InfrastructureRef.Kind = "DevCluster" }},
	} {
		t.Run(name, func(t *testing.T) {
			r, s := sick(t, &is.cloud, is.objects...)
			if is.change != nil {
				is.change(s)
			}
			r.troubles(t.Context(), s)
			got := fmt.Sprint(s.record.Status.Troubles)
			if (len(s.record.Status.Troubles) == 0) != (is.says == "") || !strings.Contains(got, is.says) {
				t.Errorf("%s, want %q: %s", got, is.says, is.reason)
			}
			if is.says != "" && s.record.Status.Troubles[0].Machine == "" && !strings.Contains(s.observed.Reason(), is.says) {
				t.Errorf("the reason is %q: %s", s.observed.Reason(), is.reason)
			}
		})
	}
}

// However often a cluster's objects change, its cloud is asked in peace, and what never changes is asked once.
func TestTheCloudIsNotAskedTooOften(t *testing.T) {
	cloud := &ailing{fault: "No valid host was found."}
	r, s := sick(t, cloud, serverInError("i-1"))
	now := r.Now()
	r.Now = func() time.Time { return now }
	rounds := func(n int) time.Duration {
		var again time.Duration
		for range n {
			s.cloud, s.before = nil, s.record.DeepCopy()
			again = r.troubles(t.Context(), s)
		}
		return again
	}
	if again := rounds(20); len(cloud.asked) != 3 || again != lookEvery {
		t.Errorf("in one moment it was asked %q; again in %s", cloud.asked, again)
	}
	now = now.Add(lookEvery)
	if rounds(20); len(cloud.asked) != 5 {
		t.Errorf("after %s it was asked %q, want Nova asked once", lookEvery, cloud.asked)
	}
	if n := len(r.Recorder.(*events.FakeRecorder).Events); n != 1 {
		t.Errorf("one trouble made %d events", n)
	}
	s.record.Status.Status = "CREATE_FAILED"
	now = now.Add(lookEvery)
	if rounds(1); len(cloud.asked) != 5 {
		t.Errorf("a failed cluster's cloud is asked as often as another's: %q", cloud.asked)
	}
	s.record.Status.Status, s.record.Status.ObservedGeneration = "CREATE_COMPLETE", 1
	if again := rounds(1); again != 0 || len(s.record.Status.Troubles) > 0 || len(r.looks.at) > 0 {
		t.Errorf("of a cluster at rest something is left: %v, %v, again in %s", s.record.Status.Troubles, r.looks.at, again)
	}
}

// noted keeps what events are about, which the recorder of client-go's tests does not.
type noted struct{ list []string }

func (n *noted) Eventf(of, _ runtime.Object, kind, reason, _, note string, args ...any) {
	name := "?"
	if o, ok := of.(client.Object); ok {
		name = o.GetName()
	}
	n.list = append(n.list, fmt.Sprintf("%s %s %s: ", name, kind, reason)+fmt.Sprintf(note, args...))
}

// An event about a machine names it, and is its node group's.
func TestATroubleNamesItsMachine(t *testing.T) {
	r, s := sick(t, &ailing{fault: "No valid host was found."}, serverInError("i-1"))
	s.record.Spec.MasterLBEnabled = false
	m := nodeless(time.Time{})
	m.Status.Conditions, m.Labels = nil, map[string]string{clusterv1.MachineControlPlaneLabel: ""}
	s.observed.Machines = []*clusterv1.Machine{m}
	masters := v1alpha1.MagnumNodeGroup{ObjectMeta: metav1.ObjectMeta{Name: "5a5a"}}
	masters.Spec.Name, masters.Spec.Role = magnum.DefaultMaster, magnum.RoleMaster
	const says = "Warning Cloud: machine %s: Nova could not start its server i-1: No valid host was found."
	for reason, is := range map[string]struct {
		groups []v1alpha1.MagnumNodeGroup
		want   string
	}{
		"the group's": {[]v1alpha1.MagnumNodeGroup{masters}, "5a5a " + fmt.Sprintf(says, "cp-1")},
		"nobody's":    {nil, "7a8f " + fmt.Sprintf(says, "kube-abcde-cp-1")},
	} {
		to := &noted{}
		r.Recorder, s.groups = to, is.groups
		r.looks.forget("7a8f")
		if r.troubles(t.Context(), s); len(to.list) != 1 || !strings.HasPrefix(to.list[0], is.want) {
			t.Errorf("%s: %q, want %q", reason, to.list, is.want)
		}
	}
}

// A machine that Cluster API writes to in the same moment is tried again soon, without asking Nova about it once more.
func TestARefusedServersConflict(t *testing.T) {
	m := nodeless(time.Time{})
	m.Namespace, m.Name, m.Status.Conditions = v1alpha1.Namespace, "w-1", nil
	m.Labels = map[string]string{clusterv1.ClusterNameLabel: "kube-abcde", clusterv1.ClusterTopologyMachineDeploymentNameLabel: "default-worker"}
	m.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 2, 3, 9, 0, 0, time.UTC))
	cloud := &ailing{fault: "No valid host was found."}
	r, s := sick(t, cloud, serverInError("i-1"), m)
	s.record.Spec.MasterLBEnabled = false
	s.stack.Cluster.Spec.Topology.ControlPlane.HealthCheck.Enabled = new(true)
	read := func() {
		t.Helper()
		if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(m), m); err != nil {
			t.Fatal(err)
		}
		s.observed.Machines = []*clusterv1.Machine{m.DeepCopy()}
	}
	read()
	m.Annotations = map[string]string{"cluster-api": "was here"}
	if err := r.Client.Update(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if again := r.troubles(t.Context(), s); again != conflictAgain {
		t.Errorf("tried again in %s", again)
	}
	read()
	r.troubles(t.Context(), s)
	if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(m), m); err == nil {
		t.Error("the machine is still there")
	}
	if n := strings.Count(strings.Join(cloud.asked, ","), "nova"); n != 1 {
		t.Errorf("asked was %q", cloud.asked)
	}
}

// A machine whose server Nova refuses is made anew after a while, with the cause told, also in a cluster at rest, and
// not in one that goes.
func TestARefusedServerIsAskedForAgain(t *testing.T) {
	for name, is := range map[string]struct {
		reason string
		change func(*scope)
		said   string // "" is nothing
		again  time.Duration
	}{
		"a cluster that is made": {
			"the provider of Cluster API never asks again", func(*scope) {},
			"MachineReplaced machine w-1 is replaced: Nova could not start its server i-1: No valid host was found.", lookEvery,
		},
		"a cluster at rest": {
			"a health check has replaced a node, or the autoscaler wants one more",
			func(s *scope) { s.record.Status.Status, s.record.Status.ObservedGeneration = "CREATE_COMPLETE", 1 },
			"MachineReplaced machine w-1 is replaced: Nova could not start its server i-1: No valid host was found.", lookSeldom,
		},
		"a cluster that goes": {
			"its machines go with it", func(s *scope) { s.record.DeletionTimestamp = new(metav1.Now()) }, "", lookEvery,
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := nodeless(time.Time{})
			m.Namespace, m.Name, m.Status.Conditions = v1alpha1.Namespace, "w-1", nil
			m.Labels = map[string]string{clusterv1.ClusterNameLabel: "kube-abcde", clusterv1.ClusterTopologyMachineDeploymentNameLabel: "default-worker"}
			m.CreationTimestamp = metav1.NewTime(time.Date(2026, 1, 2, 3, 9, 0, 0, time.UTC))
			r, s := sick(t, &ailing{fault: "No valid host was found."}, serverInError("i-1"), m)
			s.record.Spec.MasterLBEnabled = false
			s.stack.Cluster.Spec.Topology.ControlPlane.HealthCheck.Enabled = new(true)
			if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(m), m); err != nil {
				t.Fatal(err)
			}
			s.observed.Machines = []*clusterv1.Machine{m}
			is.change(s)
			if again := r.troubles(t.Context(), s); again != is.again {
				t.Errorf("the next look is in %s, want %s", again, is.again)
			}
			said := ""
			for len(r.Recorder.(*events.FakeRecorder).Events) > 0 {
				if e := <-r.Recorder.(*events.FakeRecorder).Events; strings.Contains(e, "MachineReplaced") {
					said += e
				}
			}
			if (said == "") != (is.said == "") || !strings.Contains(said, is.said) {
				t.Errorf("told was %q, want %q: %s", said, is.said, is.reason)
			}
			if err := r.Client.Get(t.Context(), client.ObjectKeyFromObject(m), m); (err != nil) != (is.said != "") {
				t.Errorf("its machine: %v: %s", err, is.reason)
			}
		})
	}
}
