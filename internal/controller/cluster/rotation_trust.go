package cluster

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/phase"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

// Who trusts Kubernetes' authority beside the machines: Cluster API and we, by the kubeconfig that Cluster API made,
// and machines that join, by the ConfigMap cluster-info that kubeadm init left in the cluster and nobody keeps.

func configMap() schema.GroupVersionKind {
	return schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}
}

// spread tells them of the authorities of this step, before any machine is of it.
func (r *Reconciler) spread(ctx context.Context, s *scope, t *rotation) (phase.Outcome, error) {
	if t.purpose != capi.CA {
		return phase.Done(), nil
	}
	config, err := r.secret(ctx, kube.KubeconfigSecretName(s.record.Spec.StackID))
	if err != nil {
		return phase.Done(), err
	}
	if config == nil {
		return phase.WaitFor(settle, "waiting for the cluster's kubeconfig"), nil
	}
	if t.step == capi.StepRetire {
		ours, err := signedBy(config.Data[kube.KubeconfigKey], t.after.Certificate)
		if err != nil {
			return phase.Done(), fmt.Errorf("%s: %w", config.Name, err)
		}
		if !ours { // Cluster API makes it anew, with what the Secret of the authority says
			if err := r.Client.Delete(ctx, config); client.IgnoreNotFound(err) != nil {
				return phase.Done(), fmt.Errorf("delete %s: %w", config.Name, err)
			}
			return phase.WaitFor(settle, "waiting for a kubeconfig of the new authority"), nil
		}
	}
	if err := r.trustInKubeconfig(ctx, config, t.trusted()); err != nil {
		return phase.Done(), err
	}
	return phase.Done(), r.trustOfJoining(ctx, config.Data[kube.KubeconfigKey], t.trusted())
}

// trustInKubeconfig puts authorities into the kubeconfig of Cluster API and us.
func (r *Reconciler) trustInKubeconfig(ctx context.Context, config *corev1.Secret, trusted []byte) error {
	text, changed, err := withTrust(config.Data[kube.KubeconfigKey], trusted)
	if err != nil || !changed {
		return err
	}
	config.Data[kube.KubeconfigKey] = text
	if err := r.Client.Update(ctx, config, kube.FieldOwner); err != nil {
		return fmt.Errorf("write %s: %w", config.Name, err)
	}
	return nil
}

// trustOfJoining puts authorities into cluster-info, which machines that join read and check against the hashes that
// they were made with. kubeadm's own controller signs it anew. A cluster that nobody joins by kubeadm has none.
func (r *Reconciler) trustOfJoining(ctx context.Context, kubeconfig, trusted []byte) error {
	c, err := workload.Open(kubeconfig, r.Dial)
	if err != nil {
		return err
	}
	defer c.Close()
	const namespace, name = "kube-public", "cluster-info"
	info, err := c.Get(ctx, configMap(), namespace, name)
	if err != nil || info == nil {
		return err
	}
	have, _, _ := unstructured.NestedString(info.Object, "data", "kubeconfig") // absent is none
	text, changed, err := withTrust([]byte(have), trusted)
	if err != nil {
		return fmt.Errorf("ConfigMap %s: %w", name, err)
	}
	if !changed {
		return nil
	}
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": info.GetResourceVersion()}, "data": map[string]any{"kubeconfig": string(text)},
	})
	if err != nil {
		return err
	}
	return c.Merge(ctx, configMap(), namespace, name, patch, string(kube.FieldOwner))
}

// forgetTrust makes API servers write anew whom extensions trust: they only ever add to it (k8s.io/kubernetes 1.36,
// pkg/controlplane/controller/clusterauthenticationtrust).
func (r *Reconciler) forgetTrust(ctx context.Context, s *scope, t *rotation) error {
	if t.purpose != capi.CA && t.purpose != capi.FrontProxyCA {
		return nil
	}
	config, err := r.secret(ctx, kube.KubeconfigSecretName(s.record.Spec.StackID))
	if err != nil || config == nil {
		return err
	}
	c, err := workload.Open(config.Data[kube.KubeconfigKey], r.Dial)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Delete(ctx, configMap(), "kube-system", "extension-apiserver-authentication")
}

// withTrust replaces the authorities of a kubeconfig.
func withTrust(kubeconfig, trusted []byte) (text []byte, changed bool, err error) {
	c, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return nil, false, fmt.Errorf("read a kubeconfig: %w", err)
	}
	for _, cluster := range c.Clusters {
		if !bytes.Equal(bytes.TrimSpace(cluster.CertificateAuthorityData), bytes.TrimSpace(trusted)) {
			cluster.CertificateAuthorityData, changed = trusted, true
		}
	}
	if !changed {
		return kubeconfig, false, nil
	}
	text, err = clientcmd.Write(*c)
	return text, true, err
}

// signedBy tells whether all users of a kubeconfig have certificates of an authority.
func signedBy(kubeconfig, authority []byte) (bool, error) {
	c, err := clientcmd.Load(kubeconfig)
	if err != nil {
		return false, fmt.Errorf("read a kubeconfig: %w", err)
	}
	ca, err := parsed(authority)
	if err != nil {
		return false, err
	}
	for _, user := range c.AuthInfos {
		if ok, err := isSigned(user, ca); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func isSigned(user *clientcmdapi.AuthInfo, ca *x509.Certificate) (bool, error) {
	own, err := parsed(user.ClientCertificateData)
	if err != nil {
		return false, err
	}
	return own.CheckSignatureFrom(ca) == nil, nil
}

func parsed(text []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("there is no certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}
