package addon_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/jeroboam-cloud/jeroboam/internal/addon"
)

func TestTrouble(t *testing.T) {
	for name, is := range map[string]struct{ reason, pods, want string }{
		"a mirror that has nothing": {
			reason: "the operator has to fill it",
			pods: `[{metadata: {name: b}}, {metadata: {name: a}, status: {containerStatuses: [{name: x, image: "mirror:5000/m/cilium:v1",
				state: {waiting: {reason: ImagePullBackOff, message: "Back-off pulling image: not found"}}}]}}]`,
			want: "pod a: the image mirror:5000/m/cilium:v1 cannot be pulled (ImagePullBackOff): Back-off pulling image: not found",
		},
		"before the main one": {
			reason: "containers that only start others are pulled first",
			pods:   `[{metadata: {name: a}, status: {initContainerStatuses: [{name: x, image: i, state: {waiting: {reason: ErrImagePull, message: m}}}]}}]`,
			want:   "pod a: the image i cannot be pulled (ErrImagePull): m",
		},
		"a program that ends": {
			reason: "its log says why",
			pods:   `[{metadata: {name: a}, status: {containerStatuses: [{name: x, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {reason: OOMKilled}}}]}}]`,
			want:   "pod a: container x keeps exiting (OOMKilled): see its log",
		},
		"being made": {reason: "nothing is wrong", pods: `[{metadata: {name: a}, status: {containerStatuses: [{name: x, state: {waiting: {reason: ContainerCreating}}}]}}]`},
		"none":       {reason: "nobody says anything", pods: `[]`},
	} {
		t.Run(name, func(t *testing.T) {
			list := object(t, "{items: "+is.pods+"}")
			var pods []unstructured.Unstructured
			items, _, _ := unstructured.NestedSlice(list.Object, "items")
			for _, item := range items {
				pods = append(pods, unstructured.Unstructured{Object: item.(map[string]any)}) //nolint:forcetypeassert // written above
			}
			if got := addon.Trouble(pods); got != is.want {
				t.Errorf("%q, want %q: %s", got, is.want, is.reason)
			}
		})
	}
}
