package pki_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
)

// weakRequest has an RSA key of 1024 bits and a SHA-1 signature. It is the well-known sample that Magnum's functional
// tests send, so it must be signed.
const weakRequest = `-----BEGIN CERTIFICATE REQUEST-----
MIIByjCCATMCAQAwgYkxCzAJBgNVBAYTAlVTMRMwEQYDVQQIEwpDYWxpZm9ybmlh
MRYwFAYDVQQHEw1Nb3VudGFpbiBWaWV3MRMwEQYDVQQKEwpHb29nbGUgSW5jMR8w
HQYDVQQLExZJbmZvcm1hdGlvbiBUZWNobm9sb2d5MRcwFQYDVQQDEw53d3cuZ29v
Z2xlLmNvbTCBnzANBgkqhkiG9w0BAQEFAAOBjQAwgYkCgYEApZtYJCHJ4VpVXHfV
IlstQTlO4qC03hjX+ZkPyvdYd1Q4+qbAeTwXmCUKYHThVRd5aXSqlPzyIBwieMZr
WFlRQddZ1IzXAlVRDWwAo60KecqeAXnnUK+5fXoTI/UgWshre8tJ+x/TMHaQKR/J
cIWPhqaQhsJuzZbvAdGA80BLxdMCAwEAAaAAMA0GCSqGSIb3DQEBBQUAA4GBAIhl
4PvFq+e7ipARgI5ZM+GZx6mpCz44DTo0JkwfRDf+BtrsaC0q68eTf2XhYOsq4fkH
Q0uA0aVog3f5iJxCa3Hp5gxbJQ6zV6kJ0TEsuaaOhEko9sdpCoPOnRBm2i/XRD2D
6iNh8f8z0ShGsFqjDgFHyF3o+lUyj+UC6H1QW7bn
-----END CERTIFICATE REQUEST-----
`

var (
	oidKeyUsage         = asn1.ObjectIdentifier{2, 5, 29, 15}
	oidBasicConstraints = asn1.ObjectIdentifier{2, 5, 29, 19}
	oidExtKeyUsage      = asn1.ObjectIdentifier{2, 5, 29, 37}
	oidSubjectKeyID     = asn1.ObjectIdentifier{2, 5, 29, 14}
	oidSubjectAltName   = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidNameConstraints  = asn1.ObjectIdentifier{2, 5, 29, 30}
)

func request(tb testing.TB, template *x509.CertificateRequest) []byte {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, key)
	if err != nil {
		tb.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})
}

func ext(id asn1.ObjectIdentifier, critical bool, value ...byte) pkix.Extension {
	return pkix.Extension{Id: id, Critical: critical, Value: value}
}

