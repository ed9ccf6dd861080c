package capi

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
)

// Purpose is what a key pair of a cluster is for; it ends its Secret's name.
type Purpose string

// The purposes, as Cluster API's kubeadm providers look for them.
const (
	CA             Purpose = "ca"    // signs the API server's and users' certificates
	EtcdCA         Purpose = "etcd"  // signs etcd's certificates
	FrontProxyCA   Purpose = "proxy" // signs the aggregation layer's
	ServiceAccount Purpose = "sa"    // signs service account tokens; "certificate" is the public key
)

// KeyPair is a certificate, or a public key, and its private key, both PEM.
type KeyPair struct{ Certificate, Key []byte }

// Purposes lists what a cluster needs a KeyPair for.
func Purposes() []Purpose { return []Purpose{CA, EtcdCA, FrontProxyCA, ServiceAccount} }

// KeyPairSecretName is the name of the Secret that holds a cluster's key pair.
func KeyPairSecretName(stackID string, p Purpose) string { return stackID + "-" + string(p) }

// KeyPairSecret holds one of a cluster's key pairs for Cluster API, which adopts it and deletes it with the cluster.
func KeyPairSecret(c *magnum.Cluster, p Purpose, pair KeyPair) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name: KeyPairSecretName(c.StackID, p), Namespace: Namespace,
			Labels: map[string]string{UUIDLabel: c.UUID, clusterv1.ClusterNameLabel: c.StackID}, // the former finds all of a cluster's
		},
		Type: clusterv1.ClusterSecretType,
		Data: map[string][]byte{corev1.TLSCertKey: pair.Certificate, corev1.TLSPrivateKeyKey: pair.Key},
	}
}

// CloudConfigSecretName is the name of the Secret with a cluster's Credential.
func CloudConfigSecretName(stackID string) string { return stackID + cloudConfigSuffix }

const cloudConfigSuffix = "-cloud-config"
