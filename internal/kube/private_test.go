package kube_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

func endpoints(stack, host, address string, port int32, ready *bool) client.Object {
	s := &discoveryv1.EndpointSlice{ObjectMeta: metav1.ObjectMeta{
		Namespace: "magnum-system", Name: stack + "-" + host, Labels: map[string]string{discoveryv1.LabelServiceName: stack},
	}}
	s.Endpoints = []discoveryv1.Endpoint{{Addresses: []string{address}, Conditions: discoveryv1.EndpointConditions{Ready: ready}}}
	s.Ports = []discoveryv1.EndpointPort{{Port: &port}}
	return s
}

func TestThroughProxies(t *testing.T) {
	scheme, err := kube.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	c := fake.NewClientBuilder().WithScheme(scheme).WithObjects(
		endpoints("kube-aaaaa", "one", "192.0.2.1", 8443, nil), endpoints("kube-aaaaa", "two", "2001:db8::2", 8444, new(true)),
		endpoints("kube-aaaaa", "three", "192.0.2.3", 8443, new(false)), endpoints("kube-bbbbb", "one", "192.0.2.4", 8443, new(true)),
	).Build()
	for name, is := range map[string]struct {
		reason, address string
		alive           []string // addresses that accept connections
		tried           []string // in any order, when none is alive
		says            string   // "" is a connection
	}{
		"a public one":    {reason: "it has an address of its own", address: "198.51.100.7:6443", alive: []string{"198.51.100.7:6443"}},
		"by name":         {reason: "somebody else's name is a name", address: "api.example.com:6443", alive: []string{"api.example.com:6443"}},
		"one of two":      {reason: "the other host's proxy has died, and its slice is still there", address: "kube-aaaaa.magnum-system:6443", alive: []string{"[2001:db8::2]:8444"}},
		"another cluster": {reason: "slices are a stack's own", address: "kube-bbbbb.magnum-system:6443", alive: []string{"192.0.2.4:8443"}},
		"none answers": {
			reason: "each is told, and the one that is not ready is not asked", address: "kube-aaaaa.magnum-system:6443",
			tried: []string{"192.0.2.1:8443", "[2001:db8::2]:8444"}, says: "proxy 192.0.2.1:8443: refused",
		},
		"none there": {reason: "an operator has to do something", address: "kube-ccccc.magnum-system:6443", says: "kube-ccccc.magnum-system: no proxy serves it"},
	} {
		t.Run(name, func(t *testing.T) {
			var tried []string
			dial := kube.ThroughProxies(c, func(_ context.Context, _, address string) (net.Conn, error) {
				tried = append(tried, address)
				if !slices.Contains(is.alive, address) {
					return nil, errors.New("refused")
				}
				us, them := net.Pipe()
				_ = them.Close()
				return us, nil
			})
			conn, err := dial(t.Context(), "tcp", is.address)
			if (err == nil) != (is.says == "") || err != nil && !strings.Contains(err.Error(), is.says) {
				t.Fatalf("%v, want %q: %s", err, is.says, is.reason)
			}
			if err == nil {
				_ = conn.Close()
				if got := tried[len(tried)-1]; got != is.alive[0] {
					t.Errorf("it went to %s, want %s: %s", got, is.alive[0], is.reason)
				}
				return
			}
			var network net.Error
			if !errors.As(err, &network) {
				t.Errorf("%v is no error of the network, and would be taken for the API server's", err)
			}
			slices.Sort(tried)
			if !slices.Equal(tried, is.tried) {
				t.Errorf("tried %v, want %v: %s", tried, is.tried, is.reason)
			}
		})
	}
}