func TestSignKeeps(t *testing.T) {
	ca := fastCA(t, pkcs8, nil)
	serverAuth := []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01}
	type view struct {
		Subject  string
		Usage    x509.KeyUsage
		ExtUsage []x509.ExtKeyUsage
		DNS      []string
		IP       []string
		KeyID    []byte
		IDs      []string // all extensions; a critical one has an exclamation mark
	}
	const authorityKeyID = "2.5.29.35"
	cases := map[string]struct {
		reason     string
		names      x509.CertificateRequest
		extensions []pkix.Extension
		want       view
	}{
		"Plain": {
			reason: "openstack coe cluster config asks for a subject and nothing else",
			names:  x509.CertificateRequest{Subject: pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}},
			want:   view{Subject: "CN=admin,O=system:masters", IDs: []string{"2.5.29.19!", authorityKeyID}},
		},
		"NoSubject": {
			reason: "a request may have names only",
			names:  x509.CertificateRequest{DNSNames: []string{"a.example"}},
			want:   view{DNS: []string{"a.example"}, IDs: []string{"2.5.29.17", "2.5.29.19!", authorityKeyID}},
		},
		"AllAllowed": {
			reason: "all that Magnum allows",
			names:  x509.CertificateRequest{DNSNames: []string{"a.example"}, IPAddresses: []net.IP{net.ParseIP("192.0.2.1"), net.ParseIP("2001:db8::1")}},
			extensions: []pkix.Extension{
				ext(oidKeyUsage, true, 3, 2, 5, 0xe0), ext(oidExtKeyUsage, false, serverAuth...), ext(oidSubjectKeyID, false, 4, 2, 1, 2),
				ext(oidBasicConstraints, true, 0x30, 0),
			},
			want: view{
				Usage:    x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment,
				ExtUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, DNS: []string{"a.example"}, IP: []string{"192.0.2.1", "2001:db8::1"},
				KeyID: []byte{1, 2},
				IDs:   []string{"2.5.29.14", "2.5.29.15!", "2.5.29.17", "2.5.29.19!", authorityKeyID, "2.5.29.37"},
			},
		},
		"CutKeyUsage": {
			reason:     "digitalSignature stays, keyCertSign and decipherOnly go",
			extensions: []pkix.Extension{ext(oidKeyUsage, false, 3, 3, 7, 0x84, 0x80)},
			want:       view{Usage: x509.KeyUsageDigitalSignature, IDs: []string{"2.5.29.15", "2.5.29.19!", authorityKeyID}},
		},
		"NoKeyUsageLeft": {
			reason:     "a key usage without a bit is not allowed by RFC 5280",
			extensions: []pkix.Extension{ext(oidKeyUsage, false, 3, 2, 2, 0x04)},
			want:       view{IDs: []string{"2.5.29.19!", authorityKeyID}},
		},
		"ForcedToLeaf": {
			reason:     "CA:TRUE becomes CA:FALSE",
			extensions: []pkix.Extension{ext(oidBasicConstraints, false, 0x30, 3, 1, 1, 0xff)},
			want:       view{IDs: []string{"2.5.29.19!", authorityKeyID}},
		},
		"UnknownDropped": {
			reason:     "what is not critical and not allowed is left out",
			extensions: []pkix.Extension{ext(asn1.ObjectIdentifier{1, 2, 3}, false, 5, 0), ext(oidNameConstraints, false, 0x30, 0)},
			want:       view{IDs: []string{"2.5.29.19!", authorityKeyID}},
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.names.ExtraExtensions = tc.extensions
			signed, err := pki.Sign(ca, request(t, &tc.names), options())
			if err != nil {
				t.Fatalf("%s: %v", tc.reason, err)
			}
			cert := parseCert(t, signed)
			got := view{Subject: cert.Subject.String(), Usage: cert.KeyUsage, ExtUsage: cert.ExtKeyUsage, DNS: cert.DNSNames, KeyID: cert.SubjectKeyId}
			for _, ip := range cert.IPAddresses {
				got.IP = append(got.IP, ip.String())
			}
			for _, e := range cert.Extensions {
				id := e.Id.String()
				if e.Critical {
					id += "!"
				}
				got.IDs = append(got.IDs, id)
			}
			sortStrings := cmp.Transformer("sorted", func(s []string) map[string]bool {
				m := make(map[string]bool)
				for _, v := range s {
					m[v] = true
				}
				return m
			})
			if diff := cmp.Diff(tc.want, got, sortStrings); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
			if cert.IsCA || !cert.BasicConstraintsValid {
				t.Errorf("%s: the certificate is an authority's", tc.reason)
			}
			if _, err := cert.Verify(x509.VerifyOptions{Roots: pool(t, ca), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
				t.Errorf("%s: the chain: %v", tc.reason, err)
			}
		})
	}
}

