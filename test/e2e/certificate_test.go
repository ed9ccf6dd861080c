package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// access is what a kubeconfig holds.
type access struct {
	server        string
	ca, cert, key []byte
}

func readAccess(t *testing.T, kubeconfig string) access {
	t.Helper()
	c, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	now := c.Contexts[c.CurrentContext]
	cluster, user := c.Clusters[now.Cluster], c.AuthInfos[now.AuthInfo]
	return access{cluster.Server, cluster.CertificateAuthorityData, user.ClientCertificateData, user.ClientKeyData}
}

// file writes data to a file of its own.
func file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// to are kubectl's flags for a server, with a client certificate if one is given.
func to(t *testing.T, server access, cert, key []byte, args ...string) []string {
	t.Helper()
	flags := []string{"--kubeconfig", "/dev/null", "--server", server.server, "--certificate-authority", file(t, "ca.pem", server.ca)}
	if cert != nil {
		flags = append(flags, "--client-certificate", file(t, "cert.pem", cert), "--client-key", file(t, "key.pem", key))
	}
	return append(flags, args...)
}

func certificate(t *testing.T, data []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(data)
	if block == nil {
		t.Fatalf("no certificate in %q", data)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newRequest makes a key and a signing request for an administrator.
func newRequest(t *testing.T) (csr, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: "e2e", Organization: []string{"system:masters"}},
	}, k)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// Each cluster trusts its own authority and no other.
func TestCertificates(t *testing.T) {
	t.Parallel()
	all := shared(t)
	demo, user := all.client("demo"), all.as(t, "demo")
	template := user.template(t, "keys", "v1.34.2", nil)
	for _, name := range []string{"keys-a", "keys-b"} {
		user.start(t, name, template, nil)
	}
	cluster := user.reaches(t, "keys-a", "CREATE_COMPLETE")
	user.reaches(t, "keys-b", "CREATE_COMPLETE")
	a, b := readAccess(t, demo.config(t, "keys-a")), readAccess(t, demo.config(t, "keys-b"))

	t.Run("the kubeconfig is signed by the cluster's authority", func(t *testing.T) {
		shown := demo.says(t, "coe", "ca", "show", "keys-a")
		if strings.TrimSpace(shown) != strings.TrimSpace(string(a.ca)) {
			t.Errorf("coe ca show says\n%s\nand the kubeconfig has\n%s", shown, a.ca)
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(a.ca)
		if _, err := certificate(t, a.cert).Verify(x509.VerifyOptions{Roots: pool, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			t.Errorf("the client's certificate: %v", err)
		}
		if ca := certificate(t, a.ca); !ca.IsCA || ca.Subject.CommonName != "keys-a" {
			t.Errorf("authority %s, CA: %v", ca.Subject, ca.IsCA)
		}
		conn, err := (&tls.Dialer{Config: &tls.Config{RootCAs: pool}}).DialContext(t.Context(), "tcp", strings.TrimPrefix(a.server, "https://"))
		if err != nil {
			t.Fatalf("the API server does not show a certificate of the cluster's authority: %v", err)
		}
		_ = conn.Close()
		if a.server != cluster.APIAddress {
			t.Errorf("the kubeconfig goes to %s, and api_address is %s", a.server, cluster.APIAddress)
		}
	})
	t.Run("the owner's certificate is let in", func(t *testing.T) {
		kubectlSays(t, to(t, a, a.cert, a.key, "get", "nodes")...)
		kubectlSays(t, to(t, b, b.cert, b.key, "get", "nodes")...)
	})
	for name, is := range map[string]struct {
		server    access
		cert, key []byte
	}{
		"A's certificate at B": {b, a.cert, a.key},
		"B's certificate at A": {a, b.cert, b.key},
		"no certificate":       {a, nil, nil},
		"one's own signature":  selfSigned(t, a),
	} {
		t.Run(name+" is refused", func(t *testing.T) {
			out, problems, err := kubectl(t, to(t, is.server, is.cert, is.key, "get", "nodes")...)
			if err == nil {
				t.Fatalf("let in: %s", out)
			}
			// Without a certificate, kubectl asks its user for a password when the server says Unauthorized.
			if said := out + problems; !strings.Contains(said, "You must be logged in to the server") && !strings.Contains(said, "Please enter Username") {
				t.Errorf("refused, but not as Unauthorized: %s%s", out, problems)
			}
			wantUnauthorized(t, is.server, is.cert, is.key)
		})
	}
	t.Run("coe ca sign", func(t *testing.T) {
		csr, key := newRequest(t)
		signed := demo.says(t, "coe", "ca", "sign", "keys-a", file(t, "csr.pem", csr))
		if got := certificate(t, []byte(signed)).Subject.String(); got != "CN=e2e,O=system:masters" {
			t.Errorf("subject is %s", got)
		}
		kubectlSays(t, to(t, a, []byte(signed), key, "get", "nodes")...)
		if out, _, err := kubectl(t, to(t, b, []byte(signed), key, "get", "nodes")...); err == nil {
			t.Errorf("what A signed is let in by B: %s", out)
		}
	})
}

// selfSigned is a certificate that claims to be everything and that nobody signed.
func selfSigned(t *testing.T, server access) (out struct {
	server    access
	cert, key []byte
},
) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	real := certificate(t, server.cert)
	copied := &x509.Certificate{
		Subject: real.Subject, SerialNumber: real.SerialNumber, NotBefore: real.NotBefore, NotAfter: real.NotAfter, KeyUsage: real.KeyUsage,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, copied, &x509.Certificate{Subject: real.Issuer}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	out.server = server
	out.cert = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	out.key = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
	return out
}

// wantUnauthorized asks as kubectl does and expects what an API server answers.
func wantUnauthorized(t *testing.T, server access, cert, key []byte) {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool()}
	config.RootCAs.AppendCertsFromPEM(server.ca)
	if cert != nil {
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	resp, err := c.Get(server.server + "/api/v1/nodes")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("%s, want 401", resp.Status)
	}
}
