package inmemory

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

// Nodes are typed as the provider makes them and untyped after a client wrote them: kubectl sees both.
func TestKubectlGetNodes(t *testing.T) {
	ca := newAuthority(t, x509.ExtKeyUsageClientAuth)
	i := newInfrastructure(t, fake.NewFakeClient(ca.secret("a-ca")), PortRange{24400, 24499})
	url := serve(t, i, "ns/a", ca)
	c := i.Manager.GetResourceGroup("ns/a").GetClient()
	for _, name := range []string{"n0", "n1"} {
		if err := c.Create(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			t.Fatal(err)
		}
	}
	written := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "n1"}}}
	if err := c.Get(t.Context(), types.NamespacedName{Name: "n1"}, written); err != nil {
		t.Fatal(err)
	}
	if err := c.Patch(t.Context(), written, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{ca.client}}}
	defer transport.CloseIdleConnections()
	for query, want := range map[string][]any{"": {"n0", "n1"}, "?labelSelector=a%3Db": {"n1"}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/nodes"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json")
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		body, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		table := &metav1.Table{}
		if err := json.Unmarshal(body, table); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		var got []any
		for _, r := range table.Rows {
			got = append(got, r.Cells[0])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s%s", query, diff, body)
		}
	}
}

func TestTableOfNodes(t *testing.T) {
	now := time.Unix(10_000, 0)
	node := func(name string, ready corev1.ConditionStatus, labels map[string]string) corev1.Node {
		return corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, CreationTimestamp: metav1.NewTime(now.Add(-5 * time.Minute))},
			Status:     corev1.NodeStatus{NodeInfo: corev1.NodeSystemInfo{KubeletVersion: "v1.33.0"}, Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}}},
		}
	}
	drained := node("b", corev1.ConditionFalse, nil)
	drained.Spec.Unschedulable = true
	table := tableOf([]corev1.Node{drained, node("a", corev1.ConditionTrue, map[string]string{"node-role.kubernetes.io/control-plane": ""})}, now)
	var got [][]any
	for _, r := range table.Rows {
		got = append(got, r.Cells)
	}
	want := [][]any{
		{"a", "Ready", "control-plane", "5m", "v1.33.0"},
		{"b", "NotReady,SchedulingDisabled", "<none>", "5m", "v1.33.0"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
