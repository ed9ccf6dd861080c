package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"time"
)

// maxRequest bounds a request in bytes. One with a key of 16384 bits has about 6 kB.
const maxRequest = 64 << 10

// InputError says what is wrong with a certificate signing request. The API answers 400 with its text.
type InputError struct {
	Reason string // a sentence whose subject is the request: "is not PEM"
}

// Error says what to do, in words for the tenant.
func (e *InputError) Error() string {
	return "certificate signing request " + e.Reason
}

func refuse(format string, args ...any) error {
	return &InputError{Reason: fmt.Sprintf(format, args...)}
}

// Options are what signing needs from outside. Random and Now are required.
type Options struct {
	Random io.Reader
	Now    time.Time
	// Validity is how long the certificate lasts; zero means [Validity]. It never lasts longer than the authority.
	Validity time.Duration
}

// Sign signs a PEM request with the authority and gives the certificate as PEM. Of the request it keeps the subject,
// the key and the extensions that [filter] lets through; the certificate is never an authority's. The error is an
// *InputError if the request is to blame.
func Sign(ca Authority, csrPEM []byte, o Options) ([]byte, error) {
	csr, err := parseRequest(csrPEM)
	if err != nil {
		return nil, err
	}
	extensions, err := filter(csr.Extensions)
	if err != nil {
		return nil, err
	}
	issuer, key, err := ca.parse()
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	template, err := newTemplate(issuer, o)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	template.RawSubject = csr.RawSubject
	template.ExtraExtensions = extensions
	der, err := x509.CreateCertificate(o.Random, template, issuer, csr.PublicKey, key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	// Extensions are copied as bytes. If the result cannot be read, nobody could use it.
	if _, err := x509.ParseCertificate(der); err != nil {
		return nil, refuse("would make a broken certificate: %v", err)
	}
	return encode(typeCertificate, der), nil
}

// newTemplate has everything that does not come from the request.
func newTemplate(issuer *x509.Certificate, o Options) (*x509.Certificate, error) {
	serial, err := newSerial(o.Random)
	if err != nil {
		return nil, err
	}
	validity := o.Validity
	if validity == 0 {
		validity = Validity
	}
	notBefore, notAfter := o.Now.Add(-backdate), o.Now.Add(validity)
	if notBefore.Before(issuer.NotBefore) {
		notBefore = issuer.NotBefore
	}
	if notAfter.After(issuer.NotAfter) {
		notAfter = issuer.NotAfter
	}
	if !notAfter.After(o.Now) {
		return nil, fmt.Errorf("the authority has expired on %s: rotate it", issuer.NotAfter.Format(time.DateOnly))
	}
	return &x509.Certificate{SerialNumber: serial, NotBefore: notBefore, NotAfter: notAfter, BasicConstraintsValid: true}, nil
}

// parseRequest reads a request and checks that its sender has the key. SHA-1 signatures and RSA keys of 1024 bits pass,
// as in Magnum: tempest sends such a request, and what they protect here is only the tenant's own cluster.
func parseRequest(csrPEM []byte) (*x509.CertificateRequest, error) {
	if len(csrPEM) > maxRequest {
		return nil, refuse("is longer than %d bytes", maxRequest)
	}
	block, _ := pem.Decode(csrPEM)
	if block == nil {
		return nil, refuse("is not PEM")
	}
	switch block.Type {
	case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
	default:
		return nil, refuse("is a PEM block %q, not a \"CERTIFICATE REQUEST\"", block.Type)
	}
	csr, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return nil, refuse("cannot be read: %v", err)
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, refuse("is not signed by its own key: %v", err)
	}
	return csr, nil
}

// Client is a certificate with its key, as a kubeconfig holds them.
type Client struct {
	CertPEM []byte
	KeyPEM  []byte
}

// NewClient makes a key and has a certificate for client authentication signed: commonName is the user of Kubernetes
// and organizations are its groups. The key is ECDSA, since making RSA keys is slow.
func NewClient(ca Authority, commonName string, organizations []string, o Options) (Client, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), o.Random)
	if err != nil {
		return Client{}, fmt.Errorf("make client certificate: %w", err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Client{}, fmt.Errorf("make client certificate: %w", err)
	}
	usage, err := asn1.Marshal([]asn1.ObjectIdentifier{oidClientAuth})
	if err != nil {
		return Client{}, fmt.Errorf("make client certificate: %w", err)
	}
	keyUsage, err := marshalKeyUsage(usageDigitalSignature)
	if err != nil {
		return Client{}, fmt.Errorf("make client certificate: %w", err)
	}
	csr, err := x509.CreateCertificateRequest(o.Random, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: commonName, Organization: organizations},
		ExtraExtensions: []pkix.Extension{
			{Id: oidKeyUsage, Critical: true, Value: keyUsage}, {Id: oidExtKeyUsage, Value: usage},
		},
	}, key)
	if err != nil {
		return Client{}, fmt.Errorf("make client certificate: %w", err)
	}
	cert, err := Sign(ca, encode("CERTIFICATE REQUEST", csr), o)
	if err != nil {
		return Client{}, fmt.Errorf("make client certificate: %w", err)
	}
	return Client{CertPEM: cert, KeyPEM: encode(typeECKey, keyDER)}, nil
}

// errTrailing is for DER with something behind it, which asn1.Unmarshal gives back without an error.
var errTrailing = errors.New("trailing data")

// unmarshal is asn1.Unmarshal for exactly one value.
func unmarshal(der []byte, v any) error {
	rest, err := asn1.Unmarshal(der, v)
	if err == nil && len(rest) > 0 {
		err = errTrailing
	}
	return err
}
