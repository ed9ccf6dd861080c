package cluster

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// nova has server groups by name.
type nova struct {
	Cloud
	groups []string
}

func (n *nova) EnsureServerGroup(_ context.Context, name, _ string) (string, error) {
	n.groups = append(n.groups, name)
	return "id-of-" + name, nil
}

func (n *nova) DeleteServerGroup(_ context.Context, name string) error {
	n.groups = slices.DeleteFunc(n.groups, func(g string) bool { return g == name })
	return nil
}

// A node group that is deleted as soon as it was made is in the cache for a moment longer than its own controller knows
// it: a server group that is made for it then would stay as long as the cluster.
func TestAServerGroupDoesNotOutliveItsNodeGroup(t *testing.T) {
	for name, is := range map[string]struct {
		reason string
		record *v1alpha1.MagnumNodeGroup
		kept   bool
	}{
		"here":     {"it needs one", &v1alpha1.MagnumNodeGroup{}, true},
		"gone":     {"nobody would take it away", nil, false},
		"deleting": {"its own controller may have taken the group away", &v1alpha1.MagnumNodeGroup{ObjectMeta: metav1.ObjectMeta{DeletionTimestamp: new(metav1.Now()), Finalizers: []string{v1alpha1.Finalizer}}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			scheme, err := kube.NewScheme()
			if err != nil {
				t.Fatal(err)
			}
			b := fake.NewClientBuilder().WithScheme(scheme).WithObjects(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{
				Namespace: v1alpha1.Namespace, Name: capi.CloudConfigSecretName("kube-abcde"), Labels: map[string]string{v1alpha1.LabelClusterUUID: "7a8f"},
			}})
			if is.record != nil {
				is.record.Namespace, is.record.Name = v1alpha1.Namespace, "1111"
				b = b.WithObjects(is.record)
			}
			cloud := &nova{}
			r := &Reconciler{Reader: b.Build(), CloudFor: func(context.Context, []byte) (Cloud, error) { return cloud, nil }}
			s := &scope{
				record: &v1alpha1.MagnumCluster{ObjectMeta: metav1.ObjectMeta{Name: "7a8f"}}, stack: &kube.Stack{}, words: &magnum.Cluster{},
				servers: map[string]string{}, members: []*magnum.NodeGroup{{UUID: "1111", Name: "more", Role: magnum.RoleWorker}},
			}
			s.record.Spec.StackID = "kube-abcde"
			out, err := r.serverGroups(t.Context(), s)
			if err != nil || out.Done() != is.kept || len(s.servers) > 0 != is.kept {
				t.Errorf("%+v, %v, %v: %s", out, s.servers, err, is.reason)
			}
			if kept := slices.Equal(cloud.groups, []string{"kube-abcde-more"}); kept != is.kept {
				t.Errorf("Nova has %v: %s", cloud.groups, is.reason)
			}
		})
	}
}
