// Package pki makes the certificate authorities of workload clusters and signs what tenants ask for.
//
// A cluster has three authorities (kubernetes, etcd and front-proxy) and a key pair for service account tokens. They
// are made here once, stored as secrets under the names Cluster API looks for, and used by kubeadm on the control
// plane. A tenant gets access to the cluster by sending a certificate signing request, which [Sign] signs as Magnum
// does: the subject is kept, also "O=system:masters", because whoever passes policy certificate:create is an
// administrator of the cluster; of the extensions only harmless ones are.
//
// How long things last: authorities five years, and signed certificates five years as well but never longer than their
// authority, so in practice both end together. Both start a day early, for nodes whose clock is late. (Magnum 1.14:
// [x509] term_of_validity and rsa_key_size, here constants.)
//
// Randomness and time come from the caller. Since Go 1.26 key generation takes its randomness from the system whatever
// reader it is given; the reader still makes the serial numbers.
package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"
	"unicode/utf8"
)

const (
	// Validity is how long an authority lasts, and at most what it signs.
	Validity = 5 * 365 * 24 * time.Hour

	backdate   = 24 * time.Hour
	rsaBits    = 2048
	serialBits = 159 // RFC 5280: at most 20 bytes, positive

	// maxCommonName is X.520's limit. Magnum's cluster names may have 242 characters, and Go would not mind, but other
	// implementations refuse to read such a certificate.
	maxCommonName = 64

	typeCertificate = "CERTIFICATE"
	typeRSAKey      = "RSA PRIVATE KEY"
	typePublicKey   = "PUBLIC KEY"
	typePrivateKey  = "PRIVATE KEY"
	typeECKey       = "EC PRIVATE KEY"
)

// Authority is a certificate authority. In a secret for Cluster API, CertPEM is tls.crt and KeyPEM is tls.key. PEM ends
// with a newline here; Magnum's API shows it without.
type Authority struct {
	CertPEM []byte
	KeyPEM  []byte
}

// ServiceAccountKey signs the tokens of a cluster's service accounts. In the secret that Cluster API names "-sa",
// PublicPEM is tls.crt (it is no certificate) and PrivatePEM is tls.key.
type ServiceAccountKey struct {
	PublicPEM  []byte
	PrivatePEM []byte
}

// NewCA makes a self-signed authority with an RSA key. A name longer than X.520 allows is cut; that two authorities
// have the same name is normal (rotation makes such) and no problem, because certificates point to their issuer's key,
// too.
func NewCA(random io.Reader, now time.Time, commonName string) (Authority, error) {
	if commonName == "" || !utf8.ValidString(commonName) {
		return Authority{}, fmt.Errorf("make certificate authority: %q is no common name", commonName)
	}
	key, err := rsa.GenerateKey(random, rsaBits)
	if err != nil {
		return Authority{}, fmt.Errorf("make certificate authority %q: %w", commonName, err)
	}
	serial, err := newSerial(random)
	if err != nil {
		return Authority{}, fmt.Errorf("make certificate authority %q: %w", commonName, err)
	}
	keyID, err := subjectKeyID(&key.PublicKey)
	if err != nil {
		return Authority{}, fmt.Errorf("make certificate authority %q: %w", commonName, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: cutName(commonName)},
		NotBefore:    now.Add(-backdate),
		NotAfter:     now.Add(Validity),
		// Magnum's authorities have keyCertSign only, Cluster API's (v1.14, util/secret) all three.
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
		SubjectKeyId:          keyID,
		AuthorityKeyId:        keyID,
	}
	der, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return Authority{}, fmt.Errorf("make certificate authority %q: %w", commonName, err)
	}
	return Authority{CertPEM: encode(typeCertificate, der), KeyPEM: encode(typeRSAKey, x509.MarshalPKCS1PrivateKey(key))}, nil
}

// NewServiceAccountKey makes a key pair of its own, as Cluster API does: the API server takes no certificate here.
func NewServiceAccountKey(random io.Reader) (ServiceAccountKey, error) {
	key, err := rsa.GenerateKey(random, rsaBits)
	if err != nil {
		return ServiceAccountKey{}, fmt.Errorf("make service account key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return ServiceAccountKey{}, fmt.Errorf("make service account key: %w", err)
	}
	return ServiceAccountKey{
		PublicPEM:  encode(typePublicKey, public),
		PrivatePEM: encode(typeRSAKey, x509.MarshalPKCS1PrivateKey(key)),
	}, nil
}

// parse reads the authority back. Besides our own it takes keys that other tools stored: Magnum writes PKCS#8.
func (a Authority) parse() (*x509.Certificate, crypto.Signer, error) {
	block, _ := pem.Decode(a.CertPEM)
	if block == nil || block.Type != typeCertificate {
		return nil, nil, errors.New("read authority: the certificate is not PEM")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("read authority: %w", err)
	}
	if !cert.IsCA {
		return nil, nil, errors.New("read authority: the certificate is not an authority's")
	}
	key, err := parseKey(a.KeyPEM)
	if err != nil {
		return nil, nil, fmt.Errorf("read authority: %w", err)
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(cert.PublicKey) {
		return nil, nil, errors.New("read authority: the key is not the certificate's")
	}
	return cert, key, nil
}

// parseKey never puts what it read into an error: it is a private key.
func parseKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("the private key is not PEM")
	}
	var (
		key any
		err error
	)
	switch block.Type {
	case typeRSAKey:
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case typePrivateKey:
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case typeECKey:
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, fmt.Errorf("a PEM block %q is no private key", block.Type)
	}
	if err != nil {
		return nil, errors.New("the private key cannot be read")
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("the private key cannot sign")
	}
	return signer, nil
}

func newSerial(random io.Reader) (*big.Int, error) {
	limit := new(big.Int).Lsh(big.NewInt(1), serialBits)
	for {
		serial, err := rand.Int(random, limit)
		if err != nil {
			return nil, fmt.Errorf("make serial number: %w", err)
		}
		if serial.Sign() > 0 {
			return serial, nil
		}
	}
}

// subjectKeyID identifies a key by a hash of it, in the length that everybody expects (RFC 7093, section 2).
func subjectKeyID(public crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("make key identifier: %w", err)
	}
	sum := sha256.Sum256(der)
	return sum[:20], nil
}

func cutName(name string) string {
	runes := []rune(name)
	return string(runes[:min(len(runes), maxCommonName)])
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
