package publisher

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Sigstore is who must have signed: an identity, and who vouches for it.
type Sigstore struct {
	Identity string // an address of mail or a URI, as the certificate has it
	Issuer   string // of the identity's token, "https://accounts.google.com"

	authorities []authority
}

// authority is one of a trusted root's, and when it gave out certificates.
type authority struct {
	roots, between *x509.CertPool
	start, end     time.Time // zero: from ever, for ever
}

// ReadTrustedRoot reads sigstore's trusted_root.json (protobuf-specs, sigstore_trustroot.proto).
func ReadTrustedRoot(text []byte, identity, issuer string) (*Sigstore, error) {
	var root struct {
		CertificateAuthorities []struct {
			CertChain struct {
				Certificates []struct {
					RawBytes []byte `json:"rawBytes"`
				} `json:"certificates"`
			} `json:"certChain"`
			ValidFor struct {
				Start, End time.Time
			} `json:"validFor"`
		} `json:"certificateAuthorities"`
	}
	if err := json.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("trusted root: %w", err)
	}
	s := &Sigstore{Identity: identity, Issuer: issuer}
	for _, a := range root.CertificateAuthorities {
		next := authority{roots: x509.NewCertPool(), between: x509.NewCertPool(), start: a.ValidFor.Start, end: a.ValidFor.End}
		for _, c := range a.CertChain.Certificates {
			cert, err := x509.ParseCertificate(c.RawBytes)
			if err != nil {
				return nil, fmt.Errorf("trusted root: %w", err)
			}
			if cert.CheckSignatureFrom(cert) == nil {
				next.roots.AddCert(cert)
			} else {
				next.between.AddCert(cert)
			}
		}
		s.authorities = append(s.authorities, next)
	}
	if len(s.authorities) == 0 {
		return nil, errors.New("trusted root: it names no certificate authority")
	}
	return s, nil
}

// Verify tells whether the one who must have signed has signed these 32 bytes, the SHA-256 of a file. The signature is
// base64; the certificate PEM, or that in base64 again, as cosign writes it beside files.
func (s *Sigstore) Verify(digest []byte, signature, certificate string) error {
	cert, err := parseCertificate(certificate)
	if err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(signature))
	if err != nil {
		return fmt.Errorf("the signature is not base64: %w", err)
	}
	if err := s.trusts(cert); err != nil {
		return err
	}
	if err := s.identifies(cert); err != nil {
		return err
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return fmt.Errorf("the certificate has a key of type %T, and only ECDSA's are known here", cert.PublicKey)
	}
	if !ecdsa.VerifyASN1(key, digest, raw) {
		return fmt.Errorf("the signature of %s is of something else", s.Identity)
	}
	return nil
}

func parseCertificate(text string) (*x509.Certificate, error) {
	text = strings.TrimSpace(text)
	if !strings.HasPrefix(text, "-----BEGIN") {
		inner, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("the certificate is neither PEM nor base64: %w", err)
		}
		text = string(inner)
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, errors.New("there is no certificate")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	return cert, nil
}

// trusts holds a certificate against the authorities, at the time when it was given out: it has expired long since.
func (s *Sigstore) trusts(cert *x509.Certificate) error {
	at := cert.NotBefore
	var last error
	for _, a := range s.authorities {
		if at.Before(a.start) || (!a.end.IsZero() && at.After(a.end)) {
			continue
		}
		_, err := cert.Verify(x509.VerifyOptions{Roots: a.roots, Intermediates: a.between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}})
		if err == nil {
			return nil
		}
		last = err
	}
	if last == nil {
		last = fmt.Errorf("none gave out certificates at %s", at.Format(time.RFC3339))
	}
	return fmt.Errorf("the certificate is of no authority in the trusted root: %w", last)
}

// identifies tells whether a certificate is made out to whom it must be.
func (s *Sigstore) identifies(cert *x509.Certificate) error {
	names := slices.Clone(cert.EmailAddresses)
	for _, u := range cert.URIs {
		names = append(names, u.String())
	}
	if !slices.Contains(names, s.Identity) {
		return fmt.Errorf("it is signed by %q, and must be by %s", names, s.Identity)
	}
	if issuer := issuerOf(cert); issuer != s.Issuer {
		return fmt.Errorf("the identity %s is vouched for by %q, and must be by %s", s.Identity, issuer, s.Issuer)
	}
	return nil
}

// issuerOf reads Fulcio's extensions 1.3.6.1.4.1.57264.1.8 (a string in DER) and, of older certificates, 1.1 (bare);
// see Fulcio's docs/oid-info.md.
func issuerOf(cert *x509.Certificate) string {
	bare := ""
	for _, e := range cert.Extensions {
		switch e.Id.String() {
		case "1.3.6.1.4.1.57264.1.8":
			var text string
			if rest, err := asn1.Unmarshal(e.Value, &text); err == nil && len(rest) == 0 {
				return text
			}
			return ""
		case "1.3.6.1.4.1.57264.1.1":
			bare = string(e.Value)
		}
	}
	return bare
}

// VerifyImage does the same for a signature that cosign has put beside an image: what is signed is a text that names
// the image's digest (containers/image, docs/containers-signature.5.md: "simple signing").
func (s *Sigstore) VerifyImage(digest string, payload []byte, signature, certificate string) error {
	sum := sha256.Sum256(payload)
	if err := s.Verify(sum[:], signature, certificate); err != nil {
		return err
	}
	var claim struct {
		Critical struct {
			Image struct {
				Digest string `json:"docker-manifest-digest"`
			} `json:"image"`
		} `json:"critical"`
	}
	if err := json.Unmarshal(payload, &claim); err != nil {
		return fmt.Errorf("what %s has signed is not about an image: %w", s.Identity, err)
	}
	if claim.Critical.Image.Digest != digest {
		return fmt.Errorf("the signature of %s is of the image %q", s.Identity, claim.Critical.Image.Digest)
	}
	return nil
}
