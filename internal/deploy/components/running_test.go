package components_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/components"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/site"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

// manager is a component's workload, and image what runs of it.
type manager struct{ component, namespace, name, container, image string }

func managers(certManager, capi, bootstrap, capo, orc string) []manager {
	return []manager{
		{"cert-manager", "cert-manager", "cert-manager", "cert-manager-controller", "quay.io/jetstack/cert-manager-controller:v" + certManager},
		{"cluster-api", "capi-system", "capi-controller-manager", "manager", "registry.k8s.io/cluster-api/cluster-api-controller:v" + capi},
		{"kubeadm-bootstrap", "capi-kubeadm-bootstrap-system", "capi-kubeadm-bootstrap-controller-manager", "manager", "mirror:5000/kubeadm-bootstrap-controller:v" + bootstrap + "@sha256:abc"},
		{"cluster-api-openstack", "capo-system", "capo-controller-manager", "manager", "registry.k8s.io/capi-openstack/capi-openstack-controller:v" + capo},
		{"orc", "orc-system", "orc-controller-manager", "manager", "quay.io/orc/openstack-resource-controller:v" + orc},
	}
}

// workload is a Deployment of one container.
func workload(m manager) *appsv1.Deployment {
	labels := map[string]string{"app": m.name}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: m.name},
		Spec: appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: labels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: m.container, Image: m.image}}},
		}},
	}
}

// A cloud that OpenStack-Ansible 2026.1 deployed has newer components than a bundle may have: none goes back without a
// word.
func TestComponentsDoNotGoBack(t *testing.T) {
	in := deploytest.Seed(t)
	b := deploytest.Bundle()
	b.Components = nil
	for _, m := range managers("1.11.5", "1.14.2", "1.14.2", "0.13.0", "2.2.0") {
		b.Components = append(b.Components, site.Component{Name: m.component, Manifest: fmt.Appendf(nil,
			"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s, namespace: %s}\nspec: {template: {spec: {containers: [{name: %s, image: \"%s\"}]}}}\n",
			m.name, m.namespace, m.container, m.image)})
	}
	scheme, err := site.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		reason string
		runs   []manager
		want   []string
	}{
		{reason: "nothing runs"},
		{reason: "the same runs", runs: managers("1.11.5", "1.14.2", "1.14.2", "0.13.0", "2.2.0")},
		{reason: "one minor of each, and three of Cluster API", runs: managers("1.10.0", "1.11.0", "1.11.0", "0.12.9", "2.1.0")},
		{
			reason: "OpenStack-Ansible 2026.1", runs: managers("1.20.2", "1.13.2", "1.13.2", "0.14.4", "2.5.0"),
			want: []string{
				"cert-manager 1.20.2 -> 1.11.5 is a downgrade: use a bundle that has 1.20.2 or newer",
				"cluster-api-openstack 0.14.4 -> 0.13.0 is a downgrade: use a bundle that has 0.14.4 or newer",
				"orc 2.5.0 -> 2.2.0 is a downgrade: use a bundle that has 2.5.0 or newer",
			},
		},
		{reason: "newer Cluster API", runs: managers("1.11.5", "1.14.3", "1.15.0", "0.13.0", "2.2.0"), want: []string{
			"cluster-api 1.14.3 -> 1.14.2 is a downgrade: use a bundle that has 1.14.3 or newer",
			"kubeadm-bootstrap 1.15.0 -> 1.14.2 is a downgrade: use a bundle that has 1.15.0 or newer",
		}},
		{reason: "the seed's, all of them far behind", runs: managers("1.9.1", "1.8.4", "1.8.4", "0.11.2", "2.0.0"), want: []string{
			"cert-manager 1.9.1 -> 1.11.5 skips minor versions: go through 1.10 first",
			"cluster-api 1.8.4 -> 1.14.2 skips minor versions: go through 1.11 first",
			"kubeadm-bootstrap 1.8.4 -> 1.14.2 skips minor versions: go through 1.11 first",
			"cluster-api-openstack 0.11.2 -> 0.13.0 skips minor versions: go through 0.12 first",
			"orc 2.0.0 -> 2.2.0 skips minor versions: go through 2.1 first",
		}},
		{reason: "images without a version say nothing", runs: managers("x", "latest", "main", "dev", "1")},
	}
	for _, tt := range tests {
		t.Run(tt.reason, func(t *testing.T) {
			var there []client.Object
			for _, m := range tt.runs {
				there = append(there, workload(m))
			}
			c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(there...).Build()
			_, running, err := components.Compare(t.Context(), c, in, b)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range components.Back(running)(plan.Plan{}) {
				if f.Judge != "downgrade" || !f.Blocks {
					t.Errorf("%s: %s", f.Judge, f.Text)
				}
				got = append(got, f.Text)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A cluster that is there and silent must not look as if all of it were to be created.
func TestSilentClusterIsNotNew(t *testing.T) {
	w := deploytest.Want(t, deploytest.Seed(t), deploytest.Facts(deploytest.Seed(t)))
	for _, tt := range []struct {
		there bool
		want  plan.Action
		says  string
	}{{false, plan.Create, ""}, {true, plan.Update, "not compared: nobody answers"}} {
		changes, err := components.NotCompared(w.Intent, w.Bundle, tt.there, "nobody answers")
		if err != nil || len(changes) < 2 {
			t.Fatalf("%d changes, %v", len(changes), err)
		}
		last := changes[len(changes)-1] // the first is CoreDNS, which kubeadm makes
		if last.Action != tt.want || last.Summary != tt.says {
			t.Errorf("there %v: %s %q, want %s %q", tt.there, last.Action, last.Summary, tt.want, tt.says)
		}
	}
}
