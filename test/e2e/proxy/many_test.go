package proxy

import (
	"context"
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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/proxy/control"
)

// TestMany is one host with -many clusters, each in a namespace of its own: memory, processor time, and what an idle
// host asks the management cluster.
func TestMany(t *testing.T) {
	h := theLab.hosts[0]
	var stacks []string
	cert := theLab.ca.server("*.magnum-system")
	server := &http.Server{
		Handler:  http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "ok") }),
		ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Hour, TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
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
		theLab.api.createKubeconfig(t, stack)
		t.Cleanup(func() {
			theLab.api.deleteCluster(t, stack)
			_ = theLab.api.client.Delete(context.Background(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: control.Namespace, Name: stack + "-kubeconfig"}})
		})
	}
	t.Logf("%d namespaces, API servers and clusters made in %s", *many, time.Since(begin).Round(time.Second))

	begin = time.Now()
	h.run(t)
	t.Cleanup(h.stop)
	eventually(t, "all are published", func() error {
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
	t.Logf("all published %s after the start; %s", time.Since(begin).Round(100*time.Millisecond), h.memory(t))
	eventually(t, "the host owns the fleet", func() error {
		if !h.status(t).Owner {
			return fmt.Errorf("not yet")
		}
		return nil
	})
	eventually(t, "all have Services", func() error {
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
	eventually(t, "all kubeconfigs lead through the proxy", func() error {
		l := &corev1.SecretList{}
		if err := theLab.api.client.List(t.Context(), l, client.InNamespace(control.Namespace)); err != nil {
			return err
		}
		n := 0
		for _, s := range l.Items {
			if strings.Contains(string(s.Data["value"]), ".magnum-system:6443\n") {
				n++
			}
		}
		if n < *many {
			time.Sleep(time.Second)
			return fmt.Errorf("%d of %d", n, *many)
		}
		return nil
	})
	t.Logf("all have Services and kubeconfigs %s after the start; %s", time.Since(begin).Round(100*time.Millisecond), h.memory(t))
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
	t.Logf("%d clusters, idle, on the fleet's owner: %s, %.2f %% of a processor, %d descriptors; requests in %s: %.0f, of all processes in the management cluster (%s)",
		*many, h.memory(t), 100*(usedAfter-used).Seconds()/window.Seconds(), h.descriptors(t), window, total, strings.Join(which, ", "))
	// The API server's own controllers ask now and then; a fleet that polled would ask about each cluster.
	if about := total - after["PUT leases"] + before["PUT leases"] - after["GET leases"] + before["GET leases"]; about > float64(*many)/50 {
		t.Errorf("an idle fleet asks about clusters: %v", which)
	}
	if len(stacks) != *many {
		t.Fatal("some are missing")
	}
}
