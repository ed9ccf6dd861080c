package native_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/jeroboam-cloud/jeroboam/internal/netns"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/backend"
	"github.com/jeroboam-cloud/jeroboam/internal/proxy/native"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRouting(t *testing.T) {
	r := newRig(t, nil)
	if err := r.Set([]backend.Backend{to("kube-aaaaa", apiServer(t, "a"), "qdhcp-a"), to("kube-bbbbb", apiServer(t, "b"), "dead", "qdhcp-b")}); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ host, want, reason string }{
		{"kube-aaaaa.magnum-system", "a", "its own backend"},
		{"KUBE-BBBBB.Magnum-System", "b", "the other, whatever the case, through its second namespace"},
	} {
		if got, err := r.get(t, tc.host); err != nil || got != tc.want {
			t.Errorf("%s: %q, %v, want %q (%s)", tc.host, got, err, tc.want, tc.reason)
		}
	}
	if r.doubts.Load() == 0 {
		t.Error("a namespace that failed was not reported")
	}
	_, err := r.get(t, "kube-ccccc.magnum-system")
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("an unknown name: %v, want TLS's word for it", err)
	}
	if n := r.refused(t, backend.RefusedUnknown); n != 1 {
		t.Errorf("%v refusals of unknown names counted, want 1", n)
	}
	if n := r.metric(t, "jeroboam_proxy_bytes_total", "kube-aaaaa"); n == 0 {
		t.Error("no bytes counted")
	}
}

