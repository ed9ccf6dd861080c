package controller_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/capi"
	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
	"github.com/jeroboam-cloud/jeroboam/internal/magnum"
	"github.com/jeroboam-cloud/jeroboam/internal/workload"
)

func secretOf(t *testing.T, name string) *corev1.Secret {
	t.Helper()
	s := &corev1.Secret{}
	if err := management.Client.Get(t.Context(), client.ObjectKey{Namespace: v1alpha1.Namespace, Name: name}, s); client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return s
}

// lets tells whether an API server lets a kubeconfig in.
func lets(t *testing.T, kubeconfig []byte) error {
	t.Helper()
	c, err := workload.Open(kubeconfig, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err = c.Budgets(ctx)
	return err
}

// TestSlowRotation goes through the three steps of a rotation, with the controllers killed in each of them.
func TestSlowRotation(t *testing.T) {
	w := newWorld(t)
	c := w.create("rotated", 1, 1, nil)
	made := w.await(c.UUID, "creation", complete(magnum.CreateComplete))
	if !made.Rotatable {
		t.Fatal("its class can, and nobody says so")
	}
	ca, config := capi.KeyPairSecretName(c.StackID, capi.CA), kube.KubeconfigSecretName(c.StackID)
	before, old := secretOf(t, ca), secretOf(t, config).Data[kube.KubeconfigKey]
	if err := lets(t, old); err != nil {
		t.Fatal(err)
	}
	first := machines(t, c.StackID)
	w.rotate(c, magnum.AuthorityKubernetes)
	for _, step := range []string{"1.1", "1.2", "1.3"} {
		w.step(t, ca, step)
		if two := certificates(secretOf(t, ca).Data[corev1.TLSCertKey]); (len(two) == 2) == (step == "1.3") {
			t.Errorf("in step %s %d authorities are trusted", step, len(two))
		}
		w.stop() // anywhere in a step
		w.start()
		if err := lets(t, secretOf(t, config).Data[kube.KubeconfigKey]); err != nil && step != "1.3" { // it may be made anew just now
			t.Errorf("step %s: %v", step, err)
		}
	}
	w.await(c.UUID, "the rotation", complete(magnum.UpdateComplete))

	after := secretOf(t, ca)
	if bytes.Equal(before.Data[corev1.TLSPrivateKeyKey], after.Data[corev1.TLSPrivateKeyKey]) || len(certificates(after.Data[corev1.TLSCertKey])) != 1 {
		t.Error("the authority is the one of before, or not alone")
	}
	if s := secretOf(t, c.StackID+"-rotation"); len(s.Data) > 0 {
		t.Error("the old private key is kept")
	}
	if err := lets(t, old); err == nil {
		t.Error("a kubeconfig of before is let in")
	}
	if err := lets(t, oldUser(t, old, after.Data[corev1.TLSCertKey])); err == nil {
		t.Error("a certificate of the old authority is let in")
	}
	if err := lets(t, secretOf(t, config).Data[kube.KubeconfigKey]); err != nil {
		t.Errorf("the kubeconfig of today is not: %v", err)
	}
	for name := range machines(t, c.StackID) {
		if _, same := first[name]; same {
			t.Errorf("machine %s was not replaced", name)
		}
	}
	shows(t, secretOf(t, config).Data[kube.KubeconfigKey], after.Data[corev1.TLSCertKey])
}

// TestSlowRotationOfTheControlPlane: what workers neither trust nor have does not replace them.
func TestSlowRotationOfTheControlPlane(t *testing.T) {
	w := newWorld(t)
	c := w.create("front", 1, 1, nil)
	w.await(c.UUID, "creation", complete(magnum.CreateComplete))
	before, name := machines(t, c.StackID), capi.KeyPairSecretName(c.StackID, capi.FrontProxyCA)
	old := secretOf(t, name).Data[corev1.TLSCertKey]
	w.rotate(c, magnum.AuthorityFrontProxy)
	w.step(t, name, "1.3")
	w.await(c.UUID, "the rotation", complete(magnum.UpdateComplete))
	if bytes.Equal(old, secretOf(t, name).Data[corev1.TLSCertKey]) {
		t.Error("the authority is the one of before")
	}
	for name, group := range machines(t, c.StackID) {
		if _, same := before[name]; same != (group != "") {
			t.Errorf("machine %s of group %q: the same as before: %v", name, group, same)
		}
	}
}

// rotate does what the API does.
func (w *world) rotate(c *magnum.Cluster, a magnum.Authority) {
	w.t.Helper()
	_, err := w.store.UpdateCluster(w.t.Context(), system, c.UUID, func(c *magnum.Cluster) error { c.Rotation = c.Rotation.Again(a); return nil })
	if err != nil {
		w.t.Fatal(err)
	}
}

// step waits until a Secret carries a step.
func (w *world) step(t *testing.T, name, step string) {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if secretOf(t, name).Annotations["magnum.jeroboam.cloud/rotation"] == step {
			return
		}
	}
	t.Fatalf("%s does not come to step %s", name, step)
}

func certificates(text []byte) (out []*x509.Certificate) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// oldUser is an old kubeconfig of somebody who has learned of the new authority, and still has a certificate of the old
// one.
func oldUser(t *testing.T, old, authority []byte) []byte {
	t.Helper()
	c, err := clientcmd.Load(old)
	if err != nil {
		t.Fatal(err)
	}
	for _, cluster := range c.Clusters {
		cluster.CertificateAuthorityData = authority
	}
	text, err := clientcmd.Write(*c)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// shows checks what the API server shows of itself.
func shows(t *testing.T, kubeconfig, authority []byte) {
	t.Helper()
	cfg, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}).DialContext(t.Context(), "tcp", cfg.Host[len("https://"):])
	if err != nil {
		t.Errorf("the API server has no certificate of the new authority: %v", err)
		return
	}
	_ = conn.Close()
}
