package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// TestHAProxy is the other data plane: it reaches, survives, reloads only when it must, and lets a silent stream be.
func TestHAProxy(t *testing.T) {
	h := theLab.hosts[0]
	h.run(t, "--plane", "haproxy")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(tail(filepath.Join(theLab.dir, h.name+".log")))
		}
		h.stop()
	})
	c := theLab.cluster(t, "10.0.0.5", h)
	other := theLab.cluster(t, "10.0.0.5", h)
	for _, x := range []*cluster{c, other} {
		theLab.api.published(t, x, h)
		eventually(t, "reached through haproxy", func() error { return x.ready(h.front()) })
	}
	stream := other.pulse(t, h)
	reloads := h.metric(t, "jeroboam_proxy_haproxy_reloads_total")
	late := theLab.cluster(t, "10.0.0.5", h)
	eventually(t, "a new cluster is reached", func() error { return late.ready(h.front()) })
	h.detach(t, c.net)
	h.attach(t, c.net, "qdhcp-")
	eventually(t, "a namespace that was made again is used", func() error { return c.ready(h.front()) })
	silent := c.tls(t, h.front())
	defer func() { _ = silent.Close() }()
	const silence = 32 * time.Second
	time.Sleep(silence) // longer than any timeout but the tunnel's
	if _, err := io.WriteString(silent, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Error(err)
	}
	if _, err := silent.Read(make([]byte, 10)); err != nil {
		t.Errorf("a stream that was silent for %s: %v", silence, err)
	}
	stream.end(t, "another cluster's stream through all reloads")
	n := h.metric(t, "jeroboam_proxy_haproxy_reloads_total") - reloads
	t.Logf("%v reloads for one new cluster and one namespace made again", n)
	if err := c.ready(netip.AddrPortFrom(h.addr, proxyPort)); err != nil {
		t.Error(err)
	}
	pid, err := os.ReadFile(filepath.Join(theLab.dir, h.name+"-run", "d", "haproxy.pid"))
	if err != nil {
		t.Fatal(err)
	}
	master, _ := strconv.Atoi(strings.TrimSpace(strings.SplitN(string(pid), "\n", 2)[0]))
	if err := syscall.Kill(master, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	eventually(t, "haproxy is started again", func() error {
		if h.metric(t, "jeroboam_proxy_haproxy_starts_total") < 2 {
			return fmt.Errorf("not yet")
		}
		return c.ready(h.front())
	})
	t.Logf("reached again %s after haproxy was killed", time.Since(begin).Round(time.Millisecond))
}

// TestComparison does the same work through both planes in turn: a bulk transfer, and short connections. The far end is
// plain TCP, so that what is measured is the plane and not TLS.
func TestComparison(t *testing.T) {
	h := theLab.hosts[0]
	net1 := theLab.network(t)
	h.attach(t, net1, "qdhcp-")
	t.Cleanup(func() { h.detach(t, net1) })
	listener, err := net1.listen("10.0.0.5:6443")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go serveRaw(listener)
	stack := theLab.stack()
	theLab.api.createCluster(t, stack, net1.id, "10.0.0.5")
	t.Cleanup(func() { theLab.api.deleteCluster(t, stack) })
	hello := rawHello(stack + ".magnum-system")
	type figures struct{ bulk, bulkCPU, rate, rateCPU float64 }
	sums, rounds := map[string]*figures{"native": {}, "haproxy": {}}, 3
	for range rounds {
		for _, plane := range []string{"native", "haproxy"} {
			h.run(t, "--plane", plane)
			eventually(t, "reached through "+plane, func() error {
				n, err := theLab.once(h.front(), hello, 1)
				if err == nil && n == 0 {
					err = io.ErrUnexpectedEOF
				}
				return err
			})
			f := sums[plane]
			before := cpu(h.proxy.cmd.Process.Pid)
			bytes := theLab.bulk(h.front(), hello, *measure)
			used := cpu(h.proxy.cmd.Process.Pid) - before
			f.bulk += float64(bytes) / measure.Seconds() / (1 << 20)
			f.bulkCPU += used.Seconds() * 1000 / (float64(bytes) / (1 << 30))
			before = cpu(h.proxy.cmd.Process.Pid)
			n := theLab.short(h.front(), hello, *measure)
			used = cpu(h.proxy.cmd.Process.Pid) - before
			f.rate += float64(n) / measure.Seconds()
			f.rateCPU += used.Seconds() * 1e6 / float64(n)
			h.stop()
		}
	}
	a, b, r := sums["native"], sums["haproxy"], float64(rounds)
	t.Logf("throughput: native %.0f MiB/s, haproxy %.0f MiB/s: ratio %.2f; CPU per GiB: native %.0f ms, haproxy %.0f ms: ratio %.2f",
		a.bulk/r, b.bulk/r, a.bulk/b.bulk, a.bulkCPU/r, b.bulkCPU/r, a.bulkCPU/b.bulkCPU)
	t.Logf("connections: native %.0f/s, haproxy %.0f/s: ratio %.2f; CPU per connection: native %.0f us, haproxy %.0f us: ratio %.2f",
		a.rate/r, b.rate/r, a.rate/b.rate, a.rateCPU/r, b.rateCPU/r, a.rateCPU/b.rateCPU)
}

