package clusterapi

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	"sigs.k8s.io/cluster-api/util/kubeconfig"
	"sigs.k8s.io/cluster-api/util/secret"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
)

// TestRenewedKubeconfig holds what docs/proxy.md says of the kubeadm control plane, against its own code: it writes the
// address it knows once, and when it renews the certificate it keeps the server it finds. So the proxy's owner and it
// do not pull at the Secret.
func TestRenewedKubeconfig(t *testing.T) {
	key := client.ObjectKey{Namespace: control.Namespace, Name: "kube-ab1cd"}
	authority := secret.NewCertificatesForInitialControlPlane(&bootstrapv1.ClusterConfiguration{})
	if err := authority.Generate(); err != nil {
		t.Fatal(err)
	}
	owner := metav1.OwnerReference{APIVersion: "controlplane.cluster.x-k8s.io/v1beta2", Kind: "KubeadmControlPlane", Name: key.Name, UID: "1"}
	c := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(authority.GetByPurpose(secret.ClusterCA).AsSecret(key, owner)).Build()
	if err := kubeconfig.CreateSecretWithOwner(t.Context(), c, key, "10.0.0.5:6443", owner); err != nil {
		t.Fatal(err)
	}
	have := &corev1.Secret{}
	read := func() (server, certificate string) {
		t.Helper()
		if err := c.Get(t.Context(), client.ObjectKey{Namespace: key.Namespace, Name: control.SecretName(key.Name)}, have); err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.Load(have.Data[secret.KubeconfigDataName])
		if err != nil {
			t.Fatal(err)
		}
		return config.Clusters[key.Name].Server, string(config.AuthInfos[key.Name+"-admin"].ClientCertificateData)
	}
	if server, _ := read(); server != "https://10.0.0.5:6443" {
		t.Fatalf("it begins with %s", server)
	}
	config, err := clientcmd.Load(have.Data[secret.KubeconfigDataName])
	if err != nil {
		t.Fatal(err)
	}
	config.Clusters[key.Name].Server = control.Server(key.Name) // as the proxy's owner does
	if have.Data[secret.KubeconfigDataName], err = clientcmd.Write(*config); err != nil {
		t.Fatal(err)
	}
	if err := c.Update(t.Context(), have); err != nil {
		t.Fatal(err)
	}
	_, before := read()
	if due, err := kubeconfig.NeedsClientCertRotation(have, 2*365*24*time.Hour); err != nil || !due {
		t.Fatalf("the certificate of a rewritten kubeconfig is not found: %v, %v", due, err)
	}
	if err := kubeconfig.RegenerateSecret(t.Context(), c, have); err != nil {
		t.Fatal(err)
	}
	server, after := read()
	if diff := cmp.Diff(control.Server(key.Name), server); diff != "" {
		t.Error(diff)
	}
	if before == after || after == "" {
		t.Error("the certificate was not renewed: the test shows nothing")
	}
}
