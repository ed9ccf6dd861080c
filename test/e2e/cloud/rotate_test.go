package cloud

import (
	"strings"
	"testing"
	"time"
)

// TestRotate replaces Kubernetes' authority of a cluster on real nodes while its web service is read. At the end the
// kubeconfig of before is refused, and a new one and the pods work.
func TestRotate(t *testing.T) {
	w := newWorld(t)
	before := w.inventory(t)
	w.template(t, "rotate", network(), "--labels", labels, "--master-lb-enabled")
	w.create(t, "turn", "rotate", 1, 2)
	s := w.reaches(t, "turn", "CREATE_COMPLETE", 15*time.Minute)
	old := w.config(t, "turn")
	w.apply(t, old, service)
	w.await(t, 3*time.Minute, "the web service", func() error {
		_, err := w.kubectl(t, old, "rollout", "status", "deployment/web", "--timeout=25s")
		return err
	})
	w.loadBalancer(t, old)
	address, err := w.kubectl(t, old, "get", "service", "web", "-o", "jsonpath={.status.loadBalancer.ingress[0].ip}")
	if err != nil {
		t.Fatal(err)
	}
	reads := w.watchURL(t, "http://"+address+"/health", "OK")
	began := time.Now()
	w.say(t, w.tenant, "coe", "ca", "rotate", "turn")
	w.reaches(t, "turn", "UPDATE_COMPLETE", 45*time.Minute)
	t.Logf("another authority: %.0f s after the request", time.Since(began).Seconds())
	asked, failed, gap := reads()
	t.Logf("of %d requests to the web service %d failed; longest time without an answer %.1f s", asked, failed, gap.Seconds())
	if gap > 30*time.Second {
		t.Errorf("the web service did not answer for %s", gap)
	}
	if out, err := w.kubectl(t, old, "get", "nodes"); err == nil {
		t.Errorf("a kubeconfig of before is let in: %s", out)
	}
	config := w.config(t, "turn")
	w.nodesAreReady(t, config, "turn", 3)
	if logs, err := w.kubectl(t, config, "logs", "deployment/web", "--tail=1"); err != nil { // the API server's own certificate, to a kubelet
		t.Errorf("logs of a pod: %v %s", err, logs)
	}
	if list, err := w.kubectl(t, config, "get", "--raw", "/apis"); err != nil || !strings.Contains(list, "APIGroupList") {
		t.Errorf("%v: %.200s", err, list)
	}
	w.delete(t, "turn")
	w.nothingLeft(t, before, s)
}
