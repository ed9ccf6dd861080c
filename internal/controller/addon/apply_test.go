package addon

import (
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	catalogue "github.com/jeroboam-cloud/jeroboam/internal/addon"
)

// TestEveryKindIsAppliedOnce: another process applies everything once, because it knows nothing, and no object is
// written by it.
func TestEveryKindIsAppliedOnce(t *testing.T) {
	w := newWorld(t, catalogueOf(t, tenKinds()))
	w.round()
	versions := func() map[string]string {
		out := map[string]string{}
		for _, is := range []struct {
			name   string
			object client.Object
		}{
			{"cloud-config", &corev1.Secret{}},
			{"network", &corev1.ConfigMap{}},
			{"idle", &corev1.ServiceAccount{}},
			{"idle", &corev1.Service{}},
			{"idle", &appsv1.Deployment{}},
			{"idle", &appsv1.DaemonSet{}},
			{"idle", &rbacv1.Role{}},
			{"idle", &rbacv1.RoleBinding{}},
		} {
			if err := workloads.Get(t.Context(), client.ObjectKey{Namespace: catalogue.Namespace, Name: is.name}, is.object); err != nil {
				t.Fatal(err)
			}
			out[fmt.Sprintf("%T %s", is.object, is.name)] = is.object.GetResourceVersion()
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

func TestOneLine(t *testing.T) {
	for _, tc := range []struct{ reason, text, want string }{
		{"lines become one", "a\n\tb  c\r\n", "a b c"},
		{"a terminal is not told what to do", "\x1b[2Jgone \x07\u202eback", "[2Jgone back"},
		{"other languages are printed", "Größe 大", "Größe 大"},
		{"what is no text is left out", "a\xffb", "a\ufffdb"},
	} {
		if got := oneLine(tc.text); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.reason, got, tc.want)
		}
	}
	if got := oneLine(strings.Repeat("x", 10<<20)); len(got) > 500 {
		t.Errorf("%d bytes are left of ten million", len(got))
	}
}
