package nodegroup

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

func TestANodeBecomesAsItsGroupIs(t *testing.T) {
	type labels = map[string]string
	none := capi.Registration{}
	theirs := corev1.Taint{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoExecute}
	gpu := magnum.Taint{Key: "gpu", Value: "yes", Effect: "NoSchedule"}
	node := func(l labels, note string, taints ...corev1.Taint) *corev1.Node {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", ResourceVersion: "7", Labels: l}}
		if note != "" {
			n.Annotations = labels{managedAnnotation: note}
		}
		n.Spec.Taints = taints
		return n
	}
	for name, is := range map[string]struct {
		reason     string
		node       *corev1.Node
		labels     labels
		taints     []magnum.Taint
		registered capi.Registration
		want       string
	}{
		"a label and a taint come": {
			"what others set stays", node(labels{"kubernetes.io/os": "linux"}, "", theirs),
			labels{"a": "b"},
			[]magnum.Taint{gpu},
			none,
			`{"metadata":{"annotations":{"magnum.jeroboam.cloud/managed":"{\"labels\":[\"a\"],\"taints\":[\"gpu:NoSchedule\"]}"},"labels":{"a":"b"},"resourceVersion":"7"},` +
				`"spec":{"taints":[{"key":"node.kubernetes.io/not-ready","effect":"NoExecute"},{"key":"gpu","value":"yes","effect":"NoSchedule"}]}}`,
		},
		"nothing to do": {
			"", node(labels{"a": "b"}, `{"labels":["a"],"taints":["gpu:NoSchedule"]}`, corev1.Taint{Key: "gpu", Value: "yes", Effect: "NoSchedule"}),
			labels{"a": "b"},
			[]magnum.Taint{gpu},
			none, "",
		},
		"another value": {
			"", node(labels{"a": "b"}, `{"labels":["a"]}`),
			labels{"a": "c"},
			nil, none,
			`{"metadata":{"labels":{"a":"c"},"resourceVersion":"7"}}`,
		},
		"they are taken away": {
			"", node(labels{"a": "b", "x": "y"}, `{"labels":["a"],"taints":["gpu:NoSchedule"]}`, theirs, corev1.Taint{Key: "gpu", Effect: "NoSchedule"}), nil, nil, none,
			`{"metadata":{"annotations":{"magnum.jeroboam.cloud/managed":"{}"},"labels":{"a":null},"resourceVersion":"7"},"spec":{"taints":[{"key":"node.kubernetes.io/not-ready","effect":"NoExecute"}]}}`,
		},
		"a kubelet registered with them": {
			"the node was made when the group had them, and nobody noted that", node(labels{"old": "1"}, "", corev1.Taint{Key: "gone", Effect: "NoExecute"}), nil, nil,
			capi.Registration{Labels: []string{"old"}, Taints: []magnum.Taint{{Key: "gone", Effect: "NoExecute"}}},
			`{"metadata":{"annotations":{"magnum.jeroboam.cloud/managed":"{}"},"labels":{"old":null},"resourceVersion":"7"},"spec":{"taints":[]}}`,
		},
		"a taint with another value": {
			"", node(nil, `{"taints":["gpu:NoSchedule"]}`, corev1.Taint{Key: "gpu", Value: "no", Effect: "NoSchedule"}), nil,
			[]magnum.Taint{gpu},
			none,
			`{"metadata":{"resourceVersion":"7"},"spec":{"taints":[{"key":"gpu","value":"yes","effect":"NoSchedule"}]}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if is.node.Annotations == nil && is.want == "" {
				t.Fatal("a node without the annotation always needs it")
			}
			got := string(nodePatch(is.node, is.labels, is.taints, is.registered))
			if diff := cmp.Diff(is.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", is.reason, diff)
			}
		})
	}
}
