package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
)

// NewRequest makes a key and a certificate request with it, both PEM, for whom another authority is to sign: a user of
// Kubernetes and its groups. The key is ECDSA, since making RSA keys is slow.
func NewRequest(random io.Reader, commonName string, organizations ...string) (keyPEM, requestPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate request: %w", err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate request: %w", err)
	}
	request, err := x509.CreateCertificateRequest(random, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: commonName, Organization: organizations},
	}, key)
	if err != nil {
		return nil, nil, fmt.Errorf("make certificate request: %w", err)
	}
	return encode(typeECKey, keyDER), encode("CERTIFICATE REQUEST", request), nil
}
