package proxy

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
)

// pulse is a stream that says something ten times a second and wants to hear it: another cluster's traffic.
type pulse struct {
	stop chan struct{}
	done sync.WaitGroup
	n    int
	gap  time.Duration
	err  error
}

func (c *cluster) pulse(t *testing.T, h *host) *pulse {
	t.Helper()
	conn := c.tls(t, h.front())
	p := &pulse{stop: make(chan struct{})}
	p.done.Go(func() {
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprintf(conn, "POST /exec HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n")
		r := bufio.NewReader(conn)
		if _, p.err = http.ReadResponse(r, nil); p.err != nil {
			return
		}
		for last := time.Now(); ; p.n++ {
			select {
			case <-p.stop:
				return
			case <-time.After(100 * time.Millisecond):
			}
			want := strconv.Itoa(p.n) + "\n"
			if _, p.err = conn.Write([]byte(want)); p.err != nil {
				return
			}
			var got string
			if got, p.err = r.ReadString('\n'); p.err != nil || got != want {
				return
			}
			p.gap = max(p.gap, time.Since(last))
			last = time.Now()
		}
	})
	return p
}

func (p *pulse) end(t *testing.T, what string) {
	t.Helper()
	close(p.stop)
	p.done.Wait()
	if p.err != nil {
		t.Errorf("%s: the stream ended after %d beats: %v", what, p.n, p.err)
	}
	t.Logf("%s: stream unbroken, %d beats, longest gap %s", what, p.n, p.gap.Round(time.Millisecond))
}

