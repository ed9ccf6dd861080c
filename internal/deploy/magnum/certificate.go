package magnum

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/pki"
)

// request is what a client certificate is made of.
type request struct {
	random io.Reader
	place  string // whose it is, for people who look at the requests of the cluster
	server string
	ca     []byte
	poll   time.Duration
}

// validity is a year, as that of kubeadm's own certificates, with which it is renewed.
const validity = 365 * 24 * time.Hour

// signing is how long the cluster may take to sign.
const signing = time.Minute

// kubeconfig509 has the cluster sign a client certificate for Jeroboam's server, and makes a kubeconfig of it. The key
// is made here and goes nowhere but to the place. The request is removed from the cluster again, also when it fails.
func kubeconfig509(ctx context.Context, c client.Client, r request) (config string, err error) {
	random := r.random
	if random == nil {
		random = rand.Reader
	}
	key, signable, err := pki.NewRequest(random, commonName)
	if err != nil {
		return "", err
	}
	seconds := int32(validity / time.Second)
	csr := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "jeroboam-server-", Annotations: map[string]string{"jeroboam.cloud/place": r.place}},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request: signable, SignerName: certificatesv1.KubeAPIServerClientSignerName, ExpirationSeconds: &seconds,
			Usages: []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		},
	}
	if err := c.Create(ctx, csr); err != nil {
		return "", fmt.Errorf("request it from the cluster: %w", err)
	}
	defer func() { err = errors.Join(err, client.IgnoreNotFound(c.Delete(context.WithoutCancel(ctx), csr))) }()
	csr.Status.Conditions = append(csr.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue, Reason: "JeroboamDeploy", Message: "asked for by the administrator's deployment",
	})
	if err := c.SubResource("approval").Update(ctx, csr); err != nil {
		return "", fmt.Errorf("approve the request: %w", err)
	}
	certificate, err := signed(ctx, c, csr, r.poll)
	if err != nil {
		return "", err
	}
	return kube.Config(r.server, r.ca, commonName, clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key})
}

// signed waits for the certificate.
func signed(ctx context.Context, c client.Client, csr *certificatesv1.CertificateSigningRequest, poll time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, signing)
	defer cancel()
	for {
		if err := c.Get(ctx, client.ObjectKeyFromObject(csr), csr); err != nil {
			return nil, fmt.Errorf("wait for the cluster's signature: %w", err)
		}
		if len(csr.Status.Certificate) > 0 {
			return csr.Status.Certificate, nil
		}
		for _, condition := range csr.Status.Conditions {
			if condition.Type == certificatesv1.CertificateFailed || condition.Type == certificatesv1.CertificateDenied {
				return nil, fmt.Errorf("the cluster does not sign: %s", condition.Message)
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("the cluster has not signed in %s: does kube-controller-manager run?", signing)
		case <-time.After(poll):
		}
	}
}
