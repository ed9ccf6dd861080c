package store

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/policy"
)

// caSuffix says in which Secret an authority lies: Cluster API's names, so that the kubeadm control plane takes them as
// they are. The key is Magnum's ca_cert_type.
func caSuffix(kind string) (string, bool) {
	suffix, ok := map[string]string{"kubernetes": "-ca", "etcd": "-etcd", "front_proxy": "-proxy"}[kind]
	return suffix, ok
}

// CertificateAuthority returns certificate and private key of one of a cluster's authorities, PEM, never cached.
func (s *Store) CertificateAuthority(ctx context.Context, g policy.Grant, clusterUUID, kind string) (certPEM, keyPEM []byte, err error) {
	c, err := s.clusterByUUID(ctx, g, clusterUUID)
	if err != nil {
		return nil, nil, err
	}
	suffix, ok := caSuffix(kind)
	if !ok {
		return nil, nil, magnum.Invalid("Invalid certificate type %q: must be kubernetes, etcd or front_proxy.", kind)
	}
	secret := &corev1.Secret{}
	if err := s.client.Get(ctx, key(c.StackID+suffix), secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil, magnum.NotFound("Certificates of cluster %s are not made yet; try again in a moment.", clusterUUID)
		}
		return nil, nil, refusal(err, "read")
	}
	return secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey], nil
}

// Kubeconfig returns the kubeconfig that Cluster API has made for a cluster, never cached: whoever has it is its
// administrator.
func (s *Store) Kubeconfig(ctx context.Context, g policy.Grant, clusterUUID string) ([]byte, error) {
	c, err := s.clusterByUUID(ctx, g, clusterUUID)
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{}
	if err := s.client.Get(ctx, key(kube.KubeconfigSecretName(c.StackID)), secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, magnum.Conflict("Cluster %s has no API server yet.", clusterUUID)
		}
		return nil, refusal(err, "read")
	}
	return secret.Data[kube.KubeconfigKey], nil
}

// PutCloudConfig stores the credential a cluster uses in its owner's cloud, as the Secret <stack>-cloud-config that
// Cluster API's OpenStack provider reads (names as the Python driver's).
func (s *Store) PutCloudConfig(ctx context.Context, g policy.Grant, clusterUUID string, cloudsYAML, cacert []byte) error {
	c, err := s.clusterByUUID(ctx, g, clusterUUID)
	if err != nil {
		return err
	}
	r := &v1alpha1.MagnumCluster{}
	if err := s.client.Get(ctx, key(clusterUUID), r); err != nil {
		return refusal(err, "read")
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: c.StackID + "-cloud-config", Namespace: v1alpha1.Namespace,
			Labels: map[string]string{
				v1alpha1.LabelClusterUUID: clusterUUID,
				// Cluster API's label: only Secrets that carry it are in its controllers' caches.
				"cluster.x-k8s.io/cluster-name": c.StackID,
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion().String(), Kind: "MagnumCluster", Name: r.Name, UID: r.UID,
			}},
		},
		Data: map[string][]byte{"clouds.yaml": cloudsYAML},
	}
	if len(cacert) > 0 { // an empty one would hide the authorities that CAPO itself trusts
		secret.Data["cacert"] = cacert
	}
	err = s.client.Create(ctx, secret, kube.FieldOwner)
	if apierrors.IsAlreadyExists(err) {
		have := &corev1.Secret{}
		if err = s.client.Get(ctx, client.ObjectKeyFromObject(secret), have); err == nil {
			if !kube.Belongs(have, clusterUUID) {
				return fmt.Errorf("the secret %s belongs to another cluster than %s", secret.Name, clusterUUID)
			}
			have.Data = secret.Data
			err = s.client.Update(ctx, have, kube.FieldOwner)
		}
	}
	if err != nil {
		return fmt.Errorf("store the cloud credential of cluster %s: %w", clusterUUID, refusal(err, "store"))
	}
	return nil
}
