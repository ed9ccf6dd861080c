package addon

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
)

// TestEveryKindIsAppliedOnce: another process applies everything once, because it knows nothing, and no object is written by it.
func TestEveryKindIsAppliedOnce(t *testing.T) {
	w := newWorld(t, catalogueOf(t, tenKinds()))
	w.round()
	versions := func() map[string]string {
		out := map[string]string{}
		for name, o := range map[string]client.Object{
			"cloud-config": &corev1.Secret{}, "network": &corev1.ConfigMap{}, "idle/account": &corev1.ServiceAccount{}, "idle/service": &corev1.Service{},
			"idle/deployment": &appsv1.Deployment{}, "idle/daemonset": &appsv1.DaemonSet{}, "idle/role": &rbacv1.Role{}, "idle/binding": &rbacv1.RoleBinding{},
		} {
			key := client.ObjectKey{Namespace: catalogue.Namespace, Name: map[bool]string{true: "idle", false: name}[len(name) > 5 && name[:5] == "idle/"]}
			if err := workloads.Get(t.Context(), key, o); err != nil {
				t.Fatal(err)
			}
			out[name] = o.GetResourceVersion()
		}
		return out
	}
	before := versions()
	w.restart(catalogueOf(t, tenKinds()))
	w.round()
	for name, v := range versions() {
		if before[name] != v {
			t.Errorf("%s was written by a process that had nothing to change", name)
		}
	}
}
