package cluster

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
)

// TestTheRotationOfBefore: what another rotation has left behind is thrown away only if that rotation has done nothing
// yet. Else its pairs are all that can end it: what it has written would be taken for an authority of its own.
func TestTheRotationOfBefore(t *testing.T) {
	const stack = "kube-abcde"
	labels := map[string]string{v1alpha1.LabelClusterUUID: "7a8f"}
	for name, is := range map[string]struct {
		reason string
		before string // that the other rotation found
		refuse string
	}{
		"nothing was written": {"a request that nobody has begun with", "old", ""},
		"half way":            {"the authority's Secret trusts two by now", "older", "belongs to another rotation, which is not finished"},
	} {
		t.Run(name, func(t *testing.T) {
			authority := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.Namespace, Name: capi.KeyPairSecretName(stack, capi.FrontProxyCA), Labels: labels},
				Data:       map[string][]byte{corev1.TLSCertKey: []byte("old"), corev1.TLSPrivateKeyKey: []byte("key")},
			}
			kept := &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{
					Namespace: v1alpha1.Namespace, Name: rotationSecretName(stack), Labels: labels, Annotations: map[string]string{rotationAnnotation: "1"},
				},
				Data: map[string][]byte{"before.crt": []byte(is.before), "before.key": []byte("key"), "after.crt": []byte("new"), "after.key": []byte("k")},
			}
			r, s := sick(t, &ailing{}, authority, kept)
			r.Rand = rand.Reader
			s.record.Spec.Name, s.record.Spec.Rotation = "k", v1alpha1.Rotation{Generation: 2, Authority: "front_proxy"}
			s.refresh()
			rotation, err := r.readRotation(t.Context(), s)
			now := &corev1.Secret{}
			if missing := r.Client.Get(t.Context(), client.ObjectKeyFromObject(kept), now); missing != nil {
				t.Fatal(missing, err)
			}
			if is.refuse != "" {
				if err == nil || !strings.Contains(err.Error(), is.refuse) || !cmp.Equal(kept.Data, now.Data) {
					t.Errorf("%s: %v", is.reason, err)
				}
				return
			}
			if err != nil || string(rotation.before.Certificate) != "old" || now.Annotations[rotationAnnotation] != "2" {
				t.Errorf("%s: %v, %v", is.reason, err, now.Annotations)
			}
		})
	}
}
