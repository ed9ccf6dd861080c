package proxy_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/jeroboam-cloud/jeroboam/internal/deploy/deploytest"
	"github.com/jeroboam-cloud/jeroboam/internal/deploy/proxy"
	"github.com/jeroboam-cloud/jeroboam/internal/golden"
	"github.com/jeroboam-cloud/jeroboam/internal/osa/intent"
	"github.com/jeroboam-cloud/jeroboam/internal/plan"
)

func TestProxiesOnNewCloud(t *testing.T) {
	w := deploytest.Network(t, 2)
	p, err := w.Run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := json.Marshal(p); strings.Contains(string(text), "hunter2") {
		t.Error("a token is in the plan")
	}
	slices.Sort(w.Log) // hosts are changed at once
	golden.Compare(t, *proxy.Update, "new.txt", strings.Join(deploytest.Only(p), "\n")+"\n\nwhat happened:\n"+strings.Join(w.Log, "\n")+"\n")
	w.Settled(t)
	for _, h := range w.In.Proxy.Hosts {
		if got := w.Have[h.Name]["credential /etc/jeroboam/proxy.kubeconfig"]["bound"]; !strings.HasPrefix(got, "uid-") {
			t.Errorf("%s: its token is bound to %q", h.Name, got)
		}
	}
	if a, b := w.Have["net1"], w.Have["net2"]; a["credential /etc/jeroboam/proxy.kubeconfig"]["bound"] == b["credential /etc/jeroboam/proxy.kubeconfig"]["bound"] {
		t.Error("two hosts have a token that ends with the same Secret")
	}
}

// Whoever deletes a host's Secret ends its token, and the next run makes another one there and nowhere else.
func TestProxyTokenIsRevoked(t *testing.T) {
	w := deploytest.Network(t, 3)
	if _, err := w.Run(t, false, true); err != nil {
		t.Fatal(err)
	}
	var all corev1.SecretList
	if err := w.API.List(t.Context(), &all, client.InNamespace("jeroboam-proxy")); err != nil || len(all.Items) != 3 {
		t.Fatalf("%d Secrets, %v", len(all.Items), err)
	}
	for _, s := range all.Items {
		if s.Name == "jeroboam-proxy-net2" {
			if err := w.API.Delete(t.Context(), &s); err != nil {
				t.Fatal(err)
			}
		}
	}
	p, err := w.Run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(deploytest.Only(p), "; "); got != "net2: update credential /etc/jeroboam/proxy.kubeconfig" && !strings.HasPrefix(got, "net2: update credential /etc/jeroboam/proxy.kubeconfig; net2: restart service") {
		t.Errorf("the plan is %s", got)
	}
	w.Settled(t)
	w.In.Proxy.Hosts = w.In.Proxy.Hosts[:2] // net3 is no host of the proxy any more
	if p, err = w.Run(t, false, true); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(deploytest.Only(p), "; "); got != "cluster: delete token net3" {
		t.Errorf("the plan is %s", got)
	}
	if i := slices.IndexFunc(p.Changes, func(c plan.Change) bool { return c.Name == "net3" }); i < 0 || !strings.Contains(p.Changes[i].Summary, "systemctl disable --now jeroboam-proxy@a") {
		t.Errorf("the plan does not say that a proxy goes on: %+v", p.Changes)
	}
	w.Settled(t)
}

// The last host of the proxy loses its token as any other; a node that is none of the cluster's any more loses that of
// "proxy access", with which all kubeconfigs are read.
func TestTokensOfWhoHasLeft(t *testing.T) {
	w := deploytest.Network(t, 1)
	if _, err := w.Run(t, false, true); err != nil {
		t.Fatal(err)
	}
	nodes, left := w.In.Nodes, w.In.Nodes[2].Name
	tokens := func() []string {
		t.Helper()
		var out []string
		for _, namespace := range []string{"jeroboam-proxy", "magnum-system"} {
			var all corev1.SecretList
			if err := w.API.List(t.Context(), &all, client.InNamespace(namespace), client.HasLabels{"jeroboam.cloud/proxy-host"}); err != nil {
				t.Fatal(err)
			}
			for _, s := range all.Items {
				out = append(out, s.Labels["jeroboam.cloud/proxy-host"])
			}
		}
		slices.Sort(out)
		return out
	}
	w.In.Nodes = nodes[:2]
	p, err := w.Run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(deploytest.Only(p), "; "), "cluster: delete token "+left; got != want {
		t.Errorf("the plan is %s, not %s", got, want)
	}
	if diff := cmp.Diff([]string{nodes[0].Name, nodes[1].Name, "net1"}, tokens()); diff != "" {
		t.Error(diff)
	}
	w.Settled(t)
	w.In.Proxy.Hosts = nil // the fleet has gone
	if _, err = w.Run(t, false, true); err != nil {
		t.Fatal(err)
	}
	noAccess(t, w)
	if got := tokens(); len(got) > 0 {
		t.Errorf("tokens of %v are good", got)
	}
	w.Settled(t)
}

// noAccess sees that "jeroboam proxy access" runs on no node.
func noAccess(t *testing.T, w *deploytest.Town) {
	t.Helper()
	for _, n := range w.In.Nodes {
		if w.Have[n.Name]["unit jeroboam-proxy-access.service"] != nil {
			t.Errorf("proxy access still runs on %s", n.Name)
		}
	}
}

