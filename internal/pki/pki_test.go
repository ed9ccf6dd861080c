package pki_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
)

var now = time.Date(2026, 11, 23, 7, 9, 44, 0, time.UTC)

// rsaCA is made once, because RSA keys take long.
var rsaCA = sync.OnceValues(func() (pki.Authority, error) { return pki.NewCA(rand.Reader, now, "kube-1") })

func newCA(tb testing.TB) pki.Authority {
	tb.Helper()
	ca, err := rsaCA()
	if err != nil {
		tb.Fatal(err)
	}
	return ca
}

func options() pki.Options { return pki.Options{Random: rand.Reader, Now: now} }

func parseCert(tb testing.TB, data []byte) *x509.Certificate {
	tb.Helper()
	block, rest := pem.Decode(data)
	if block == nil || block.Type != "CERTIFICATE" || len(rest) > 0 {
		tb.Fatalf("not exactly one certificate: %q", data)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		tb.Fatal(err)
	}
	return cert
}

func pool(tb testing.TB, ca pki.Authority) *x509.CertPool {
	tb.Helper()
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(ca.CertPEM) {
		tb.Fatal("the authority is not in the pool")
	}
	return p
}

// openssl runs the binary, if there is one, in a directory with the files.
func openssl(t *testing.T, files map[string][]byte, args ...string) string {
	t.Helper()
	binary, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("no openssl here")
	}
	dir := t.TempDir()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestNewCA(t *testing.T) {
	ca := newCA(t)
	cert := parseCert(t, ca.CertPEM)
	type view struct {
		Subject, Issuer     string
		NotBefore, NotAfter time.Time
		IsCA, Valid, Zero   bool
		PathLen             int
		Usage               x509.KeyUsage
		Bits                int
		Algorithm           x509.SignatureAlgorithm
	}
	got := view{
		cert.Subject.String(), cert.Issuer.String(), cert.NotBefore, cert.NotAfter, cert.IsCA, cert.BasicConstraintsValid,
		cert.MaxPathLenZero, cert.MaxPathLen, cert.KeyUsage, cert.PublicKey.(*rsa.PublicKey).N.BitLen(), cert.SignatureAlgorithm,
	}
	want := view{
		"CN=kube-1", "CN=kube-1", now.Add(-24 * time.Hour), now.Add(5 * 365 * 24 * time.Hour), true, true, true, 0,
		x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment, 2048, x509.SHA256WithRSA,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Magnum's authority with Cluster API's key usages: -want +got\n%s", diff)
	}
	if len(cert.SubjectKeyId) != 20 || !bytes.Equal(cert.SubjectKeyId, cert.AuthorityKeyId) {
		t.Errorf("key identifiers: %x, %x", cert.SubjectKeyId, cert.AuthorityKeyId)
	}
	if err := cert.CheckSignatureFrom(cert); err != nil {
		t.Errorf("self-signed: %v", err)
	}
	block, _ := pem.Decode(ca.KeyPEM)
	if block == nil || block.Type != "RSA PRIVATE KEY" {
		t.Fatal("Cluster API wants a PKCS#1 key")
	}
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		t.Error("the key is not the certificate's")
	}
	again, err := pki.NewCA(rand.Reader, now, "kube-1")
	if err != nil {
		t.Fatal(err)
	}
	if other := parseCert(t, again.CertPEM); other.SerialNumber.Cmp(cert.SerialNumber) == 0 {
		t.Error("two authorities have one serial number")
	}
}

func TestNewCANames(t *testing.T) {
	if _, err := pki.NewCA(rand.Reader, now, ""); err == nil {
		t.Error("an authority without a name has no issuer to match")
	}
	if _, err := pki.NewCA(rand.Reader, now, "\xff"); err == nil {
		t.Error("a name that is no text cannot be encoded")
	}
	if _, err := pki.NewCA(noRandomness{}, now, "x"); err == nil {
		t.Error("no randomness, no authority")
	}
	ca, err := pki.NewCA(rand.Reader, now, strings.Repeat("é", 242))
	if err != nil {
		t.Fatal(err)
	}
	if got := parseCert(t, ca.CertPEM).Subject.CommonName; got != strings.Repeat("é", 64) {
		t.Errorf("X.520 allows 64 characters, got %q", got)
	}
}

// noRandomness is a reader that fails.
type noRandomness struct{}

func (noRandomness) Read([]byte) (int, error) { return 0, errors.New("no randomness") }