// TestFaults breaks one thing after the other. Every time there is a cluster that has nothing to do with it, whose
// traffic may not stop: connections of its own, and a stream.
func TestFaults(t *testing.T) {
	hosts, whole := fleet(t), t
	victim, other := theLab.cluster(t, "10.0.0.5", hosts...), theLab.cluster(t, "10.0.0.5", hosts...)
	theLab.api.published(t, victim, hosts...)
	theLab.api.published(t, other, hosts...)
	meanwhile := func(t *testing.T, on *host, fault func(t *testing.T)) {
		t.Helper()
		load, stream := other.load(on.front()), other.pulse(t, on)
		fault(t)
		ok, bad, gap, err := load.end()
		t.Logf("other cluster through %s: %d requests, %d failed, longest gap %s", on.name, ok, bad, gap.Round(time.Millisecond))
		if bad > 0 || ok == 0 {
			t.Errorf("another cluster's requests failed: %d of %d: %v", bad, ok+bad, err)
		}
		stream.end(t, "other cluster through "+on.name)
	}

	t.Run("namespace deleted and made again under load", func(t *testing.T) {
		meanwhile(t, hosts[0], func(t *testing.T) {
			t.Helper()
			load := victim.load(hosts[0].front())
			for range 3 {
				hosts[0].detach(t, victim.net)
				begin := time.Now()
				theLab.api.published(t, victim, hosts[1:]...)
				gone := time.Since(begin)
				time.Sleep(300 * time.Millisecond)
				begin = time.Now()
				hosts[0].attach(t, victim.net, "qdhcp-")
				eventually(t, "served again", func() error { return victim.ready(hosts[0].front()) })
				back := time.Since(begin)
				theLab.api.published(t, victim, hosts...)
				t.Logf("slice withdrawn after %s; served again %s, published again %s after the namespace was back", gone.Round(time.Millisecond), back.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
			}
			_, bad, gap, _ := load.end()
			t.Logf("the cluster itself, on that host: %d requests failed, longest gap %s", bad, gap.Round(time.Millisecond))
		})
	})

	t.Run("another namespace takes over", func(t *testing.T) {
		meanwhile(t, hosts[1], func(t *testing.T) {
			t.Helper()
			old := hosts[1].tenant[victim.net.id]
			hosts[1].attach(t, victim.net, "ovnmeta-")
			time.Sleep(200 * time.Millisecond)
			load := victim.load(hosts[1].front())
			_ = victim.net.ip(fmt.Sprintf("link set p%dq down", hosts[1].addr.As4()[3])) // the first way is dead, and its namespace still there
			time.Sleep(12 * time.Second)
			_, bad, gap, _ := load.end()
			t.Logf("through the second namespace: %d requests failed, longest gap %s", bad, gap.Round(time.Millisecond))
			eventually(t, "reached through the other namespace", func() error { return victim.ready(hosts[1].front()) })
			old.remove()
		})
	})

	t.Run("backend dies and comes back", func(t *testing.T) {
		meanwhile(t, hosts[2], func(t *testing.T) {
			t.Helper()
			victim.api.stop()
			begin := time.Now()
			theLab.api.published(t, victim)
			gone := time.Since(begin)
			victim.serve(whole) // until the last of these faults
			begin = time.Now()
			eventually(t, "reached again", func() error { return victim.ready(hosts[2].front()) })
			back := time.Since(begin)
			theLab.api.published(t, victim, hosts...)
			t.Logf("all three slices withdrawn %s after; reached again %s after, all published %s after it was back", gone.Round(time.Millisecond), back.Round(time.Millisecond), time.Since(begin).Round(time.Millisecond))
		})
	})

	t.Run("host cut off from the management cluster", func(t *testing.T) {
		cut := hosts[0]
		if hosts[2].status(t).Owner {
			cut = hosts[2] // the owner: the harder case
		}
		if hosts[1].status(t).Owner {
			t.Log("the host that is cut off is not the owner")
		}
		meanwhile(t, hosts[1], func(t *testing.T) {
			t.Helper()
			var rest []*host
			for _, h := range hosts {
				if h != cut {
					rest = append(rest, h)
				}
			}
			begin := time.Now()
			if err := theLab.root.ip("link set " + cut.link + " down"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = theLab.root.ip("link set " + cut.link + " up") })
			theLab.api.published(t, victim, rest...)
			t.Logf("its slices withdrawn after %s", time.Since(begin).Round(time.Second))
			time.Sleep(*partition - min(*partition, time.Since(begin)))
			back := time.Now()
			if err := theLab.root.ip("link set " + cut.link + " up"); err != nil {
				t.Fatal(err)
			}
			theLab.api.published(t, victim, hosts...)
			t.Logf("cut off for %s; published again %s after the link was back", time.Since(begin).Round(time.Second), time.Since(back).Round(time.Millisecond))
			eventually(t, "reached again", func() error { return victim.ready(cut.front()) })
		})
	})

	t.Run("proxy killed", func(t *testing.T) {
		meanwhile(t, hosts[1], func(t *testing.T) {
			t.Helper()
			killed := hosts[0]
			killed.proxy.end(syscall.SIGKILL)
			begin := time.Now()
			killed.run(t)
			eventually(t, "reached again", func() error { return victim.ready(killed.front()) })
			t.Logf("started again at once: reached after %s", time.Since(begin).Round(time.Millisecond))
			time.Sleep(time.Second)
			theLab.api.published(t, victim, hosts...)
			eventually(t, "somebody owns the fleet", func() error {
				for _, h := range hosts {
					if h.status(t).Owner {
						return nil
					}
				}
				return fmt.Errorf("nobody does")
			})
		})
	})

	t.Run("management API server restarted", func(t *testing.T) {
		meanwhile(t, hosts[1], func(t *testing.T) {
			t.Helper()
			theLab.api.api.end(syscall.SIGKILL)
			begin := time.Now()
			time.Sleep(5 * time.Second)
			if err := theLab.api.start(); err != nil {
				t.Fatal(err)
			}
			back := time.Now()
			if have := len(theLab.api.slices(t, victim.stack)); have != 3 {
				t.Errorf("%d slices are left after it was away for %s", have, time.Since(begin).Round(time.Second))
			}
			late := theLab.cluster(t, "10.0.0.5", hosts...)
			theLab.api.published(t, late, hosts...)
			t.Logf("away for %s; a new cluster is published on all hosts %s after it was back", back.Sub(begin).Round(time.Second), time.Since(back).Round(100*time.Millisecond))
			time.Sleep(3 * time.Second)
			if have := len(theLab.api.slices(t, victim.stack)); have != 3 {
				t.Errorf("%d slices are left a while after", have)
			}
		})
	})
}

// TestClock runs one host an hour ahead and one an hour behind, as owner and not; nothing may be withdrawn while they
// live, and a dead one must still be found.
func TestClock(t *testing.T) {
	hosts := theLab.hosts
	skewed := func(h *host, by string) {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		argv := h.asService(self)
		p, err := h.start(filepath.Join(h.lab.dir, h.name+".log"), func(cmd *exec.Cmd) {
			cmd.Env = append(os.Environ(), skewVariable+"="+by, "PROXY_BIND="+h.addr.String(), "PROXY_PORT="+strconv.Itoa(proxyPort),
				"KUBECONFIG="+h.config, "LAB_HOST="+h.name)
		}, argv[0], argv[1:]...)
		if err != nil {
			t.Fatal(err)
		}
		h.proxy = p
		t.Cleanup(h.stop)
		h.awaitReady(t)
	}
	skewed(hosts[0], "1h") // first: it becomes the owner
	eventually(t, "the skewed host owns the fleet", func() error {
		if !hosts[0].status(t).Owner {
			return fmt.Errorf("it does not")
		}
		return nil
	})
	skewed(hosts[1], "-1h")
	hosts[2].run(t, "--old-hosts")
	t.Cleanup(hosts[2].stop)
	kept := theLab.cluster(t, "10.0.0.5", hosts[2]) // and a host with the old proxy
	c := theLab.cluster(t, "10.0.0.5", hosts...)
	theLab.api.published(t, c, hosts...)
	theLab.api.published(t, kept, hosts[2])
	keptUIDs := theLab.api.uids(t, kept.stack)
	var old sync.WaitGroup
	old.Go(func() { oldHost(t, kept) })
	load := c.load(hosts[1].front(), hosts[2].front())
	uids := theLab.api.uids(t, c.stack)
	for begin := time.Now(); time.Since(begin) < 50*time.Second; time.Sleep(time.Second) { // longer than a lease lasts
		if now := theLab.api.uids(t, c.stack); !slices.Equal(now, uids) {
			t.Fatalf("slices came and went: %v, %v", uids, now)
		}
	}
	if _, bad, _, err := load.end(); bad > 0 {
		t.Errorf("%d requests failed: %v", bad, err)
	}
	old.Wait()
	if now := theLab.api.uids(t, kept.stack); !slices.Equal(now, keptUIDs) {
		t.Errorf("beside a host with the old proxy slices came and went: %v, %v", keptUIDs, now)
	}
	hosts[2].proxy.end(syscall.SIGKILL)
	begin := time.Now()
	theLab.api.published(t, c, hosts[:2]...)
	t.Logf("an hour ahead and an hour behind: nothing withdrawn in 50 s; a killed host's slices withdrawn after %s", time.Since(begin).Round(time.Second))
}

