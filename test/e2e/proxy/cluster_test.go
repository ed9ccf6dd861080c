package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// network is a tenant's network: a bridge in a namespace that no host enters, with the API server behind it.
type network struct {
	*namespace

	id string
}

func (l *lab) network(t *testing.T) *network {
	t.Helper()
	id := uuid()
	ns, err := newNamespace(filepath.Join(l.dir, "tenant-"+id))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(ns.remove)
	// A bridge without an address of its own takes the lowest of its ports' and changes it as ports come and go;
	// neighbours then send to the old one for up to a minute.
	if err := ns.ip("link add br0 address 02:00:00:00:00:05 type bridge", "addr add 10.0.0.5/24 dev br0", "-6 addr add fd00::5/64 dev br0 nodad", "link set br0 up"); err != nil {
		t.Fatal(err)
	}
	return &network{ns, id}
}

// cluster is a workload cluster of the lab.
type cluster struct {
	lab   *lab
	stack string
	net   *network
	vip   string
	api   *apiServer
}

// cluster makes a private cluster with a network of its own on the hosts, always with the same address.
func (l *lab) cluster(t *testing.T, vip string, hosts ...*host) *cluster {
	t.Helper()
	n := l.network(t)
	c := &cluster{lab: l, stack: l.stack(), net: n, vip: vip}
	c.serve(t)
	for _, h := range hosts {
		h.attach(t, n, "qdhcp-")
		t.Cleanup(func() {
			if h.tenant[n.id] != nil {
				h.detach(t, n)
			}
		})
	}
	l.api.createCluster(t, c.stack, n.id, vip)
	t.Cleanup(func() { l.api.deleteCluster(t, c.stack) })
	return c
}

func (l *lab) stack() string { return fmt.Sprintf("kube-%05d", l.clusters.Add(1)) }

// serve starts the cluster's API server.
func (c *cluster) serve(t *testing.T) {
	t.Helper()
	listener, err := c.net.listen(net.JoinHostPort(c.vip, "6443"))
	if err != nil {
		t.Fatal(err)
	}
	c.api = startAPIServer(c.lab.ca, c.stack, listener)
	t.Cleanup(c.api.stop)
}

// client reaches a cluster through one host, as a client of its Service would.
func (l *lab) client(stack string, via netip.AddrPort) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(l.ca.pem)
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return l.dial.Dial(ctx, "mgmt", via, 20*time.Second)
		},
		TLSClientConfig:     &tls.Config{RootCAs: roots, ServerName: stack + ".magnum-system"},
		MaxIdleConnsPerHost: 100,
	}, Timeout: 30 * time.Second}
}

// ready asks for /readyz through a host, on a connection of its own.
func (c *cluster) ready(via netip.AddrPort) error {
	cl := c.lab.client(c.stack, via)
	defer cl.CloseIdleConnections()
	resp, err := cl.Get("https://" + c.stack + ".magnum-system:6443/readyz")
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && string(b) != "ok "+c.stack {
		err = fmt.Errorf("another cluster answers: %q", b)
	}
	return err
}

// load asks a cluster for /readyz through a host again and again, and remembers how it went.
type load struct {
	stop chan struct{}
	done sync.WaitGroup

	mu      sync.Mutex
	ok, bad int
	gap     time.Duration // the longest time without success
	last    time.Time
	err     error
}

func (c *cluster) load(via ...netip.AddrPort) *load {
	l := &load{stop: make(chan struct{}), last: time.Now()}
	l.done.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-l.stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
			err := c.ready(via[i%len(via)])
			l.mu.Lock()
			if err != nil {
				l.bad++
				l.err = err
			} else {
				l.ok++
				l.gap = max(l.gap, time.Since(l.last))
				l.last = time.Now()
			}
			l.mu.Unlock()
		}
	})
	return l
}

// end stops the load and tells.
func (l *load) end() (ok, bad int, gap time.Duration, err error) {
	close(l.stop)
	l.done.Wait()
	return l.ok, l.bad, max(l.gap, time.Since(l.last)), l.err
}
