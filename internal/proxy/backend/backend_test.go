package backend

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 2000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func prober(t *testing.T, check Check, dials *atomic.Int64) *Prober {
	t.Helper()
	d := net.Dialer{}
	p := NewProber(ProberOptions{
		Dial: func(ctx context.Context, ns string, to netip.AddrPort, _ time.Duration) (*net.TCPConn, error) {
			dials.Add(1)
			if strings.HasPrefix(ns, "dead") {
				return nil, netns.ErrNoNamespace
			}
			c, err := d.DialContext(ctx, "tcp", to.String())
			if err != nil {
				return nil, err
			}
			return c.(*net.TCPConn), nil
		},
		Check: check, Interval: 50 * time.Millisecond, Timeout: 5 * time.Second, Parallel: 4, Metrics: NewMetrics(prometheus.NewRegistry()), Changed: func(string) {},
	})
	t.Cleanup(p.Close)
	return p
}

func at(address string, namespaces ...string) Backend {
	b := Backend{Stack: "kube-a", Address: netip.MustParseAddrPort(address)}
	for _, n := range namespaces {
		b.Namespaces = append(b.Namespaces, netns.Namespace{Name: n, Generation: 1})
	}
	return b
}

// TestProber is the life of a backend: unknown, up through its second namespace, down, and up again.
func TestProber(t *testing.T) {
	for _, check := range []Check{CheckTLS, CheckReadyz} {
		t.Run(string(check), func(t *testing.T) {
			var sick atomic.Bool
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if sick.Load() {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				w.WriteHeader(http.StatusUnauthorized) // alive, and closed to strangers
			}))
			s.Config.ErrorLog = nil
			s.StartTLS()
			address := s.Listener.Addr().String()
			var dials atomic.Int64
			p := prober(t, check, &dials)
			if p.Health("kube-a").Known {
				t.Error("known before it was asked")
			}
			b := at(address, "dead", "qdhcp")
			p.Set([]Backend{b})
			eventually(t, "up", func() bool { return p.Health("kube-a").OK })
			if h := p.Health("kube-a"); h.Namespace.Name != "qdhcp" {
				t.Errorf("answered in %v", h.Namespace)
			}
			p.Set([]Backend{b.Prefer(b.Namespaces[1])}) // the same ways in another order
			if !p.Health("kube-a").OK {
				t.Error("another order of the ways is news")
			}
			if check == CheckReadyz {
				sick.Store(true)
				eventually(t, "sick is down", func() bool { return !p.Health("kube-a").OK })
				sick.Store(false)
				eventually(t, "well again", func() bool { return p.Health("kube-a").OK })
			}
			s.Close()
			eventually(t, "down", func() bool { return !p.Health("kube-a").OK })
			if p.Health("kube-a").Err == nil {
				t.Error("down, and no reason")
			}
			l, err := net.Listen("tcp", address)
			if err != nil {
				t.Skip("the port was taken meanwhile by another program:", err)
			}
			again := &http.Server{Handler: s.Config.Handler, TLSConfig: s.TLS, ReadHeaderTimeout: time.Minute}
			go func() { _ = again.ServeTLS(l, "", "") }()
			defer func() { _ = again.Close() }()
			eventually(t, "up again", func() bool { return p.Health("kube-a").OK })
		})
	}
}

// TestUsed: traffic saves checks, and a doubt brings one at once.
func TestUsed(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	var dials atomic.Int64
	p := prober(t, CheckTLS, &dials)
	p.Interval = time.Hour
	p.Set([]Backend{at(s.Listener.Addr().String(), "qdhcp")})
	eventually(t, "up", func() bool { return p.Health("kube-a").OK })
	n := dials.Load()
	p.Doubt("kube-a")
	eventually(t, "checked at once", func() bool { return dials.Load() > n })
	p.Used("kube-a")
	p.mu.Lock()
	pr := p.probes["kube-a"]
	p.mu.Unlock()
	eventually(t, "the check has ended", func() bool { p.mu.Lock(); defer p.mu.Unlock(); return !pr.running })
	n = dials.Load()
	p.due(pr)
	time.Sleep(20 * time.Millisecond)
	if dials.Load() != n {
		t.Error("checked although it was just used")
	}
	p.Set(nil)
	if p.Health("kube-a").Known {
		t.Error("a backend that is gone is known")
	}
}

// TestForgotten: nothing is counted any more about a cluster that is gone, not even by a check that was under way.
func TestForgotten(t *testing.T) {
	registry, asked, answer := prometheus.NewRegistry(), make(chan struct{}), make(chan struct{})
	p := NewProber(ProberOptions{
		Dial: func(context.Context, string, netip.AddrPort, time.Duration) (*net.TCPConn, error) {
			close(asked)
			<-answer
			return nil, errTest
		},
		Interval: time.Hour, Timeout: time.Minute, Parallel: 1, Metrics: NewMetrics(registry), Changed: func(string) {},
	})
	p.Set([]Backend{at("192.0.2.1:6443", "qdhcp")})
	<-asked
	p.Set(nil)
	close(answer)
	p.Close()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if len(m.GetLabel()) > 0 {
				t.Errorf("%s%v is still there", f.GetName(), m.GetLabel())
			}
		}
	}
}

func TestPrefer(t *testing.T) {
	b := at("10.0.0.5:1", "a", "b", "c")
	if got := b.Prefer(b.Namespaces[1]); got.Namespaces[0].Name != "b" || got.Namespaces[1].Name != "a" || len(b.Namespaces) != 3 || b.Namespaces[0].Name != "a" {
		t.Errorf("%v from %v", got.Namespaces, b.Namespaces)
	}
	if got := b.Prefer(netns.Namespace{Name: "x"}); !got.Equal(b) {
		t.Error(got)
	}
}

var errTest = errors.New("test")

// TestLearn: one failure is none yet.
func TestLearn(t *testing.T) {
	pr := &probe{}
	ns := netns.Namespace{Name: "a", Generation: 1}
	for i, tc := range []struct {
		err         error
		changed, ok bool
	}{
		{nil, true, true},
		{nil, false, true},
		{errTest, false, true},
		{nil, false, true},
		{errTest, false, true},
		{errTest, true, false},
		{errTest, false, false},
		{nil, true, true},
	} {
		where := ns
		if tc.err != nil {
			where = netns.Namespace{}
		}
		if changed := pr.learn(where, tc.err); changed != tc.changed || pr.health.OK != tc.ok {
			t.Errorf("step %d: changed %v, ok %v; want %v, %v", i, changed, pr.health.OK, tc.changed, tc.ok)
		}
	}
}

// BenchmarkCheck is one health check, with both ends of it.
func BenchmarkCheck(b *testing.B) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	defer s.Close()
	d := net.Dialer{}
	p := NewProber(ProberOptions{
		Dial: func(ctx context.Context, _ string, to netip.AddrPort, _ time.Duration) (*net.TCPConn, error) {
			c, err := d.DialContext(ctx, "tcp", to.String())
			if err != nil {
				return nil, err
			}
			return c.(*net.TCPConn), nil
		},
		Check: CheckTLS, Timeout: 5 * time.Second,
	})
	defer p.end()
	be := at(s.Listener.Addr().String(), "qdhcp")
	for b.Loop() {
		if _, err := p.ask(be); err != nil {
			b.Fatal(err)
		}
	}
}
