package cloud

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/bundle"
	"github.com/jeroboam-cloud/jeroboam/internal/sign"
)

const (
	registry = "10.77.0.1:5443"
	prefix   = registry + "/magnum"
)

// TestRegistry is the procedure of docs/bundle.md ("Workload clusters with a local registry"): "bundle serve" below a
// prefix, nodes whose image trusts it and has no addon's image, a cluster with the label container_infra_prefix. Nodes
// have no other way out.
func TestRegistry(t *testing.T) {
	dir := os.Getenv("BUNDLE")
	if dir == "" {
		t.Skip("BUNDLE is not set: the bundle that the image of nodes was made of (docs/cloud.md)")
	}
	w := newWorld(t)
	before := w.inventory(t)
	cert, key := w.certificate(t)
	jeroboam := place(t, "JEROBOAM")
	bare := filepath.Join(w.work, "bare.raw")
	w.mustExec(t, 10*time.Minute, "", jeroboam, "image", "build", "--bundle", dir, "--kind", "container", "--output", bare, "--overlay", w.overlay(t, cert),
		"--without", strings.Join(addonImages(t, dir), ","))
	const name = "e2e-bare"
	_, _ = w.openstack(t, "admin", "image", "delete", name) // of an earlier run, which trusts another certificate
	w.upload(t, bare, name)
	if err := os.Remove(bare); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.restore(t, "admin", "image", "delete", name) })
	w.background(t, "registry", jeroboam, "bundle", "serve", dir, "--listen", registry, "--cert", cert, "--key", key)

	w.image = name
	w.template(t, "registry", network(), "--labels", labels+",container_infra_prefix="+prefix)
	began := time.Now()
	w.create(t, "registry", "registry", 1, 1)
	s := w.reaches(t, "registry", "CREATE_COMPLETE", 20*time.Minute)
	t.Logf("complete %.0f s after the request", time.Since(began).Seconds())
	w.whereTimeWent(t, s, began)
	config := w.config(t, "registry")
	w.nodesAreReady(t, config, "registry", 2)
	images, err := w.kubectl(t, config, "get", "pods", "-A", "-o", `jsonpath={range .items[*]}{range .spec.containers[*]}{.image}{"\n"}{end}{range .spec.initContainers[*]}{.image}{"\n"}{end}{end}`)
	if err != nil || len(strings.Fields(images)) == 0 {
		t.Fatalf("%v: %q", err, images)
	}
	for image := range strings.FieldsSeq(images) {
		if !strings.HasPrefix(image, prefix+"/") {
			t.Errorf("%s is not from the registry", image)
		}
	}
	w.delete(t, "registry")
	t.Run("a mirror that has nothing", func(t *testing.T) { w.emptyMirror(t) })
	w.nothingLeft(t, before, s)
}

// addonImages are the images that a bundle has for addons and tests, and not for Kubernetes itself.
func addonImages(t *testing.T, dir string) []string {
	t.Helper()
	b, err := bundle.Open(dir, sign.Trust{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range b.Index.Images {
		if i.Group == "workload" || i.Group == "cilium" {
			out = append(out, i.Name)
		}
	}
	return out
}

// emptyMirror asks for a prefix below which the registry has no image: kubeadm cannot begin, and the tenant is told
// why.
func (w *world) emptyMirror(t *testing.T) {
	t.Helper()
	w.template(t, "empty", network(), "--labels", labels+",container_infra_prefix="+registry+"/nothing")
	began := time.Now()
	w.create(t, "empty", "empty", 1, 0)
	var reason string
	w.await(t, 10*time.Minute, "the missing image in the reason", func() error {
		s, err := w.cluster(t, "empty")
		reason = s.StatusReason
		if err == nil && !strings.Contains(reason, "kubeadm refuses: ImagePull: failed to pull image "+registry+"/nothing/") {
			err = fmt.Errorf("%w: %s: %s", errNotYet, s.Status, reason)
		}
		return err
	})
	t.Logf("%.0f s after the request: %s", time.Since(began).Seconds(), reason)
	w.delete(t, "empty")
}

// certificate is the registry's, and its own authority.
func (w *world) certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := net.SplitHostPort(registry)
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "registry"}, IPAddresses: []net.IP{net.ParseIP(host)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, about, about, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(w.work, "registry.crt"), filepath.Join(w.work, "registry.key")
	for name, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// overlay are the two files by which a node trusts the registry.
func (w *world) overlay(t *testing.T, cert string) string {
	t.Helper()
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(w.work, "overlay")
	certs := filepath.Join(overlay, "etc/containerd/certs.d", registry)
	if err := os.MkdirAll(certs, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"ca.crt": string(text),
		"hosts.toml": "server = \"https://" + registry + "\"\n[host.\"https://" + registry + "\"]\n  capabilities = [\"pull\", \"resolve\"]\n" +
			"  ca = \"/etc/containerd/certs.d/" + registry + "/ca.crt\"\n",
	} {
		if err := os.WriteFile(filepath.Join(certs, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return overlay
}

// background runs something in the cloud's network until the test ends.
func (w *world) background(t *testing.T, name string, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(w.work, name+".log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := w.command(context.WithoutCancel(t.Context()), "", args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended by itself
		_ = cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name()) // only to be shown
			t.Logf("%s said:\n%s", name, text)
		}
	})
}