func TestNewServiceAccountKey(t *testing.T) {
	sa, err := pki.NewServiceAccountKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, _ := pem.Decode(sa.PrivatePEM)
	public, _ := pem.Decode(sa.PublicPEM)
	if private == nil || private.Type != "RSA PRIVATE KEY" || public == nil || public.Type != "PUBLIC KEY" {
		t.Fatalf("not what Cluster API writes:\n%s%s", sa.PublicPEM, sa.PublicPEM)
	}
	key, err := x509.ParsePKCS1PrivateKey(private.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	got, err := x509.ParsePKIXPublicKey(public.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(got) {
		t.Error("the public key is not the private key's")
	}
	if out := openssl(t, map[string][]byte{"k": sa.PrivatePEM}, "rsa", "-in", "k", "-pubout"); !strings.HasSuffix(out, string(sa.PublicPEM)) {
		t.Errorf("openssl sees another public key:\n%s", out)
	}
}

func TestOpenSSL(t *testing.T) {
	ca := newCA(t)
	client, err := pki.NewClient(ca, "admin", []string{"system:masters"}, options())
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"ca": ca.CertPEM, "crt": client.CertPEM, "key": client.KeyPEM}
	epoch := "1795417784" // now
	if out := openssl(t, files, "verify", "-x509_strict", "-attime", epoch, "-purpose", "sslclient", "-CAfile", "ca", "crt"); !strings.Contains(out, "OK") {
		t.Errorf("verify: %s", out)
	}
	out := openssl(t, files, "x509", "-in", "ca", "-noout", "-text", "-nameopt", "RFC2253")
	for _, want := range []string{
		"CA:TRUE, pathlen:0", "Digital Signature, Key Encipherment, Certificate Sign", "X509v3 Subject Key Identifier",
		"Subject: CN=kube-1", "Not Before: Nov 22 07:09:44 2026 GMT", "Not After : Nov 22 07:09:44 2031 GMT",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("openssl does not see %q in the authority:\n%s", want, out)
		}
	}
	out = openssl(t, files, "x509", "-in", "crt", "-noout", "-text", "-nameopt", "RFC2253")
	for _, want := range []string{"CN=admin,O=system:masters", "CA:FALSE", "TLS Web Client Authentication", "Authority Key Identifier"} {
		if !strings.Contains(out, want) {
			t.Errorf("openssl does not see %q in the client certificate:\n%s", want, out)
		}
	}
}

func TestNewClient(t *testing.T) {
	ca := newCA(t)
	client, err := pki.NewClient(ca, "kubernetes-admin", []string{"system:masters", "ops"}, options())
	if err != nil {
		t.Fatal(err)
	}
	cert := parseCert(t, client.CertPEM)
	if diff := cmp.Diff([]string{"ops", "system:masters"}, cert.Subject.Organization); diff != "" {
		t.Errorf("groups of Kubernetes, in the order of DER: -want +got\n%s", diff)
	}
	if cert.Subject.CommonName != "kubernetes-admin" || cert.KeyUsage != x509.KeyUsageDigitalSignature {
		t.Errorf("got %s with key usage %b", cert.Subject, cert.KeyUsage)
	}
	verify := x509.VerifyOptions{Roots: pool(t, ca), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	if _, err := cert.Verify(verify); err != nil {
		t.Errorf("the chain: %v", err)
	}
	verify.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if _, err := cert.Verify(verify); err == nil {
		t.Error("a client certificate is no server's")
	}
	block, _ := pem.Decode(client.KeyPEM)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		t.Error("the key is not the certificate's")
	}
	if _, err := pki.NewClient(pki.Authority{}, "x", nil, options()); err == nil {
		t.Error("no authority, no client")
	}
}

// A request is signed by whoever has an authority, and the key that stayed here is the certificate's.
func TestNewRequest(t *testing.T) {
	ca := newCA(t)
	keyPEM, request, err := pki.NewRequest(rand.Reader, "jeroboam", "ops")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := pki.Sign(ca, request, options())
	if err != nil {
		t.Fatal(err)
	}
	cert := parseCert(t, signed)
	if cert.Subject.CommonName != "jeroboam" || !cmp.Equal(cert.Subject.Organization, []string{"ops"}) {
		t.Errorf("it is for %s", cert.Subject)
	}
	block, _ := pem.Decode(keyPEM)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		t.Error("the key is not the certificate's")
	}
}

// fastCA is an authority with an ECDSA key, in the forms other tools store. Ours have RSA keys.
func fastCA(tb testing.TB, marshal func(*ecdsa.PrivateKey) *pem.Block, change func(*x509.Certificate)) pki.Authority {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "fast"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		tb.Fatal(err)
	}
	return pki.Authority{
		CertPEM: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), KeyPEM: pem.EncodeToMemory(marshal(key)),
	}
}

func pkcs8(key *ecdsa.PrivateKey) *pem.Block {
	der, _ := x509.MarshalPKCS8PrivateKey(key)
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}
}

func TestValidity(t *testing.T) {
	old := fastCA(t, pkcs8, nil) // from an hour ago to a day ahead
	cases := map[string]struct {
		reason        string
		ca            pki.Authority
		now           time.Time
		validity      time.Duration
		before, after time.Time
	}{
		"FiveYears": {
			reason: "the same five years as the authority, when signed at once",
			ca:     newCA(t), now: now, before: now.Add(-24 * time.Hour), after: now.Add(pki.Validity),
		},
		"Shorter": {
			reason: "less on request",
			ca:     newCA(t), now: now, validity: time.Hour, before: now.Add(-24 * time.Hour), after: now.Add(time.Hour),
		},
		"WithinAuthority": {
			reason: "a certificate that outlives its authority is of no use to anybody",
			ca:     old, now: now, before: now.Add(-time.Hour), after: now.Add(24 * time.Hour),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			o := pki.Options{Random: rand.Reader, Now: tc.now, Validity: tc.validity}
			client, err := pki.NewClient(tc.ca, "x", nil, o)
			if err != nil {
				t.Fatal(err)
			}
			cert := parseCert(t, client.CertPEM)
			if diff := cmp.Diff([]time.Time{tc.before, tc.after}, []time.Time{cert.NotBefore, cert.NotAfter}); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
		})
	}
	_, err := pki.NewClient(old, "x", nil, pki.Options{Random: rand.Reader, Now: now.Add(48 * time.Hour)})
	if input := (*pki.InputError)(nil); err == nil || errors.As(err, &input) {
		t.Errorf("an expired authority is an error, and not the tenant's: %v", err)
	}
}
