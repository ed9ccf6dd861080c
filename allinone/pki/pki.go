// Package pki is the certificate authority of the management cluster: it makes the serving certificates and the client
// certificates that kubeconfig files carry.
//
// Only the authority and the key for service-account tokens are kept, in the data directory with mode 0600. All leaves
// are made anew at every start (an elliptic-curve key takes well under a millisecond), so none of them can expire or
// lack a name.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/jeroboam-cloud/jeroboam/allinone/datadir"
)

const lifetime = 10 * 365 * 24 * time.Hour

// Authority signs for one management cluster.
type Authority struct {
	dir     string
	cert    *x509.Certificate
	key     crypto.Signer
	certPEM []byte
}

// Open reads the authority in dir, or makes it.
func Open(dir string) (*Authority, error) {
	a := &Authority{dir: dir}
	if err := ensureKey(a.ServiceAccountKey()); err != nil {
		return nil, err
	}
	// The certificate is written last: without it, whatever key is there belongs to a start that was killed.
	certPEM, err := os.ReadFile(a.CertFile())
	if errors.Is(err, os.ErrNotExist) {
		return a, a.create()
	} else if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}
	keyPEM, err := os.ReadFile(filepath.Join(dir, "ca.key"))
	if err != nil {
		return nil, fmt.Errorf("read the authority: %w", err)
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("read the authority in %s: %w", dir, err)
	}
	a.cert, a.key, a.certPEM = pair.Leaf, pair.PrivateKey.(crypto.Signer), certPEM
	return a, nil
}

// CertFile is the path of the authority's certificate.
func (a *Authority) CertFile() string { return filepath.Join(a.dir, "ca.crt") }

// CertPEM is the authority's certificate.
func (a *Authority) CertPEM() []byte { return a.certPEM }

// ServiceAccountKey is the path of the key that signs service-account tokens.
func (a *Authority) ServiceAccountKey() string { return filepath.Join(a.dir, "sa.key") }

func (a *Authority) create() error {
	key, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	if err := datadir.WriteFile(filepath.Join(a.dir, "ca.key"), keyPEM, 0o600); err != nil {
		return err
	}
	a.key = key
	a.cert = &x509.Certificate{
		Subject: pkix.Name{CommonName: "jeroboam-allinone"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	if a.certPEM, err = a.sign(a.cert, key.Public()); err != nil {
		return err
	}
	return datadir.WriteFile(a.CertFile(), a.certPEM, 0o600)
}

// Server makes a serving certificate for 127.0.0.1, localhost and more addresses.
func (a *Authority) Server(name string, more ...net.IP) (certPEM, keyPEM []byte, err error) {
	return a.leaf(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost", "kubernetes.default.svc"},
		IPAddresses: append([]net.IP{net.IPv4(127, 0, 0, 1)}, more...), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	})
}

// Client makes a client configuration for a user of these groups. No rate limit: everyone is on this host.
func (a *Authority) Client(host, user string, groups ...string) (*rest.Config, error) {
	certPEM, keyPEM, err := a.leaf(&x509.Certificate{
		Subject:     pkix.Name{CommonName: user, Organization: groups},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return nil, err
	}
	return &rest.Config{Host: host, QPS: -1, TLSClientConfig: rest.TLSClientConfig{CAData: a.certPEM, CertData: certPEM, KeyData: keyPEM}}, nil
}

// WriteKubeconfig writes cfg as a kubeconfig file that needs no other file.
func WriteKubeconfig(path, name string, cfg *rest.Config) error {
	b, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: cfg.Host, CertificateAuthorityData: cfg.CAData}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{name: {ClientCertificateData: cfg.CertData, ClientKeyData: cfg.KeyData}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: name}},
		CurrentContext: name,
	})
	if err != nil {
		return fmt.Errorf("make the kubeconfig: %w", err)
	}
	return datadir.WriteFile(path, b, 0o600)
}

func (a *Authority) leaf(t *x509.Certificate) (certPEM, keyPEM []byte, err error) {
	t.KeyUsage = x509.KeyUsageDigitalSignature
	key, keyPEM, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	certPEM, err = a.sign(t, key.Public())
	return certPEM, keyPEM, err
}

func (a *Authority) sign(t *x509.Certificate, pub crypto.PublicKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("make a serial number: %w", err)
	}
	t.SerialNumber, t.NotBefore, t.NotAfter = serial, time.Now().Add(-time.Minute), time.Now().Add(lifetime)
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, pub, a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", t.Subject.CommonName, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}

func ensureKey(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	_, keyPEM, err := newKey()
	if err != nil {
		return err
	}
	return datadir.WriteFile(path, keyPEM, 0o600)
}

func newKey() (*ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("encode a key: %w", err)
	}
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}
