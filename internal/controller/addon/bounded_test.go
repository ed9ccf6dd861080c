package addon

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/rest"

	"github.com/jeroboam-cloud/jeroboam/internal/crd/v1alpha1"
	"github.com/jeroboam-cloud/jeroboam/internal/kube"
)

// TestCalm: a cluster whose objects change without an end has its round at once, and then its turn.
func TestCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var woken atomic.Int64
		wake := calm(func() { woken.Add(1) })
		wake()
		if n := woken.Load(); n != 1 {
			t.Errorf("after a rest it is woken %d times at once", n)
		}
		for range 10_000 { // a thousand events a second
			wake()
			time.Sleep(time.Millisecond)
		}
		if n := woken.Load(); n < 5 || n > 6 {
			t.Errorf("%d rounds in ten seconds of events", n)
		}
		time.Sleep(betweenRounds)
		if n := woken.Load(); n != 6 {
			t.Errorf("%d rounds: the last event is lost, or told twice", n)
		}
		time.Sleep(time.Hour)
		wake()
		if n := woken.Load(); n != 7 {
			t.Errorf("after an hour: %d", n)
		}
	})
}

// TestASlowClusterHasItsTurn: an API server that answers everything, and late, holds no worker for long, and comes to
// its end all the same.
func TestASlowClusterHasItsTurn(t *testing.T) {
	const pace, limit = 150 * time.Millisecond, time.Second
	cfg, err := kube.Connect(workloadConfig)
	if err != nil {
		t.Fatal(err)
	}
	behind, err := url.Parse(cfg.Host)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(behind)
	if proxy.Transport, err = rest.TransportFor(cfg); err != nil {
		t.Fatal(err)
	}
	slow := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Authorization")
		time.Sleep(pace)
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(slow.Close)
	var more strings.Builder
	for i := range 15 {
		more.WriteString(configMap(fmt.Sprintf("slow-%d", i), "a"))
	}
	w := newWorld(t, catalogueOf(t, needed(map[string]string{"metrics-server": more.String()})))
	w.r.limit = limit
	w.cluster("slow", "kube-slow", fmt.Appendf(nil, brokenKubeconfig, slow.URL))
	late := 0
	for range 20 {
		began := time.Now()
		_, err := w.r.Reconcile(t.Context(), request("slow"))
		if took := time.Since(began); took > limit+5*time.Second {
			t.Fatalf("a round took %s", took)
		}
		if err == nil {
			break
		}
		late++
		if a := w.record("slow").Status.Addons; len(a) == 0 || !strings.Contains(a[0].Reason, "cannot be reached") {
			t.Errorf("it says %+v", a)
		}
	}
	if late == 0 {
		t.Fatal("one round was enough: the test shows nothing")
	}
	for _, a := range w.record("slow").Status.Addons {
		if a.State != v1alpha1.AddonAvailable && a.State != v1alpha1.AddonSkipped {
			t.Errorf("after %d rounds that were cut off: %+v", late, a)
		}
	}
}
