package haproxy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
)

func a(stack, namespace string) backend.Backend {
	return backend.Backend{Stack: stack, Address: netip.MustParseAddrPort("10.0.0.5:6443"), Namespaces: []netns.Namespace{{Name: namespace, Generation: 3}}}
}

func TestRender(t *testing.T) {
	s := settings{
		Socket: "/run/s", PIDFile: "/run/p", Binds: []string{"192.0.2.7:8443"}, MaxConnections: 10, MaxPerBackend: 5,
		ConnectTimeout: 5 * time.Second, HelloTimeout: 1500 * time.Millisecond, Backends: []backend.Backend{a("kube-b", "qdhcp-2"), a("kube-a", "ovnmeta-1")},
	}
	text, err := render(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"bind 192.0.2.7:8443\n", "inspect-delay 1500ms\n", "timeout tunnel 24d\n", "use_backend %[req.ssl_sni,lower]\n",
		"backend kube-a.magnum-system\n    # generation 3\n    server apiserver 10.0.0.5:6443 namespace ovnmeta-1 maxconn 5\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	s.Backends[0], s.Backends[1] = s.Backends[1], s.Backends[0]
	if again, _ := render(s); again != text {
		t.Error("the order of backends makes another text, and a reload")
	}
	s.Backends[0].Namespaces[0].Generation++
	if again, _ := render(s); again == text {
		t.Error("a namespace that was made again needs a reload")
	}
	s.Backends[0].Namespaces[0].Name = "x\n  server evil 192.0.2.1:1"
	if _, err := render(s); err == nil {
		t.Error("a name can carry more than a name")
	}
}

func TestReadStats(t *testing.T) {
	in := "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,\nkube-a.magnum-system,BACKEND,0,0,3,4,1,17,100,200,\nother,BACKEND,0,0,1,1,1,1,1,1,\n\n"
	got, err := readStats(strings.NewReader(in))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]stat{{"kube-a", 3, 17, 100, 200}}, got, cmp.AllowUnexported(stat{})); diff != "" {
		t.Error(diff)
	}
}

func TestBinds(t *testing.T) {
	for in, want := range map[string][]string{"": {"*:1", ":::1 v6only"}, "192.0.2.7": {"192.0.2.7:1"}, "2001:db8::1": {"[2001:db8::1]:1"}} {
		if got, err := binds(in, 1); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%q: %v, %v", in, got, err)
		}
	}
	if _, err := binds("x", 1); err == nil {
		t.Error("no address is one")
	}
}
