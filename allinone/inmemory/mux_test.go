package inmemory

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jeroboam-cloud/jeroboam/allinone/etcd"
)

// authority is a cluster's certificate authority, and a client certificate of it.
type authority struct {
	cert   *x509.Certificate
	key    *rsa.PrivateKey
	client tls.Certificate
}

func newAuthority(t *testing.T, usage x509.ExtKeyUsage) authority {
	t.Helper()
	sign := func(tmpl, parent *x509.Certificate, pub, key any) *x509.Certificate {
		tmpl.SerialNumber, tmpl.NotBefore, tmpl.NotAfter = big.NewInt(1), time.Now().Add(-time.Minute), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	a := authority{key: key}
	ca := &x509.Certificate{Subject: pkix.Name{CommonName: "kubernetes"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert = sign(ca, ca, key.Public(), key)
	leaf := sign(&x509.Certificate{Subject: pkix.Name{CommonName: "admin"}, ExtKeyUsage: []x509.ExtKeyUsage{usage}}, a.cert, key.Public(), key)
	a.client = tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}
	return a
}

func (a authority) secret(name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Data:       map[string][]byte{"tls.crt": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})},
	}
}

func newInfrastructure(t *testing.T, secrets client.Reader, ports PortRange) *Infrastructure {
	t.Helper()
	return startInfrastructure(t, Options{Secrets: secrets, Ports: ports, Etcd: startEtcd(t)})
}

func startEtcd(t *testing.T) (endpoint string) {
	t.Helper()
	e := &etcd.Server{Dir: t.TempDir(), Log: io.Discard}
	if err := e.Start(t.Context(), func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	return e.Endpoint()
}

func startInfrastructure(t *testing.T, o Options) *Infrastructure {
	t.Helper()
	o.Log = t.Output()
	i, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = i.Close() })
	i.Act(context.Background())
	return i
}

// TestClusterAPILayout fails when a new version of Cluster API keeps its servers elsewhere: then change serversOf.
func TestClusterAPILayout(t *testing.T) {
	i := newInfrastructure(t, fake.NewFakeClient(), PortRange{24000, 24099})
	s, err := serversOf(i.Mux)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := s.workload.Handler.(*authenticator); !ok || s.workload.TLSConfig.ClientAuth != tls.RequestClientCert {
		t.Errorf("the workload server is not guarded: %T", s.workload.Handler)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.debug.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		t.Errorf("the debug server is not closed: %v", err)
	}
}

func TestAuthentication(t *testing.T) {
	mine, other, server := newAuthority(t, x509.ExtKeyUsageClientAuth), newAuthority(t, x509.ExtKeyUsageClientAuth), newAuthority(t, x509.ExtKeyUsageServerAuth)
	secrets := fake.NewFakeClient(mine.secret("a-ca"), other.secret("b-ca"), server.secret("c-ca"), other.secret("a-etcd"))
	i := newInfrastructure(t, secrets, PortRange{24100, 24199})
	urls := map[string]string{}
	for name, ca := range map[string]authority{"a": mine, "b": other, "c": server} {
		urls[name] = serve(t, i, "ns/"+name, ca)
	}
	cases := map[string]struct {
		reason, cluster string
		certs           []tls.Certificate
		grpc            bool
		want            int
		wantGRPC        string
	}{
		"own":            {reason: "the cluster's own client comes in", cluster: "a", certs: []tls.Certificate{mine.client}, want: 200},
		"other":          {reason: "another cluster's client does not", cluster: "b", certs: []tls.Certificate{mine.client}, want: 401},
		"none":           {reason: "nobody comes in without a certificate", cluster: "a", want: 401},
		"not a client":   {reason: "a serving certificate is no client certificate", cluster: "c", certs: []tls.Certificate{server.client}, want: 401},
		"etcd, API cert": {reason: "etcd has an authority of its own", cluster: "a", certs: []tls.Certificate{mine.client}, grpc: true, want: 200, wantGRPC: "16"},
		"etcd, own":      {reason: "whose clients come in", cluster: "a", certs: []tls.Certificate{other.client}, grpc: true, want: 200, wantGRPC: "12"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: tc.certs}}
			defer transport.CloseIdleConnections()
			method, path := http.MethodGet, "/api/v1/nodes"
			if tc.grpc {
				method, path = http.MethodPost, "/no.such.Service/Method"
			}
			for range 2 { // the second request meets the verdict of the first
				req, err := http.NewRequestWithContext(t.Context(), method, urls[tc.cluster]+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				if tc.grpc {
					req.Header.Set("Content-Type", "application/grpc")
				}
				res, err := transport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, res.Body) // trailers come after it
				_ = res.Body.Close()
				status := res.Header.Get("Grpc-Status") + res.Trailer.Get("Grpc-Status")
				if res.StatusCode != tc.want || status != tc.wantGRPC {
					t.Errorf("%s: status %d, grpc %q", tc.reason, res.StatusCode, status)
				}
			}
		})
	}
}

// A cluster that is made again under the same name has another authority: old certificates are refused, on open
// connections too.
func TestNewAuthority(t *testing.T) {
	first, second := newAuthority(t, x509.ExtKeyUsageClientAuth), newAuthority(t, x509.ExtKeyUsageClientAuth)
	secrets := fake.NewFakeClient(first.secret("a-ca"))
	i := newInfrastructure(t, secrets, PortRange{24200, 24299})
	url := serve(t, i, "ns/a", first)
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{first.client}}}
	defer transport.CloseIdleConnections()
	get := func() int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/api/v1/nodes", nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode
	}
	if got := get(); got != 200 {
		t.Fatalf("status %d", got)
	}
	renewed := second.secret("a-ca")
	if err := secrets.Update(context.Background(), renewed); err != nil {
		t.Fatal(err)
	}
	if got := get(); got != 401 {
		t.Errorf("status %d after the authority was replaced", got)
	}
}

func serve(t *testing.T, i *Infrastructure, name string, ca authority) (url string) {
	t.Helper()
	port, err := i.Ports.Take()
	if err != nil {
		t.Fatal(err)
	}
	i.Manager.AddResourceGroup(name)
	l, err := i.Mux.InitWorkloadClusterListener(name, port)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Mux.RegisterResourceGroup(name, name); err != nil {
		t.Fatal(err)
	}
	if err := i.Mux.AddAPIServer(name, "kube-apiserver-0", ca.cert, ca.key); err != nil {
		t.Fatal(err)
	}
	return l.Address()
}

func TestPorts(t *testing.T) {
	p := NewPorts(PortRange{100, 103})
	p.inUse = func(port int32) bool { return port == 101 }
	p.Reserve(100)
	take := func() int32 {
		port, err := p.Take()
		if err != nil {
			return 0
		}
		return port
	}
	if a, b, c := take(), take(), take(); a != 102 || b != 103 || c != 0 {
		t.Errorf("got %d, %d, %d: reserved ports and those of other programs must be left out", a, b, c)
	}
	p.Release(102)
	if got := take(); got != 102 {
		t.Errorf("a released port must be given again, got %d", got)
	}
}

func TestTwoAtOnce(t *testing.T) {
	// Two all-in-ones on one machine: neither Cluster API's debug port nor a workload port may collide.
	a := newInfrastructure(t, fake.NewFakeClient(), PortRange{24300, 24399})
	b := newInfrastructure(t, fake.NewFakeClient(), PortRange{24300, 24399})
	ca := newAuthority(t, x509.ExtKeyUsageClientAuth)
	first, second := serve(t, a, "ns/a", ca), serve(t, b, "ns/a", ca)
	if first == second {
		t.Errorf("both serve on %s", first)
	}
}
