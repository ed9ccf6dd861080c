package native_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/native"
)

// rig is a plane whose namespaces are this one, unless they are called "dead".
type rig struct {
	*native.Plane

	address  string
	listener *net.TCPListener
	registry *prometheus.Registry
	doubts   atomic.Int64
}

func newRig(t *testing.T, change func(*native.Options)) *rig {
	t.Helper()
	r := &rig{registry: prometheus.NewRegistry()}
	dialer := net.Dialer{}
	o := native.Options{
		Dial: func(ctx context.Context, ns string, to netip.AddrPort, timeout time.Duration) (*net.TCPConn, error) {
			if strings.Contains(ns, "dead") {
				return nil, netns.ErrNoNamespace
			}
			c, err := dialer.DialContext(ctx, "tcp", to.String())
			if err != nil {
				return nil, err
			}
			return c.(*net.TCPConn), nil
		},
		Metrics: backend.NewMetrics(r.registry), HelloTimeout: 200 * time.Millisecond, ConnectTimeout: time.Second,
		MaxConnections: 100, MaxPending: 50, MaxPerBackend: 40,
		Used: func(string) {}, Doubt: func(string) { r.doubts.Add(1) },
	}
	if change != nil {
		change(&o)
	}
	r.Plane = native.New(o)
	l, err := native.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.listener, r.address = l, l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- r.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		r.Drain(ctx, l)
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	return r
}

func to(stack, address string, namespaces ...string) backend.Backend {
	b := backend.Backend{Stack: stack, Address: netip.MustParseAddrPort(address)}
	for i, n := range namespaces {
		b.Namespaces = append(b.Namespaces, netns.Namespace{Name: n, Generation: uint64(i + 1)})
	}
	return b
}

// apiServer answers with its name.
func apiServer(t *testing.T, name string) string {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, name) }))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

func (r *rig) get(t *testing.T, name string) (string, error) {
	t.Helper()
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: name}, DisableKeepAlives: true}
	defer tr.CloseIdleConnections()
	c := http.Client{Transport: tr, Timeout: 5 * time.Second}
	resp, err := c.Get("https://" + r.address + "/")
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

func (r *rig) refused(t *testing.T, why backend.Refused) float64 {
	t.Helper()
	return r.metric(t, "jeroboam_proxy_refused_total", string(why))
}

func (r *rig) metric(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && has(m, label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

func has(m *dto.Metric, value string) bool {
	for _, l := range m.GetLabel() {
		if l.GetValue() == value {
			return true
		}
	}
	return false
}

// dialled is a client that has said hello and wants nothing more.
type dialled struct{ net.Conn }

func (r *rig) dial(t *testing.T, stack string) dialled {
	t.Helper()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = tls.Client(c, &tls.Config{ServerName: backend.Host(stack), InsecureSkipVerify: true}).Handshake()
	}()
	return dialled{c}
}

// closed waits until the other side has closed.
func (d dialled) closed() error {
	defer func() { _ = d.Close() }()
	if err := d.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err := d.Read(make([]byte, 1))
	var timeout net.Error
	if err == nil {
		return errors.New("it is still open, and something came")
	}
	if errors.As(err, &timeout) && timeout.Timeout() {
		return fmt.Errorf("it is still open: read: %w", err)
	}
	return nil
}

// tcpPair puts a raw server behind the plane and returns both ends of one stream.
func (r *rig) tcpPair(t *testing.T, stack string) (client *tls.Conn, raw, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := r.Set([]backend.Backend{to(stack, l.Addr().String(), "qdhcp-a")}); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	raw = c.(*net.TCPConn)
	client = tls.Client(c, &tls.Config{ServerName: backend.Host(stack), InsecureSkipVerify: true})
	go func() { _ = client.Handshake() }() // nobody answers; what matters is the hello
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server = s.(*net.TCPConn)
	if _, err := server.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close(); _ = server.Close() })
	return client, raw, server
}

func newRigAt(t *testing.T, other *rig) *rig {
	t.Helper()
	r := newRig(t, nil)
	l, err := native.Listen(t.Context(), other.address)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- r.Serve(l) }()
	t.Cleanup(func() {
		_ = l.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	r.address = other.address
	return r
}
