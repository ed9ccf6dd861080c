// Package publishertest signs as publishers do, for the tests of whoever asks for their signatures.
package publishertest

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Authority gives out certificates as Fulcio does: of ten minutes, for a key that is used once.
type Authority struct {
	root, between *x509.Certificate
	key           *ecdsa.PrivateKey // of between
}

// NewAuthority makes one that has been there since yesterday.
func NewAuthority(t *testing.T) *Authority {
	t.Helper()
	template := func(n int64, name string) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-24 * time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		}
	}
	rootKey, key := newKey(t), newKey(t)
	root := issue(t, template(1, "root"), nil, rootKey.Public(), rootKey)
	return &Authority{root: root, between: issue(t, template(2, "between"), root, key.Public(), rootKey), key: key}
}

// TrustedRoot is sigstore's trusted_root.json of it alone, valid since some time ago, until some time ahead if that is
// not zero.
func (a *Authority) TrustedRoot(t *testing.T, start, end time.Time) []byte {
	t.Helper()
	type object = map[string]any
	valid := object{"start": start}
	if !end.IsZero() {
		valid["end"] = end
	}
	text, err := json.Marshal(object{"certificateAuthorities": []object{{
		"certChain": object{"certificates": []object{{"rawBytes": a.between.Raw}, {"rawBytes": a.root.Raw}}}, "validFor": valid,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Sign signs a digest as an identity that an issuer vouches for: a signature in base64, a certificate in PEM.
func (a *Authority) Sign(t *testing.T, identity, issuer string, digest []byte) (signature, certificate string) {
	t.Helper()
	der, err := asn1.MarshalWithParams(issuer, "utf8")
	if err != nil {
		t.Fatal(err)
	}
	key := newKey(t)
	cert := issue(t, &x509.Certificate{
		SerialNumber: big.NewInt(3), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(-50 * time.Minute),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, EmailAddresses: []string{identity},
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}, Value: der}},
	}, a.between, key.Public(), a.key)
	raw, err := ecdsa.SignASN1(rand.Reader, key, digest)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(raw), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}))
}

// SignImage signs the claim that an image has a digest.
func (a *Authority) SignImage(t *testing.T, identity, issuer, digest string) (payload []byte, signature, certificate string) {
	t.Helper()
	payload = []byte(`{"critical":{"identity":{"docker-reference":"any"},"image":{"docker-manifest-digest":"` + digest + `"},"type":"cosign container image signature"},"optional":null}`)
	sum := sha256.Sum256(payload)
	signature, certificate = a.Sign(t, identity, issuer, sum[:])
	return payload, signature, certificate
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func issue(t *testing.T, template, parent *x509.Certificate, public crypto.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// Signer has an OpenPGP key.
type Signer struct{ entity *openpgp.Entity }

// NewSigner makes one whose key is valid for so many seconds from a time on; 0 is for ever.
func NewSigner(t *testing.T, at time.Time, seconds uint32) *Signer {
	t.Helper()
	e, err := openpgp.NewEntity("a publisher", "", "releases@example.test", config(at, seconds))
	if err != nil {
		t.Fatal(err)
	}
	return &Signer{e}
}

func config(at time.Time, seconds uint32) *packet.Config {
	return &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return at }, KeyLifetimeSecs: seconds}
}

// Public is its armored public key.
func (s *Signer) Public(t *testing.T) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := armor.Encode(&out, openpgp.PublicKeyType, nil)
	if err == nil {
		err = s.entity.Serialize(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}

// Sign clear-signs a text.
func (s *Signer) Sign(t *testing.T, at time.Time, text string) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, s.entity.PrivateKey, config(at, 0))
	if err == nil {
		_, err = w.Write([]byte(text))
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return append(out.Bytes(), '\n')
}