func (m *management) uids(t *testing.T, stack string) []string {
	t.Helper()
	l := &discoveryv1.EndpointSliceList{}
	if err := m.client.List(context.Background(), l, client.InNamespace(control.Namespace), client.MatchingLabels{"kubernetes.io/service-name": stack}); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range l.Items {
		out = append(out, string(s.UID))
	}
	slices.Sort(out)
	return out
}

// oldHost plays a host with the old proxy by what that does to objects every ten seconds: it writes its own slice, and
// deletes every slice with the label whose timestamp is older than thirty seconds or missing (magnum-cluster-api:
// proxy/manager.py). Nobody may touch its slice, and it may find nothing to delete of hosts that run with --old-hosts.
func oldHost(t *testing.T, c *cluster) {
	t.Helper()
	const node = "old-network-node"
	old := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: control.Namespace, Name: c.stack + "-" + node, Labels: map[string]string{
			"kubernetes.io/service-name": c.stack, "magnum-cluster-api.vexxhost.com/node": node,
			"magnum-cluster-api.vexxhost.com/proxied-cluster": c.stack, "magnum-cluster-api.vexxhost.com/proxied-service": "true",
		}},
		AddressType: discoveryv1.AddressTypeIPv4, Endpoints: []discoveryv1.Endpoint{{Addresses: []string{"172.31.0.99"}, NodeName: new(string(node))}},
	}
	const stamp = "magnum-cluster-api.vexxhost.com/timestamp"
	for round := range 6 {
		now := time.Now().UTC()
		old.Annotations = map[string]string{stamp: now.Format("2006-01-02T15:04:05.000000+00:00")}
		err := error(nil)
		if round == 0 {
			err = theLab.api.client.Create(t.Context(), old)
		} else {
			err = theLab.api.client.Update(t.Context(), old)
		}
		if err != nil {
			t.Errorf("the old host's slice was touched: %v", err)
			return
		}
		l := &discoveryv1.EndpointSliceList{}
		if err := theLab.api.client.List(t.Context(), l, client.InNamespace(control.Namespace), client.MatchingLabels{"kubernetes.io/service-name": c.stack}); err != nil {
			t.Error(err)
			return
		}
		for _, s := range l.Items {
			at, err := time.Parse("2006-01-02T15:04:05.999999-07:00", s.Annotations[stamp])
			if err != nil {
				t.Errorf("the old host fails altogether on %s: %v", s.Name, err)
				return
			}
			if now.Sub(at) > 30*time.Second {
				t.Errorf("the old host would delete %s, %s old", s.Name, now.Sub(at))
			}
		}
		time.Sleep(9 * time.Second)
	}
	_ = theLab.api.client.Delete(t.Context(), old)
}

// TestHostTaken: two machines with one name do not pull at the same slices.
func TestHostTaken(t *testing.T) {
	h := theLab.hosts[0]
	lease := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: control.FleetNamespace, Name: "host." + h.name, Labels: map[string]string{"proxy.jeroboam.cloud/lease": "host"}},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: new("another-machine/1")},
	}
	if err := theLab.api.client.Create(t.Context(), lease); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = theLab.api.client.Delete(context.Background(), lease) }()
	h.launch(t)
	for range 20 {
		select {
		case <-h.proxy.done:
			h.proxy = nil
			return
		case <-time.After(time.Second):
		}
		lease.Spec.RenewTime = &metav1.MicroTime{Time: time.Now()}
		_ = theLab.api.client.Update(t.Context(), lease)
	}
	t.Error("the second machine goes on")
	h.stop()
}
