package cli

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
)

// Files of authorities that are none are found when the server starts, both at once and by name: nodes would find out
// one by one.
func TestAuthoritiesAreRead(t *testing.T) {
	srv := httptest.NewUnstartedServer(nil)
	srv.StartTLS()
	defer srv.Close()
	good := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")}))
	for name, is := range map[string]struct{ reason, text, want string }{
		"two certificates":    {"a chain", good + good, ""},
		"no PEM":              {"a DER file", string(srv.Certificate().Raw), "is no file of certificates in PEM (0 of them can be read)"},
		"empty":               {"nothing to trust", "", "is no file of certificates in PEM"},
		"a second one broken": {"clusters of one half of the cloud would not come", good + strings.Replace(good, "MII", "M!I", 1), "1 of them can be read"},
		"a key in it":         {"it would go to every node", good + key, "has a PRIVATE KEY in it, and must have certificates only"},
		"bytes that are none": {"PEM around nothing", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})), "certificate 1: "},
	} {
		t.Run(name, func(t *testing.T) {
			nodes, client := filepath.Join(t.TempDir(), "nodes.pem"), filepath.Join(t.TempDir(), "client.pem")
			put(t, nodes, is.text)
			put(t, client, is.text)
			_, err := configOf(t, "[drivers]\nopenstack_ca_file = "+nodes+"\n[capi_client]\nca_file = "+client+"\n")
			if is.want == "" && err != nil || is.want != "" && err == nil {
				t.Fatalf("%v: %s", err, is.reason)
			}
			if is.want == "" {
				return
			}
			for _, want := range []string{is.want, "[drivers] openstack_ca_file: " + nodes, "[capi_client] ca_file: " + client} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("want %q in %v: %s", want, err, is.reason)
				}
			}
		})
	}
}

// TestServerSpeaksTLS: enabled_ssl is acted on, or the server says what keeps it from that.
func TestServerSpeaksTLS(t *testing.T) {
	dir, now := t.TempDir(), time.Now()
	ca, err := pki.NewCA(rand.Reader, now, "ExampleCorpRoot")
	if err != nil {
		t.Fatal(err)
	}
	made, err := pki.NewServer(ca, []string{"127.0.0.1"}, pki.Options{Random: rand.Reader, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	cert, key, empty := filepath.Join(dir, "magnum.pem"), filepath.Join(dir, "magnum.key"), filepath.Join(dir, "empty")
	put(t, cert, string(made.CertPEM))
	put(t, key, string(made.KeyPEM))
	put(t, empty, "")
	for _, tt := range []struct{ reason, text, want string }{
		{"no key", "enabled_ssl = true\nssl_cert_file = " + cert, "ssl_cert_file and ssl_key_file must name"},
		{"no certificate in it", "enabled_ssl = true\nssl_cert_file = " + empty + "\nssl_key_file = " + key, "[api] ssl_cert_file " + empty},
		{"not asked for", "ssl_cert_file = " + empty, ""},
	} {
		c, err := configOf(t, "[api]\n"+tt.text+"\n")
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) || c.TLSCert != "" {
			t.Errorf("%s: %v, %q", tt.reason, err, c.TLSCert)
		}
	}
	c, err := configOf(t, "[api]\nenabled_ssl = true\nssl_cert_file = "+cert+"\nssl_key_file = "+key+"\n")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- serveHTTP(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(r.Proto)) }), c.TLSCert, c.TLSKey)
	}()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca.CertPEM)
	for _, tt := range []struct {
		want string
		h2   bool
	}{{"HTTP/1.1", false}, {"HTTP/2.0", true}} { // haproxy_backend_h2 offers both
		client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: tt.h2}}
		res, err := client.Get("https://" + l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if _ = res.Body.Close(); err != nil || string(text) != tt.want {
			t.Errorf("it speaks %q, not %s: %v", text, tt.want, err)
		}
		client.CloseIdleConnections()
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