func TestStrangers(t *testing.T) {
	r := newRig(t, func(o *native.Options) { o.MaxPending = 3 })
	for _, tc := range []struct {
		why  backend.Refused
		send string
	}{
		{backend.RefusedNotTLS, "GET / HTTP/1.1\r\n\r\n"},
		{backend.RefusedTooLong, "\x16\x03\x01\x40\x00\x01\x7f\xff\xff"},
		{backend.RefusedTooSlow, "\x16\x03"},
	} {
		c, err := net.Dial("tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, tc.send); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: not closed", tc.why)
		}
		_ = c.Close()
		eventually(t, string(tc.why)+" counted", func() bool { return r.refused(t, tc.why) == 1 })
	}
	var slow []net.Conn
	for range 6 {
		c, err := net.Dial("tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	eventually(t, "too many that say nothing are refused", func() bool { return r.refused(t, backend.RefusedPending) >= 3 })
	for _, c := range slow {
		_ = c.Close()
	}
}

// TestSilentSource: one that opens connections and says nothing keeps nobody out, itself least of all; its oldest ones
// make room.
func TestSilentSource(t *testing.T) {
	r := newRig(t, func(o *native.Options) { o.MaxPending, o.HelloTimeout = 8, time.Minute })
	if err := r.Set([]backend.Backend{to("kube-aaaaa", apiServer(t, "a"), "qdhcp-a")}); err != nil {
		t.Fatal(err)
	}
	from := func(source string) net.Conn {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}}
		c, err := d.DialContext(t.Context(), "tcp", r.address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	open := func(c net.Conn) bool {
		if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		_, err := c.Read(make([]byte, 1))
		return errors.Is(err, os.ErrDeadlineExceeded)
	}
	other := from("127.0.0.3") // one that is slow, and alone
	var silent []net.Conn
	for range 40 {
		silent = append(silent, from("127.0.0.2"))
	}
	eventually(t, "the source's oldest ones make room", func() bool { return r.refused(t, backend.RefusedPending) == 33 })
	if open(silent[0]) || open(silent[32]) || !open(silent[33]) || !open(silent[39]) {
		t.Error("others than the oldest were closed")
	}
	if !open(other) {
		t.Error("another source gave way to the one that has most")
	}
	for range 20 {
		if got, err := r.get(t, "kube-aaaaa.magnum-system"); err != nil || got != "a" {
			t.Fatalf("a client is kept out: %q, %v", got, err)
		}
	}
}

// TestLimits: one more than allowed is closed and counted, and there is room again when one has ended; a backend whose
// ways have changed still has its streams.
func TestLimits(t *testing.T) {
	for _, tc := range []struct {
		why    backend.Refused
		limit  func(*native.Options)
		reason string
	}{
		{backend.RefusedBackend, func(o *native.Options) { o.MaxPerBackend = 2 }, "one cluster's clients cannot take everything"},
		{backend.RefusedTotal, func(o *native.Options) { o.MaxConnections = 2 }, "nor can all of them together take all of the host"},
	} {
		t.Run(string(tc.why), func(t *testing.T) {
			r := newRig(t, tc.limit)
			client, raw, server := r.tcpPair(t, "kube-aaaaa")
			second := r.dial(t, "kube-aaaaa")
			defer func() { _ = second.Close() }()
			eventually(t, "two streams", func() bool { return r.Streams()["kube-aaaaa"] == 2 })
			address := server.LocalAddr().String()
			if err := r.Set([]backend.Backend{to("kube-aaaaa", address, "qdhcp-a", "ovnmeta-a")}); err != nil {
				t.Fatal(err)
			}
			if err := r.dial(t, "kube-aaaaa").closed(); err != nil {
				t.Errorf("one too many is not closed: %v (%s)", err, tc.reason)
			}
			eventually(t, "counted", func() bool { return r.refused(t, tc.why) == 1 })
			_ = client.Close()
			_ = raw.Close()
			_ = server.Close()
			eventually(t, "one has ended", func() bool { return r.Streams()["kube-aaaaa"] == 1 })
			third := r.dial(t, "kube-aaaaa")
			defer func() { _ = third.Close() }()
			eventually(t, "there is room again", func() bool { return r.Streams()["kube-aaaaa"] == 2 })
		})
	}
}

// TestKeepAlive: what is accepted has it from the listening socket.
func TestKeepAlive(t *testing.T) {
	l, err := native.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	c, err := l.AcceptTCP()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	want := netns.KeepAlive()
	for _, o := range []struct {
		name          string
		level, number int
		want          int
	}{
		{"on", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"idle", unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, int(want.Idle.Seconds())},
		{"interval", unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, int(want.Interval.Seconds())},
		{"count", unix.IPPROTO_TCP, unix.TCP_KEEPCNT, want.Count},
	} {
		got, failed := 0, error(nil)
		err := raw.Control(func(fd uintptr) { got, failed = unix.GetsockoptInt(int(fd), o.level, o.number) })
		if err = errors.Join(err, failed); err != nil || got != o.want {
			t.Errorf("keepalive %s: %d, %v; want %d", o.name, got, err, o.want)
		}
	}
}

// TestHalfClose: a client that has nothing more to say still hears the answer, and a large one arrives whole.
func TestHalfClose(t *testing.T) {
	r := newRig(t, nil)
	_, raw, server := r.tcpPair(t, "kube-aaaaa")
	if err := raw.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n, err := server.Read(make([]byte, 10)); !errors.Is(err, io.EOF) {
		t.Fatalf("the server reads %d, %v after the client's end; want EOF", n, err)
	}
	const size = 40 << 20
	go func() {
		_, _ = io.CopyN(server, zeros{}, size)
		_ = server.CloseWrite()
	}()
	// The TLS client reads too, and may have taken a little.
	n, err := io.Copy(io.Discard, raw)
	if err != nil || n < size-(64<<10) {
		t.Errorf("%d of %d bytes, %v", n, size, err)
	}
	eventually(t, "the stream has ended", func() bool { return r.Streams()["kube-aaaaa"] == 0 })
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestCut: a stream ends when its backend does, and only then.
func TestCut(t *testing.T) {
	for _, tc := range []struct {
		name, reason string
		next         func(address string) []backend.Backend
		cut          bool
	}{
		{"unchanged", "nothing happened", func(a string) []backend.Backend { return []backend.Backend{to("kube-aaaaa", a, "qdhcp-a")} }, false},
		{"another candidate", "its own namespace is still there", func(a string) []backend.Backend {
			return []backend.Backend{{
				Stack: "kube-aaaaa", Address: netip.MustParseAddrPort(a),
				Namespaces: []netns.Namespace{{Name: "ovnmeta-a", Generation: 2}, {Name: "qdhcp-a", Generation: 1}},
			}}
		}, false},
		{"another cluster", "others come and go", func(a string) []backend.Backend {
			return []backend.Backend{to("kube-aaaaa", a, "qdhcp-a"), to("kube-bbbbb", a, "qdhcp-a")}
		}, false},
		{"gone", "the cluster was deleted", func(string) []backend.Backend { return nil }, true},
		{"another address", "the load balancer was replaced", func(string) []backend.Backend { return []backend.Backend{to("kube-aaaaa", "127.0.0.1:1", "qdhcp-a")} }, true},
		{"namespace made again", "nothing comes through the old one any more", func(a string) []backend.Backend {
			return []backend.Backend{{Stack: "kube-aaaaa", Address: netip.MustParseAddrPort(a), Namespaces: []netns.Namespace{{Name: "qdhcp-a", Generation: 7}}}}
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, nil)
			_, _, server := r.tcpPair(t, "kube-aaaaa")
			eventually(t, "the stream is open", func() bool { return r.Streams()["kube-aaaaa"] == 1 })
			if err := r.Set(tc.next(server.LocalAddr().String())); err != nil {
				t.Fatal(err)
			}
			if err := server.SetReadDeadline(time.Now().Add(150 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			if tc.cut {
				if err := server.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
					t.Fatal(err)
				}
			}
			_, err := server.Read(make([]byte, 1))
			var timeout net.Error
			if cut := !errors.As(err, &timeout) || !timeout.Timeout(); cut != tc.cut {
				t.Errorf("cut: %v (%v), want %v: %s", cut, err, tc.cut, tc.reason)
			}
		})
	}
}

// TestDrain: what is open may end by itself, what comes is not taken, and the bound is kept.
func TestDrain(t *testing.T) {
	r := newRig(t, nil)
	_, _, server := r.tcpPair(t, "kube-aaaaa")
	eventually(t, "the stream is open", func() bool { return r.Streams()["kube-aaaaa"] == 1 })
	ctx, cancel := context.WithCancel(t.Context())
	drained := make(chan struct{})
	go func() { r.Drain(ctx, r.listener); close(drained) }()
	eventually(t, "new connections are refused", func() bool {
		c, err := net.Dial("tcp", r.address)
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	select {
	case <-drained:
		t.Fatal("did not wait for the stream")
	default:
	}
	if _, err := server.Write([]byte("still here")); err != nil {
		t.Errorf("the open stream: %v", err)
	}
	cancel()
	<-drained
}

// TestTakeOver: a second process on the same port gets every new connection, and none is lost when the first one ends.
func TestTakeOver(t *testing.T) {
	a := apiServer(t, "a")
	old := newRig(t, nil)
	if err := old.Set([]backend.Backend{to("kube-aaaaa", a, "qdhcp-a")}); err != nil {
		t.Fatal(err)
	}
	next := newRigAt(t, old)
	if err := next.Set([]backend.Backend{to("kube-aaaaa", a, "qdhcp-a")}); err != nil {
		t.Fatal(err)
	}
	done, failed := make(chan struct{}), make(chan error, 1000)
	go func() {
		defer close(failed)
		for {
			select {
			case <-done:
				return
			default:
			}
			if _, err := next.get(t, "kube-aaaaa.magnum-system"); err != nil {
				failed <- err
			}
		}
	}()
	time.Sleep(50 * time.Millisecond)
	old.Drain(t.Context(), old.listener)
	time.Sleep(50 * time.Millisecond)
	close(done)
	for err := range failed {
		t.Error(err)
	}
	if next.metric(t, "jeroboam_proxy_connections_total", "kube-aaaaa") == 0 {
		t.Error("the new one got nothing")
	}
}
