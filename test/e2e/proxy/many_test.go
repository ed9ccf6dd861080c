package proxy

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
)

// TestMany is one host with -many clusters, each in a namespace of its own: memory, processor time, and what an idle host asks the
// management cluster.
func TestMany(t *testing.T) {
	h := theLab.hosts[0]
	var stacks []string
	cert := theLab.ca.server("*.magnum-system")
	server := &http.Server{
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ok") }),
		ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
	}
	t.Cleanup(func() { _ = server.Close() })
	begin := time.Now()
	for range *many {
		id := uuid()
		ns, err := newNamespace(filepath.Join(h.netns, "ovnmeta-"+id))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(ns.remove)
		var l net.Listener
		if err := ns.do(func() (err error) { l, err = net.Listen("tcp", "127.0.0.7:6443"); return err }); err != nil {
			t.Fatal(err)
		}
		go func() { _ = server.ServeTLS(l, "", "") }()
		stack := theLab.stack()
		stacks = append(stacks, stack)
		theLab.api.createCluster(t, stack, id, "127.0.0.7")
		t.Cleanup(func() { theLab.api.deleteCluster(t, stack) })
	}
	t.Logf("%d namespaces, API servers and clusters made in %s", *many, time.Since(begin).Round(time.Second))

	begin = time.Now()
	h.run(t)
	t.Cleanup(h.stop)
	eventually(t, 5*time.Minute, "all are published", func() error {
		n := 0
		for _, c := range h.status(t).Clusters {
			if c.Published && c.Healthy {
				n++
			}
		}
		if n < *many {
			time.Sleep(200 * time.Millisecond)
			return fmt.Errorf("%d of %d", n, *many)
		}
		return nil
	})
	t.Logf("all published %s after the start; %.0f MiB resident", time.Since(begin).Round(100*time.Millisecond), h.rss(t))
	eventually(t, time.Minute, "the host owns the fleet", func() error {
		if !h.status(t).Owner {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	eventually(t, 5*time.Minute, "all have Services", func() error {
		l := &corev1.ServiceList{}
		if err := theLab.api.client.List(t.Context(), l, client.InNamespace(control.Namespace), client.MatchingLabels{control.LabelService: "true"}); err != nil {
			return err
		}
		if len(l.Items) < *many {
			time.Sleep(time.Second)
			return fmt.Errorf("%d of %d", len(l.Items), *many)
		}
		return nil
	})
	time.Sleep(5 * time.Second)
	window := 20 * time.Second
	if *full {
		window = time.Minute
	}
	before, used := theLab.api.requests(t), cpu(h.proxy.cmd.Process.Pid)
	time.Sleep(window)
	after, usedAfter := theLab.api.requests(t), cpu(h.proxy.cmd.Process.Pid)
	total, which := 0.0, []string{}
	for what, n := range after {
		resource := what[strings.IndexByte(what, ' ')+1:]
		if d := n - before[what]; d > 0 && (resource == "leases" || resource == "secrets" || resource == "services" || resource == "endpointslices" || resource == "openstackclusters") {
			total += d
			which = append(which, fmt.Sprintf("%s %.0f", what, d))
		}
	}
	t.Logf("%d clusters, idle, on the fleet's owner: %.0f MiB resident, %.2f %% of a processor, %d descriptors; requests in %s: %.0f, of all processes in the management cluster (%s)",
		*many, h.rss(t), 100*(usedAfter-used).Seconds()/window.Seconds(), h.descriptors(t), window, total, strings.Join(which, ", "))
	// The API server's own controllers ask now and then; a fleet that polled would ask about each cluster.
	if about := total - after["PUT leases"] + before["PUT leases"] - after["GET leases"] + before["GET leases"]; about > float64(*many)/50 {
		t.Errorf("an idle fleet asks about clusters: %v", which)
	}
	if len(stacks) != *many {
		t.Fatal("some are missing")
	}
}
