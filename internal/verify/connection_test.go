package verify

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/containerinfra/v1/clusters"
	"k8s.io/client-go/rest"

	"github.com/jeroboam-cloud/jeroboam/internal/pki"
)

// A private cluster is asked for by its server name at the first proxy that answers, and everybody who holds its
// authority's certificate for that name, and nobody else, is taken for it.
func TestThroughProxies(t *testing.T) {
	authority, err := pki.NewCA(rand.Reader, time.Now(), "kube-abcde")
	if err != nil {
		t.Fatal(err)
	}
	server, err := pki.NewServer(authority, []string{"kube-abcde.magnum-system"}, pki.Options{Random: rand.Reader, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.X509KeyPair(server.CertPEM, server.KeyPEM)
	if err != nil {
		t.Fatal(err)
	}
	magnum := signing(t, authority)
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := silent.Close(); err != nil { // nobody is there any more
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, stack, wanted string }{
		{"the cluster's own name", "kube-abcde", "kube-abcde.magnum-system"},
		{"a name that its certificate does not have", "kube-other", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var asked string
			proxy := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			proxy.TLS = &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
				asked = hello.ServerName
				return &certificate, nil
			}}
			proxy.StartTLS()
			defer proxy.Close()
			r := &run{Options: Options{Proxies: []string{silent.Addr().String(), proxy.Listener.Addr().String()}}, Clients: Clients{Magnum: magnum}}
			config, err := r.connection(t.Context(), &clusters.Cluster{UUID: "a", APIAddress: "https://10.0.0.5:6443", StackID: tt.stack})
			if err != nil {
				t.Fatal(err)
			}
			client, err := rest.HTTPClientFor(config)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Get(config.Host)
			if err == nil {
				_ = resp.Body.Close()
			}
			if (err == nil) != (tt.wanted != "") {
				t.Errorf("asked for %s: %v", asked, err)
			}
			if asked != tt.stack+".magnum-system" {
				t.Errorf("the proxy was asked for %q", asked)
			}
		})
	}
	r := &run{Options: Options{Proxies: []string{silent.Addr().String()}}, Clients: Clients{Magnum: magnum}}
	_, err = r.connection(t.Context(), &clusters.Cluster{UUID: "a", APIAddress: "https://10.0.0.5:6443", StackID: "kube-abcde"})
	if err == nil || !strings.Contains(err.Error(), "no proxy answers: dial tcp "+silent.Addr().String()) {
		t.Errorf("nobody answers, and it is %v", err)
	}
}

// signing is as much of Magnum as signs certificates for one authority.
func signing(t *testing.T, authority pki.Authority) *gophercloud.ServiceClient {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := map[string]string{"pem": string(authority.CertPEM)}
		if r.Method == http.MethodPost {
			var asked struct{ CSR string }
			if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
				t.Error(err)
			}
			signed, err := pki.Sign(authority, []byte(asked.CSR), pki.Options{Random: rand.Reader, Now: time.Now()})
			if err != nil {
				t.Error(err)
			}
			answer["pem"] = string(signed)
			w.WriteHeader(http.StatusCreated)
		}
		_ = json.NewEncoder(w).Encode(answer) // the client says what it lacks
	}))
	t.Cleanup(s.Close)
	return &gophercloud.ServiceClient{ProviderClient: &gophercloud.ProviderClient{}, Endpoint: s.URL + "/"}
}