// The old proxy stops on one host after the other, and ours knows that there are old ones as long as there are.
func TestProxiesReplaceTheOldOnes(t *testing.T) {
	w := deploytest.Network(t, 3)
	w.Old()
	w.Slow = time.Millisecond
	p, err := w.Run(t, false, true)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(p.Findings, func(f plan.Finding) bool { return strings.Contains(f.Text, "stops, host by host, on net1, net2, net3") }) {
		t.Errorf("the plan does not say what stops: %+v", p.Findings)
	}
	w.Settled(t)
	var order []string
	for _, line := range w.Log {
		if strings.HasPrefix(line, "net") {
			order = append(order, strings.ReplaceAll(line, "unit magnum-cluster-api-proxy.service", "old"))
		}
	}
	want := "net1 stops old; net1 has service jeroboam-proxy@; net2 stops old; net2 has service jeroboam-proxy@; net3 stops old; net3 has service jeroboam-proxy@"
	if got := strings.Join(order, "; "); !strings.HasPrefix(got, want) {
		t.Errorf("it went\n%s, not\n%s", got, want)
	}
	for _, h := range w.In.Proxy.Hosts {
		if text := w.Have[h.Name]["file /etc/default/jeroboam-proxy"]["content"]; strings.Contains(text, "--old-hosts") {
			t.Errorf("%s still minds old hosts: %s", h.Name, text)
		}
	}
	w.In.Proxy.Implementation = intent.ImplementationOldProxy
	if _, err := w.Run(t, false, true); err != nil {
		t.Fatal(err)
	}
	w.Settled(t)
	noAccess(t, w)
	for _, h := range w.In.Proxy.Hosts {
		if have := w.Have[h.Name]; have["unit magnum-cluster-api-proxy.service"] == nil || have["service jeroboam-proxy@"] != nil || have["credential /etc/jeroboam/proxy.kubeconfig"] != nil && have["file /etc/jeroboam/proxy.kubeconfig"] != nil {
			t.Errorf("%s, on the way back: %v", h.Name, have)
		}
	}
}

// Killed after some items, however many, the next run finishes it, and no host minds old ones at the end.
func TestProxiesInterrupted(t *testing.T) {
	for n := 0; ; n++ {
		w := deploytest.Network(t, 2)
		w.Old()
		w.Left = n
		_, err := w.Run(t, false, true)
		ended := err == nil
		w.Left = -1
		if _, err := w.Run(t, false, true); err != nil {
			t.Fatalf("after %d items, again: %v", n, err)
		}
		w.Settled(t)
		for _, h := range w.In.Proxy.Hosts {
			if have := w.Have[h.Name]; have["unit magnum-cluster-api-proxy.service"] != nil || strings.Contains(have["file /etc/default/jeroboam-proxy"]["content"], "--old-hosts") {
				t.Fatalf("killed after %d items, %s has %v", n, h.Name, have)
			}
		}
		if ended {
			return
		}
		if n > 100 {
			t.Fatal("it never ends")
		}
	}
}

// Two hundred hosts, some of them down: the others are changed many at once and not too many, and nobody waits for
// those that are down.
func TestManyProxies(t *testing.T) {
	w := deploytest.Network(t, 200)
	for n := 0; n < 200; n += 10 {
		w.Down[w.In.Proxy.Hosts[n].Name] = true
	}
	p, _ := w.Run(t, false, false)
	if blocked := p.Blocked(nil); len(blocked) != 20 || blocked[0].Judge != "unreachable" {
		t.Fatalf("%d findings block: %+v", len(blocked), blocked[:min(2, len(blocked))])
	}
	w.Slow, w.Most, w.Meet, w.Until = 20*time.Millisecond, 0, 8, time.Now().Add(time.Minute) // however busy the machine is
	if _, err := w.Run(t, true, true); err != nil {
		t.Fatal(err)
	}
	done := 0
	for _, h := range w.In.Proxy.Hosts {
		if w.Have[h.Name]["service jeroboam-proxy@"] != nil {
			done++
		}
	}
	if done != 180 || w.Most > 32 || w.Most < 8 {
		t.Errorf("%d hosts were changed, %d at once at most", done, w.Most)
	}
	w.Down = map[string]bool{}
	if _, err := w.Run(t, false, true); err != nil {
		t.Fatal(err)
	}
	w.Settled(t)
}

// One host that fails keeps no other from being changed, and is named.
func TestAProxyThatFails(t *testing.T) {
	w := deploytest.Network(t, 3)
	w.Broken = "net2"
	_, err := w.Run(t, false, true)
	if err == nil || !strings.Contains(err.Error(), "net2") || strings.Contains(err.Error(), "net1") {
		t.Errorf("it said %v", err)
	}
	if w.Have["net1"]["service jeroboam-proxy@"] == nil || w.Have["net3"]["service jeroboam-proxy@"] == nil {
		t.Error("others were left out")
	}
	w.Broken = ""
	if _, err := w.Run(t, false, true); err != nil {
		t.Fatal(err)
	}
	w.Settled(t)
}

// As long as OpenStack's own Magnum serves, its proxy stays, unless the operator says otherwise.
func TestOldProxiesStayWithTheirMagnum(t *testing.T) {
	w := deploytest.Network(t, 1)
	w.In.Magnum.Hosts, w.In.Magnum.Service.Implementation = deploytest.Seed(t).Magnum.Hosts, intent.ImplementationMagnum
	w.Theirs()
	w.Old()
	p, _ := w.Run(t, false, false)
	if slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Place == "net1" }) || !slices.ContainsFunc(p.Findings, func(f plan.Finding) bool { return strings.Contains(f.Text, "magnum_proxy_implementation: jeroboam") }) {
		t.Errorf("nobody has asked for it: %v, %+v", deploytest.Only(p), p.Findings)
	}
	w.In.Proxy.Implementation = intent.ImplementationJeroboam
	if p, _ := w.Run(t, false, false); !slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Place == "net1" }) {
		t.Error("the operator has asked for it, and nothing changes")
	}
}
