package addon

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/manifests"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/label"
)

const autoscaler = "kube-aaaaa-autoscaler"

// at reads what has the autoscaler's name in the management cluster, and tells whether it is there.
func (w *world) at(o client.Object) bool {
	w.t.Helper()
	err := w.management.Get(w.t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: autoscaler}, o)
	if client.IgnoreNotFound(err) != nil {
		w.t.Fatal(err)
	}
	return err == nil
}

// machine is one of the cluster's.
func (w *world) machine(stack, name string, master bool) {
	w.t.Helper()
	labels := map[string]string{clusterv1.ClusterNameLabel: stack, v1alpha1.LabelClusterUUID: uuid}
	if master {
		labels[clusterv1.MachineControlPlaneLabel] = ""
	}
	m := &clusterv1.Machine{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: name, Labels: labels}}
	if err := w.management.Create(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) mayMark() []string {
	w.t.Helper()
	role := &rbacv1.Role{}
	if !w.at(role) {
		w.t.Fatal("there is no role")
	}
	var names []string
	for _, r := range role.Rules {
		if slices.Contains(r.Resources, "machines") && slices.Contains(r.Verbs, "update") {
			names = append(names, r.ResourceNames...)
			if len(r.ResourceNames) == 0 {
				w.t.Error("it may change every machine")
			}
		}
	}
	return names
}