func TestSignRefuses(t *testing.T) {
	ca := fastCA(t, pkcs8, nil)
	good := request(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}})
	block, _ := pem.Decode(good)
	forged := append([]byte(nil), block.Bytes...)
	forged[len(forged)-1] ^= 1
	withExt := func(e ...pkix.Extension) []byte {
		return request(t, &x509.CertificateRequest{ExtraExtensions: e})
	}
	reencode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	cases := map[string]struct {
		reason string
		csr    []byte
		want   string
	}{
		"Empty":         {"nothing was sent", nil, "is not PEM"},
		"Text":          {"tempest sends a broken sample", []byte(strings.Replace(weakRequest, "MIIByjCC", "FAKERFAKERyjCC", 1)), "is not PEM"},
		"Truncated":     {"half of a request", reencode("CERTIFICATE REQUEST", block.Bytes[:50]), "cannot be read: "},
		"WrongBlock":    {"a certificate is no request", reencode("CERTIFICATE", block.Bytes), `is a PEM block "CERTIFICATE"`},
		"Forged":        {"the sender does not have the key", reencode("CERTIFICATE REQUEST", forged), "is not signed by its own key: "},
		"Huge":          {"nobody needs a request this long", []byte(strings.Repeat("x", 1<<17)), "is longer than 65536 bytes"},
		"CriticalOther": {"an insisted-on extension is not dropped in silence", withExt(ext(oidNameConstraints, true, 0x30, 0)), "has the critical extension 2.5.29.30, which is not allowed"},
		"CriticalUsage": {"nor an insisted-on usage", withExt(ext(oidKeyUsage, true, 3, 2, 2, 0x84)), "has a key usage other than digital signature"},
		"CriticalCA":    {"nor the wish to be an authority", withExt(ext(oidBasicConstraints, true, 0x30, 3, 1, 1, 0xff)), "asks for the certificate of an authority"},
		"BadUsage":      {"broken key usage", withExt(ext(oidKeyUsage, false, 1, 2, 3)), "has a key usage that cannot be read"},
		"BadExtUsage":   {"broken extended key usage", withExt(ext(oidExtKeyUsage, false, 0x30, 0)), "has an extended key usage that cannot be read"},
		"BadKeyID":      {"broken key identifier", withExt(ext(oidSubjectKeyID, false, 4, 1, 1, 0)), "has a subject key identifier that cannot be read"},
		"BadConstraint": {"broken basic constraints", withExt(ext(oidBasicConstraints, false, 5)), "has basic constraints that cannot be read"},
		"BadNames":      {"broken names", withExt(ext(oidSubjectAltName, false, 5, 0)), "cannot be read: "},
		"Twice":         {"which of the two would count", withExt(ext(oidExtKeyUsage, false, 0x30, 3, 6, 1, 42), ext(oidExtKeyUsage, false, 0x30, 3, 6, 1, 43)), ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := pki.Sign(ca, tc.csr, options())
			if input := (*pki.InputError)(nil); !errors.As(err, &input) || !strings.HasPrefix(input.Reason, tc.want) {
				t.Errorf("%s: want an input error %q, got %v", tc.reason, tc.want, err)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "certificate signing request ") {
				t.Errorf("%s: the text does not say what is wrong: %v", tc.reason, err)
			}
		})
	}
}

func TestSignWeakRequest(t *testing.T) {
	ca := newCA(t)
	signed, err := pki.Sign(ca, []byte(weakRequest), options())
	if err != nil {
		t.Fatal(err)
	}
	cert := parseCert(t, signed)
	if cert.Subject.CommonName != "www.google.com" || cert.SignatureAlgorithm != x509.SHA256WithRSA {
		t.Errorf("got %s signed with %s", cert.Subject, cert.SignatureAlgorithm)
	}
	again, err := pki.Sign(ca, []byte(weakRequest), options())
	if err != nil {
		t.Fatal(err)
	}
	if parseCert(t, again).SerialNumber.Cmp(cert.SerialNumber) == 0 {
		t.Error("two certificates have one serial number")
	}
}

func TestSignAuthorities(t *testing.T) {
	csr := request(t, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "x"}})
	good := fastCA(t, pkcs8, nil)
	sec1 := func(key *ecdsa.PrivateKey) *pem.Block {
		der, _ := x509.MarshalECPrivateKey(key)
		return &pem.Block{Type: "EC PRIVATE KEY", Bytes: der}
	}
	rename := func(kind string) func(*ecdsa.PrivateKey) *pem.Block {
		return func(key *ecdsa.PrivateKey) *pem.Block {
			b := pkcs8(key)
			b.Type = kind
			return b
		}
	}
	leaf := func(c *x509.Certificate) { c.IsCA, c.KeyUsage = false, 0 }
	cases := map[string]struct {
		reason string
		ca     pki.Authority
		want   string
	}{
		"PKCS8":       {"Magnum stores PKCS#8", good, ""},
		"SEC1":        {"Cluster API can be told to make ECDSA authorities", fastCA(t, sec1, nil), ""},
		"OtherKey":    {"two halves that do not belong together", pki.Authority{CertPEM: good.CertPEM, KeyPEM: fastCA(t, pkcs8, nil).KeyPEM}, "sign certificate: read authority: the key is not the certificate's"},
		"Leaf":        {"a server's certificate in the secret", fastCA(t, pkcs8, leaf), "sign certificate: read authority: the certificate is not an authority's"},
		"NoCert":      {"an empty secret", pki.Authority{KeyPEM: good.KeyPEM}, "sign certificate: read authority: the certificate is not PEM"},
		"NoKey":       {"the key is kept elsewhere", pki.Authority{CertPEM: good.CertPEM}, "sign certificate: read authority: the private key is not PEM"},
		"Mislabelled": {"no key material in the text", fastCA(t, rename("RSA PRIVATE KEY"), nil), "sign certificate: read authority: the private key cannot be read"},
		"Encrypted":   {"a key with a passphrase", fastCA(t, rename("ENCRYPTED PRIVATE KEY"), nil), `sign certificate: read authority: a PEM block "ENCRYPTED PRIVATE KEY" is no private key`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := pki.Sign(tc.ca, csr, options())
			got := ""
			if err != nil {
				got = err.Error()
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
			if input := (*pki.InputError)(nil); errors.As(err, &input) {
				t.Errorf("%s: the tenant is not to blame", tc.reason)
			}
		})
	}
}

