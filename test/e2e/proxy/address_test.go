package proxy

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
)

// slice is what a host has published of a cluster.
func (m *management) slice(t *testing.T, stack string, h *host) *discoveryv1.EndpointSlice {
	t.Helper()
	s := &discoveryv1.EndpointSlice{}
	eventually(t, stack+" is published by "+h.name, func() error {
		return m.client.Get(t.Context(), client.ObjectKey{Namespace: control.Namespace, Name: stack + "-" + h.name}, s)
	})
	return s
}

// TestAddresses: whatever the old tool's variables say, clients are sent to where they are heard; in either family.
func TestAddresses(t *testing.T) {
	h := theLab.hosts[0]
	six := netip.MustParseAddr("fd31::11")
	if err := h.ip("-6 addr replace " + six.String() + "/64 dev eth0 nodad"); err != nil {
		t.Fatal(err)
	}
	private := theLab.cluster(t, "10.0.0.5", h)
	public := theLab.cluster(t, "10.0.0.5", h)
	o := openStackCluster(public.stack)
	o.Object["spec"].(map[string]any)["disableAPIServerFloatingIP"] = false
	if err := theLab.api.client.Patch(t.Context(), o, client.Merge); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		reason string
		env    []string
		family discoveryv1.AddressType
		want   netip.Addr
		port   int32 // 0: any
		always bool
	}{
		{"what is listened on is what is told", []string{"PROXY_BIND=fd31::11", "PROXY_PORT=8443"}, discoveryv1.AddressTypeIPv6, six, 8443, false},
		{"all addresses, one is told; any value of PROXY_ALWAYS means yes", []string{"PROXY_BIND=*", "PROXY_PORT=8443", "POD_IP=fd31::11", "PROXY_ALWAYS=0"}, discoveryv1.AddressTypeIPv6, six, 8443, true},
		{"the default route's address and any free port", []string{"PROXY_BIND=*", "PROXY_PORT=0"}, discoveryv1.AddressTypeIPv4, h.addr, 0, false},
	} {
		t.Run(tc.reason, func(t *testing.T) {
			h.env = tc.env
			defer func() { h.env = nil }()
			h.run(t)
			defer h.stop()
			for _, c := range []*cluster{private, public} {
				if c == public && !tc.always {
					continue
				}
				var s *discoveryv1.EndpointSlice
				eventually(t, "reached where the slice leads", func() error {
					s = theLab.api.slice(t, c.stack, h)
					via := netip.AddrPortFrom(netip.MustParseAddr(s.Endpoints[0].Addresses[0]), uint16(*s.Ports[0].Port))
					return c.ready(via)
				})
				if s.AddressType != tc.family || s.Endpoints[0].Addresses[0] != tc.want.String() || tc.port != 0 && *s.Ports[0].Port != tc.port || *s.Ports[0].Port == 0 {
					t.Errorf("%s %v port %d, want %s %s port %d", s.AddressType, s.Endpoints[0].Addresses, *s.Ports[0].Port, tc.family, tc.want, tc.port)
				}
			}
			if !tc.always {
				theLab.api.published(t, public)
				if err := public.ready(netip.AddrPortFrom(tc.want, proxyPort)); err == nil {
					t.Error("a cluster with a floating IP is proxied though nobody asked for it")
				}
			}
		})
	}
}

// TestSelfConnect: Linux lets a socket connect to itself when its own port happens to be the one asked for. Go's dialer
// tries again then, and would do so outside of the namespace.
func TestSelfConnect(t *testing.T) {
	outside, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = outside.Close() }()
	to := outside.Addr().(*net.TCPAddr).AddrPort()
	ns, err := newNamespace(filepath.Join(theLab.dir, "selfish"))
	if err != nil {
		t.Fatal(err)
	}
	defer ns.remove()
	if err := ns.do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", fmt.Appendf(nil, "%d %[1]d", to.Port()), 0)
	}); err != nil {
		t.Fatal(err)
	}
	c, err := theLab.dial.Dial(t.Context(), "selfish", to, 5*time.Second)
	if err == nil {
		t.Errorf("connected to %s", c.RemoteAddr())
		_ = c.Close()
	}
	if err := outside.(*net.TCPListener).SetDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if c, err := outside.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("somebody came out of the namespace: %v, %v", c, err)
	}
	t.Logf("the dialer says: %v", err)
}