// TestAutoscaler is the life of a cluster's autoscaler in the management cluster.
func TestAutoscaler(t *testing.T) {
	w := newWorld(t, catalogueOf(t, needed(map[string]string{catalogue.Autoscaler: deployment(autoscaler)})))
	w.round()
	if s := w.state(catalogue.Autoscaler); s.State != v1alpha1.AddonSkipped || w.at(&appsv1.Deployment{}) {
		t.Fatalf("nobody has asked for it: %+v", s)
	}

	w.r.pods = true
	w.edit(func(c *v1alpha1.MagnumCluster) { c.Spec.Labels[label.AutoScalingEnabled] = "true" })
	w.machine("kube-aaaaa", "master", true)
	w.machine("kube-aaaaa", "worker-1", false)
	w.machine("kube-other", "stranger", false)
	w.round()
	if s := w.state(catalogue.Autoscaler); s.State != v1alpha1.AddonProgressing || !strings.HasPrefix(s.Reason, "in the management cluster: ") {
		t.Errorf("while it does not run: %+v", s)
	}
	if got := w.mayMark(); !slices.Equal(got, []string{"worker-1"}) {
		t.Errorf("it may mark %v", got)
	}
	for _, o := range []client.Object{&appsv1.Deployment{}, &rbacv1.Role{}, &rbacv1.RoleBinding{}, &corev1.ServiceAccount{}} {
		if !w.at(o) || len(o.GetOwnerReferences()) != 1 || o.GetLabels()[v1alpha1.LabelClusterUUID] != uuid {
			t.Errorf("%T: owners %v, labels %v", o, o.GetOwnerReferences(), o.GetLabels())
		}
	}
	there := &appsv1.Deployment{}
	if err := workloads.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: autoscaler}, there); err == nil {
		t.Error("the workload cluster has it as well")
	}

	// It grows the cluster: its rights follow.
	w.machine("kube-aaaaa", "worker-2", false)
	w.round()
	if got := w.mayMark(); !slices.Equal(got, []string{"worker-1", "worker-2"}) {
		t.Errorf("with another machine it may mark %v", got)
	}

	// Somebody stops it.
	d := &appsv1.Deployment{}
	w.at(d)
	d.Spec.Replicas, d.Generation = new(int32(0)), d.Generation+1
	if err := w.management.Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	w.round()
	if w.at(d); d.Spec.Replicas == nil || *d.Spec.Replicas != 1 {
		t.Errorf("it stays stopped: %v", d.Spec.Replicas)
	}
	d.Status = appsv1.DeploymentStatus{ObservedGeneration: d.Generation, Replicas: 1, UpdatedReplicas: 1, ReadyReplicas: 1, AvailableReplicas: 1}
	if err := w.management.Status().Update(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	w.round()
	if s := w.state(catalogue.Autoscaler); s.State != v1alpha1.AddonAvailable {
		t.Errorf("it runs: %+v", s)
	}

	// Somebody gives it more rights, takes its account away, or lets somebody else be it.
	role, account, binding := &rbacv1.Role{}, &corev1.ServiceAccount{}, &rbacv1.RoleBinding{}
	w.at(role)
	right := slices.Clone(role.Rules)
	role.Rules = append(role.Rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}})
	w.at(binding)
	binding.Subjects[0].Name = "default"
	w.at(account)
	for _, err := range []error{w.management.Update(t.Context(), role), w.management.Update(t.Context(), binding), w.management.Delete(t.Context(), account)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.round()
	if w.at(role); !equality.Semantic.DeepEqual(role.Rules, right) {
		t.Errorf("it keeps rights that somebody gave it: %v", role.Rules)
	}
	if w.at(binding); binding.Subjects[0].Name != autoscaler {
		t.Errorf("its rights are somebody else's: %v", binding.Subjects)
	}
	if !w.at(account) {
		t.Error("it has no account")
	}
	was := role.ResourceVersion
	w.round()
	if w.at(role); role.ResourceVersion != was {
		t.Error("a round in which nothing has changed writes the role")
	}

	// The catalogue has none any more; then it has one again, and the cluster is deleted.
	w.restart(catalogueOf(t, needed(nil)))
	w.r.pods = true
	w.round()
	for _, o := range []client.Object{&appsv1.Deployment{}, &rbacv1.Role{}, &rbacv1.RoleBinding{}, &corev1.ServiceAccount{}} {
		if w.at(o) {
			t.Errorf("%T is left", o)
		}
	}
	w.restart(catalogueOf(t, needed(map[string]string{catalogue.Autoscaler: deployment(autoscaler)})))
	w.r.pods = true
	w.round()
	record := w.record(uuid)
	record.Finalizers = []string{"test/stay"}
	if err := w.management.Update(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	if err := w.management.Delete(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	w.round()
	for _, o := range []client.Object{&appsv1.Deployment{}, &rbacv1.Role{}, &rbacv1.RoleBinding{}, &corev1.ServiceAccount{}} {
		if w.at(o) {
			t.Errorf("%T is left of a cluster that is being deleted", o)
		}
	}
}

// TestAForeignAutoscalerStays: what has the name and not the cluster's label is not ours to delete.
func TestAForeignAutoscalerStays(t *testing.T) {
	w := newWorld(t, catalogueOf(t, needed(nil)))
	w.r.pods = true
	foreign := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: autoscaler}}
	if err := w.management.Create(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	if err := w.r.dismiss(t.Context(), w.record(uuid)); err != nil {
		t.Fatal(err)
	}
	if !w.at(foreign) {
		t.Error("it is gone")
	}
}

// TestTheServerHasWhatItGives: Kubernetes lets nobody give rights that they do not have themselves.
func TestTheServerHasWhatItGives(t *testing.T) {
	text, err := manifests.FS.ReadFile(manifests.Access)
	if err != nil {
		t.Fatal(err)
	}
	var own []rbacv1.PolicyRule
	for _, part := range strings.Split(string(text), "\n---\n") {
		role := rbacv1.Role{}
		if err := yaml.Unmarshal([]byte(part), &role); err != nil {
			t.Fatal(err)
		}
		own = append(own, role.Rules...)
	}
	has := func(group, resource, verb string) bool {
		return slices.ContainsFunc(own, func(r rbacv1.PolicyRule) bool {
			return slices.Contains(r.APIGroups, group) && slices.Contains(r.Resources, resource) && slices.Contains(r.Verbs, verb) && len(r.ResourceNames) == 0
		})
	}
	u := catalogue.AutoscalerRole(catalogue.Cluster{Stack: "s"}, catalogue.Scaled{Deployments: []string{"d"}, Machines: []string{"m"}, Templates: []string{"t"}})
	given := rbacv1.Role{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &given); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, r := range given.Rules {
		for _, resource := range r.Resources {
			for _, verb := range r.Verbs {
				if count++; !has(r.APIGroups[0], resource, verb) {
					t.Errorf("it gives %s of %s.%s, and rbac.yaml has it not", verb, resource, r.APIGroups[0])
				}
			}
		}
	}
	if count < 15 {
		t.Errorf("only %d rights are given: %v", count, given.Rules)
	}
}
