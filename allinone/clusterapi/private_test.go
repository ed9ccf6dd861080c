package clusterapi

import (
	"context"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/cluster-api/controllers/remote"
	"sigs.k8s.io/cluster-api/util/secret"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
)

// kubeconfigSecret is what Cluster API keeps for a cluster.
func kubeconfigSecret(t *testing.T, stack, server string, ca []byte) *corev1.Secret {
	t.Helper()
	content, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{stack: {Server: server, CertificateAuthorityData: ca, TLSServerName: "example.com"}},
		Contexts:       map[string]*clientcmdapi.Context{stack: {Cluster: stack}},
		CurrentContext: stack,
	})
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: control.Namespace, Name: control.SecretName(stack)},
		Data:       map[string][]byte{secret.KubeconfigDataName: content},
	}
}

// TestPrivateClusters sees that Cluster API's own connections to a private cluster go where its EndpointSlices say, and
// all others straight.
func TestPrivateClusters(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }))
	defer server.Close()
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseInt(at.Port(), 10, 32)
	if err != nil {
		t.Fatal(err)
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	c := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(
		kubeconfigSecret(t, "kube-in", control.Server("kube-in"), ca),
		kubeconfigSecret(t, "kube-gone", control.Server("kube-gone"), ca),
		kubeconfigSecret(t, "kube-out", server.URL, ca),
		&discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: control.Namespace, Name: "kube-in-host", Labels: map[string]string{discoveryv1.LabelServiceName: "kube-in"}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{at.Hostname()}}},
			Ports:       []discoveryv1.EndpointPort{{Port: ptr.To(int32(port))}},
		},
	).Build()
	p, err := newPrivate(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Start(ctx) }()

	for _, tc := range []struct{ stack, want, wantErr, reason string }{
		{"kube-in", "hello", "", "its name means a proxy"},
		{"kube-out", "hello", "", "it has an address"},
		{"kube-gone", "", "Bad Gateway", "no host proxies it"},
	} {
		t.Run(tc.stack, func(t *testing.T) {
			config, err := remote.RESTConfig(t.Context(), "test", p.through(c), client.ObjectKey{Namespace: control.Namespace, Name: tc.stack})
			if err != nil {
				t.Fatal(err)
			}
			got, err := ask(t, config)
			if got != tc.want || (err != nil) != (tc.wantErr != "") || (err != nil && !strings.Contains(err.Error(), tc.wantErr)) {
				t.Errorf("%q, %v; because %s", got, err, tc.reason)
			}
		})
	}
	t.Run("nobody else's way out", func(t *testing.T) { refusesOthers(t, p, at.Host) })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func ask(t *testing.T, config *rest.Config) (string, error) {
	t.Helper()
	transport, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := transport.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	b, err := io.ReadAll(answer.Body)
	return string(b), err
}

func refusesOthers(t *testing.T, p *private, host string) {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", p.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, "CONNECT "+host+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(c)
	if err != nil || !strings.HasPrefix(string(b), "HTTP/1.1 403") {
		t.Errorf("%q, %v", b, err)
	}
}
