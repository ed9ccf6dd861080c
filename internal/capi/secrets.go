package capi

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/yaml"

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
	s := secret(c, KeyPairSecretName(c.StackID, p), clusterv1.ClusterSecretType)
	s.Labels[clusterv1.ClusterNameLabel] = c.StackID
	s.Data = map[string][]byte{corev1.TLSCertKey: pair.Certificate, corev1.TLSPrivateKeyKey: pair.Key}
	return s
}

// Credential is how a cluster's machines and controllers log in to OpenStack: an application credential of its owner.
type Credential struct {
	AuthURL    string
	Region     string
	Interface  string // public, internal or admin
	ID, Secret string
	CACert     []byte // PEM of the cloud's CAs; empty: the system's
	Insecure   bool
}

// CloudConfigSecretName is the name of the Secret with a cluster's Credential.
func CloudConfigSecretName(stackID string) string { return stackID + cloudConfigSuffix }

const cloudConfigSuffix = "-cloud-config"

// CloudConfigSecret holds a cluster's credential as CAPO reads it.
func CloudConfigSecret(c *magnum.Cluster, cred Credential) (*corev1.Secret, error) {
	clouds, err := yaml.Marshal(map[string]any{"clouds": map[string]any{cloudName: map[string]any{
		"region_name": cred.Region, "endpoint_type": cred.Interface, "interface": cred.Interface, "identity_api_version": 3, "verify": !cred.Insecure,
		"auth_type": "v3applicationcredential",
		"auth": map[string]any{
			"auth_url": cred.AuthURL, "application_credential_id": cred.ID, "application_credential_secret": cred.Secret,
		},
	}}})
	if err != nil {
		return nil, fmt.Errorf("write clouds.yaml: %w", err)
	}
	s := secret(c, CloudConfigSecretName(c.StackID), corev1.SecretTypeOpaque)
	s.Data = map[string][]byte{"cacert": cred.CACert, "clouds.yaml": clouds}
	return s, nil
}

// secret begins a Secret of a cluster. The label cluster-uuid finds all of them.
func secret(c *magnum.Cluster, name string, kind corev1.SecretType) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: Namespace, Labels: map[string]string{UUIDLabel: c.UUID}},
		Type:       kind,
	}
}
