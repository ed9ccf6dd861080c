package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestStreams: what API servers serve beside short answers, at the same time through one host.
func TestStreams(t *testing.T) {
	hosts := fleet(t)
	c := theLab.cluster(t, "10.0.0.5", hosts[0])
	theLab.api.published(t, c, hosts[0])
	via := hosts[0].front()
	t.Run("at once", func(t *testing.T) {
		t.Run("silent watch", func(t *testing.T) { t.Parallel(); silentWatch(t, c, via) })
		t.Run("exec", func(t *testing.T) { t.Parallel(); execStream(t, c, via) })
		t.Run("2000 connections", func(t *testing.T) { t.Parallel(); manyConnections(t, c, via, 2000) })
		t.Run("large transfer", func(t *testing.T) { t.Parallel(); large(t, c, via) })
	})
}

// silentWatch says nothing for as long as -idle, and then is heard.
func silentWatch(t *testing.T, c *cluster, via netip.AddrPort) {
	t.Helper()
	cl := c.lab.client(c.stack, via)
	cl.Timeout = 0
	defer cl.CloseIdleConnections()
	resp, err := cl.Get("https://" + c.stack + "/watch?silent=" + idle.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	begin := time.Now()
	b, err := io.ReadAll(resp.Body)
	if err != nil || string(b) != "first\nsecond\n" {
		t.Errorf("after %s of silence: %q, %v", time.Since(begin).Round(time.Second), b, err)
	}
	t.Logf("a watch was silent for %s and heard then", time.Since(begin).Round(time.Second))
}

// execStream sends a line now and then and hears each back.
func execStream(t *testing.T, c *cluster, via netip.AddrPort) {
	t.Helper()
	conn := c.tls(t, via)
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprintf(conn, "POST /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n")
	r := bufio.NewReader(conn)
	if resp, err := http.ReadResponse(r, nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("no upgrade: %v", err)
	}
	var worst time.Duration
	for i, end := 0, time.Now().Add(min(*idle, 30*time.Second)); time.Now().Before(end); i++ {
		begin := time.Now()
		want := fmt.Sprintf("line %d\n", i)
		_, _ = io.WriteString(conn, want)
		got, err := r.ReadString('\n')
		if err != nil || got != want {
			t.Fatalf("line %d: %q, %v", i, got, err)
		}
		worst = max(worst, time.Since(begin))
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("slowest echo beside all else: %s", worst.Round(time.Millisecond))
}

// tls is a connection of its own.
func (c *cluster) tls(t *testing.T, via netip.AddrPort) *tls.Conn {
	t.Helper()
	raw, err := c.lab.dial.Dial(t.Context(), "mgmt", via, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, &tls.Config{ServerName: c.stack + ".magnum-system", InsecureSkipVerify: true})
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	return conn
}

// manyConnections are open at once; each is used again at the end.
func manyConnections(t *testing.T, c *cluster, via netip.AddrPort, n int) {
	t.Helper()
	conns := make([]net.Conn, n)
	var all sync.WaitGroup
	var failed atomic.Int64
	for w := range 16 {
		all.Go(func() {
			for i := w; i < n; i += 16 {
				raw, err := c.lab.dial.Dial(t.Context(), "mgmt", via, time.Minute)
				if err == nil {
					conn := tls.Client(raw, &tls.Config{ServerName: c.stack + ".magnum-system", InsecureSkipVerify: true})
					if err = conn.HandshakeContext(t.Context()); err == nil {
						conns[i] = conn
						continue
					}
				}
				failed.Add(1)
				t.Errorf("connection %d: %v", i, err)
				return
			}
		})
	}
	all.Wait()
	if failed.Load() > 0 {
		return
	}
	h := c.lab.hosts[0]
	t.Logf("%d connections open: the proxy has %.0f MiB resident, %.1f KiB for each; %v descriptors", n, h.rss(t), h.rss(t)*1024/float64(n), h.descriptors(t))
	for i, conn := range conns {
		_, _ = io.WriteString(conn, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("connection %d of %d is dead: %v", i, n, err)
		}
		_ = resp.Body.Close()
		_ = conn.Close()
	}
}

// large reads -bytes.
func large(t *testing.T, c *cluster, via netip.AddrPort) {
	t.Helper()
	cl := c.lab.client(c.stack, via)
	cl.Timeout = 0
	defer cl.CloseIdleConnections()
	begin := time.Now()
	resp, err := cl.Get(fmt.Sprintf("https://%s/big?bytes=%d", c.stack, *transfer))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	n, err := io.Copy(io.Discard, resp.Body)
	if err != nil || n != *transfer {
		t.Errorf("%d of %d bytes: %v", n, *transfer, err)
	}
	t.Logf("%d MiB over TLS in %s, beside all else", n>>20, time.Since(begin).Round(100*time.Millisecond))
}

// TestFirstRequest measures from the moment at which the provider writes the load balancer's address to the first
// answer of /readyz through the proxy, for 100 clusters, one after the other, by a client that watches nothing and asks
// until it succeeds.
func TestFirstRequest(t *testing.T) {
	hosts := fleet(t)
	const n = 100
	var clusters []*cluster
	shared := theLab.network(t)
	for _, h := range hosts {
		h.attach(t, shared, "qdhcp-")
	}
	t.Cleanup(func() {
		for _, h := range hosts {
			h.detach(t, shared)
		}
	})
	for i := range n {
		c := &cluster{lab: theLab, stack: theLab.stack(), net: shared, vip: fmt.Sprintf("10.0.0.%d", 130+i)}
		if err := shared.ip("addr add " + c.vip + "/24 dev br0"); err != nil {
			t.Fatal(err)
		}
		c.serve(t)
		if err := theLab.api.client.Create(t.Context(), openStackCluster(c.stack)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { theLab.api.deleteCluster(t, c.stack) })
		clusters = append(clusters, c)
	}
	var written, dataPlane, since, published []time.Duration
	for i, c := range clusters {
		h := hosts[i%len(hosts)]
		begin := time.Now()
		theLab.api.address(t, c.stack, shared.id, c.vip)
		written = append(written, time.Since(begin))
		for end := begin.Add(patience); ; time.Sleep(time.Millisecond) {
			if err := c.ready(h.front()); err == nil {
				break
			} else if time.Now().After(end) {
				t.Fatalf("%s: %v", c.stack, err)
			}
		}
		dataPlane = append(dataPlane, time.Since(begin))
		since = append(since, dataPlane[i]-written[i])
		for !slices.Contains(theLab.api.slices(t, c.stack), c.stack+"-"+h.name) {
			if time.Since(begin) > patience {
				t.Fatalf("%s is not published", c.stack)
			}
			time.Sleep(time.Millisecond)
		}
		published = append(published, time.Since(begin))
	}
	p := func(all []time.Duration) string {
		slices.Sort(all)
		return fmt.Sprintf("p50 %s, p99 %s", all[n/2].Round(100*time.Microsecond), all[n-2].Round(100*time.Microsecond))
	}
	t.Logf("to the first /readyz through the proxy, %d clusters, since the address began to be written: %s; since the API server said it was: %s. The writing: %s. "+
		"To the EndpointSlice being there: %s", n, p(dataPlane), p(since), p(written), p(published))
}

// TestTakeOver: a new process takes the port over; no connection is refused and no slice is gone for a moment.
func TestTakeOver(t *testing.T) {
	h := theLab.hosts[0]
	old := h.run(t)
	t.Cleanup(h.stop)
	c := theLab.cluster(t, "10.0.0.5", h)
	theLab.api.published(t, c, h)
	conn := c.tls(t, h.front())
	defer func() { _ = conn.Close() }()
	load := c.load(h.front())
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(theLab.dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = systemd.Close() }()
	if err := errors.Join(os.Chmod(systemd.LocalAddr().String(), 0o777), systemd.SetReadDeadline(time.Now().Add(2*patience))); err != nil {
		t.Fatal(err)
	}
	h.env = []string{"NOTIFY_SOCKET=" + systemd.LocalAddr().String()}
	t.Cleanup(func() { h.env = nil })
	for round := range 2 {
		next := h.run(t)
		said := make([]byte, 100)
		if n, err := systemd.Read(said); err != nil || string(said[:n]) != "READY=1" {
			t.Errorf("systemd is told %q, %v", said[:n], err)
		}
		eventually(t, "the new process is ready", func() error {
			if s := h.status(t); !s.Ready || len(s.Clusters) == 0 || !s.Clusters[len(s.Clusters)-1].Healthy {
				return fmt.Errorf("it says %v", s)
			}
			return nil
		})
		time.Sleep(time.Second)
		if round == 0 { // a stream of the old process goes on until it ends by itself
			ended := make(chan struct{})
			go func() { old.end(15); close(ended) }()
			time.Sleep(2 * time.Second)
			if _, err := io.WriteString(conn, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				t.Errorf("the old process's stream: %v", err)
			}
			if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("the old process's stream: %v", err)
			}
			_ = conn.Close()
			<-ended
		} else {
			old.end(15)
		}
		if have := theLab.api.slices(t, c.stack); !slices.Equal(have, []string{c.stack + "-" + h.name}) {
			t.Errorf("after the old process ended, the slices are %v", have)
		}
		old = next
	}
	ok, bad, gap, failure := load.end()
	t.Logf("two takeovers under load: %d requests, %d failed, longest gap %s", ok, bad, gap.Round(time.Millisecond))
	if bad > 0 {
		t.Errorf("%d of %d connections failed: %v", bad, ok+bad, failure)
	}
	if strings.Contains(tail(old.log), "not renewed") {
		t.Error("the processes fought for the lease")
	}
}