// FuzzSign checks that no request makes signing panic, that failures are the sender's, and that whatever is signed is a
// leaf that chains to the authority and has no extension that is not allowed.
func FuzzSign(f *testing.F) {
	ca := fastCA(f, pkcs8, nil)
	roots := pool(f, ca)
	allowed := map[string]bool{"2.5.29.14": true, "2.5.29.15": true, "2.5.29.17": true, "2.5.29.19": true, "2.5.29.35": true, "2.5.29.37": true}
	for _, seed := range []string{
		weakRequest, string(request(f, &x509.CertificateRequest{DNSNames: []string{"a"}, ExtraExtensions: []pkix.Extension{ext(oidKeyUsage, true, 3, 2, 5, 0xa0)}})),
	} {
		block, _ := pem.Decode([]byte(seed))
		f.Add(block.Bytes, true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, der bool) {
		if der {
			data = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: data})
		}
		signed, err := pki.Sign(ca, data, options())
		if err != nil {
			if input := (*pki.InputError)(nil); !errors.As(err, &input) {
				t.Errorf("not an input error: %v", err)
			}
			return
		}
		cert := parseCert(t, signed)
		if cert.IsCA || cert.KeyUsage&x509.KeyUsageCertSign != 0 {
			t.Error("signed an authority")
		}
		for _, e := range cert.Extensions {
			if !allowed[e.Id.String()] {
				t.Errorf("let extension %v through", e.Id)
			}
		}
		if err := cert.CheckSignatureFrom(parseCert(t, ca.CertPEM)); err != nil {
			t.Error(err)
		}
		_, _ = cert.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now})
	})
}

// FuzzExtensions signs requests with any two extensions, which FuzzSign cannot make since it would have to sign them.
func FuzzExtensions(f *testing.F) {
	ca := fastCA(f, pkcs8, nil)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(15), true, []byte{3, 2, 5, 0xa0}, byte(19), false, []byte{0x30, 3, 1, 1, 0xff})
	f.Add(byte(37), false, []byte{0x30, 3, 6, 1, 42}, byte(14), false, []byte{4, 1, 1})
	f.Add(byte(17), true, []byte{0x30, 3, 0x82, 1, 'a'}, byte(30), false, []byte{0x30, 0})
	f.Fuzz(func(t *testing.T, id1 byte, critical1 bool, value1 []byte, id2 byte, critical2 bool, value2 []byte) {
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{ExtraExtensions: []pkix.Extension{
			{Id: asn1.ObjectIdentifier{2, 5, 29, int(id1)}, Critical: critical1, Value: value1},
			{Id: asn1.ObjectIdentifier{2, 5, 29, int(id2)}, Critical: critical2, Value: value2},
		}}, key)
		if err != nil {
			return
		}
		signed, err := pki.Sign(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), options())
		if err != nil {
			if input := (*pki.InputError)(nil); !errors.As(err, &input) {
				t.Errorf("not an input error: %v", err)
			}
			return
		}
		const usages = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment | x509.KeyUsageKeyEncipherment
		if cert := parseCert(t, signed); cert.IsCA || cert.KeyUsage&^usages != 0 {
			t.Errorf("CA %t, key usage %b", cert.IsCA, cert.KeyUsage)
		}
	})
}
