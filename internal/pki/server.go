package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"net"
)

// NewServer makes a key and a certificate for a TLS server that is known under the given names and addresses. Empty
// ones are left out; the first is the common name.
func NewServer(ca Authority, hosts []string, o Options) (Client, error) {
	fail := func(err error) (Client, error) { return Client{}, fmt.Errorf("make server certificate: %w", err) }
	issuer, signer, err := ca.parse()
	if err != nil {
		return fail(err)
	}
	template, err := newTemplate(issuer, o)
	if err != nil {
		return fail(err)
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else if h != "" {
			template.DNSNames = append(template.DNSNames, h)
		}
		if template.Subject.CommonName == "" {
			template.Subject = pkix.Name{CommonName: cutName(h)}
		}
	}
	if len(template.IPAddresses)+len(template.DNSNames) == 0 {
		return fail(errors.New("no name and no address"))
	}
	template.KeyUsage, template.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	key, err := ecdsa.GenerateKey(elliptic.P256(), o.Random)
	if err != nil {
		return fail(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fail(err)
	}
	der, err := x509.CreateCertificate(o.Random, template, issuer, key.Public(), signer)
	if err != nil {
		return fail(err)
	}
	return Client{CertPEM: encode(typeCertificate, der), KeyPEM: encode(typeECKey, keyDER)}, nil
}
