package proxy

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
)

func TestDecide(t *testing.T) {
	q, o := netns.Namespace{Name: "qdhcp-n", Generation: 1}, netns.Namespace{Name: "ovnmeta-n", Generation: 2}
	private := control.Cluster{Stack: "kube-a", Network: "n", Address: netip.MustParseAddrPort("10.0.0.5:6443"), Private: true}
	public, unready := private, private
	public.Private = false
	unready.Why = "not yet"
	up := backend.Health{Known: true, OK: true, Namespace: o}
	for _, tc := range []struct {
		name   string
		in     control.Cluster
		always bool
		here   []netns.Namespace
		health backend.Health
		wish   control.Wish
		first  string // namespace
		why    string
	}{
		{"published", private, false, []netns.Namespace{q}, up, control.Publish, "qdhcp-n", ""},
		{"the namespace that works is first", private, false, []netns.Namespace{q, o}, up, control.Publish, "ovnmeta-n", ""},
		{"public", public, false, []netns.Namespace{q}, up, control.Withdraw, "", "its API server has a floating IP (--always proxies it all the same)"},
		{"public, always", public, true, []netns.Namespace{q}, up, control.Publish, "qdhcp-n", ""},
		{"no namespace", private, false, nil, up, control.Withdraw, "", "no namespace of network n on this host"},
		{"not ready", unready, false, []netns.Namespace{q}, up, control.Withdraw, "", "not yet"},
		{"not asked", private, false, []netns.Namespace{q}, backend.Health{}, control.Leave, "qdhcp-n", "its API server has not been asked yet"},
		{"down", private, false, []netns.Namespace{q}, backend.Health{Known: true, Err: errors.New("refused")}, control.Withdraw, "qdhcp-n", "its API server does not answer: refused"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := decide([]control.Cluster{tc.in}, tc.always, func(string) []netns.Namespace { return tc.here }, func(string) backend.Health { return tc.health })[0]
			first := ""
			if got.serve {
				first = got.backend.Namespaces[0].Name
			}
			if diff := cmp.Diff([]any{tc.wish, tc.first, tc.why}, []any{got.wish, first, got.why}); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAdvertise(t *testing.T) {
	local := func() ([]net.Addr, error) {
		return []net.Addr{&net.IPNet{IP: net.IPv4(192, 0, 2, 7), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.IPv4(198, 51, 100, 7), Mask: net.CIDRMask(24, 32)}}, nil
	}
	for _, tc := range []struct{ name, asked, bind, want string }{
		{"asked for", "192.0.2.7", "*", "192.0.2.7"},
		{"what is listened on", "", "192.0.2.7", "192.0.2.7"},
		{"the same", "192.0.2.7", "192.0.2.7", "192.0.2.7"},
		{"translated", "203.0.113.1", "192.0.2.7", "203.0.113.1"},
		{"IPv6", "", "2001:db8::7", "2001:db8::7"},
		{"nobody could reach it", "198.51.100.7", "192.0.2.7", ""},
		{"no address", "host", "*", ""},
		{"nothing to listen on", "", "host", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := advertise(t.Context(), tc.asked, tc.bind, local)
			if (err == nil) != (tc.want != "") || err == nil && got.String() != tc.want {
				t.Errorf("%v, %v; want %q", got, err, tc.want)
			}
		})
	}
}