// rawHello is a ClientHello as it goes over the wire.
func rawHello(name string) []byte {
	client, server := net.Pipe()
	go func() { _ = tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake() }()
	buf := make([]byte, 4096)
	n, _ := server.Read(buf)
	_ = server.Close()
	return buf[:n]
}

// serveRaw takes a ClientHello and a byte that says what is wanted: 1 an answer and the end, 2 bytes without end.
// Anything else, as a health check's handshake, gets a TLS answer.
func serveRaw(l net.Listener) {
	cert := newAuthority().server("x")
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = c.Close() }()
			buf := make([]byte, 4096)
			n := 0
			for n < 5 || n < 5+int(buf[3])<<8+int(buf[4]) {
				k, err := c.Read(buf[n:])
				if err != nil {
					return
				}
				n += k
			}
			if size := 5 + int(buf[3])<<8 + int(buf[4]); n == size+1 {
				switch buf[n-1] {
				case 1:
					_, _ = c.Write([]byte("answer"))
				case 2:
					chunk := make([]byte, 256<<10)
					for {
						if _, err := c.Write(chunk); err != nil {
							return
						}
					}
				}
				return
			}
			t := tls.Server(&replay{Conn: c, first: buf[:n]}, &tls.Config{Certificates: []tls.Certificate{cert}})
			_ = t.Handshake()
		}()
	}
}

type replay struct {
	net.Conn

	first []byte
}

func (r *replay) Read(p []byte) (int, error) {
	if len(r.first) > 0 {
		n := copy(p, r.first)
		r.first = r.first[n:]
		return n, nil
	}
	return r.Conn.Read(p)
}

func (l *lab) once(via netip.AddrPort, hello []byte, what byte) (int, error) {
	c, err := l.dial.Dial(theContext(), "mgmt", via, 10*time.Second)
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Write(append(append([]byte(nil), hello...), what)); err != nil {
		return 0, err
	}
	b, err := io.ReadAll(c)
	return len(b), err
}

// bulk reads as much as it can over four connections.
func (l *lab) bulk(via netip.AddrPort, hello []byte, long time.Duration) int64 {
	var all sync.WaitGroup
	var sum atomic.Int64
	end := time.Now().Add(long)
	for range 4 {
		all.Go(func() {
			c, err := l.dial.Dial(theContext(), "mgmt", via, 10*time.Second)
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			_, _ = c.Write(append(append([]byte(nil), hello...), 2))
			buf := make([]byte, 256<<10)
			for time.Now().Before(end) {
				n, err := c.Read(buf)
				sum.Add(int64(n))
				if err != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return sum.Load()
}

// short makes connections that ask once, sixteen at a time.
func (l *lab) short(via netip.AddrPort, hello []byte, long time.Duration) int64 {
	var all sync.WaitGroup
	var sum atomic.Int64
	end := time.Now().Add(long)
	for range 16 {
		all.Go(func() {
			for time.Now().Before(end) {
				if n, err := l.once(via, hello, 1); err == nil && n == len("answer") {
					sum.Add(1)
				}
			}
		})
	}
	all.Wait()
	return sum.Load()
}
